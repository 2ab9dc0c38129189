/* SPDX-License-Identifier: ISC */
#include "handle.h"

/*
 * Messages that wait for redelivery lie outside the ring's order, in whatever cell they were. One
 * bit a cell says where to look, and a counter says that there is something to look for, so that
 * nobody searches in vain.
 *
 * The bits are hints, the words decide: who finds a bit without a BACK clears it, and looks at the
 * word once more, for the bit may have been set again in between. A bit that its setter was stopped
 * or killed before setting is found by the sweep.
 */

static void set(struct sq *h, uint64_t index)
{
	SQ_STEP();
	atomic_fetch_or_explicit(
		&sqi_bitmap(h)[index / 64], (uint64_t)1 << index % 64, memory_order_seq_cst);
}

/* This cell's word is BACK, or was a moment ago. Wakes a consumer. */
void sqi_back_announce(struct sq *h, uint64_t pos)
{
	set(h, pos & h->mask);
	(void)sqi_add(&h->head->back_seq, 1);
	sqi_wake(&h->head->came);
}

static void clear(struct sq *h, uint64_t index)
{
	SQ_STEP();
	atomic_fetch_and_explicit(
		&sqi_bitmap(h)[index / 64], ~((uint64_t)1 << index % 64), memory_order_seq_cst);
	/* Set again, meanwhile: and somebody may have looked in vain since. */
	if (sqi_word_state(sqi_look(&sqi_cell(h, index)->word)) == SQI_BACK)
		sqi_back_announce(h, index);
}

/* This cell's word is BACK again, and nobody need come for it before the next sweep. */
void sqi_back_defer(struct sq *h, uint64_t pos)
{
	set(h, pos & h->mask);
}

/* A message waiting for redelivery, of less than `limit` attempts, if there is one. */
bool sqi_back_find(struct sq *h, unsigned limit, uint64_t *ret_pos, uint64_t *ret_word)
{
	uint64_t seq = sqi_look(&h->head->back_seq);

	for (uint64_t i = 0; i <= h->mask / 64; i++) {
		uint64_t bits = sqi_look(&sqi_bitmap(h)[i]);

		while (bits) {
			uint64_t index = (i * 64 + (uint64_t)__builtin_ctzll(bits)) & h->mask;
			uint64_t w = sqi_look(&sqi_cell(h, index)->word);

			bits &= bits - 1;
			if (sqi_word_state(w) != SQI_BACK) {
				clear(h, index);
			} else if (sqi_word_attempts(w) < limit) {
				*ret_pos = index;
				*ret_word = w;
				return true;
			}
		}
	}
	h->back_seen = seq;
	return false;
}

/* The message of this cell was taken. */
void sqi_back_taken(struct sq *h, uint64_t pos)
{
	clear(h, pos & h->mask);
}

/* Find those whose bit was never set. */
void sqi_back_sweep(struct sq *h)
{
	for (uint64_t i = 0; i <= h->mask; i++)
		if (sqi_word_state(sqi_look(&sqi_cell(h, i)->word)) == SQI_BACK)
			sqi_back_announce(h, i);
}
