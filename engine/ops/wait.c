/* SPDX-License-Identifier: ISC */
#include "ops/wait.h"

#include <errno.h>

#include "base/clock.h"
#include "base/event.h"
#include "member/upkeep.h"

/*
 * Of those who sleep on one event one keeps watch: it has short ticks, and the others long ones, for
 * hundreds that sleep should not wake twenty times a second each. When it has what it waited for it
 * gives the watch up, to the next who goes to sleep or has a tick. If it was killed or stopped, the
 * others see at their own ticks what it would have seen. A tick costs some 100 us, nearly all of it
 * in the kernel: so those who are many have it seldom. Slots are taken from the first on, so who
 * has one of the first may be one of few, who wait for each other's ticks; the others are not.
 */

#ifndef SPIN_PAUSES_MAX
#define SPIN_PAUSES_MAX 64 /* doubling from 1: 127 pauses, 2 to 4 us, reading the line 7 times */
#endif
#define TICK_MIN_NS  10000000 /* then 20, 40, and 50 ms */
#define TICK_MAX_NS  50000000
#define TICK_LONG_NS 1000000000 /* of those who do not keep watch; if they may be ... */
#define MANY         8          /* ... in slots from this one on, four times that */
#define NAP_NS       50000
#define NAP_CAPACITY 256 /* a ring that does not run dry while a neighbour naps */
#define FLOW_OPS     4
#define FLOW_NS      200000 /* between messages: slower is no flow */
#define HURRY_NS     15000  /* between waits */
#define HURRIES      4

/*
 * Would it pay to sleep a moment without asking to be woken? When messages come faster than
 * processes can be woken, asking makes every one of them cost a system call on the other side and a
 * switch on this one.
 */
static bool flowing(const struct sq *h, struct sqi_side *side, int64_t now)
{
	int64_t span = now - side->began_ns;
	uint64_t ops = side->ops;

	side->ops = 0;
	side->began_ns = now;
	side->hurried = span < HURRY_NS ? side->hurried + 1 : 0;
	if (h->ring.mask + 1 < NAP_CAPACITY)
		return false;
	return (ops >= FLOW_OPS && span / (int64_t)ops < FLOW_NS) || side->hurried >= HURRIES;
}

/* What wakes those who wait on this side for what they wait for. */
static sqi_u32 *event_of(struct sq *h, const struct sqi_side *side)
{
	if (side == &h->consuming)
		return &h->ring.head->message_event;
	return h->short_of_blocks ? &h->ring.head->block_event : &h->ring.head->room_event;
}

/* Who keeps watch for this event. */
static sqi_u64 *watch_of(struct sqi_ring *ring, const sqi_u32 *event)
{
	if (event == &ring->head->message_event)
		return &ring->head->message_watch;
	return event == &ring->head->room_event ? &ring->head->room_watch
						: &ring->head->block_watch;
}

/* Do we keep watch now? If nobody does; or, if we are to `ask`, who did is dead. */
static bool keeps_watch(struct sq *h, sqi_u64 *watch, bool ask)
{
	uint64_t who = sqi_load_seq(watch);

	if (who == h->member.id)
		return true;
	return (who == 0 || (ask && sqi_is_dead(&h->member, who))) &&
	       sqi_cas(watch, who, h->member.id);
}

/* How long we sleep at most, if we do not keep watch. */
static int64_t long_tick(const struct sq *h)
{
	return h->ring.owner <= MANY ? TICK_LONG_NS : (int64_t)4 * TICK_LONG_NS;
}

/* We sleep no more. */
static void give_up_watch(struct sq *h, sqi_u32 *event)
{
	if (event)
		(void)sqi_cas(watch_of(&h->ring, event), h->member.id, 0);
}

/* One wait. */
struct wait {
	struct sq *h;
	struct sqi_side *side;
	int64_t deadline;
	int64_t tick;     /* of who keeps watch: the next */
	sqi_u32 *watched; /* the event that we keep watch for, or NULL */
	sqi_u32 *woken;   /* the event that woke us last, or NULL */
	bool late;        /* the last sleep was ended by its tick */
};

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

/* A sleep was ended by its tick: look after the queue, as whoever keeps watch, or as one of many. */
static void at_tick(struct wait *wait)
{
	wait->late = true;
	if (wait->watched) {
		sqi_upkeep(&wait->h->member);
		wait->tick = wait->tick * 2 < TICK_MAX_NS ? wait->tick * 2 : TICK_MAX_NS;
	} else {
		sqi_upkeep_if_late(&wait->h->member);
	}
	if (wait->h->member.lap.count > 0)
		wait->tick = TICK_MIN_NS; /* there is work under way */
}

/* Sleep on the event, whose word was v when there was nothing, until woken or to the next tick. */
static void sleep_once(struct wait *wait, sqi_u32 *event, uint32_t v, int64_t now)
{
	struct sq *h = wait->h;
	int64_t span;

	if (wait->watched && wait->watched != event)
		give_up_watch(h, wait->watched);
	wait->watched = keeps_watch(h, watch_of(&h->ring, event), wait->late) ? event : NULL;
	wait->late = false;
	span = wait->watched || h->member.lap.count > 0 ? wait->tick : long_tick(h);
	/* Relaxed: it is for people and forwarders, and may be seen late. */
	if (wait->side == &h->consuming)
		sqi_store_relaxed(&h->ring.head->wanted, 1);
	if (sqi_event_sleep(event, v, wait->deadline - now > span ? now + span : wait->deadline))
		at_tick(wait);
	else
		wait->woken = event;
}

static int wait_loop(
	struct wait *wait, bool napping, int (*attempt)(struct sq *h, void *arg), void *arg)
{
	struct sq *h = wait->h;

	for (;;) {
		int r = spin(h, attempt, arg);
		sqi_u32 *event;
		int64_t now;
		uint32_t v;

		if (r != -EAGAIN)
			return r;
		now = sqi_now_ns();
		if (napping && wait->deadline - now > NAP_NS) {
			napping = false;
			sqi_nap(NAP_NS);
			continue;
		}
		event = event_of(h, wait->side);
		v = sqi_event_arm(event); /* E2 */
		r = attempt(h, arg);
		if (r != -EAGAIN)
			return r;
		if (now >= wait->deadline)
			return -ETIMEDOUT;
		/* Unless it is something else that we wait for now. */
		if (event == event_of(h, wait->side))
			sleep_once(wait, event, v, now);
	}
}

/*
 * Call attempt() until it returns something else than -EAGAIN, or the time is up: -ETIMEDOUT, and
 * then the last attempt was made at the deadline or later.
 */
int sqi_wait(struct sq *h, struct sqi_side *side, int64_t timeout,
	int (*attempt)(struct sq *h, void *arg), void *arg)
{
	struct wait wait = {.h = h, .side = side, .deadline = INT64_MAX, .tick = TICK_MIN_NS};
	int64_t now = sqi_now_ns();
	int r;

	if (timeout >= 0 && timeout < INT64_MAX - now)
		wait.deadline = now + timeout;
	r = wait_loop(&wait, flowing(h, side, now), attempt, arg);
	give_up_watch(h, wait.watched);
	/* Woken for something that we leave where it is: another sleeper may want it. */
	if (r < 0 && wait.woken)
		sqi_event_wake(wait.woken);
	return r;
}
