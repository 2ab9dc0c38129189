/* SPDX-License-Identifier: ISC */
#include "loop.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "loop_in.h"

/*
 * The loop and its turns: what the things want becomes requests, the driver waits, and completions
 * are given to their things. Timers need no request: the wait itself ends when the first is due.
 */

enum {
	SLOTS_FIRST = 64,
	SEND_BYTES_MAX = 1 << 30,
};

int64_t loop_clock_ns(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts); /* cannot fail with this clock */
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

int64_t loop_now_ns(const struct loop *l)
{
	return l->now_ns;
}

/* Slots and things. */

static int slots_grow(struct loop *l)
{
	uint32_t n = l->slots_n ? l->slots_n * 2 : SLOTS_FIRST;
	struct slot *slots;

	if (n > LOOP_OBJECTS_MAX)
		return -ENOSPC;
	slots = reallocarray(l->slots, n, sizeof(*slots));
	if (!slots)
		return -ENOMEM;
	for (uint32_t i = n; i-- > l->slots_n;) {
		slots[i] = (struct slot){.generation = 1, .next_free = l->slots_free};
		l->slots_free = i;
	}
	l->slots = slots;
	l->slots_n = n;
	return 0;
}

int loop_thing_init(struct loop *l, struct thing *t, const struct thing_type *type)
{
	struct slot *s;
	int r;

	if (l->freeing)
		return -ECANCELED;
	if (l->slots_free == SLOT_NONE) {
		r = slots_grow(l);
		if (r < 0)
			return r;
	}
	*t = (struct thing){.type = type, .loop = l, .slot = l->slots_free};
	s = &l->slots[t->slot];
	l->slots_free = s->next_free;
	s->thing = t;
	l->stats.objects++;
	return 0;
}

static void thing_release(struct loop *l, struct thing *t)
{
	struct slot *s = &l->slots[t->slot];

	if (t->queued)
		TAILQ_REMOVE(&l->wanting, t, queue);
	s->thing = NULL;
	s->generation++;
	s->next_free = l->slots_free;
	l->slots_free = t->slot;
	l->stats.objects--;
	l->called = true;
	if (l->driver->forget)
		l->driver->forget(t);
	t->type->release(l, t);
}

void loop_want(struct thing *t)
{
	if (t->queued)
		return;
	t->queued = true;
	TAILQ_INSERT_TAIL(&t->loop->wanting, t, queue);
}

void loop_thing_close(struct thing *t)
{
	t->closing = true;
	loop_want(t);
}

uint64_t loop_user_data(const struct thing *t, enum op op)
{
	uint64_t generation = t->loop->slots[t->slot].generation;

	return generation << (SLOT_BITS + OP_BITS) | (uint64_t)t->slot << OP_BITS | op;
}

static enum op op_of(uint64_t user_data)
{
	return user_data & ((1U << OP_BITS) - 1);
}

struct thing *loop_thing_of(const struct loop *l, uint64_t user_data)
{
	uint32_t slot = user_data >> OP_BITS & ((1U << SLOT_BITS) - 1);
	struct thing *t = slot < l->slots_n ? l->slots[slot].thing : NULL;

	return t && loop_user_data(t, op_of(user_data)) == user_data ? t : NULL;
}

void loop_dispatch(struct loop *l, uint64_t user_data, int res, unsigned flags)
{
	struct thing *t = loop_thing_of(l, user_data);

	l->stats.completions++;
	if (!t) {
		l->stats.stale++;
		return;
	}
	if (!(flags & DONE_MORE))
		t->inflight--;
	t->type->complete(l, t, op_of(user_data), res, flags);
	if (t->closing && t->inflight == 0)
		loop_want(t); /* released by flush(), not here: callers may still look at it */
}

/* Turns. */

/* Make requests of what is wanted. What is queued meanwhile waits for the next turn. */
static void flush(struct loop *l)
{
	struct things now;
	struct thing *t;

	TAILQ_INIT(&now);
	TAILQ_CONCAT(&now, &l->wanting, queue);
	while ((t = TAILQ_FIRST(&now))) {
		bool all;

		TAILQ_REMOVE(&now, t, queue);
		t->queued = false;
		all = t->type->flush(l, t);
		if (t->closing && t->inflight == 0) {
			thing_release(l, t);
			continue;
		}
		if (all)
			continue;
		/*
		 * The submission queue is full. The thing may have queued itself again, at the end;
		 * it belongs in front.
		 */
		if (t->queued)
			TAILQ_REMOVE(&l->wanting, t, queue);
		t->queued = true;
		TAILQ_INSERT_HEAD(&now, t, queue);
		TAILQ_CONCAT(&now, &l->wanting, queue);
		TAILQ_CONCAT(&l->wanting, &now, queue);
		return;
	}
}

int loop_turn(struct loop *l, int64_t timeout_ns)
{
	int64_t wait_ns;
	int r;

	l->stats.turns++;
	loop_conn_feed_starving(l);
	l->called = false;
	flush(l);
	loop_conn_feed_starving(l); /* buffers may have come back; then this turn does not wait */
	wait_ns = l->freeing ? -1 : loop_timers_wait_ns(l);
	if (wait_ns < 0 || (timeout_ns >= 0 && timeout_ns < wait_ns))
		wait_ns = timeout_ns;
	if (l->freeing && l->stats.objects == 0)
		return 0; /* that was the last one: no completion will come any more */
	/*
	 * flush() may have called back: closed(), or received() of what was held. The callee may
	 * have stopped the loop, or loop_turn()'s caller may wait for just that callback.
	 */
	if (l->stopping || l->called || !TAILQ_EMPTY(&l->wanting) || l->driver->ready(l))
		wait_ns = 0;
	r = l->driver->wait(l, wait_ns);
	if (r < 0)
		return r;
	l->now_ns = loop_clock_ns();
	l->driver->reap(l);
	if (!l->freeing)
		loop_timers_run(l);
	return 0;
}

int loop_run(struct loop *l)
{
	int r = 0;

	while (r == 0 && !l->stopping)
		r = loop_turn(l, -1);
	l->stopping = false;
	return r;
}

void loop_stop(struct loop *l)
{
	l->stopping = true;
}

void loop_stats(const struct loop *l, struct loop_stats *ret)
{
	*ret = l->stats;
	ret->connections = l->connections;
}

/* Beginning and end. */

int loop_new(struct loop **ret, const struct loop_config *config, char why[LOOP_WHY_MAX])
{
	static const struct loop_config defaults;
	struct loop *l = calloc(1, sizeof(*l));
	int r;

	if (!config)
		config = &defaults;
	*why = 0;
	if (!l) {
		loop_explain(-ENOMEM, why);
		return -ENOMEM;
	}
	l->slots_free = SLOT_NONE;
	l->connections_max = config->connections_max ? config->connections_max
						     : LOOP_CONNECTIONS_MAX;
	l->send_max = config->send_max ? config->send_max : SEND_BYTES_MAX;
	TAILQ_INIT(&l->wanting);
	TAILQ_INIT(&l->starving);
	TAILQ_INIT(&l->listeners);
	RB_INIT(&l->timers);
	l->now_ns = loop_clock_ns();
	r = loop_choose(l, config, why);
	if (r < 0) {
		loop_free(l);
		return r;
	}
	*ret = l;
	return 0;
}

void loop_free(struct loop *l)
{
	if (!l)
		return;
	l->freeing = true;
	loop_signals_free(l);
	for (uint32_t i = 0; i < l->slots_n; i++)
		if (l->slots[i].thing)
			loop_thing_close(l->slots[i].thing);
	while (l->stats.objects > 0)
		if (loop_turn(l, -1) < 0)
			break; /* the driver is broken: what it holds is lost with it */
	loop_timers_forget(l);
	loop_futex_thread_free(l);
	if (l->driver) {
		loop_buffers_deinit(l, &l->young);
		l->driver->close(l);
	}
	free(l->groups);
	free(l->slots);
	free(l);
}
