/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <inttypes.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "crew.h"
#include "now.h"
#include "ops/handle.h"
#include "options.h"
#include "rng.h"
#include "traced.h"

/*
 * Sleepers that are killed or stopped.
 *
 * Swallowed wake-ups: a tracer holds a sleeper at the very exit of its futex call, in which it has
 * been given the one wake-up there was, and leaves it there, or kills it. Another one that sleeps
 * must get the message all the same, within a tick.
 *
 * Killed in their sleep: the survivors find them, give their slots back and get every message; and
 * nobody but sleepers looks. Stopped in their sleep: the one that is not stopped gets the messages.
 *
 *	--swallowed 40 --rounds 20 --seed N
 *
 * With TESTS_ANY_TIME only a message that lies there for a minute fails.
 */

#define SLEEPERS    8
#define TICK_NS     (50 * CREW_MS)
#define LATE_NS     (100 * CREW_MS) /* a busy machine's */
#define LATE_ONE_OF 3
#define LATE_ANYWAY 3
#define PLAYS       5
#define SPAN_NS     (60 * (int64_t)CREW_SECOND)
#define SETTLE_NS   (2 * CREW_MS)
#define TRIES_EACH  200 /* for one swallowed wake-up: its tick may come first */
#define SAMPLES_MAX 1000
#define ALARM_S     1500

static struct shared {
	struct {
		_Alignas(64) _Atomic uint64_t value; /* the last it got */
		_Atomic int64_t got_ns;
		_Atomic uint64_t count;
		_Atomic bool ready;
	} sleeper[SLEEPERS];
} * shared;

/*
 * A lost wake-up is lost for ever: got_by() sees it. How late one may come is for the machine to say:
 * so a few may be later than a tick and a good deal more; and if more are, all is played again: who
 * looks too seldom is late each time.
 */
static uint64_t slept_n, late_n;

static void count_late(int64_t slept_ns)
{
	slept_n++;
	late_n += slept_ns > TICK_NS + LATE_NS;
}

static void sleep_and_get(unsigned i)
{
	struct sq *h = crew_open("sleepers");
	uint64_t v;

	/* The first use looks for the dead in passing: from here on only a sleeper's tick does. */
	must("sq_get of nothing", (int)sq_get(h, &v, sizeof(v), SQ_NOWAIT), -EAGAIN);
	shared->sleeper[i].ready = true;
	for (;;) {
		must("sq_get", (int)sq_get(h, &v, sizeof(v), SQ_FOREVER), sizeof(v));
		shared->sleeper[i].got_ns = now_ns();
		shared->sleeper[i].value = v;
		shared->sleeper[i].count++;
	}
}

static pid_t start(unsigned i, bool traced)
{
	pid_t pid;

	shared->sleeper[i].ready = false;
	pid = crew_fork();
	if (pid == 0) {
		if (traced)
			traced_me();
		sleep_and_get(i);
	}
	if (traced)
		traced_begin(pid);
	while (!traced && !shared->sleeper[i].ready && !crew_failed())
		sleep_ns(CREW_MS / 10);
	return pid;
}

static bool has(unsigned i, uint64_t value)
{
	return shared->sleeper[i].value == value;
}

/* Until one of the first n has this value: when it did. */
static int64_t got_by(unsigned n, uint64_t value, unsigned *ret_who)
{
	int64_t until = now_ns() + SPAN_NS;

	for (;;) {
		for (unsigned i = 0; i < n; i++) {
			if (has(i, value)) {
				*ret_who = i;
				return shared->sleeper[i].got_ns;
			}
		}
		if (crew_failed())
			crew_die("a sleeper failed");
		if (now_ns() > until)
			crew_die("message %" PRIu64
				 " lies there for 60 s, and sleepers sleep: a wake-up was lost",
				value);
		sleep_ns(CREW_MS / 20);
	}
}

/*
 * Sleeper 0 sleeps freely, sleeper 1 under the tracer: from its entry into the futex call to the
 * exit it is the kernel's, then it is held. True: it was woken, by the message's one wake-up.
 */
static bool try_swallow(
	struct sq *h, pid_t free_one, pid_t traced, uint64_t value, int64_t *ret_put_ns)
{
	struct traced_stop stop;

	do {
		if (!traced_next(traced, &stop, SPAN_NS))
			crew_die("the traced sleeper does not sleep");
		traced_go(traced);
	} while (!stop.entry || stop.op != FUTEX_WAIT_BITSET);
	/* The kernel wakes who came first: send the other one to the end of the line. */
	sleep_ns(SETTLE_NS);
	crew_stop(free_one);
	(void)kill(free_one, SIGCONT);
	sleep_ns(SETTLE_NS);
	*ret_put_ns = now_ns();
	must("sq_put", sq_put(h, &value, sizeof(value), SQ_NOWAIT), 0);
	if (!traced_next(traced, &stop, SPAN_NS) || stop.entry)
		crew_die("the traced sleeper does not come back");
	return stop.rval == 0;
}

/* How many wake-ups went to the traced one in all; *ret_... of those that did. */
static uint64_t swallowed(uint64_t times, int64_t *ret_median_ns, int64_t *ret_max_ns)
{
	static int64_t slept[SAMPLES_MAX];
	struct sq_config config = {.capacity = 4, .small_message = 8, .participants = 4};
	uint64_t value = 0, done = 0, tries = 0;
	pid_t free_one, traced;
	struct sq *h;

	if (times == 0 || times > SAMPLES_MAX)
		crew_die("--swallowed 1 to %d", SAMPLES_MAX);
	memset(shared, 0, sizeof(*shared));
	crew_queue("sleepers", &config);
	h = crew_open("sleepers");
	free_one = start(0, false);
	traced = start(1, true);
	while (done < times) {
		bool kill_it = done % 2;
		int64_t put_ns;
		unsigned who;

		if (tries++ > times * TRIES_EACH)
			crew_die("only %" PRIu64 " of %" PRIu64 " wake-ups went to the traced one",
				done, tries);
		if (try_swallow(h, free_one, traced, ++value, &put_ns)) {
			if (kill_it)
				crew_kill(traced);
			slept[done] = got_by(1, value, &who) - put_ns;
			count_late(slept[done]);
			done++;
			if (kill_it) {
				must("sq_recover", sq_recover(h) < 0, 0);
				traced = start(1, true);
				continue;
			}
		} else {
			/* It was its tick, or there was nothing to wake: the other one was. */
			traced_go(traced);
			(void)got_by(2, value, &who);
			continue;
		}
		traced_go(traced);
	}
	crew_kill(traced);
	crew_kill(free_one);
	/* The last one may have been killed before it had opened. */
	must("sq_recover", sq_recover(h) > 0, 1);
	crew_check_rest(h, value);
	sq_close(h);
	crew_sort(slept, times);
	*ret_median_ns = slept[times / 2];
	*ret_max_ns = slept[times - 1];
	return tries;
}

static unsigned slots_in_use(const struct sq *h)
{
	unsigned n = 0;

	for (unsigned i = 0; i < h->ring.g.in.participants; i++)
		n += sqi_load_seq(&sqi_slot(&h->ring, i)->id) != 0;
	return n;
}

/* Some of eight are killed, some stopped. How long until the slots of the dead were free. */
static int64_t killed_and_stopped(uint64_t *random, uint64_t *value)
{
	struct sq_config config = {
		.capacity = 16, .small_message = 8, .participants = SLEEPERS + 1};
	unsigned dead = 0, who;
	pid_t pid[SLEEPERS];
	int64_t killed_ns, freed_ns, until;
	uint64_t first = *value, all = 0;
	struct sq *h;

	memset(shared, 0, sizeof(*shared));
	crew_queue("sleepers", &config);
	h = crew_open("sleepers");
	must("sq_get of nothing", (int)sq_get(h, &first, sizeof(first), SQ_NOWAIT), -EAGAIN);
	for (unsigned i = 0; i < SLEEPERS; i++)
		pid[i] = start(i, false);
	sleep_ns(SETTLE_NS + (int64_t)(rng_next(random) >> 1) % (60 * CREW_MS));
	/* The last one is spared. */
	for (unsigned i = 0; i < SLEEPERS - 1; i++) {
		unsigned dice = (unsigned)(rng_next(random) >> 60);

		if (dice < 6) {
			(void)kill(pid[i], SIGKILL);
			dead++;
		} else if (dice < 12) {
			/* Until it has stopped: it must not have a message in its hand. */
			crew_stop(pid[i]);
			continue;
		} else {
			continue;
		}
		(void)crew_wait(pid[i]);
		pid[i] = 0;
	}
	killed_ns = now_ns();
	for (int i = 0; i < SLEEPERS; i++, all++) {
		int64_t put_ns = now_ns();

		++*value;
		must("sq_put", sq_put(h, value, sizeof(*value), SQ_NOWAIT), 0);
		count_late(got_by(SLEEPERS, *value, &who) - put_ns);
	}
	/* By the sleepers alone: nobody else looks. */
	until = killed_ns + SPAN_NS;
	while (slots_in_use(h) != SLEEPERS + 1 - dead) {
		if (now_ns() > until)
			crew_die("%u were killed, and of %d slots %u are in use 60 s after", dead,
				SLEEPERS + 1, slots_in_use(h));
		sleep_ns(CREW_MS / 10);
	}
	freed_ns = now_ns() - killed_ns;
	for (unsigned i = 0; i < SLEEPERS; i++)
		if (pid[i])
			(void)kill(pid[i], SIGCONT);
	++*value;
	all++;
	must("sq_put", sq_put(h, value, sizeof(*value), SQ_NOWAIT), 0);
	(void)got_by(SLEEPERS, *value, &who);
	for (unsigned i = 0; i < SLEEPERS; i++) {
		first += shared->sleeper[i].count;
		if (pid[i])
			crew_kill(pid[i]);
	}
	if (first != *value)
		crew_die("%" PRIu64 " messages were put, and the sleepers got %" PRIu64, all,
			all - (*value - first));
	/* The last ones may have found the first. */
	must("sq_recover", sq_recover(h) < 0, 0);
	if (slots_in_use(h) != 1)
		crew_die("all are dead, and %u slots are in use", slots_in_use(h));
	crew_check_rest(h, all);
	sq_close(h);
	return dead ? freed_ns : 0;
}

int main(int argc, char **argv)
{
	uint64_t times = option_number(argc, argv, "--swallowed", 40);
	uint64_t rounds = option_number(argc, argv, "--rounds", 20);
	uint64_t seed = option_number(argc, argv, "--seed", (uint64_t)now_ns()),
		 random = rng_mix(seed);
	uint64_t tries, value = 0, plays = 0;
	int64_t median, max, freed, freed_max;

	options_end(argc, argv);
	crew_init("sleepers", seed, ALARM_S);
	shared = crew_share(sizeof(*shared));
	do {
		slept_n = late_n = 0;
		freed_max = 0;
		tries = swallowed(times, &median, &max);
		for (uint64_t i = 0; i < rounds; i++) {
			freed = killed_and_stopped(&random, &value);
			if (freed > freed_max)
				freed_max = freed;
		}
		if (!time_is_judged())
			break;
		if (late_n <= slept_n / LATE_ONE_OF + LATE_ANYWAY && median <= TICK_NS + LATE_NS)
			break;
		if (++plays == PLAYS)
			crew_die("%" PRIu64 " of %" PRIu64 " messages were got after more than %d "
				 "ms; half of those swallowed after more than %.1f ms; and so "
				 "it was %d times",
				late_n, slept_n, (int)((TICK_NS + LATE_NS) / CREW_MS),
				(double)median / CREW_MS, PLAYS);
	} while (true);
	return crew_finish(
		"%" PRIu64 " swallowed wake-ups (of %" PRIu64 ", half by a death) and %" PRIu64
		" rounds of killed and stopped sleepers passed, 0 failed: another got the "
		"message after %.1f ms (median), %.1f ms (longest); the dead's slots were "
		"free after %.1f ms at the latest",
		times, tries, rounds, (double)median / CREW_MS, (double)max / CREW_MS,
		(double)freed_max / CREW_MS);
}
