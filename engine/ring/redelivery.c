/* SPDX-License-Identifier: ISC */
#include "ring/redelivery.h"

#include "base/event.h"
#include "ring/attempts.h"
#include "ring/transition.h"

/*
 * Messages that wait for redelivery. Each stays in its cell (state BACK), outside the ring's order.
 * A bitmap has one bit for each cell: a message waits there. A sequence counter, back_seq, rises
 * with each announcement, so a consumer searches the bitmap only after one.
 *
 * Called by ops/ (add, find, take) and by whoever ends another's lease (lease_time.c, member/); any
 * number of participants may be in it at once.
 *
 * The bits are hints, and the words decide. A search clears a bit whose cell is not BACK. If a
 * participant dies after the word became BACK and before it set the bit, a later sweep over all
 * cells sets it.
 *
 * Messages that wait are delivered in the order in which they came back: each has the number of its
 * return beside its cell (sqi_redelivery_number()). A search over the bitmap costs time, so the handle
 * keeps a list of the first ones. Messages that come back later have higher numbers, so the list
 * stays right until it is used up.
 *
 * Invariant: no participant hides a waiting message, even if it is stopped in the middle. Each word
 * of the bitmap holds 32 bits and, in its other half, a count of their settings. A bit is cleared
 * by a CAS from a value that was read before the look at the cell found no BACK. If the message
 * came back after that look, the setter has raised the count, so the CAS fails, or it will set the
 * bit later. (The count wraps only after 2^32 settings during one search.)
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

/* Counts first, so that a bit that is set already counts as set anew. */
static void set_bit(struct sqi_ring *ring, uint64_t index)
{
	(void)sqi_add(word_of(ring, index), COUNT_ONE);
	SQ_STEP();
	atomic_fetch_or_explicit(word_of(ring, index), bit_of(index), memory_order_seq_cst);
}

/*
 * B1. From this very word, TAKEN, to BACK. Returns false if the word has changed.
 *
 * The message gets the number of its return before the CAS, so that a message that can be found has
 * one. The store is release, and pairs with the acquire loads in search() and sqi_redelivery_find().
 * If the CAS fails, or the caller is stopped before it, the message in the cell may have a number
 * that is too high or too low: then it waits longer or shorter, nothing else.
 */
bool sqi_redelivery_give_back(struct sqi_ring *ring, uint64_t pos, uint64_t w)
{
	sqi_store_release(sqi_redelivery_number(ring, pos), sqi_add(&ring->head->redeliveries, 1));
	return sqi_cell_give_back(sqi_cell(ring, pos), w);
}

/*
 * Announces a message that has come back: sets its bit, raises back_seq, and wakes a consumer (E1).
 * The cell may have changed since; then this costs one search.
 */
void sqi_redelivery_announce(struct sqi_ring *ring, uint64_t pos)
{
	set_bit(ring, pos & ring->mask);
	(void)sqi_add(&ring->head->back_seq, 1);
	sqi_event_wake(&ring->head->message_event);
}

/*
 * Sets the bit of a message that has come back, without telling consumers: it is found by their
 * next search, or announced by the next sweep.
 */
void sqi_redelivery_mark(struct sqi_ring *ring, uint64_t pos)
{
	set_bit(ring, pos & ring->mask);
}

/*
 * Inserts an entry in the order of numbers. Returns false if the list was full, so the entry or the
 * last one was left out.
 */
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

/* Lists the messages that have waited longest: all (`any`), or those that have attempts left. */
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
				/* If it fails, the next search tries again. */
				if (sqi_cas(word_of(ring, i), old, old & ~bit))
					old &= ~bit;
			} else if (any || sqi_attempts_left(ring, index, w)) {
				/* Acquire: pairs with sqi_redelivery_give_back(). */
				all &= insert(&ring->waiting, index,
					sqi_load_acquire(sqi_redelivery_number(ring, index)));
			}
		}
	}
	if (all)
		ring->redelivery_seen = seq;
}

/*
 * Finds the message that has waited longest: of all (`any`), or of those that have attempts left.
 * Returns false if there is none.
 */
bool sqi_redelivery_find(struct sqi_ring *ring, bool any, uint64_t *ret_pos, uint64_t *ret_word)
{
	struct sqi_waiting *waiting = &ring->waiting;

	for (unsigned rounds = 0; rounds < SQI_SEARCHES_MAX; rounds++) {
		for (; waiting->next < waiting->count; waiting->next++) {
			uint64_t index = waiting->list[waiting->next].index;
			uint64_t w = sqi_load_seq(&sqi_cell(ring, index)->word);

			if (sqi_word_state(w) != SQI_BACK ||
				(!any && !sqi_attempts_left(ring, index, w)))
				continue;
			if (sqi_load_acquire(sqi_redelivery_number(ring, index)) !=
				waiting->list[waiting->next].number) {
				waiting->again = true;
			} else {
				*ret_pos = index;
				*ret_word = w;
				return true;
			}
		}
		if (!waiting->again && sqi_load_seq(&ring->head->back_seq) == ring->redelivery_seen)
			return false;
		search(ring, any);
		if (waiting->count == 0)
			return false;
	}
	return false;
}

/*
 * Clears the bit of a message that was taken. The bitmap is read before the cell's word: see above.
 * If the message is back already, or the CAS fails, the bit stays, and a search clears it.
 */
void sqi_redelivery_unmark(struct sqi_ring *ring, uint64_t pos)
{
	uint64_t old = sqi_load_seq(word_of(ring, pos & ring->mask));

	if (sqi_word_state(sqi_load_seq(&sqi_cell(ring, pos)->word)) != SQI_BACK)
		(void)sqi_cas(
			word_of(ring, pos & ring->mask), old, old & ~bit_of(pos & ring->mask));
}

/* Announces the messages of these cells that are BACK, for those whose bit was never set. */
void sqi_redelivery_announce_all(struct sqi_ring *ring, uint64_t from, uint64_t count)
{
	/* Also one that was leased out of a group. */
	for (struct sqi_scan s = sqi_scan_messages(from, count); sqi_scan_next(ring, &s);)
		if (sqi_word_state(s.word) == SQI_BACK)
			sqi_redelivery_announce(ring, s.pos);
}
