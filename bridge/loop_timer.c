/* SPDX-License-Identifier: ISC */
#include "loop_in.h"

/*
 * Timers in a red-black tree, ordered by when they are due and then by when they were set. The
 * kernel is told of the first one only, by the time-out of the turn's wait.
 */

static int compare(const struct loop_timer *a, const struct loop_timer *b)
{
	if (a->due_ns != b->due_ns)
		return a->due_ns < b->due_ns ? -1 : 1;
	return a->order < b->order ? -1 : a->order > b->order;
}

/* Not RB_GENERATE_STATIC: it takes __unused for granted. */
RB_GENERATE_INTERNAL(timers, loop_timer, node, compare, __attribute__((unused)) static)

void loop_timer_set(
	struct loop *l, struct loop_timer *t, int64_t after_ns, void (*fired)(void *ctx), void *ctx)
{
	int64_t now = loop_clock_ns(); /* not the turn's time, which may be old */

	loop_timer_stop(l, t);
	if (after_ns < 0)
		after_ns = 0;
	t->due_ns = after_ns < INT64_MAX - now ? now + after_ns : INT64_MAX;
	t->order = l->timer_order++;
	t->fired = fired;
	t->ctx = ctx;
	t->armed = true;
	(void)RB_INSERT(timers, &l->timers, t); /* no two are equal: `order` */
}

void loop_timer_stop(struct loop *l, struct loop_timer *t)
{
	if (!t->armed)
		return;
	t->armed = false;
	(void)RB_REMOVE(timers, &l->timers, t);
}

int64_t loop_timers_wait_ns(struct loop *l)
{
	const struct loop_timer *t = RB_MIN(timers, &l->timers);

	int64_t now;

	if (!t)
		return -1;
	now = loop_clock_ns();
	return t->due_ns > now ? t->due_ns - now : 0;
}

void loop_timers_run(struct loop *l)
{
	uint64_t until = l->timer_order;
	struct loop_timer *t;

	/*
	 * A callback may stop or set any timer, so the first one is found anew each time. One that
	 * was set by a callback is due at l->now_ns or later, and so after all that were there.
	 */
	while ((t = RB_MIN(timers, &l->timers)) && t->due_ns <= l->now_ns && t->order < until) {
		loop_timer_stop(l, t);
		t->fired(t->ctx);
	}
}

void loop_timers_forget(struct loop *l)
{
	struct loop_timer *t;

	while ((t = RB_MIN(timers, &l->timers)))
		loop_timer_stop(l, t);
}
