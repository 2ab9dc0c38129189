/* SPDX-License-Identifier: ISC */
#include "handle.h"

/*
 * Messages that wait for redelivery lie outside the ring's order, in whatever cell they were. One
 * bit a cell says where to look, and a counter says that there is something to look for, so that
 * nobody searches in vain.
 *
 * The bits are hints, the words decide: who finds a bit without a BACK takes it down. A bit that its
 * setter was stopped or killed before setting is found by the sweep.
 *
 * Half of each word counts the settings of its bits. A bit is taken down by a CAS from a value that
 * was read *before* the look at the cell found no BACK: if the message came back after that look,
 * its setter has counted, or will set the bit afterwards. So nobody ever hides a message, also not
 * one who is stopped in the middle. (A count wraps after 2^32 settings during one search.)
 */

#define COUNT_ONE ((uint64_t)1 << 32)

static sqi_u64 *word_of(const struct sq *h, uint64_t index)
{
	return &sqi_bitmap(h)[index / SQI_BITS];
}

static uint64_t bit_of(uint64_t index)
{
	return (uint64_t)1 << index % SQI_BITS;
}

/* Counted first: a bit that stands already is new from here on. */
static void set(struct sq *h, uint64_t index)
{
	(void)sqi_add(word_of(h, index), COUNT_ONE);
	SQ_STEP();
	atomic_fetch_or_explicit(word_of(h, index), bit_of(index), memory_order_seq_cst);
}

/* This cell's word is BACK, or was a moment ago. Wakes a consumer. */
void sqi_back_announce(struct sq *h, uint64_t pos)
{
	set(h, pos & h->mask);
	(void)sqi_add(&h->head->back_seq, 1);
	sqi_wake(&h->head->came);
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

	for (uint64_t i = 0; i <= h->mask; i += SQI_BITS) {
		uint64_t old = sqi_look(word_of(h, i)), bits = old & (COUNT_ONE - 1);

		while (bits) {
			uint64_t index = (i + (uint64_t)__builtin_ctzll(bits)) & h->mask;
			uint64_t w = sqi_look(&sqi_cell(h, index)->word);
			uint64_t bit = bits & -bits;

			bits &= bits - 1;
			if (sqi_word_state(w) != SQI_BACK) {
				/* If that fails, the next search will try. */
				if (sqi_cas(word_of(h, i), old, old & ~bit))
					old &= ~bit;
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

/* The message of this cell was taken: most of the time its bit can go at once. */
void sqi_back_taken(struct sq *h, uint64_t pos)
{
	uint64_t old = sqi_look(word_of(h, pos & h->mask));

	if (sqi_word_state(sqi_look(&sqi_cell(h, pos)->word)) != SQI_BACK)
		(void)sqi_cas(word_of(h, pos & h->mask), old, old & ~bit_of(pos & h->mask));
}

/* Find those whose bit was never set. */
void sqi_back_sweep(struct sq *h)
{
	for (uint64_t i = 0; i <= h->mask; i++)
		if (sqi_word_state(sqi_look(&sqi_cell(h, i)->word)) == SQI_BACK)
			sqi_back_announce(h, i);
}
