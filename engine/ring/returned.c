/* SPDX-License-Identifier: ISC */
#include "ring/returned.h"

#include "base/event.h"
#include "ring/attempts.h"
#include "ring/transition.h"

/*
 * Messages that wait for redelivery lie outside the ring's order, in whatever cell they were. One
 * bit a cell says where to look, and a counter says that there is something to look for, so that
 * nobody searches in vain.
 *
 * The bits are hints, the words decide: who finds a bit without a BACK takes it down. A bit that its
 * setter was stopped or killed before setting is found by the sweep.
 *
 * Among themselves those that wait are delivered in the order in which they came back: each bears a
 * number (sqi_return_number()). A search remembers the first of them, so that many do not cost a search
 * each: who comes back later has a higher number, so they stay the first until they are taken.
 *
 * Half of each word counts the settings of its bits. A bit is taken down by a CAS from a value that
 * was read *before* the look at the cell found no BACK: if the message came back after that look,
 * its setter has counted, or will set the bit afterwards. So nobody ever hides a message, also not
 * one who is stopped in the middle. (A count wraps after 2^32 settings during one search.)
 */

#define COUNT_ONE ((uint64_t)1 << 32)

static sqi_u64 *word_of(const struct sqi_ring *ring, uint64_t index)
{
	return &sqi_bitmap(ring)[index / SQI_BITS];
}

static uint64_t bit_of(uint64_t index)
{
	return (uint64_t)1 << index % SQI_BITS;
}

/* Counted first: a bit that stands already is new from here on. */
static void set(struct sqi_ring *ring, uint64_t index)
{
	(void)sqi_add(word_of(ring, index), COUNT_ONE);
	SQ_STEP();
	atomic_fetch_or_explicit(word_of(ring, index), bit_of(index), memory_order_seq_cst);
}

/*
 * From this very word, TAKEN, to BACK. False: the word had changed. Its number is written before,
 * so it has one when it can be found; a number that was written for nothing, or by one who was
 * stopped here, makes somebody wait longer or shorter, and nothing else.
 */
bool sqi_returned_add(struct sqi_ring *ring, uint64_t pos, uint64_t w)
{
	sqi_store_release(sqi_return_number(ring, pos), sqi_add(&ring->head->returns, 1));
	return sqi_cell_give_back(sqi_cell(ring, pos), w);
}

/* This cell's word is BACK, or was a moment ago. Wakes a consumer. */
void sqi_returned_announce(struct sqi_ring *ring, uint64_t pos)
{
	set(ring, pos & ring->mask);
	(void)sqi_add(&ring->head->back_seq, 1);
	sqi_event_wake(&ring->head->message_event);
}

/* This cell's word is BACK again, and nobody need come for it before the next sweep. */
void sqi_returned_mark(struct sqi_ring *ring, uint64_t pos)
{
	set(ring, pos & ring->mask);
}

/* Into its place among those that wait. False: one of them, the last, had to go. */
static bool insert(struct sqi_waiting *waiting, uint64_t index, uint64_t number)
{
	unsigned at = waiting->count;

	while (at > 0 && (int64_t)(waiting->list[at - 1].number - number) > 0)
		at--;
	if (at == SQI_WAITING_MAX)
		return false;
	for (unsigned i = waiting->count < SQI_WAITING_MAX ? waiting->count : SQI_WAITING_MAX - 1;
		i > at; i--)
		waiting->list[i] = waiting->list[i - 1];
	waiting->list[at].index = index;
	waiting->list[at].number = number;
	if (waiting->count == SQI_WAITING_MAX)
		return false;
	waiting->count++;
	return true;
}

/* Find the first of those that wait: all, or those that have attempts left. */
static void search(struct sqi_ring *ring, bool any)
{
	uint64_t seq = sqi_load_seq(&ring->head->back_seq);
	bool all = true;

	ring->waiting.count = ring->waiting.next = 0;
	ring->waiting.again = false;
	for (uint64_t i = 0; i <= ring->mask; i += SQI_BITS) {
		uint64_t old = sqi_load_seq(word_of(ring, i)), bits = old & (COUNT_ONE - 1);

		while (bits) {
			uint64_t index = (i + (uint64_t)__builtin_ctzll(bits)) & ring->mask;
			uint64_t w = sqi_load_seq(&sqi_cell(ring, index)->word);
			uint64_t bit = bits & -bits;

			bits &= bits - 1;
			if (sqi_word_state(w) != SQI_BACK) {
				/* If that fails, the next search will try. */
				if (sqi_cas(word_of(ring, i), old, old & ~bit))
					old &= ~bit;
			} else if (any || sqi_attempts_left(ring, index, w)) {
				all &= insert(&ring->waiting, index,
					sqi_load_acquire(sqi_return_number(ring, index)));
			}
		}
	}
	if (all)
		ring->returned_seen = seq;
}

/* The longest waiting redelivery, of any or of those with attempts left, if there is one. */
bool sqi_returned_find(struct sqi_ring *ring, bool any, uint64_t *ret_pos, uint64_t *ret_word)
{
	struct sqi_waiting *waiting = &ring->waiting;

	for (unsigned rounds = 0; rounds < SQI_SEARCHES_MAX; rounds++) {
		for (; waiting->next < waiting->count; waiting->next++) {
			uint64_t index = waiting->list[waiting->next].index;
			uint64_t w = sqi_load_seq(&sqi_cell(ring, index)->word);

			if (sqi_word_state(w) != SQI_BACK ||
				(!any && !sqi_attempts_left(ring, index, w)))
				continue;
			if (sqi_load_acquire(sqi_return_number(ring, index)) !=
				waiting->list[waiting->next].number) {
				waiting->again = true;
			} else {
				*ret_pos = index;
				*ret_word = w;
				return true;
			}
		}
		if (!waiting->again && sqi_load_seq(&ring->head->back_seq) == ring->returned_seen)
			return false;
		search(ring, any);
		if (waiting->count == 0)
			return false;
	}
	return false;
}

/* The message of this cell was taken: most of the time its bit can go at once. */
void sqi_returned_unmark(struct sqi_ring *ring, uint64_t pos)
{
	uint64_t old = sqi_load_seq(word_of(ring, pos & ring->mask));

	if (sqi_word_state(sqi_load_seq(&sqi_cell(ring, pos)->word)) != SQI_BACK)
		(void)sqi_cas(
			word_of(ring, pos & ring->mask), old, old & ~bit_of(pos & ring->mask));
}

/* Find those whose bit was never set, among these cells. */
void sqi_returned_announce_all(struct sqi_ring *ring, uint64_t from, uint64_t count)
{
	for (uint64_t i = from; i < from + count; i++)
		if (sqi_word_state(sqi_load_seq(&sqi_cell(ring, i)->word)) == SQI_BACK)
			sqi_returned_announce(ring, i);
}
