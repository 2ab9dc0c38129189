/* SPDX-License-Identifier: ISC */
#include "ring/message.h"

#include <errno.h>

#include "ring/transition.h"
#include "segment/closed.h"

/*
 * What the bytes of a cell mean, and freeing a cell. Called by ops/, find.c, drain.c and
 * member/reclaim.c, by any number of participants at once.
 *
 * Invariant: everything read here was written by another participant, so it is checked against the
 * geometry before it is used. The loads of meta and data are acquire: they pair with the release
 * stores in ops/put.c, so that a second look at the word confirms what was read.
 */

/*
 * Reads the reference to the cell's block, once. Returns false if the cell refers to no block, or
 * to none that is in use and of that generation.
 */
bool sqi_message_block(const struct sqi_ring *ring, uint64_t pos, struct sqi_ref *ret)
{
	const sqi_u64 *data = sqi_data(ring, pos);
	struct sqi_ref ref;
	uint64_t v;

	if (!(sqi_load_acquire(&sqi_cell(ring, pos)->meta) & SQI_META_BLOCK))
		return false;
	v = sqi_load_acquire(&data[1]);
	ref.gen = sqi_load_acquire(&data[0]);
	ref.index = v >> 32;
	ref.len = v & UINT32_MAX;
	if (!sqi_block_valid(ring, &ref))
		return false;
	*ret = ref;
	return true;
}

/* As sqi_message_view(), of a message that is not small. */
int sqi_message_view_block(
	const struct sqi_ring *ring, uint64_t pos, const void **ret_data, size_t *ret_len)
{
	struct sqi_ref ref;
	uint64_t cap;

	if (!sqi_message_block(ring, pos, &ref))
		return -EBADMSG;
	*ret_data = sqi_block_data(ring, ref.index, &cap);
	*ret_len = ref.len;
	return 0;
}

/*
 * As sqi_message_release(), of a message in a block: by way of RELEASING, in which the block is
 * freed before the cell. While the cell says RELEASING, recovery knows that both may remain to be
 * done.
 */
bool sqi_message_release_block(struct sqi_ring *ring, uint64_t pos, uint64_t w)
{
	struct sqi_cell *c = sqi_cell(ring, pos);
	struct sqi_ref ref;

	/* L1. */
	if (!sqi_cell_begin_release(c, w, ring->owner))
		return false;
	if (sqi_message_block(ring, pos, &ref))
		sqi_block_free(ring, &ref);
	/* F1. It fails only if the cell was skipped. */
	do
		w = sqi_load_seq(&c->word);
	while (sqi_word_state(w) == SQI_RELEASING && sqi_word_owner(w) == ring->owner &&
		!sqi_cell_free(c, w));
	return true;
}

/*
 * What the cell says of its message is impossible. If the word has not changed, removes the message
 * and counts it as damaged: -EBADMSG, once for each message. Returns 0 if the word has changed: the
 * caller looks again.
 */
int sqi_message_drop(struct sqi_ring *ring, uint64_t pos, uint64_t w)
{
	if (!sqi_cell_remove(sqi_cell(ring, pos), w))
		return 0;
	(void)sqi_add(&ring->head->damaged, 1);
	sqi_message_left(ring->head);
	return -EBADMSG;
}
