/* SPDX-License-Identifier: ISC */
#include <errno.h>

#include "handle.h"

/*
 * Blocks: memory for the messages that do not fit in a cell. Called by queue.c (allocate), cell.c
 * and recover.c (free).
 *
 *	FREE@g --allocate--> HELD@g(o) --free--> FREE@g+1
 *
 * Each step is one CAS of the block's word. The generation never goes down, so a reference {index,
 * generation} of an earlier message frees nothing. Who allocated it stays the block's owner on
 * record while a cell refers to it; when that participant is dead, the block is reclaimed unless
 * the cell at `home` still speaks for it.
 */

#define HELD        1
#define GEN_SHIFT   16
#define GEN_ONE     ((uint64_t)1 << GEN_SHIFT)
#define GEN_MASK    (~(uint64_t)0 << GEN_SHIFT)
#define SWEEP_EVERY 64 /* allocations; then from the first block again: few, and warm in cache */

static unsigned owner_of(uint64_t w)
{
	return w >> 4 & 0xfff;
}

static const struct sqi_class *class_of(const struct sq *h, uint64_t index)
{
	const struct sqi_class *k = h->g.class;

	while (index >= k->first + k->count)
		k++;
	return k;
}

/* Where the bytes of this block are. The index has been checked. */
void *sqi_block_data(const struct sq *h, uint64_t index, uint64_t *ret_cap)
{
	const struct sqi_class *k = class_of(h, index);

	*ret_cap = k->size;
	return h->base + k->data + (index - k->first) * k->size;
}

/* Is this a block in use, of that generation, and large enough for what it is said to hold? */
bool sqi_block_valid(const struct sq *h, const struct sqi_ref *ref)
{
	uint64_t w;

	if (ref->index >= h->g.blocks || ref->len > class_of(h, ref->index)->size)
		return false;
	w = sqi_look(&sqi_block(h, ref->index)->word);
	return (w & HELD) && w >> GEN_SHIFT == ref->gen;
}

static bool get_from(struct sq *h, uint32_t n, struct sqi_ref *ret)
{
	const struct sqi_class *k = &h->g.class[n];

	for (uint64_t i = 0; i < k->count; i++) {
		uint64_t at = h->cursor[n], index = k->first + at;
		struct sqi_block *b = sqi_block(h, index);
		uint64_t w = sqi_look(&b->word);

		h->cursor[n] = at + 1 < k->count ? at + 1 : 0;
		/* A1. Acquires from whoever freed it. */
		if ((w & HELD) ||
			!sqi_cas(&b->word, w, (w & GEN_MASK) | (uint64_t)h->owner << 4 | HELD))
			continue;
		ret->index = index;
		ret->gen = w >> GEN_SHIFT;
		ret->len = 0;
		return true;
	}
	return false;
}

/* A block for len bytes, or the next larger one there is. -EAGAIN: none is free. */
int sqi_block_get(struct sq *h, size_t len, struct sqi_ref *ret)
{
	if (h->cursor_left-- == 0) {
		h->cursor_left = SWEEP_EVERY;
		for (uint32_t n = 0; n < h->g.classes; n++)
			h->cursor[n] = 0;
	}
	for (uint32_t n = 0; n < h->g.classes; n++)
		if (h->g.class[n].size >= len && get_from(h, n, ret))
			return 0;
	return -EAGAIN;
}

/* Free what the reference means, unless that was done already. */
void sqi_block_free(struct sq *h, const struct sqi_ref *ref)
{
	sqi_u64 *word = &sqi_block(h, ref->index)->word;
	uint64_t w = sqi_look(word);

	/* F2. Releases what was read of the block; A1 acquires it. Failing means freed. */
	if ((w & HELD) && w >> GEN_SHIFT == ref->gen && sqi_cas(word, w, (w & GEN_MASK) + GEN_ONE))
		sqi_wake_all(&h->head->freed); /* all: not every one fits every sleeper */
}

/* Does the cell that this block's owner last meant it for hold its message? */
static bool spoken_for(const struct sq *h, uint64_t index, uint64_t w)
{
	const struct sqi_cell *c = sqi_cell(h, sqi_peek(&sqi_block(h, index)->home));
	struct sqi_ref ref;

	switch (sqi_word_state(sqi_look(&c->word))) {
	case SQI_FULL:
	case SQI_TAKEN:
	case SQI_BACK:
	case SQI_RELEASING:
		return sqi_cell_block(h, c, &ref) && ref.index == index &&
		       ref.gen == w >> GEN_SHIFT;
	default:
		return false;
	}
}

/*
 * This participant is gone: free this block if it held it and no message is in it. Its cells were
 * let go before, so a cell it was still writing does not count; and a message that leaves while we
 * look frees its block first, and our CAS fails. False: the slot has another tenant.
 */
bool sqi_block_reclaim(
	struct sq *h, uint64_t index, unsigned owner, const struct sqi_slot *slot, uint64_t dead)
{
	sqi_u64 *word = &sqi_block(h, index)->word;
	uint64_t w = sqi_look(word);

	if (!(w & HELD) || owner_of(w) != owner || spoken_for(h, index, w))
		return true;
	/* After the look at the word: it is not of the slot's next tenant. */
	if (sqi_look(&slot->id) != dead)
		return false;
	if (sqi_cas(word, w, (w & GEN_MASK) + GEN_ONE))
		sqi_wake_all(&h->head->freed);
	return true;
}

/* Does this word of a block say that nobody has it? */
bool sqi_block_is_free(uint64_t w)
{
	return !(w & HELD);
}
