/* SPDX-License-Identifier: ISC */
#include "ring/attempts.h"

/*
 * How often a message counts as leased, in a queue with max_attempts. The number of leases in a
 * cell's word tells leases apart, so it always rises; but one that was given back by sq_return()
 * does not count. So beside each cell lies a word with what is known of one lease:
 *
 *	turn of the message << 24 | it was returned << 16 | the lease's number << 8 | it counts as so
 *
 * What follows from it for later leases is counted on: each is one more, but the first after one
 * that was returned. A word that speaks of another message says nothing: each lease counts. The
 * steps C1 and C2 are those of docs/MEMORY_MODEL.md, "What does not count".
 *
 * Called by lease.c (who takes, and gives back), and by those who ask whether a message that waits
 * has attempts left; any number of participants at once.
 */

#define RETURNED ((uint64_t)1 << 16)

static uint64_t known(uint64_t meta, unsigned number, unsigned count, bool returned)
{
	return (meta & SQI_TURN_MASK) | (returned ? RETURNED : 0) | (uint64_t)number << 8 | count;
}

/* Does this word speak of the lease of that number? */
static bool is_of(uint64_t u, uint64_t meta, unsigned number)
{
	return (u & SQI_TURN_MASK) == (meta & SQI_TURN_MASK) && (u >> 8 & 0xff) == number;
}

/* So many leases after the one of this number came the other. Numbers above 127 come again. */
unsigned sqi_attempts_distance(unsigned from, unsigned to)
{
	if (from > SQI_ATTEMPTS_ONCE && to > SQI_ATTEMPTS_ONCE)
		return (to - from) & SQI_ATTEMPTS_ONCE;
	return to > from ? to - from : 0;
}

/* What the lease of this number counts as. */
static unsigned count_of(uint64_t u, uint64_t meta, unsigned number)
{
	unsigned count = u & 0xff, later;

	if ((u & SQI_TURN_MASK) != (meta & SQI_TURN_MASK))
		return number;
	later = sqi_attempts_distance(u >> 8 & 0xff, number);
	if (later > 0)
		count += later - ((u & RETURNED) != 0);
	if (count == 0)
		return 1; /* damage */
	return count < SQI_ATTEMPTS_LAST ? count : SQI_ATTEMPTS_LAST;
}

/*
 * C1, C2. What this lease counts as is known from now on; and that it was returned. The count, or 0:
 * it has ended.
 */
static unsigned note(struct sqi_ring *ring, uint64_t pos, uint64_t taken, bool returned)
{
	const struct sqi_cell *c = sqi_cell(ring, pos);
	unsigned number = sqi_word_attempts(taken), count;

	for (unsigned rounds = 0; rounds < SQI_ROUNDS_MAX; rounds++) {
		uint64_t u = sqi_load_seq(sqi_attempts_word(ring, pos)),
			 meta = sqi_load_acquire(&c->meta);

		/* After the look at what is known: if another lease begins, it changes that. */
		if (!sqi_same_lease(sqi_load_seq(&c->word), taken))
			return 0;
		count = count_of(u, meta, number);
		if (is_of(u, meta, number) && (!returned || (u & RETURNED)))
			return count;
		if (sqi_cas(sqi_attempts_word(ring, pos), u, known(meta, number, count, returned)))
			return count;
	}
	return 0;
}

/* A lease that this word speaks of, ours, has begun. What it counts as; 0: it has ended. */
unsigned sqi_attempts_begin(struct sqi_ring *ring, uint64_t pos, uint64_t taken)
{
	return ring->g.in.max_attempts ? note(ring, pos, taken, false) : sqi_word_attempts(taken);
}

/* Our lease is about to be returned. False: it has ended. */
bool sqi_attempts_return(struct sqi_ring *ring, uint64_t pos, uint64_t taken)
{
	return !ring->g.in.max_attempts || note(ring, pos, taken, true) > 0;
}

/* What the lease that this word speaks of counts as, if it is still under way. */
unsigned sqi_attempts_of(const struct sqi_ring *ring, uint64_t pos, uint64_t taken)
{
	if (!ring->g.in.max_attempts)
		return sqi_word_attempts(taken);
	return count_of(sqi_load_seq(sqi_attempts_word(ring, pos)),
		sqi_load_acquire(&sqi_cell(ring, pos)->meta), sqi_word_attempts(taken));
}

/* The same of a message that waits, from what is in its cell and beside it. */
bool sqi_attempts_left_by(unsigned limit, uint64_t w, uint64_t meta, uint64_t u)
{
	unsigned number = sqi_word_attempts(w), count = count_of(u, meta, number);

	if (is_of(u, meta, number) && (u & RETURNED))
		count--;
	return count < limit;
}

/*
 * Has the message that this word speaks of, BACK, attempts left? If the word has changed the answer
 * is yes: who acts on that word finds out.
 */
bool sqi_attempts_left(const struct sqi_ring *ring, uint64_t pos, uint64_t w)
{
	const struct sqi_cell *c = sqi_cell(ring, pos);
	unsigned limit = sqi_attempts_limit(ring);
	uint64_t meta, u;

	/* It cannot count as more than there were. */
	if (sqi_word_attempts(w) < limit)
		return true;
	meta = sqi_load_acquire(&c->meta);
	u = sqi_load_seq(sqi_attempts_word(ring, pos));
	return sqi_load_seq(&c->word) != w || sqi_attempts_left_by(limit, w, meta, u);
}
