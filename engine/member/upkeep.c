/* SPDX-License-Identifier: ISC */
#include "member/upkeep.h"

#include "base/clock.h"
#include "member/lap.h"
#include "member/removal.h"
#include "ring/lease_time.h"
#include "ring/returned.h"

/*
 * What participants do beside their own work, in slices and at a bearable rate: look for the dead
 * and give back what they held, end leases whose time is up, find redeliveries that nobody told of,
 * and notice that the queue was removed. Called by those who wait, and now and then by those who
 * use the queue; any number at once.
 */

#ifndef SLICE_CELLS     /* the explorer has slices of one cell */
#define SLICE_CELLS 256 /* between two looks at the clock */
#endif
#ifndef SLICE_NS
#define SLICE_NS 250000 /* of each of the four things that are done in slices */
#endif
#define LAP_LEFT_MS     1000 /* a lap that nobody has gone on with for so long is another's to begin */
#define UPKEEP_EVERY_MS 25
#define UPKEEP_SHARE    20  /* a pass may take 1/20 of the time ... */
#define ASK_SHARE       200 /* ... and asking the kernel who is dead, which costs most, 1/200 */
#define ASK_SHARE_IDLE  1000
#define IDLE_CELLS_MAX  4096 /* of a larger ring nobody looks whether it is idle */
#define UPKEEP_MS_MAX   60000
#define SWEEP_EVERY_MS  1000
#define UPKEEP_LATE_MS  500

/*
 * Has the moment come that this word says? Then the next is a little ahead, for whoever is first. A
 * moment further ahead than it was meant to be is of another clock, or damage: it counts as now.
 */
static bool is_time(sqi_u64 *word, uint64_t now, uint64_t *ret_next)
{
	uint64_t due = sqi_load_seq(word), moment = due >> 16;

	if (moment > now && moment - now <= (due & UINT16_MAX))
		return false;
	*ret_next = sqi_upkeep_at(now, UPKEEP_EVERY_MS);
	return sqi_cas(word, due, *ret_next);
}

/* What took so long is to take one part in `share` of the time: the next is as far ahead. */
static void put_off(sqi_u64 *word, uint64_t next, uint64_t now, uint64_t took_us, unsigned share)
{
	uint64_t ms = took_us * share / 1000;

	if (ms > UPKEEP_EVERY_MS)
		(void)sqi_cas(
			word, next, sqi_upkeep_at(now, ms < UPKEEP_MS_MAX ? ms : UPKEEP_MS_MAX));
}

/*
 * Has nobody a cell in hand, and does nobody wait for a block? Then the dead have nothing that
 * anybody waits for.
 */
static bool is_idle(const struct sqi_ring *ring)
{
	if (sqi_load_seq32(&ring->head->block_event) & 1)
		return false;
	for (uint64_t i = 0; i <= ring->mask; i++)
		if (i == IDLE_CELLS_MAX ||
			sqi_word_owner(sqi_load_seq(&sqi_cell(ring, i)->word)) != 0)
			return false;
	return true;
}

static int64_t slice(void)
{
	return sqi_now_ns() + SLICE_NS;
}

/* Is another in the middle of a lap, and was a moment ago? */
static bool another_laps(const struct sqi_ring *ring, uint64_t now)
{
	uint64_t moment = sqi_load_seq(&ring->head->lap_ms) >> 16;

	return moment > now && moment - now <= LAP_LEFT_MS;
}

/*
 * A slice of our lap. If others have begun theirs, because we were slow, we go on all the same: else
 * those who are all slow would never end one.
 */
static void lap_in_passing(struct sqi_member *m, uint64_t now)
{
	struct sqi_lap *lap = &m->lap;
	uint64_t began = sqi_thread_us(), seen = sqi_load_seq(&m->ring->head->lap_ms), claim;

	if (sqi_lap_slice(m, lap, slice())) {
		claim = lap->claim;
		sqi_lap_end(m, lap);
		if (claim)
			(void)sqi_cas(&m->ring->head->lap_ms, claim, 0);
		return;
	}
	if (lap->done <= m->ring->mask)
		sqi_store_relaxed(
			&m->ring->head->lap_at, lap->from + lap->done); /* relaxed: a hint */
	lap->next_ms = now + (sqi_thread_us() - began) * UPKEEP_SHARE / 1000;
	claim = sqi_upkeep_at(now, LAP_LEFT_MS);
	if ((seen == lap->claim || !another_laps(m->ring, now)) &&
		sqi_cas(&m->ring->head->lap_ms, seen, claim))
		lap->claim = claim;
}

/*
 * Look who is dead. What is asked of the kernel costs the more the more participants there are, for
 * each question goes along all locks: so where hundreds wait and have nothing in hand it is asked
 * seldom.
 */
static void look_for_dead(struct sqi_member *m, uint64_t now)
{
	uint64_t next, began, took;

	if (m->lap.count > 0 || another_laps(m->ring, now) ||
		!is_time(&m->ring->head->find_dead_ms, now, &next))
		return;
	began = sqi_thread_us();
	/* Relaxed, these two: hints. */
	sqi_store_relaxed(&m->ring->head->find_dead_at,
		sqi_find_dead(m, &m->lap, sqi_load_relaxed(&m->ring->head->find_dead_at),
			m->ring->g.in.participants, slice()));
	took = sqi_thread_us() - began;
	if (took * ASK_SHARE > (uint64_t)UPKEEP_EVERY_MS * 1000)
		put_off(&m->ring->head->find_dead_ms, next, now, took,
			is_idle(m->ring) ? ASK_SHARE_IDLE : ASK_SHARE);
	if (m->lap.count > 0) {
		m->lap.from = sqi_load_relaxed(&m->ring->head->lap_at);
		lap_in_passing(m, now);
	}
}

/* Something is done with these cells; with some more, from there to there, and where to go on. */
static uint64_t some_cells(struct sqi_ring *ring, uint64_t from, uint64_t count,
	void (*f)(struct sqi_ring *ring, uint64_t from, uint64_t count))
{
	int64_t until = slice();

	while (count > 0) {
		uint64_t n = count < SLICE_CELLS ? count : SLICE_CELLS;

		from &= ring->mask;
		if (n > ring->mask + 1 - from)
			n = ring->mask + 1 - from;
		f(ring, from, n);
		from += n;
		count -= n;
		if (sqi_now_ns() >= until)
			break;
	}
	return from;
}

/* Leases whose time is up: as many cells as there is time for, and no cell twice. */
static void expire_leases(struct sqi_ring *ring)
{
	if (!ring->g.in.lease_ns)
		return;
	/* Relaxed, both: a hint. */
	sqi_store_relaxed(
		&ring->head->expire_at, some_cells(ring, sqi_load_relaxed(&ring->head->expire_at),
						ring->mask + 1, sqi_lease_time_expire));
}

/* Redeliveries whose bit was never set: once over all cells, then not before the next second. */
static void announce_returned(struct sqi_ring *ring, uint64_t now)
{
	uint64_t at = sqi_load_relaxed(&ring->head->announce_at) & ring->mask,
		 swept; /* relaxed: a hint */

	if (at == 0) {
		swept = sqi_load_seq(&ring->head->announce_ms);
		if (now - swept < SWEEP_EVERY_MS || !sqi_cas(&ring->head->announce_ms, swept, now))
			return;
	}
	at = some_cells(ring, at, ring->mask + 1 - at, sqi_returned_announce_all);
	sqi_store_relaxed(&ring->head->announce_at, at & ring->mask); /* relaxed: a hint */
}

/*
 * The same in slices and at a bearable rate, whoever and however many call, and the other things
 * that are looked after in passing. No call takes more than about a millisecond of it.
 */
void sqi_upkeep(struct sqi_member *m)
{
	uint64_t now = sqi_now_ms(), next, began;

	if (m->lap.count > 0 && now >= m->lap.next_ms)
		lap_in_passing(m, now);
	if (!is_time(&m->ring->head->upkeep_ms, now, &next))
		return;
	look_for_dead(m, now);
	began = sqi_thread_us();
	sqi_check_name(m);
	expire_leases(m->ring);
	announce_returned(m->ring, now);
	put_off(&m->ring->head->upkeep_ms, next, now, sqi_thread_us() - began, UPKEEP_SHARE);
}

/* The same for those who leave it to others, unless nobody has done it for a good while. */
void sqi_upkeep_if_late(struct sqi_member *m)
{
	uint64_t moment = sqi_load_seq(&m->ring->head->upkeep_ms) >> 16, now = sqi_now_ms();

	if (m->lap.count > 0 || moment > now || now - moment >= UPKEEP_LATE_MS)
		sqi_upkeep(m);
}
