/* SPDX-License-Identifier: ISC */
#ifndef SQI_MESSAGE_H
#define SQI_MESSAGE_H

/* What the bytes of a cell mean, and freeing a cell. See message.c. */

#include "ring/block.h"
#include "ring/ring.h"
#include "ring/transition.h"

int sqi_message_view_block(
	const struct sqi_ring *ring, uint64_t pos, const void **ret_data, size_t *ret_len);
/* Its block, if it has one. */
bool sqi_message_block(const struct sqi_ring *ring, uint64_t pos, struct sqi_ref *ret);
bool sqi_message_release_block(struct sqi_ring *ring, uint64_t pos, uint64_t w);
/* It is damaged: removes and counts it. */
int sqi_message_drop(struct sqi_ring *ring, uint64_t pos, uint64_t w);

/* Returns true if the cell's message is small: at most so long. Then *ret_len is its length. */
static inline bool sqi_meta_is_small(const struct sqi_cell *c, uint32_t small, size_t *ret_len)
{
	/* Acquire: pairs with write_message() in ops/put.c. */
	uint64_t meta = sqi_load_acquire(&c->meta);

	*ret_len = meta & 0xffff;
	return !(meta & SQI_META_BLOCK) && *ret_len <= small;
}

/* The same of the cell at this position; the message lies at sqi_data(). */
static inline bool sqi_message_is_small(const struct sqi_ring *ring, uint64_t pos, size_t *ret_len)
{
	return sqi_meta_is_small(sqi_cell(ring, pos), ring->small, ret_len);
}

/*
 * Finds where the message lies and how long it is. Returns 0, or -EBADMSG if what the cell says is
 * impossible; then *ret_data and *ret_len are as they were.
 */
static inline int sqi_message_view(
	const struct sqi_ring *ring, uint64_t pos, const void **ret_data, size_t *ret_len)
{
	size_t len;

	if (!sqi_message_is_small(ring, pos, &len))
		return sqi_message_view_block(ring, pos, ret_data, ret_len);
	*ret_data = sqi_data(ring, pos);
	*ret_len = len;
	return 0;
}

/*
 * Frees the cell of a message that the caller has TAKEN, from this very word. Returns false if the
 * word has changed.
 */
static inline bool sqi_message_release(struct sqi_ring *ring, uint64_t pos, uint64_t w)
{
	struct sqi_cell *c = sqi_cell(ring, pos);

	if (sqi_load_acquire(&c->meta) & SQI_META_BLOCK)
		return sqi_message_release_block(ring, pos, w);
	/* F1. */
	return sqi_cell_remove(c, w);
}

/* The id of the message put at this position: the cell's index and 40 bits of the turn. */
static inline uint64_t sqi_position_id(uint64_t position, unsigned shift)
{
	return shift + SQI_TURN_BITS < 64
		       ? position & (((uint64_t)1 << (shift + SQI_TURN_BITS)) - 1)
		       : position;
}

/* The same id from the cell's meta word. */
static inline uint64_t sqi_message_id(
	uint64_t meta, uint64_t position, uint64_t mask, unsigned shift)
{
	return meta >> SQI_TURN_SHIFT << shift | (position & mask);
}

#endif
