/* SPDX-License-Identifier: ISC */
#include "ring/attempts.h"

/*
 * What the leases of a message count as, in a queue with max_attempts. The number in a cell's word
 * tells leases apart, so it rises with each. But a lease that ended by sq_return() is no attempt.
 * So beside each cell lies a word that records one lease of its message:
 *
 *	turn of the message << 24 | returned << 16 | number of the lease << 8 | what it counts as
 *
 * Later leases are counted on from it: each counts one more, but the first after a returned one
 * counts the same. If the word records a lease of another message (another turn), then each lease
 * of this one counts. The steps C1 and C2 are those of docs/MEMORY_MODEL.md, "What does not count".
 *
 * Called by ops/take.c and lease.c, which begin and return leases, and by whoever asks whether a
 * waiting message has attempts left; any number of participants may be in it at once.
 *
 * Invariant: what a record says of a lease stays true. Only `returned` is added, once.
 */

#define RETURNED ((uint64_t)1 << 16)

/* The record of a lease of the message that has this meta word. */
static uint64_t record_of(uint64_t meta, unsigned number, unsigned count, bool returned)
{
	return (meta & SQI_TURN_MASK) | (returned ? RETURNED : 0) | (uint64_t)number << 8 | count;
}

/*
 * Returns true if the record is of the lease of that number, of the message that has this meta
 * word.
 */
static bool is_of(uint64_t record, uint64_t meta, unsigned number)
{
	return (record & SQI_TURN_MASK) == (meta & SQI_TURN_MASK) && (record >> 8 & 0xff) == number;
}

/*
 * How many leases after the one numbered `from` came the one numbered `to`; 0 if `to` is not later.
 * Numbers above 127 are used again and again, so a distance among them is taken to be below 128.
 */
unsigned sqi_attempts_distance(unsigned from, unsigned to)
{
	if (from > SQI_NUMBER_ONCE && to > SQI_NUMBER_ONCE)
		return (to - from) & SQI_NUMBER_ONCE;
	return to > from ? to - from : 0;
}

/* What the lease of this number counts as, by the record. */
static unsigned count_of(uint64_t record, uint64_t meta, unsigned number)
{
	unsigned count = record & 0xff, later;

	if ((record & SQI_TURN_MASK) != (meta & SQI_TURN_MASK))
		return number;
	later = sqi_attempts_distance(record >> 8 & 0xff, number);
	if (later > 0)
		count += later - ((record & RETURNED) != 0);
	if (count == 0)
		return 1; /* the record is damaged */
	return count < SQI_NUMBER_LAST ? count : SQI_NUMBER_LAST;
}

/*
 * C1; with `returned`, C2. Records what the lease counts as, and that it is returned. Returns the
 * count, or 0 if the lease has ended.
 */
static unsigned record_lease(struct sqi_ring *ring, uint64_t pos, uint64_t taken, bool returned)
{
	const struct sqi_cell *c = sqi_cell(ring, pos);
	unsigned number = sqi_word_number(taken), count;

	for (unsigned rounds = 0; rounds < SQI_ROUNDS_MAX; rounds++) {
		/* The acquire pairs with write_message() in put.c; the next look confirms it. */
		uint64_t record = sqi_load_seq(sqi_attempts_word(ring, pos)),
			 meta = sqi_load_acquire(&c->meta);

		/*
		 * Look at the word after the record. If another lease begins later, it changes the
		 * record, and the CAS below fails.
		 */
		if (!sqi_same_lease(sqi_load_seq(&c->word), taken))
			return 0;
		count = count_of(record, meta, number);
		if (is_of(record, meta, number) && (!returned || (record & RETURNED)))
			return count;
		if (sqi_cas(sqi_attempts_word(ring, pos), record,
			    record_of(meta, number, count, returned)))
			return count;
	}
	return 0;
}

/*
 * C1. The caller's lease, of this word, has begun. Returns what it counts as, or 0 if it has ended.
 */
unsigned sqi_attempts_begin(struct sqi_ring *ring, uint64_t pos, uint64_t taken)
{
	return ring->g.in.max_attempts ? record_lease(ring, pos, taken, false)
				       : sqi_word_number(taken);
}

/* C2. The caller's lease, of this word, is about to be returned. Returns false if it has ended. */
bool sqi_attempts_return(struct sqi_ring *ring, uint64_t pos, uint64_t taken)
{
	return !ring->g.in.max_attempts || record_lease(ring, pos, taken, true) > 0;
}

/*
 * What the lease of this word counts as. The result is meaningful only while the lease lasts, which
 * the caller checks afterwards; so the acquire load of meta is enough.
 */
unsigned sqi_attempts_of(const struct sqi_ring *ring, uint64_t pos, uint64_t taken)
{
	if (!ring->g.in.max_attempts)
		return sqi_word_number(taken);
	return count_of(sqi_load_seq(sqi_attempts_word(ring, pos)),
		sqi_load_acquire(&sqi_cell(ring, pos)->meta), sqi_word_number(taken));
}

/*
 * Returns true if a message that waits has attempts left, given its word, its meta word and its
 * record.
 */
bool sqi_attempts_left_by(unsigned limit, uint64_t w, uint64_t meta, uint64_t record)
{
	unsigned number = sqi_word_number(w), count = count_of(record, meta, number);

	if (is_of(record, meta, number) && (record & RETURNED))
		count--;
	return count < limit;
}

/*
 * Returns true if the waiting message of this word, BACK, has attempts left; also if the word has
 * changed meanwhile: then the caller's CAS from it fails.
 */
bool sqi_attempts_left(const struct sqi_ring *ring, uint64_t pos, uint64_t w)
{
	const struct sqi_cell *c = sqi_cell(ring, pos);
	unsigned limit = sqi_attempts_limit(ring);
	uint64_t meta, record;

	/* A lease never counts as more than its number. */
	if (sqi_word_number(w) < limit)
		return true;
	/* Acquire: pairs with write_message() in put.c. The second look at the word confirms it. */
	meta = sqi_load_acquire(&c->meta);
	record = sqi_load_seq(sqi_attempts_word(ring, pos));
	return sqi_load_seq(&c->word) != w || sqi_attempts_left_by(limit, w, meta, record);
}
