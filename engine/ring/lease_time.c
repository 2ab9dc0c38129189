/* SPDX-License-Identifier: ISC */
#include "ring/lease_time.h"

#include "base/clock.h"
#include "ring/ending.h"
#include "ring/redelivery.h"

/*
 * When a lease ends by itself, in a queue with a lease time. Beside each cell lies one word:
 *
 *	deadline: a moment of CLOCK_MONOTONIC in nanoseconds << 1 | ended
 *
 * Invariant: its value only rises. So a CAS of it succeeds only if nothing has happened to it since
 * it was read. The steps T1 to T5 and X1 to X3 are those of docs/MEMORY_MODEL.md, "Lease times",
 * which argues why no lease ends early, or by the end of another one.
 *
 * Called by ops/ and lease.c for the caller's own lease (T1, T4, T5), and by member/upkeep.c and
 * queue.c for all that are overdue (X1 to X3); any number of participants may be in it at once.
 */

#define ENDED      ((uint64_t)1)
#define MOMENT_MAX ((uint64_t)INT64_MAX)

/*
 * The next value of a deadline: a lease time and more_ns from now, and higher than the old value in
 * any case.
 */
static uint64_t next_deadline(const struct sqi_ring *ring, uint64_t old, uint64_t more_ns)
{
	uint64_t moment = (uint64_t)sqi_now_ns() + ring->g.in.lease_ns + more_ns;

	if (moment <= old >> 1)
		moment = (old >> 1) + 1; /* the old one is of a clock ahead of ours, or damaged */
	return (moment < MOMENT_MAX ? moment : MOMENT_MAX) << 1;
}

/*
 * T1. The caller is about to take the message of this word, FULL or BACK: gives the deadline a new
 * value, not ended. So an end that was decided for an earlier lease cannot end the new one. Returns
 * false if the word has changed.
 */
bool sqi_lease_time_prepare(struct sqi_ring *ring, uint64_t pos, uint64_t w)
{
	sqi_u64 *deadline = sqi_deadline(ring, pos);

	if (!ring->g.in.lease_ns)
		return true;
	for (unsigned rounds = 0; rounds < SQI_ROUNDS_MAX; rounds++) {
		uint64_t old = sqi_load_seq(deadline);

		/*
		 * Look at the word after the deadline. It says that no lease is under way, so the
		 * value that was read ends none.
		 */
		if (sqi_load_seq(&sqi_cell(ring, pos)->word) != w)
			return false;
		if (sqi_cas(deadline, old, next_deadline(ring, old, 0)))
			return true;
	}
	return false;
}

/*
 * T4, T5. The caller's lease, of this word, lasts a whole lease time and more_ns from now on.
 * Returns false if the lease has ended or its end has been decided (X2).
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
 * X3. The lease of this cell is over, and `ended` is the value of its deadline: give the message
 * back. While the deadline has that value no other lease of the cell has begun, because each begins
 * by changing it (T1).
 */
static void give_back(struct sqi_ring *ring, uint64_t pos, uint64_t ended)
{
	for (unsigned rounds = 0; rounds < SQI_ROUNDS_MAX; rounds++) {
		uint64_t w = sqi_load_seq(&sqi_cell(ring, pos)->word);

		if (sqi_word_state(w) != SQI_TAKEN)
			break; /* settled, or given back by another participant */
		/*
		 * Announce before the look at the deadline: a participant that takes the message
		 * later either sees this declaration and uses another number, or has changed the
		 * deadline by then.
		 */
		sqi_declare_end(ring, w);
		if (sqi_load_seq(sqi_deadline(ring, pos)) != ended)
			break;
		if (sqi_redelivery_give_back(ring, pos, w)) {
			(void)sqi_add(&ring->head->overdue, 1);
			sqi_redelivery_announce(ring, pos);
			break;
		}
	}
	sqi_declare_end(ring, 0);
}

/* Ends the lease of this cell if its time is up. */
static void end_if_due(struct sqi_ring *ring, uint64_t pos, uint64_t now)
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
		 * X2. If the CAS fails, the lease was touched, settled and the message taken again,
		 * or ended by another participant. If the lease was settled meanwhile and the CAS
		 * succeeds, it ends nothing: the next T1 changes the value.
		 */
		if (!sqi_cas(deadline, old, old | ENDED))
			return;
	}
	give_back(ring, pos, old | ENDED);
}

/*
 * The end of the caller's own lease was decided (X2): carries it out, if that was not done yet
 * (X3).
 */
void sqi_lease_time_finish(struct sqi_ring *ring, uint64_t pos)
{
	uint64_t old = sqi_load_seq(sqi_deadline(ring, pos));

	if (old & ENDED)
		give_back(ring, pos, old);
}

/* Ends the leases of these cells whose time is up. */
void sqi_lease_time_expire(struct sqi_ring *ring, uint64_t from, uint64_t count)
{
	uint64_t now = (uint64_t)sqi_now_ns();

	if (!ring->g.in.lease_ns)
		return;
	for (uint64_t i = from; i < from + count; i++)
		end_if_due(ring, i, now);
}
