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
		return &h->ring.head->came;
	return h->short_of_blocks ? &h->ring.head->freed : &h->ring.head->went;
}

/* Who keeps watch for this event. */
static sqi_u64 *watch_of(struct sqi_ring *ring, const sqi_u32 *event)
{
	if (event == &ring->head->came)
		return &ring->head->came_watch;
	return event == &ring->head->went ? &ring->head->went_watch : &ring->head->freed_watch;
}

/* Do we keep watch now? If nobody does; or, if we are to `ask`, who did is dead. */
static bool keeps_watch(struct sq *h, sqi_u64 *watch, bool ask)
{
	uint64_t who = sqi_look(watch);

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

/*
 * Call attempt() until it returns something else than -EAGAIN, or the time is up: -ETIMEDOUT, and
 * then the last attempt was made at the deadline or later.
 */
int sqi_wait(struct sq *h, struct sqi_side *side, int64_t timeout,
	int (*attempt)(struct sq *h, void *arg), void *arg)
{
	int64_t now = sqi_now_ns(), tick = TICK_MIN_NS, deadline = INT64_MAX, until, span;
	bool napping = flowing(h, side, now),
	     late = false; /* late: the last sleep ended by its tick */
	sqi_u32 *event, *woken = NULL, *watched = NULL;
	uint32_t v;
	int r;

	if (timeout >= 0 && timeout < INT64_MAX - now)
		deadline = now + timeout;
	for (;;) {
		for (int pauses = 1; pauses <= SPIN_PAUSES_MAX; pauses *= 2) {
			for (int i = 0; i < pauses; i++)
				sqi_pause();
			r = attempt(h, arg);
			if (r != -EAGAIN)
				goto out;
		}
		now = sqi_now_ns();
		if (napping && deadline - now > NAP_NS) {
			napping = false;
			sqi_nap(NAP_NS);
			continue;
		}
		event = event_of(h, side);
		v = sqi_arm(event);
		r = attempt(h, arg);
		if (r != -EAGAIN)
			goto out;
		if (now >= deadline) {
			r = -ETIMEDOUT;
			goto out;
		}
		if (event != event_of(h, side))
			continue; /* it is something else that we wait for now */
		if (watched && watched != event)
			give_up_watch(h, watched);
		watched = keeps_watch(h, watch_of(&h->ring, event), late) ? event : NULL;
		late = false;
		span = watched || h->member.lap.count > 0 ? tick : long_tick(h);
		until = deadline - now > span ? now + span : deadline;
		if (side == &h->consuming)
			sqi_poke(&h->ring.head->wanted, 1); /* relaxed: it may be seen late */
		if (sqi_event_sleep(event, v, until)) {
			late = true;
			if (watched) {
				sqi_rescue_now_and_then(&h->member);
				tick = tick * 2 < TICK_MAX_NS ? tick * 2 : TICK_MAX_NS;
			} else {
				sqi_rescue_if_late(&h->member);
			}
			if (h->member.lap.count > 0)
				tick = TICK_MIN_NS; /* there is work under way */
		} else {
			woken = event;
		}
	}
out:
	give_up_watch(h, watched);
	/* Woken for something that we leave where it is: another sleeper may want it. */
	if (r < 0 && woken)
		sqi_wake(woken);
	return r;
}
