/* SPDX-License-Identifier: ISC */
#include "ring/lease_time.h"

#include "base/clock.h"
#include "ring/returned.h"

/*
 * Lease times: when a lease ends by itself. Only in queues that have one: a word beside each cell.
 *
 *	deadline: a moment of CLOCK_MONOTONIC in nanoseconds << 1 | ended
 *
 * Its value only ever rises, so a CAS of it succeeds only if nothing happened to it since it was
 * read. The steps T1 to T5 and X1 to X3 are those of docs/MEMORY_MODEL.md, "Lease times", which
 * argues why no lease ends early, or by the end of another one.
 *
 * Called by lease.c (who takes, holds, touches) and by whoever looks at the clock (recover.c,
 * queue.c); any number of participants at once.
 */

#define ENDED      ((uint64_t)1)
#define MOMENT_MAX ((uint64_t)INT64_MAX)

/* The value after this one, which lies a lease time ahead, or as little as it has to. */
static uint64_t next_deadline(const struct sqi_ring *ring, uint64_t old, uint64_t more_ns)
{
	uint64_t moment = (uint64_t)sqi_now_ns() + ring->g.in.lease_ns + more_ns;

	if (moment <= old >> 1)
		moment = (old >> 1) + 1; /* of a clock that is ahead of ours, or damaged */
	return (moment < MOMENT_MAX ? moment : MOMENT_MAX) << 1;
}

/*
 * T1. Before the message that this word speaks of, FULL or BACK, is taken: no end that was decided
 * for an earlier lease is taken for one of the next. False: the word has changed.
 */
bool sqi_lease_time_prepare(struct sqi_ring *ring, uint64_t pos, uint64_t w)
{
	sqi_u64 *deadline = sqi_deadline(ring, pos);

	if (!ring->g.in.lease_ns)
		return true;
	for (unsigned rounds = 0; rounds < SQI_ROUNDS_MAX; rounds++) {
		uint64_t old = sqi_load_seq(deadline);

		/* After the look at the deadline: so no lease is under way that it is the end of. */
		if (sqi_load_seq(&sqi_cell(ring, pos)->word) != w)
			return false;
		if (sqi_cas(deadline, old, next_deadline(ring, old, 0)))
			return true;
	}
	return false;
}

/*
 * T4, T5. The lease that this word speaks of, which is ours, has a whole lease time from now on,
 * and `more_ns`. False: it has ended, or its end is decided.
 */
bool sqi_lease_time_extend(struct sqi_ring *ring, uint64_t pos, uint64_t w, uint64_t more_ns)
{
	sqi_u64 *deadline = sqi_deadline(ring, pos);

	if (!ring->g.in.lease_ns)
		return true;
	for (unsigned rounds = 0; rounds < SQI_ROUNDS_MAX; rounds++) {
		uint64_t old = sqi_load_seq(deadline);

		if ((old & ENDED) || !sqi_same_lease(sqi_load_seq(&sqi_cell(ring, pos)->word), w))
			return false;
		if (sqi_cas(deadline, old, next_deadline(ring, old, more_ns)))
			return true;
	}
	return false;
}

/*
 * X3. The lease of this cell is over, and this is how its deadline says so: give the message back.
 * As long as the deadline is that, no other lease of the cell has begun: each changes it first.
 */
static void give_back(struct sqi_ring *ring, uint64_t pos, uint64_t ended)
{
	for (unsigned rounds = 0; rounds < SQI_ROUNDS_MAX; rounds++) {
		uint64_t w = sqi_load_seq(&sqi_cell(ring, pos)->word);

		if (sqi_word_state(w) != SQI_TAKEN)
			break; /* settled, or given back by another */
		/* Said first: who would use this very word for a new lease uses another. */
		sqi_announce_end(ring, w);
		if (sqi_load_seq(sqi_deadline(ring, pos)) != ended)
			break;
		if (sqi_returned_add(ring, pos, w)) {
			(void)sqi_add(&ring->head->overdue, 1);
			sqi_returned_announce(ring, pos);
			break;
		}
	}
	sqi_announce_end(ring, 0);
}

/* End the lease of this cell, if its time is up. */
static void end(struct sqi_ring *ring, uint64_t pos, uint64_t now)
{
	sqi_u64 *deadline = sqi_deadline(ring, pos);
	uint64_t old;

	/* X1. */
	if (sqi_word_state(sqi_load_seq(&sqi_cell(ring, pos)->word)) != SQI_TAKEN)
		return;
	old = sqi_load_seq(deadline);
	if (!(old & ENDED)) {
		if (old >> 1 > now)
			return;
		/*
		 * X2. Failing means touched, or taken by another, or ended. If the message has been
		 * settled meanwhile, this ends nothing: whoever takes the next one here changes it.
		 */
		if (!sqi_cas(deadline, old, old | ENDED))
			return;
	}
	give_back(ring, pos, old | ENDED);
}

/* We found the end of our own lease decided, though perhaps not carried out. */
void sqi_lease_time_finish(struct sqi_ring *ring, uint64_t pos)
{
	uint64_t old = sqi_load_seq(sqi_deadline(ring, pos));

	if (old & ENDED)
		give_back(ring, pos, old);
}

/* End the leases whose time is up, among these cells. */
void sqi_lease_time_expire(struct sqi_ring *ring, uint64_t from, uint64_t count)
{
	uint64_t now = (uint64_t)sqi_now_ns();

	if (!ring->g.in.lease_ns)
		return;
	for (uint64_t i = from; i < from + count; i++)
		end(ring, i, now);
}
