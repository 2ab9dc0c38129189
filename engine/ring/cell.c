/* SPDX-License-Identifier: ISC */
#include "ring/cell.h"

#include <errno.h>

#include "base/event.h"
#include "ring/transition.h"

/*
 * What the bytes of a cell mean, and letting a cell go. Everything read here was written by
 * somebody else and is checked against the geometry before it is used.
 */

/* The cell's block, read once; true if it is one of ours. */
bool sqi_cell_block(const struct sqi_ring *ring, const struct sqi_cell *c, struct sqi_ref *ret)
{
	struct sqi_ref ref;
	uint64_t v;

	if (!(sqi_load_acquire(&c->meta) & SQI_META_BLOCK))
		return false;
	v = sqi_load_acquire(&c->data[1]);
	ref.gen = sqi_load_acquire(&c->data[0]);
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
	uint64_t meta = sqi_load_acquire(&c->meta);
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

/* RELEASING is ours: free the block, and then the cell. */
static void release_block(struct sqi_ring *ring, struct sqi_cell *c)
{
	struct sqi_ref ref;
	uint64_t w;

	if (sqi_cell_block(ring, c, &ref))
		sqi_block_free(ring, &ref);
	do
		w = sqi_load_seq(&c->word);
	while (sqi_word_state(w) == SQI_RELEASING && sqi_word_owner(w) == ring->owner &&
		!sqi_cell_free(c, w)); /* only skips come in between */
}

/*
 * We are done with the message that we have taken: from this very word to FREE, by way of RELEASING
 * if it has a block. False: the word had changed.
 */
bool sqi_cell_release(struct sqi_ring *ring, uint64_t pos, uint64_t w)
{
	struct sqi_cell *c = sqi_cell(ring, pos);

	if (!(sqi_load_acquire(&c->meta) & SQI_META_BLOCK))
		return sqi_cell_remove(c, w);
	if (!sqi_cell_begin_release(c, w, ring->owner))
		return false;
	release_block(ring, c);
	return true;
}

/*
 * What the cell says of its message cannot be. If it is still the same message, it is removed and
 * reported, once: -EBADMSG. 0: it had changed, look again.
 */
int sqi_cell_drop(struct sqi_ring *ring, uint64_t pos, uint64_t w)
{
	if (!sqi_cell_remove(sqi_cell(ring, pos), w))
		return 0;
	(void)sqi_add(&ring->head->damaged, 1);
	sqi_event_wake(&ring->head->room_event);
	return -EBADMSG;
}
