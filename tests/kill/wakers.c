/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <inttypes.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "crew.h"
#include "now.h"
#include "ops/handle.h"
#include "options.h"
#include "rng.h"
#include "traced.h"

/*
 * A waker that does not wake: each call that makes news for a sleeper is held exactly between the
 * news and the wake-up, at the entry of its futex call, and killed there, or left stopped for ever.
 * The sleeper must get the news all the same, within a tick. A tracer holds the waker, so
 * that it is known, and not hoped, where it was.
 *
 *	--times 6 --seed N
 *
 * With TESTS_ANY_TIME only a sleeper that sleeps on for a minute fails.
 */

#define CAPACITY      16 /* more than there are blocks */
#define BLOCK         900
#define TICK_NS       (50 * CREW_MS)  /* the longest in engine/ops/wait.c */
#define LATE_NS       (100 * CREW_MS) /* a busy machine's */
#define LATE_ONE_OF   3               /* may be later than that */
#define LATE_ANYWAY   3
#define PLAYS         5 /* if more are: it may be the machine, which is not late each time */
#define SPAN_NS       (60 * (int64_t)CREW_SECOND)
#define ASLEEP_NS_MAX (40 * CREW_MS) /* before the news: ticks of all lengths */
#define TIMES_MAX     200
#define ALARM_S       1500

static struct shared {
	_Atomic uint64_t base; /* where the waker has mapped the segment */
	_Atomic bool ready, woken;
	_Atomic int64_t woken_ns;
} * shared;

static struct sq_lease lease; /* of the waker's preparation */
static char buf[BLOCK];

/* Before any process sleeps. By the waker's handle. */
static void nothing(struct sq *h)
{
}

static void fill_small(struct sq *h)
{
	for (int i = 0; i < CAPACITY; i++)
		must("sq_put", sq_put(h, "full", 4, SQ_NOWAIT), 0);
}

static void fill_and_lease(struct sq *h)
{
	fill_small(h);
	must("sq_lease", sq_lease(h, &lease, SQ_NOWAIT), 0);
}

static void put_and_lease(struct sq *h)
{
	must("sq_put", sq_put(h, "task", 4, SQ_NOWAIT), 0);
	must("sq_lease", sq_lease(h, &lease, SQ_NOWAIT), 0);
}

static void reserve_block(struct sq *h)
{
	void *at;

	must("sq_reserve", sq_reserve(h, BLOCK, &at), 0);
}

/* All the blocks there are, in messages; there is room in the ring for more. */
static void put_blocks(struct sq *h)
{
	while (sq_put(h, buf, BLOCK, SQ_NOWAIT) == 0)
		;
	must("sq_put", sq_put(h, buf, 1, SQ_NOWAIT), 0);
}

/* The same, but for the last one. */
static void reserve_last_block(struct sq *h)
{
	put_blocks(h);
	must("sq_get", (int)sq_get(h, buf, BLOCK, SQ_NOWAIT), BLOCK);
	reserve_block(h);
}

/* What sleeps. */
static int sleep_get(struct sq *h)
{
	int r = (int)sq_get(h, buf, BLOCK, SQ_FOREVER);

	return r < 0 ? r : 0;
}

static int sleep_lease(struct sq *h)
{
	struct sq_lease own;
	int r = sq_lease(h, &own, SQ_FOREVER);

	return r < 0 ? r : sq_ack(h, &own);
}

static int sleep_put(struct sq *h)
{
	return sq_put(h, "more", 4, SQ_FOREVER);
}

static int sleep_put_block(struct sq *h)
{
	return sq_put(h, buf, BLOCK, SQ_FOREVER);
}

/* What makes the news. */
static void wake_put(struct sq *h)
{
	(void)sq_put(h, "news", 4, SQ_NOWAIT);
}

static void wake_commit(struct sq *h)
{
	(void)sq_commit(h, BLOCK, SQ_NOWAIT);
}

static void wake_get(struct sq *h)
{
	(void)sq_get(h, buf, BLOCK, SQ_NOWAIT);
}

static void wake_ack(struct sq *h)
{
	(void)sq_ack(h, &lease);
}

static void wake_nack(struct sq *h)
{
	(void)sq_nack(h, &lease);
}

static void wake_abort(struct sq *h)
{
	sq_abort(h);
}

static void wake_close(struct sq *h)
{
	sq_close(h);
}

static void wake_shutdown(struct sq *h)
{
	(void)sq_shutdown(h, false);
}

#define EVENT(e) offsetof(struct sqi_head, e.word)

static const struct scene {
	const char *name;
	void (*prepare)(struct sq *h);
	int (*sleep)(struct sq *h);
	void (*wake)(struct sq *h);
	size_t event; /* that the sleeper waits on, and the waker is held at */
	int result;   /* the sleeper's */
} scenes[] = {
	{"put, for get", nothing, sleep_get, wake_put, EVENT(message_event), 0},
	{"put, for lease", nothing, sleep_lease, wake_put, EVENT(message_event), 0},
	{"commit, for get", reserve_block, sleep_get, wake_commit, EVENT(message_event), 0},
	{"nack, for lease", put_and_lease, sleep_lease, wake_nack, EVENT(message_event), 0},
	{"close, for lease", put_and_lease, sleep_lease, wake_close, EVENT(message_event), 0},
	{"shutdown, for get", nothing, sleep_get, wake_shutdown, EVENT(message_event), -EPIPE},
	{"get, for put", fill_small, sleep_put, wake_get, EVENT(room_event), 0},
	{"ack, for put", fill_and_lease, sleep_put, wake_ack, EVENT(room_event), 0},
	{"get of a block, for put", put_blocks, sleep_put_block, wake_get, EVENT(block_event), 0},
	{"abort, for put", reserve_last_block, sleep_put_block, wake_abort, EVENT(block_event), 0},
	{"close, for put", reserve_last_block, sleep_put_block, wake_close, EVENT(block_event), 0},
};
#define SCENES (sizeof(scenes) / sizeof(scenes[0]))

static void be_waker(const struct scene *s)
{
	struct sq *h = crew_open("wakers");

	s->prepare(h);
	shared->base = (uint64_t)(uintptr_t)h->ring.base;
	traced_me();
	s->wake(h);
	crew_die("%s: nobody was to be woken", s->name);
}

static void be_sleeper(const struct scene *s)
{
	struct sq *h = crew_open("wakers");
	int r;

	shared->ready = true;
	r = s->sleep(h);
	shared->woken_ns = now_ns();
	must(s->name, r, s->result);
	shared->woken = true;
	sq_close(h);
	_exit(0);
}

static bool armed(const struct sq *h, const struct scene *s)
{
	return sqi_load_seq32((sqi_u32 *)(h->ring.base + s->event)) & 1;
}

/* All that is left, whoever put it; then the queue must be whole. */
static void check_left(struct sq *h, const struct scene *s)
{
	must("sq_recover", sq_recover(h) < 0, 0);
	while (sq_get(h, buf, BLOCK, SQ_NOWAIT) >= 0)
		;
	must("sq_recover", sq_recover(h), 0);
	if (s->result == 0)
		crew_check_rest(h, ~(uint64_t)0);
}

/* One waker, held between its news and its wake-up. How long the sleeper slept from there. */
static int64_t hold(const struct scene *s, bool kill_it, uint64_t *random)
{
	struct sq_config config = {.capacity = CAPACITY,
		.max_message = BLOCK,
		.participants = 4,
		.block_memory = 1}; /* as few blocks as can be */
	struct traced_stop stop;
	pid_t waker, sleeper;
	int64_t held_ns, slept_ns;
	struct sq *h;

	crew_queue("wakers", &config);
	h = crew_open("wakers");
	memset(shared, 0, sizeof(*shared));
	waker = crew_fork();
	if (waker == 0)
		be_waker(s);
	while (shared->base == 0 && !crew_failed())
		sleep_ns(CREW_MS / 10);
	sleeper = crew_fork();
	if (sleeper == 0)
		be_sleeper(s);
	while (!(shared->ready && armed(h, s)) && !shared->woken && !crew_failed())
		sleep_ns(CREW_MS / 10);
	sleep_ns(CREW_MS + (int64_t)(rng_next(random) >> 1) % ASLEEP_NS_MAX);
	if (shared->woken)
		crew_die("%s: it did not sleep", s->name);
	traced_begin(waker);
	do {
		if (!traced_next(waker, &stop, SPAN_NS))
			crew_die("%s: the waker came to no futex", s->name);
		held_ns = now_ns();
		if (!stop.entry || stop.op != FUTEX_WAKE)
			crew_die("%s: held at another call", s->name);
		/* A call that wakes several is held at the one that this sleeper waits for. */
	} while (stop.at - shared->base != s->event && (traced_go(waker), true) &&
		 traced_next(waker, &stop, SPAN_NS) && (traced_go(waker), true));
	if (kill_it)
		crew_kill(waker);
	/* Far above what is asked for in the end: a lost wake-up is told as one. */
	while (!shared->woken && now_ns() < held_ns + SPAN_NS)
		sleep_ns(CREW_MS / 10);
	if (!shared->woken)
		crew_die("%s: the sleeper sleeps on, 60 s after the waker was %s", s->name,
			kill_it ? "killed" : "stopped");
	slept_ns = shared->woken_ns - held_ns;
	if (crew_wait(sleeper) != 0)
		crew_die("the sleeper failed");
	if (!kill_it)
		crew_kill(waker);
	check_left(h, s);
	sq_close(h);
	return slept_ns;
}

int main(int argc, char **argv)
{
	static int64_t slept[SCENES * 2 * TIMES_MAX];
	uint64_t times = option_number(argc, argv, "--times", 6);
	uint64_t seed = option_number(argc, argv, "--seed", (uint64_t)now_ns()),
		 random = rng_mix(seed);
	size_t n, early, late, plays = 0;

	options_end(argc, argv);
	crew_init("wakers", seed, ALARM_S);
	shared = crew_share(sizeof(*shared));
	if (times == 0 || times > TIMES_MAX)
		crew_die("--times 1 to %d", TIMES_MAX);
	do {
		n = early = late = 0;
		for (uint64_t t = 0; t < times; t++)
			for (size_t i = 0; i < SCENES * 2; i++) {
				slept[n] = hold(&scenes[i / 2], i % 2, &random);
				late += slept[n] > TICK_NS + LATE_NS;
				early += slept[n++] <
					 0; /* its tick came before we had even looked */
			}
		crew_sort(slept, n);
		if (!time_is_judged())
			break;
		if (late <= n / LATE_ONE_OF + LATE_ANYWAY && slept[n / 2] <= TICK_NS + LATE_NS)
			break;
		if (++plays == PLAYS)
			crew_die(
				"%zu of %zu sleepers slept on for more than %d ms, the median one for %" PRId64
				" ms, and so it was %d times",
				late, n, (int)((TICK_NS + LATE_NS) / CREW_MS),
				slept[n / 2] / CREW_MS, PLAYS);
	} while (true);
	return crew_finish(
		"%zu wakers passed, 0 failed: held between news and wake-up in %zu calls, "
		"half of them killed there; the sleeper slept on for %.1f ms (median), "
		"%.1f ms (longest), %zu had woken by themselves",
		n, SCENES, (double)(slept[n / 2]) / CREW_MS, (double)slept[n - 1] / CREW_MS, early);
}
