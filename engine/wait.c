/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "handle.h"

/*
 * Sleeping and waking. An eventcount (the idea is D. Vyukov's) is a word in the segment: bit 0 says
 * that somebody may sleep on it, the rest counts wake-ups.
 *
 *	sleeper: set bit 0; look for news; sleep if the word is still the one we set
 *	waker:   make the news; look at bit 0; if set: count up, wake one;
 *	         if nobody was there: clear bit 0, wake all
 *
 * All of these are sequentially consistent, so either the waker sees the bit or the sleeper the
 * news. A waker may die between its two steps, and a stopped sleeper may swallow a wake-up: so
 * nobody sleeps longer than a tick at a time, which is also when the dead are looked for.
 *
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
#define DENIED_NS    1000000

int64_t sqi_now_ns(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts); /* cannot fail with this clock */
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

uint64_t sqi_now_ms(void)
{
	return (uint64_t)(sqi_now_ns() / 1000000);
}

/* The same, but some milliseconds late, and at a fifth of the price. */
uint64_t sqi_coarse_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC_COARSE, &ts); /* cannot fail with this clock */
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static void nap(int64_t ns)
{
	struct timespec ts = {.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};

	(void)clock_nanosleep(
		CLOCK_MONOTONIC, 0, &ts, NULL); /* shorter after a signal: we look again anyway */
}

static long wake(sqi_u32 *event, int n)
{
	return syscall(SYS_futex, event, FUTEX_WAKE, n, NULL, NULL, 0);
}

/* Until woken, or the word is not `v`, or that moment comes. True: it came. */
static bool sleep_until(sqi_u32 *event, uint32_t v, int64_t until_ns)
{
	struct timespec ts = {.tv_sec = until_ns / 1000000000, .tv_nsec = until_ns % 1000000000};

	SQ_STEP();
	if (syscall(SYS_futex, event, FUTEX_WAIT_BITSET, v, &ts, NULL, FUTEX_BITSET_MATCH_ANY) == 0)
		return false;
	if (errno == ETIMEDOUT)
		return true;
	if (errno != EAGAIN && errno != EINTR)
		nap(DENIED_NS); /* a sandbox without futexes: slow, but right */
	return false;
}

void sqi_wake_slow(sqi_u32 *event, bool all)
{
	uint32_t v;

	if (all) {
		do
			v = sqi_look32(event);
		while (!sqi_cas32(event, v, (v + 2) & ~(uint32_t)1));
		(void)wake(event, INT_MAX);
		return;
	}
	v = sqi_add32(event, 2) + 2;
	if (wake(event, 1) == 0 && sqi_cas32(event, v, v & ~(uint32_t)1))
		(void)wake(event, INT_MAX); /* those who went to sleep between these two */
}

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
	if (h->mask + 1 < NAP_CAPACITY)
		return false;
	return (ops >= FLOW_OPS && span / (int64_t)ops < FLOW_NS) || side->hurried >= HURRIES;
}

/* Say that somebody may sleep on this. What the word must still be for him to do it. */
uint32_t sqi_arm(sqi_u32 *event)
{
	for (;;) {
		uint32_t v = sqi_look32(event);

		if ((v & 1) || sqi_cas32(event, v, v | 1))
			return v | 1;
	}
}

/* What wakes those who wait on this side for what they wait for. */
static sqi_u32 *event_of(struct sq *h, const struct sqi_side *side)
{
	if (side == &h->consuming)
		return &h->head->came;
	return h->short_of_blocks ? &h->head->freed : &h->head->went;
}

/* Who keeps watch for this event. */
static sqi_u64 *watch_of(struct sq *h, const sqi_u32 *event)
{
	if (event == &h->head->came)
		return &h->head->came_watch;
	return event == &h->head->went ? &h->head->went_watch : &h->head->freed_watch;
}

/* Do we keep watch now? If nobody does; or, if we are to `ask`, who did is dead. */
static bool keeps_watch(struct sq *h, sqi_u64 *watch, bool ask)
{
	uint64_t who = sqi_look(watch);

	if (who == h->id)
		return true;
	return (who == 0 || (ask && sqi_is_dead(h, who))) && sqi_cas(watch, who, h->id);
}

/* How long we sleep at most, if we do not keep watch. */
static int64_t long_tick(const struct sq *h)
{
	return h->owner <= MANY ? TICK_LONG_NS : (int64_t)4 * TICK_LONG_NS;
}

/* We sleep no more. */
static void give_up_watch(struct sq *h, sqi_u32 *event)
{
	if (event)
		(void)sqi_cas(watch_of(h, event), h->id, 0);
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
			nap(NAP_NS);
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
		watched = keeps_watch(h, watch_of(h, event), late) ? event : NULL;
		late = false;
		span = watched || h->lap.count > 0 ? tick : long_tick(h);
		until = deadline - now > span ? now + span : deadline;
		if (side == &h->consuming)
			sqi_poke(&h->head->wanted, 1); /* relaxed: it may be seen late */
		if (sleep_until(event, v, until)) {
			late = true;
			if (watched) {
				sqi_rescue_now_and_then(h);
				tick = tick * 2 < TICK_MAX_NS ? tick * 2 : TICK_MAX_NS;
			} else {
				sqi_rescue_if_late(h);
			}
			if (h->lap.count > 0)
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
