/* SPDX-License-Identifier: ISC */
#include "ring/cell.h"

#include <errno.h>

#include "base/event.h"

/*
 * What the bytes of a cell mean, and letting a cell go. Everything read here was written by
 * somebody else and is checked against the geometry before it is used.
 */

/* The cell's block, read once; true if it is one of ours. */
bool sqi_cell_block(const struct sqi_ring *ring, const struct sqi_cell *c, struct sqi_ref *ret)
{
	struct sqi_ref ref;
	uint64_t v;

	if (!(sqi_watch(&c->meta) & SQI_META_BLOCK))
		return false;
	v = sqi_watch(&c->data[1]);
	ref.gen = sqi_watch(&c->data[0]);
	ref.index = v >> 32;
	ref.len = v & UINT32_MAX;
	if (!sqi_block_valid(ring, &ref))
		return false;
	*ret = ref;
	return true;
}

/* Where the message lies and how long it is. -EBADMSG: what the cell says cannot be. */
int sqi_cell_view(const struct sqi_ring *ring, const struct sqi_cell *c, const void **ret_data,
	size_t *ret_len)
{
	uint64_t meta = sqi_watch(&c->meta);
	struct sqi_ref ref;

	if (meta & SQI_META_BLOCK) {
		uint64_t cap;

		if (!sqi_cell_block(ring, c, &ref))
			return -EBADMSG;
		*ret_data = sqi_block_data(ring, ref.index, &cap);
		*ret_len = ref.len;
		return 0;
	}
	if ((meta & 0xffff) > ring->small)
		return -EBADMSG;
	*ret_data = &c->data[0];
	*ret_len = meta & 0xffff;
	return 0;
}

/* RELEASING is ours: free the block, then the cell. */
static void release_block(struct sqi_ring *ring, struct sqi_cell *c)
{
	struct sqi_ref ref;
	uint64_t w;

	if (sqi_cell_block(ring, c, &ref))
		sqi_block_free(ring, &ref);
	do
		w = sqi_look(&c->word);
	while (sqi_word_state(w) == SQI_RELEASING && sqi_word_owner(w) == ring->owner &&
		!sqi_cas(&c->word, w, sqi_word_free(w, 0)));
}

/*
 * The message is done: from this very word (FULL, our TAKEN, or BACK) to FREE, by way of RELEASING
 * if there is a block: that says whose duty its freeing is. False: the word had changed.
 */
bool sqi_cell_release(struct sqi_ring *ring, uint64_t pos, uint64_t w)
{
	struct sqi_cell *c = sqi_cell(ring, pos);
	unsigned more = sqi_word_state(w) == SQI_FULL;

	if (!(sqi_watch(&c->meta) & SQI_META_BLOCK))
		/* F1. Releases what was read of the cell; W1 acquires it. */
		return sqi_cas(&c->word, w, sqi_word_free(w, more));
	if (!sqi_cas(&c->word, w, sqi_word_to(w, SQI_RELEASING, ring->owner) + more * SQI_TURN_ONE))
		return false;
	release_block(ring, c);
	return true;
}

/*
 * What the cell says of its message cannot be. If it is still the same message, it is removed and
 * reported, once. 0: it had changed, look again.
 */
int sqi_cell_damaged(struct sqi_ring *ring, uint64_t pos, uint64_t w)
{
	unsigned more = sqi_word_state(w) == SQI_FULL;

	if (!sqi_cas(&sqi_cell(ring, pos)->word, w, sqi_word_free(w, more)))
		return 0;
	(void)sqi_add(&ring->head->damaged, 1);
	sqi_wake(&ring->head->went);
	return -EBADMSG;
}
