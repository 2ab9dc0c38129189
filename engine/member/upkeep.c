/* SPDX-License-Identifier: ISC */
#include "member/upkeep.h"

#include "base/clock.h"
#include "base/event.h"
#include "member/recovery.h"
#include "member/removal.h"
#include "ring/lease_time.h"
#include "ring/redelivery.h"

/*
 * Upkeep, in slices and at a limited rate: look for the dead and give back what they held, end
 * leases whose time is up, announce redeliveries that were not announced, and notice that the queue
 * was removed. Called by ops/wait.c at ticks, and by call.c, queue.c and drain.c now and then; by
 * any number of participants at once.
 *
 * The words in the head that say when and where to go on are hints: a wrong one costs time only.
 */

#ifndef SLICE_NS
#define SLICE_NS 250000 /* the length of a slice, of each of the four things that have slices */
#endif
#define RECOVERY_LEFT_MS 1000 /* after so long without a slice of a lap another may begin one */
#define UPKEEP_EVERY_MS  25
#define UPKEEP_SHARE     20    /* upkeep takes at most 1/20 of the time ... */
#define ASK_SHARE        200   /* ... and the lock queries, which cost most, 1/200 ... */
#define ASK_SHARE_IDLE   1000  /* ... or, in an idle queue, 1/1000 */
#define IDLE_CELLS_MAX   4096  /* a larger ring counts as not idle */
#define UPKEEP_MS_MAX    60000 /* upkeep is never put off for longer */
#define SWEEP_EVERY_MS   1000  /* for redeliveries that were not announced */
#define UPKEEP_LATE_MS   500   /* overdue for so long, upkeep is done by any sleeper at its tick */

/*
 * True if the moment that this word says has come, and the caller is the first to see it: the word
 * now says the next moment, which is *ret_next. A moment further ahead than its span comes from
 * another clock or is damage, and counts as past.
 */
static bool is_due(sqi_u64 *word, uint64_t now, uint64_t *ret_next)
{
	uint64_t due = sqi_load_seq(word), moment = due >> 16;

	if (moment > now && moment - now <= (due & UINT16_MAX))
		return false;
	*ret_next = sqi_upkeep_at(now, UPKEEP_EVERY_MS);
	return sqi_cas(word, due, *ret_next);
}

/*
 * Puts off what is due at `next` by this word, so that it takes at most one part in `share` of the
 * time, if it takes took_us each time.
 */
static void put_off(sqi_u64 *word, uint64_t next, uint64_t now, uint64_t took_us, unsigned share)
{
	uint64_t ms = took_us * share / 1000;

	if (ms > UPKEEP_EVERY_MS)
		(void)sqi_cas(
			word, next, sqi_upkeep_at(now, ms < UPKEEP_MS_MAX ? ms : UPKEEP_MS_MAX));
}

/*
 * True if no participant holds a cell and none waits for a block. Then no participant waits for
 * anything that a dead one may have.
 */
static bool is_idle(const struct sqi_ring *ring)
{
	if (ring->mask >= IDLE_CELLS_MAX || sqi_event_has_sleeper(&ring->head->block_event))
		return false;
	for (struct sqi_scan s = sqi_scan_all(ring); sqi_scan_next(ring, &s);)
		if (sqi_word_owner(s.word) != 0)
			return false;
	return true;
}

/* The moment at which a slice ends that begins now. */
static int64_t slice_end_ns(void)
{
	return sqi_now_ns() + SLICE_NS;
}

/* True if some participant has done a slice of a lap within the last RECOVERY_LEFT_MS. */
static bool another_recovers(const struct sqi_ring *ring, uint64_t now)
{
	uint64_t moment = sqi_load_seq(&ring->head->recovery_ms) >> 16;

	return moment > now && moment - now <= RECOVERY_LEFT_MS;
}

/*
 * Does a slice of the caller's lap. If another participant has begun a lap meanwhile, because the
 * caller was slow, the caller goes on all the same: if all are slow and each gave up its lap, none
 * would come to its end.
 */
static void do_recovery_slice(struct sqi_member *m, uint64_t now)
{
	struct sqi_recovery *recovery = &m->recovery;
	uint64_t began = sqi_thread_us(), seen = sqi_load_seq(&m->ring->head->recovery_ms), claim;

	if (sqi_recovery_slice(m, recovery, slice_end_ns())) {
		claim = recovery->claim;
		sqi_recovery_end(m, recovery);
		if (claim)
			(void)sqi_cas(&m->ring->head->recovery_ms, claim, 0);
		return;
	}
	/* Relaxed: a hint where the next lap begins; it may begin anywhere. */
	if (recovery->done <= m->ring->mask)
		sqi_store_relaxed(&m->ring->head->recovery_at, recovery->from + recovery->done);
	/* The whole lap takes at most one part in UPKEEP_SHARE of the caller's time. */
	recovery->next_ms = now + (sqi_thread_us() - began) * UPKEEP_SHARE / 1000;
	claim = sqi_upkeep_at(now, RECOVERY_LEFT_MS);
	/* Says that this lap is going on, unless recovery_ms says it of another lap. */
	if ((seen == recovery->claim || !another_recovers(m->ring, now)) &&
		sqi_cas(&m->ring->head->recovery_ms, seen, claim))
		recovery->claim = claim;
}

/*
 * Looks for dead participants, and begins a lap if there are any. The kernel searches all locks of
 * the file for each query, so with hundreds of participants the queries are made less often, and
 * still less often if the queue is idle.
 */
static void look_for_dead(struct sqi_member *m, uint64_t now)
{
	uint64_t next, began, took;

	if (m->recovery.count > 0 || another_recovers(m->ring, now) ||
		!is_due(&m->ring->head->find_dead_ms, now, &next))
		return;
	began = sqi_thread_us();
	/* Relaxed, load and store: a hint which slot comes next; any index is taken modulo. */
	sqi_store_relaxed(&m->ring->head->find_dead_at,
		sqi_find_dead(m, &m->recovery, sqi_load_relaxed(&m->ring->head->find_dead_at),
			m->ring->g.in.participants, slice_end_ns()));
	took = sqi_thread_us() - began;
	if (took * ASK_SHARE > (uint64_t)UPKEEP_EVERY_MS * 1000)
		put_off(&m->ring->head->find_dead_ms, next, now, took,
			is_idle(m->ring) ? ASK_SHARE_IDLE : ASK_SHARE);
	if (m->recovery.count > 0) {
		/* Relaxed: a hint where to begin. */
		m->recovery.from = sqi_load_relaxed(&m->ring->head->recovery_at);
		do_recovery_slice(m, now);
	}
}

/*
 * Calls f() for ranges of cells, for a slice or until `count` cells are done: in the ring's order,
 * from the cell `from` on. Returns where to go on.
 */
static uint64_t for_some_cells(struct sqi_ring *ring, uint64_t from, uint64_t count,
	void (*f)(struct sqi_ring *ring, uint64_t from, uint64_t count))
{
	int64_t until = slice_end_ns();

	while (count > 0) {
		uint64_t n = count < SQI_SLICE_CELLS ? count : SQI_SLICE_CELLS;

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

/* Ends leases whose time is up: a slice of cells, none of them twice. */
static void expire_leases(struct sqi_ring *ring)
{
	if (!ring->g.in.lease_ns)
		return;
	/* Relaxed, load and store: a hint which cell comes next; any index is taken modulo. */
	sqi_store_relaxed(&ring->head->expire_at,
		for_some_cells(ring, sqi_load_relaxed(&ring->head->expire_at), ring->mask + 1,
			sqi_lease_time_expire));
}

/*
 * Announces redeliveries that were not announced: a slice of a sweep over all cells. The next sweep
 * begins a second after this one began, or later.
 */
static void announce_redeliveries(struct sqi_ring *ring, uint64_t now)
{
	/* Relaxed: a hint which cell comes next. If it is wrong, the next sweep finds the rest. */
	uint64_t at = sqi_load_relaxed(&ring->head->announce_at) & ring->mask, swept;

	if (at == 0) {
		swept = sqi_load_seq(&ring->head->announce_ms);
		if (now - swept < SWEEP_EVERY_MS || !sqi_cas(&ring->head->announce_ms, swept, now))
			return;
	}
	at = for_some_cells(ring, at, ring->mask + 1 - at, sqi_redelivery_announce_all);
	sqi_store_relaxed(&ring->head->announce_at, at & ring->mask); /* relaxed: as above */
}

/*
 * Does what is due: a slice of the caller's lap, and of all else unless another participant has
 * done that within UPKEEP_EVERY_MS. No call takes more than about a millisecond.
 */
void sqi_upkeep(struct sqi_member *m)
{
	uint64_t now = sqi_now_ms(), next, began;

	if (m->recovery.count > 0 && now >= m->recovery.next_ms)
		do_recovery_slice(m, now);
	if (!is_due(&m->ring->head->upkeep_ms, now, &next))
		return;
	look_for_dead(m, now);
	began = sqi_thread_us();
	sqi_check_name(m);
	expire_leases(m->ring);
	announce_redeliveries(m->ring, now);
	put_off(&m->ring->head->upkeep_ms, next, now, sqi_thread_us() - began, UPKEEP_SHARE);
}

/* The same for a sleeper that does not keep watch: only if it is in a lap, or upkeep is late. */
void sqi_upkeep_if_late(struct sqi_member *m)
{
	uint64_t moment = sqi_load_seq(&m->ring->head->upkeep_ms) >> 16, now = sqi_now_ms();

	if (m->recovery.count > 0 || moment > now || now - moment >= UPKEEP_LATE_MS)
		sqi_upkeep(m);
}
