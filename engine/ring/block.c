/* SPDX-License-Identifier: ISC */
#include "ring/block.h"

#include <errno.h>

#include "base/event.h"

/*
 * Blocks: memory for messages that do not fit in a cell. Called by queue.c and reserve.c (allocate,
 * free), message.c and member/reclaim.c (free), by any number of participants at once.
 *
 *	FREE@g --allocate A1--> HELD@g(o) --free F2--> FREE@g+1
 *
 * Each step is one CAS of the block's word. Invariant: the generation never goes down, so a
 * reference {index, generation} of an earlier message frees nothing.
 *
 * The participant that allocated the block stays its owner, also while a cell refers to it. When
 * that participant is dead, the block is reclaimed unless the cell at the block's `home` refers to
 * it.
 */

#define HELD        1
#define GEN_SHIFT   16
#define GEN_ONE     ((uint64_t)1 << GEN_SHIFT)
#define GEN_MASK    (~(uint64_t)0 << GEN_SHIFT)
#define SWEEP_EVERY 64    /* allocations; then search from the first block again, which is cached */
#define SWEEP_FROM  65536 /* bytes: to search for such a block takes less than to write to another */

unsigned sqi_block_owner(uint64_t w)
{
	return w >> 4 & 0xfff;
}

uint64_t sqi_block_generation(uint64_t w)
{
	return w >> GEN_SHIFT;
}

/* Returns true if this word of a block says that it is free. */
bool sqi_block_is_free(uint64_t w)
{
	return !(w & HELD);
}

/* The class of the block with this index, which has been checked. */
static const struct sqi_class *class_of(const struct sqi_ring *ring, uint64_t index)
{
	const struct sqi_class *k = ring->g.class;

	while (index >= k->first + k->count)
		k++;
	return k;
}

/* The block's bytes; *ret_cap is their number. The index has been checked. */
void *sqi_block_data(const struct sqi_ring *ring, uint64_t index, uint64_t *ret_cap)
{
	const struct sqi_class *k = class_of(ring, index);

	*ret_cap = k->size;
	return ring->base + k->data + (index - k->first) * k->size;
}

/*
 * Returns true if the reference is to a block in use, of that generation, and large enough for the
 * length it gives.
 */
bool sqi_block_valid(const struct sqi_ring *ring, const struct sqi_ref *ref)
{
	uint64_t w;

	if (ref->index >= ring->g.blocks || ref->len > class_of(ring, ref->index)->size)
		return false;
	w = sqi_load_seq(&sqi_block(ring, ref->index)->word);
	return (w & HELD) && w >> GEN_SHIFT == ref->gen;
}

/* Allocates a block of class n. Returns false if none is free. */
static bool get_of_class(struct sqi_ring *ring, uint32_t n, struct sqi_ref *ret)
{
	const struct sqi_class *k = &ring->g.class[n];

	if (k->size >= SWEEP_FROM)
		ring->cursor[n] = 0;
	for (uint64_t i = 0; i < k->count; i++) {
		uint64_t at = ring->cursor[n], index = k->first + at;
		struct sqi_block *b = sqi_block(ring, index);
		uint64_t w = sqi_load_seq(&b->word);

		ring->cursor[n] = at + 1 < k->count ? at + 1 : 0;
		/* A1. Acquires F2: the former reader of the block is done with it. */
		if ((w & HELD) ||
			!sqi_cas(&b->word, w, (w & GEN_MASK) | (uint64_t)ring->owner << 4 | HELD))
			continue;
		ret->index = index;
		ret->gen = w >> GEN_SHIFT;
		ret->len = 0;
		return true;
	}
	return false;
}

/*
 * Allocates a block of the smallest class that is large enough for len bytes and has one free.
 * Returns -EAGAIN if there is none.
 */
int sqi_block_get(struct sqi_ring *ring, size_t len, struct sqi_ref *ret)
{
	if (ring->cursor_left-- == 0) {
		ring->cursor_left = SWEEP_EVERY;
		for (uint32_t n = 0; n < ring->g.classes; n++)
			ring->cursor[n] = 0;
	}
	for (uint32_t n = 0; n < ring->g.classes; n++)
		if (ring->g.class[n].size >= len && get_of_class(ring, n, ret))
			return 0;
	return -EAGAIN;
}

/* Frees the block, unless that was done already: then its generation differs, or the CAS fails. */
void sqi_block_free(struct sqi_ring *ring, const struct sqi_ref *ref)
{
	sqi_u64 *word = &sqi_block(ring, ref->index)->word;
	uint64_t w = sqi_load_seq(word);

	/* F2. Releases what was read of the block; A1 acquires it. */
	if ((w & HELD) && w >> GEN_SHIFT == ref->gen && sqi_cas(word, w, (w & GEN_MASK) + GEN_ONE))
		sqi_event_wake_all(
			&ring->head->block_event); /* all: a sleeper may need a larger one */
}
