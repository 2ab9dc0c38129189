/* SPDX-License-Identifier: ISC */
#include "ops/wait.h"

#include <errno.h>
#include <sched.h>

#include "base/clock.h"
#include "base/event.h"
#include "member/upkeep.h"
#include "ops/select.h"
#include "ring/claim.h"

/*
 * Waits until an attempt succeeds: tries again for some microseconds, then yields or naps, then sleeps
 * on an eventcount. Called by call.c, by any number of participants at once.
 *
 * Invariant: no participant sleeps longer than a long tick, because a waker may be killed or
 * stopped before its wake-up (E1), and a stopped sleeper may swallow one.
 *
 * Of the participants that sleep on one event one keeps watch: it has short ticks and does the
 * upkeep at each. The others have long ticks, because a tick costs some 100 us, nearly all of it in
 * the kernel, and there may be hundreds of sleepers. A participant gives the watch up when its wait
 * ends; the next one that goes to sleep or has a tick takes it. If the one that keeps watch is
 * killed or stopped, the others do the upkeep at their own ticks. Slots are taken in order. So a
 * participant in one of the first slots may be one of few, which depend on each other's ticks; one
 * in a later slot is one of many, and its long tick is longer.
 */

#ifndef SPIN_PAUSES_MAX
#define SPIN_PAUSES_MAX 64 /* doubling from 1: 127 pauses, 2 to 4 us, with 7 attempts */
#endif
#define GATHER_MAX   128 /* cells; at most a quarter of the ring */
#define GATHER_BYTES (32 * 1024)
#define GATHER_LOOKS 8 /* and so many pauses between two looks: 6 us */
#define GATHER_PAUSE 64
#define BUSY_NS      500 /* from operation to operation: one that comes less often is not awaited */
#define TICK_MIN_NS  10000000 /* short ticks: 10 ms, then 20, 40, and 50 ms */
#define TICK_MAX_NS  50000000
#define TICK_LONG_NS 1000000000 /* long ticks, without the watch; four times that ... */
#define MANY         8          /* ... in slots behind the first eight */
#define NAP_NS       50000
#define NAP_ROOM     4    /* for so many naps the ring must last; else yielding comes first */
#define YIELD_NS     5000 /* one that takes longer let another run */
#define NAP_CAPACITY 256  /* a smaller ring would run empty, or full, during a nap */
#define FLOW_OPS     4
#define FLOW_NS      200000 /* from message to message: if they come less often, no nap */
#define HURRY_NS     15000  /* from wait to wait */
#define HURRIES      4

/* What to do before this wait falls asleep. */
struct pace {
	uint64_t gather; /* let so many messages, or free cells, gather first; 0: none */
	bool yield;      /* first let others run for a while: a nap would be too long */
	bool nap;        /* a short sleep pays, without asking to be woken */
};

/*
 * How to wait, by the pace of the operations since the last wait.
 *
 * A nap pays when messages come faster than processes can be woken. Asking would make each of them
 * cost a system call on the other side and a context switch on this one. But if they come so fast
 * that the ring would run empty or full meanwhile, the other side would soon have to wait, too, and
 * both would nap by turns from then on: one disturbance was enough. So such a pair yields first.
 *
 * To let some gather pays when they come so fast that this side has only caught up with the other:
 * it would go on to take each cache line from the other as soon as that has written to it, and both
 * would wait for the line most of the time.
 */
static struct pace pace_of(const struct sq *h, struct sqi_side *side, int64_t now)
{
	int64_t span = now - side->began_ns;
	uint64_t ops = side->ops, most = (h->ring.mask + 1) / 4,
		 fit = GATHER_BYTES / h->ring.data_size;
	bool flows = ops >= FLOW_OPS;
	int64_t each = flows ? span / (int64_t)ops : 0; /* nanoseconds */
	struct pace pace = {0};

	side->ops = 0;
	side->began_ns = now;
	side->hurried = span < HURRY_NS ? side->hurried + 1 : 0;
	if (flows && each < BUSY_NS) {
		pace.gather = ops / 2 < GATHER_MAX ? ops / 2 : GATHER_MAX;
		if (most > fit)
			most = fit;
		if (pace.gather > most)
			pace.gather = most;
	}
	if (h->ring.mask + 1 >= NAP_CAPACITY) {
		pace.yield = flows && (uint64_t)each < NAP_ROOM * NAP_NS / (h->ring.mask + 1);
		pace.nap = (flows && each < FLOW_NS) || side->hurried >= HURRIES;
	}
	return pace;
}

/* Lets n messages gather, or n free cells, for some microseconds at most. */
static void let_gather(const struct sq *h, const struct sqi_side *side, uint64_t n)
{
	const struct sqi_ring *ring = &h->ring;
	bool consuming = side == &h->consuming;
	uint64_t pos = (consuming ? ring->front : ring->tail) + n - 1;

	for (int looks = 0; looks < GATHER_LOOKS; looks++) {
		/* Relaxed: it decides only when to look properly. */
		uint64_t w = sqi_load_relaxed(&sqi_cell(ring, pos)->word);
		int64_t ahead = sqi_word_ahead(w, pos >> ring->shift);

		if (ahead > 0 || (ahead == 0 && (!consuming || sqi_word_state(w) != SQI_FREE)))
			return;
		for (int i = 0; i < GATHER_PAUSE; i++)
			sqi_pause();
	}
}

/* The event that wakes participants that wait on this side. */
static struct sqi_event *event_of(struct sq *h, const struct sqi_side *side)
{
	if (side == &h->consuming)
		return &h->ring.head->message_event;
	return h->short_of_blocks ? &h->ring.head->block_event : &h->ring.head->room_event;
}

/* The word that says which participant keeps watch for this event. */
static sqi_u64 *watch_of(struct sqi_ring *ring, const struct sqi_event *event)
{
	if (event == &ring->head->message_event)
		return &ring->head->message_watch;
	return event == &ring->head->room_event ? &ring->head->room_watch
						: &ring->head->block_watch;
}

/*
 * Returns true if this participant keeps watch now. It takes the watch if no other has it, or, with
 * `ask`, if the one that has it is dead.
 */
static bool keeps_watch(struct sq *h, sqi_u64 *watch, bool ask)
{
	uint64_t who = sqi_load_seq(watch);

	if (who == h->member.id)
		return true;
	return (who == 0 || (ask && sqi_is_dead(&h->member, who))) &&
	       sqi_cas(watch, who, h->member.id);
}

/* The long tick of this participant, in nanoseconds. */
static int64_t long_tick(const struct sq *h)
{
	return h->ring.owner <= MANY ? TICK_LONG_NS : (int64_t)4 * TICK_LONG_NS;
}

/* Gives up the watch for this event (NULL: none), if this participant has it. */
static void give_up_watch(struct sq *h, struct sqi_event *event)
{
	if (event)
		(void)sqi_cas(watch_of(&h->ring, event), h->member.id, 0);
}

/* One wait. */
struct wait {
	struct sq *h;
	struct sqi_side *side;
	int64_t deadline;
	int64_t tick;              /* the next short tick */
	struct sqi_event *watched; /* for which this participant keeps watch, or NULL */
	struct sqi_event *slept;   /* on which it slept last, or NULL */
	bool late;                 /* the last sleep ended by its tick */
};

/* Tries again for some microseconds, with growing pauses. */
static int spin(struct sq *h, int (*attempt)(struct sq *h, void *arg), void *arg)
{
	int r = -EAGAIN;

	for (int pauses = 1; r == -EAGAIN && pauses <= SPIN_PAUSES_MAX; pauses *= 2) {
		for (int i = 0; i < pauses; i++)
			sqi_pause();
		r = attempt(h, arg);
	}
	return r;
}

/*
 * Tries again until `end`, as long as nobody else wants this CPU. Yields in between; if that takes
 * long, another has run, and it is time to nap or sleep.
 */
static int yield(
	struct sq *h, int64_t now, int64_t end, int (*attempt)(struct sq *h, void *arg), void *arg)
{
	int64_t before;
	int r;

	do {
		before = now;
		(void)sched_yield();
		r = attempt(h, arg);
		now = sqi_now_ns();
	} while (r == -EAGAIN && now < end && now - before < YIELD_NS);
	return r;
}

/*
 * A sleep ended by its tick: do the upkeep, always if this participant keeps watch, otherwise only
 * if nobody has done it for too long.
 */
static void at_tick(struct wait *wait)
{
	wait->late = true;
	if (wait->watched) {
		sqi_upkeep(&wait->h->member);
		wait->tick = wait->tick * 2 < TICK_MAX_NS ? wait->tick * 2 : TICK_MAX_NS;
	} else {
		sqi_upkeep_if_late(&wait->h->member);
	}
	if (wait->h->member.recovery.count > 0)
		wait->tick = TICK_MIN_NS; /* a lap of recovery is under way */
}

/*
 * Sleeps on the event, whose word was v when there was nothing to do, until woken or the next tick.
 */
static void sleep_once(struct wait *wait, struct sqi_event *event, uint32_t v, int64_t now)
{
	struct sq *h = wait->h;
	int64_t span;

	if (wait->watched && wait->watched != event)
		give_up_watch(h, wait->watched);
	wait->watched = keeps_watch(h, watch_of(&h->ring, event), wait->late) ? event : NULL;
	wait->late = false;
	span = wait->watched || h->member.recovery.count > 0 ? wait->tick : long_tick(h);
	/* Relaxed: sq_wanted() may see it late. */
	if (wait->side == &h->consuming)
		sqi_store_relaxed(&h->ring.head->wanted, 1);
	if (sqi_event_sleep(event, v, wait->deadline - now > span ? now + span : wait->deadline))
		at_tick(wait);
	sqi_event_arrive(event); /* E3: before the next attempt */
	wait->slept = event;
}

/* Alternates between attempts and sleeping, until an attempt succeeds or the time is up. */
static int wait_loop(
	struct wait *wait, struct pace pace, int (*attempt)(struct sq *h, void *arg), void *arg)
{
	struct sq *h = wait->h;

	if (pace.gather)
		let_gather(h, wait->side, pace.gather);
	for (;;) {
		int r = spin(h, attempt, arg);
		struct sqi_event *event;
		int64_t now;
		uint32_t v;

		if (r != -EAGAIN)
			return r;
		now = sqi_now_ns();
		if (pace.yield) {
			pace.yield = false;
			r = yield(h, now,
				wait->deadline - now > NAP_NS ? now + NAP_NS : wait->deadline,
				attempt, arg);
			if (r != -EAGAIN)
				return r;
			now = sqi_now_ns();
		}
		if (pace.nap && wait->deadline - now > NAP_NS) {
			pace.nap = false;
			sqi_nap(NAP_NS);
			continue;
		}
		event = event_of(h, wait->side);
		v = sqi_event_arm(event); /* E2: before the last attempt */
		r = attempt(h, arg);
		if (r != -EAGAIN)
			return r;
		if (now >= wait->deadline)
			return -ETIMEDOUT;
		/* If the attempt now waits for another event (a block, not room), arm that one. */
		if (event == event_of(h, wait->side))
			sleep_once(wait, event, v, now);
	}
}

/*
 * This participant was awake on that event (E3), and has made its attempt since. If more news are
 * there, which may have woken nobody because this participant was on its way, wakes the next. So it
 * does if its attempt failed: it may have swallowed a wake-up, and another may want what is there.
 */
void sqi_pass_on(struct sq *h, struct sqi_event *event)
{
	const struct sqi_head *head = h->ring.head;

	if (sqi_event_has_sleeper(event) &&
		(event == &head->message_event
				? sqi_has_message(h)
				: event == &head->block_event || sqi_has_room(&h->ring)))
		sqi_event_wake(event);
}

/*
 * Calls attempt() until it returns something else than -EAGAIN. Returns that, or -ETIMEDOUT if the
 * time is up; then the last attempt was made at the deadline or later.
 */
int sqi_wait(struct sq *h, struct sqi_side *side, int64_t timeout,
	int (*attempt)(struct sq *h, void *arg), void *arg)
{
	struct wait wait = {.h = h, .side = side, .deadline = INT64_MAX, .tick = TICK_MIN_NS};
	int64_t now = sqi_now_ns();
	int r;

	if (timeout >= 0 && timeout < INT64_MAX - now)
		wait.deadline = now + timeout;
	r = wait_loop(&wait, pace_of(h, side, now), attempt, arg);
	give_up_watch(h, wait.watched);
	if (wait.slept)
		sqi_pass_on(h, wait.slept);
	return r;
}
