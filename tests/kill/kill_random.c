/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "now.h"
#include "options.h"
#include "random_crew.h"
#include "rng.h"

/*
 * Producers and consumers are killed and stopped at random moments, and replaced. At the end every
 * value that the producers' durable counts say was put has been worked on, each was settled once at most,
 * and whatever was done twice or lost is explained by one particular death.
 *
 *	--seconds 10 --seed N
 *
 * The time is shared out over rings of several sizes, and one queue with a lease time. This process
 * is the killer and the bookkeeper; random_crew.c is the workers.
 */

#define PAUSE_NS_MAX (2 * CREW_MS)
#define STOP_NS_MAX  (30 * CREW_MS)
#define LEASE_NS     (3 * CREW_MS) /* short: some workers take longer, and most stops do */
#define DRAIN_NS     (120 * (int64_t)CREW_SECOND)
#define ALARM_S      1500

static struct {
	uint64_t kills, kills_stopped, stops;
	/*
	 * Deaths of the current round that may have had a message in a hand that was not yet shown.
	 */
	uint64_t unseen_gets, unseen;
} killer;

static struct random_shared *shared;
static pid_t pids[RANDOM_WORKERS];

static void start(unsigned i)
{
	struct random_worker *w = &shared->worker[i];

	/* Its former holder has been waited for, and is accounted for. */
	w->calling = 0;
	for (int n = 0; n < RANDOM_HANDS; n++)
		w->hand[n] = 0;
	pids[i] = crew_fork();
	if (pids[i] == 0) {
		random_work(shared, i);
		exit(0);
	}
}

/*
 * What the dead one had in hand is the only excuse for what may be missing, or done twice, later.
 */
static void account(unsigned i)
{
	struct random_worker *w = &shared->worker[i];
	bool getter = random_role(i) == RANDOM_GETTER;

	if (random_role(i) == RANDOM_PRODUCER)
		return;
	if (w->calling) {
		killer.unseen++;
		killer.unseen_gets += getter;
	}
	for (int n = 0; n < RANDOM_HANDS; n++) {
		uint64_t hand = w->hand[n];
		struct random_value *v;

		if (hand == 0)
			continue;
		v = random_value(shared, hand - 1);
		v->died_in_hand++;
		/* sq_get() had returned it: whatever it was about to do, nobody else will. */
		if (getter && v->done == 0)
			v->done = 1;
		if (getter && v->settled == 0)
			v->settled = 1;
	}
}

static void end(unsigned i)
{
	int status;

	(void)kill(pids[i], SIGKILL);
	status = crew_wait(pids[i]);
	if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
		crew_die("worker %u ended by itself: status %x", i, (unsigned)status);
	account(i);
	killer.kills++;
}

static int64_t any_time(uint64_t *random, int64_t max_ns)
{
	uint64_t r = rng_next(random) >> 32;

	/* Half of them very short. */
	return (int64_t)(r % 2 ? r % (uint64_t)(max_ns / 50) : r % (uint64_t)max_ns);
}

static void harass(int64_t until, uint64_t *random)
{
	while (now_ns() < until) {
		uint64_t r = rng_next(random) >> 32;
		unsigned i = (unsigned)(r % RANDOM_WORKERS);

		if (crew_failed())
			crew_die("a worker failed");
		switch (r / RANDOM_WORKERS % 4) {
		case 0:
			(void)kill(pids[i], SIGSTOP);
			sleep_ns(any_time(random, STOP_NS_MAX));
			(void)kill(pids[i], SIGCONT);
			killer.stops++;
			break;
		case 1:
			(void)kill(pids[i], SIGSTOP);
			sleep_ns(any_time(random, PAUSE_NS_MAX));
			end(i);
			start(i);
			killer.kills_stopped++;
			break;
		default:
			end(i);
			start(i);
			break;
		}
		sleep_ns(any_time(random, PAUSE_NS_MAX));
	}
}

/* The producers first; then the consumers, once they have drained the queue. */
static void settle(struct sq *h)
{
	int r;

	shared->enough = true;
	for (unsigned i = 0; i < RANDOM_WORKERS; i++) {
		if (random_role(i) != RANDOM_PRODUCER)
			continue;
		if (crew_wait(pids[i]))
			crew_die("producer %u failed", i);
	}
	r = sq_recover(h);
	if (r < 0)
		crew_die("sq_recover: %s", sq_strerror(r));
	r = sq_join(h, DRAIN_NS);
	if (r < 0)
		crew_die("not drained 120 s after the last death: %s", sq_strerror(r));
	shared->over = true;
	for (unsigned i = 0; i < RANDOM_WORKERS; i++)
		if (random_role(i) != RANDOM_PRODUCER && crew_wait(pids[i]))
			crew_die("consumer %u failed", i);
}

/* Every value against its explanation. How many values there were. */
static uint64_t check(struct sq *h, bool lease_time)
{
	uint64_t total = 0, lost = 0, unexplained = 0, late_allowed;
	struct sq_stat st;

	(void)sq_stat(h, &st);
	for (uint64_t p = 0; p < RANDOM_PRODUCERS; p++) {
		uint64_t n;

		if (sq_count_read(h, p + 1, &n) < 0 || n != shared->worker[p].put)
			crew_die("the durable count of producer %" PRIu64 " is %" PRIu64
				 ", it put %" PRIu64,
				p, n, shared->worker[p].put);
		total += n;
		for (uint64_t i = 0; i < n; i++) {
			const struct random_value *v = random_value(
				shared, p << RANDOM_NUMBER_BITS | i);

			if (v->settled > 1)
				crew_die("%" PRIu64 ":%" PRIu64 " was settled %u times", p, i,
					v->settled);
			if (v->first > 1)
				crew_die("%" PRIu64 ":%" PRIu64
					 " was delivered %u times with attempts 1",
					p, i, v->first);
			if (v->done > 1u + v->died_in_hand + v->stale)
				crew_die("%" PRIu64 ":%" PRIu64
					 " was done %u times, with %u deaths in whose hand it was "
					 "and %u leases overdue",
					p, i, v->done, v->died_in_hand, v->stale);
			lost += v->done == 0;
			unexplained += v->late && !v->died_in_hand && !v->given_back && !v->stale;
		}
		if (random_value(shared, p << RANDOM_NUMBER_BITS | n)->done)
			crew_die("%" PRIu64 ":%" PRIu64 " arrived and was never put", p, n);
	}
	if (lost > killer.unseen_gets)
		crew_die("%" PRIu64 " values are lost; %" PRIu64
			 " deaths inside sq_get() explain as many at most",
			lost, killer.unseen_gets);
	late_allowed = killer.unseen + (lease_time ? st.overdue : 0);
	if (unexplained > late_allowed)
		crew_die("%" PRIu64 " values say attempts > 1 without a reason; %" PRIu64 " may",
			unexplained, late_allowed);
	crew_check_rest(h, total);
	(void)printf("  capacity %" PRIu64 "%s: %" PRIu64 " put, %" PRIu64
		     " lost in killed gets (of %" PRIu64 "), reclaimed %" PRIu64
		     ", revoked %" PRIu64 ", overdue %" PRIu64 "\n",
		st.capacity, lease_time ? " with lease time" : "", total, lost, killer.unseen_gets,
		st.reclaimed, st.revoked, st.overdue);
	return total;
}

static uint64_t round_of(uint64_t capacity, int64_t lease_time, int64_t span_ns, uint64_t *random)
{
	struct sq_config config = {
		.capacity = capacity,
		.max_message = RANDOM_SIZE_MAX,
		.lease_time = lease_time,
		.participants = 64,
	};
	uint64_t n;
	struct sq *h;

	crew_queue(RANDOM_QUEUE, &config);
	h = crew_open(RANDOM_QUEUE);
	shared = random_share(rng_next(random));
	killer.unseen = killer.unseen_gets = 0;
	for (unsigned i = 0; i < RANDOM_WORKERS; i++)
		start(i);
	harass(now_ns() + span_ns, random);
	settle(h);
	n = check(h, lease_time != 0);
	random_unshare(shared);
	sq_close(h);
	return n;
}

int main(int argc, char **argv)
{
	static const struct {
		uint64_t capacity;
		int64_t lease_time;
	} rounds[] = {{1024, 0}, {4, 0}, {64, 0}, {2, 0}, {64, LEASE_NS}, {8, LEASE_NS}};
	size_t n = sizeof(rounds) / sizeof(rounds[0]);
	int64_t span_ns = (int64_t)option_number(argc, argv, "--seconds", 10) * CREW_SECOND /
			  (int64_t)n;
	uint64_t seed = option_number(argc, argv, "--seed", (uint64_t)now_ns()),
		 random = rng_mix(seed);
	uint64_t total = 0;

	options_end(argc, argv);
	crew_init("kill_random", seed, ALARM_S);
	for (size_t i = 0; i < n; i++)
		total += round_of(rounds[i].capacity, rounds[i].lease_time, span_ns, &random);
	return crew_finish("%zu rounds passed, 0 failed: %" PRIu64 " messages, %" PRIu64
			   " kills (%" PRIu64 " of the stopped), %" PRIu64 " other stops",
		n, total, killer.kills, killer.kills_stopped, killer.stops);
}
