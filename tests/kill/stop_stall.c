/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crew.h"
#include "now.h"
#include "options.h"
#include "rng.h"

/*
 * Two producers and two consumers run; one of each is stopped at a random moment, again and again.
 * How long did the other two make no progress? Both must go on: the running producer's messages
 * (and what the stopped one left half done) must get past the stopped consumer, whatever it holds,
 * to the running one.
 *
 *	--stops 1000 --stops-tiny 300 --stops-control 300 --seed N
 *
 * The control is the same with processes that only count, so that what the machine's scheduling
 * does to such a measurement is known: the limit is 100 ms more than that. A machine may do worse to
 * the one than to the other by chance: so it is asked again, and who stands still for long must have
 * done so each time. The stop goes on until
 * the pair has been round the ring, so that nothing left over from before passes for progress.
 *
 * With TESTS_ANY_TIME there is no control, and only a stall of a minute fails.
 */

#define PRODUCERS    2
#define CONSUMERS    2
#define WORKERS      (PRODUCERS + CONSUMERS)
#define STOP_NS_MIN  (1 * CREW_MS)
#define STOP_NS_MAX  (16 * CREW_MS)
#define SAMPLE_NS    50000
#define LAPS         3
#define LIMIT_NS     (100 * CREW_MS)
#define PLAYS        3
#define GIVE_UP_NS   (60 * (int64_t)CREW_SECOND) /* a stall for ever, on whatever machine */
#define TIMEOUT_NS   (20 * CREW_MS)
#define MESSAGE_MAX  2048
#define VALUE_PERIOD 4096
#define ALARM_S      3000

static struct shared {
	struct {
		_Alignas(64) _Atomic uint64_t progress;
	} worker[WORKERS];
	_Atomic bool enough, over;
	_Atomic uint64_t put, taken;
} * shared;

struct sample {
	int64_t *stall_ns, *late_ns;
	uint64_t stops;
};

static void produce(struct sq *h, unsigned i)
{
	unsigned char buf[MESSAGE_MAX];

	for (uint64_t n = 0; !shared->enough; n++) {
		uint64_t value = (uint64_t)i << 32 | n % VALUE_PERIOD;
		size_t size = rng_mix(value) % 2 ? CREW_HEAD : rng_mix(value) / 2 % MESSAGE_MAX;
		int r = sq_put(h, buf, crew_write(buf, value, size), TIMEOUT_NS);

		if (r == 0) {
			shared->put++;
			shared->worker[i].progress++;
		} else if (r != -ETIMEDOUT) {
			crew_die("sq_put: %s", sq_strerror(r));
		}
	}
}

/* One message; half of them by lease, so that a stop finds it with a lease in hand. */
static int consume_one(struct sq *h, uint64_t n)
{
	unsigned char buf[MESSAGE_MAX];
	struct sq_lease lease;
	int r;

	if (n % 2) {
		ssize_t len = sq_get(h, buf, sizeof(buf), TIMEOUT_NS);

		if (len < 0)
			return (int)len;
		(void)crew_read(buf, (size_t)len);
		return 0;
	}
	r = sq_lease(h, &lease, TIMEOUT_NS);
	if (r < 0)
		return r;
	(void)crew_read(lease.data, lease.len);
	return sq_ack(h, &lease);
}

static void consume(struct sq *h, unsigned i)
{
	for (uint64_t n = 0;; n++) {
		int r = consume_one(h, n);

		if (r == 0) {
			shared->taken++;
			shared->worker[i].progress++;
		} else if (r != -ETIMEDOUT) {
			crew_die("consuming: %s", sq_strerror(r));
		} else if (shared->over) {
			return;
		}
	}
}

static void count(unsigned i)
{
	while (!shared->enough)
		shared->worker[i].progress++;
}

static void worker(unsigned i, bool control)
{
	struct sq *h;

	if (control) {
		count(i);
		return;
	}
	h = crew_open("stall");
	if (i < PRODUCERS)
		produce(h, i);
	else
		consume(h, i);
	sq_close(h);
}

/*
 * Watch two counters, for span_ns and until both have risen by `least`, so that the ring has gone
 * round whatever the stopped hold. The longest time in which one of them stood still, and the
 * longest between two of our own looks.
 */
static void watch(const unsigned who[2], int64_t span_ns, uint64_t least, int64_t *ret_stall_ns,
	int64_t *ret_late_ns)
{
	int64_t began = now_ns(), now = began, last, moved[2] = {began, began}, stall = 0, late = 0;
	uint64_t from[2], seen[2];
	bool done = false;

	for (int i = 0; i < 2; i++)
		seen[i] = from[i] = shared->worker[who[i]].progress;
	while (!done) {
		sleep_ns(SAMPLE_NS);
		last = now;
		now = now_ns();
		if (now - last > late)
			late = now - last;
		done = now - began >= span_ns;
		for (int i = 0; i < 2; i++) {
			uint64_t progress = shared->worker[who[i]].progress;

			if (now - moved[i] > stall)
				stall = now - moved[i];
			if (progress != seen[i])
				moved[i] = now;
			seen[i] = progress;
			done = done && progress - from[i] >= least;
			if (now - moved[i] > GIVE_UP_NS)
				crew_die(
					"worker %u made no progress for 60 s while others were stopped",
					who[i]);
		}
	}
	*ret_stall_ns = stall;
	*ret_late_ns = late;
}

static double ms_at(const int64_t *v, uint64_t n, double part)
{
	return (double)v[(uint64_t)((double)(n - 1) * part)] / CREW_MS;
}

/*
 * Sorts. The worst stall, of which the monitor's own lateness in the same stop is taken off: it saw
 * nothing then.
 */
static int64_t report(const char *name, struct sample *s)
{
	int64_t worst = 0;

	for (uint64_t i = 0; i < s->stops; i++)
		if (s->stall_ns[i] - s->late_ns[i] > worst)
			worst = s->stall_ns[i] - s->late_ns[i];
	crew_sort(s->stall_ns, s->stops);
	crew_sort(s->late_ns, s->stops);
	(void)printf("  %-14s %5" PRIu64
		     " stops: stall ms median %.2f, p90 %.2f, p99 %.2f, max %.2f; "
		     "the monitor's own lateness p99 %.2f, max %.2f\n",
		name, s->stops, ms_at(s->stall_ns, s->stops, 0.5),
		ms_at(s->stall_ns, s->stops, 0.9), ms_at(s->stall_ns, s->stops, 0.99),
		ms_at(s->stall_ns, s->stops, 1), ms_at(s->late_ns, s->stops, 0.99),
		ms_at(s->late_ns, s->stops, 1));
	free(s->stall_ns);
	free(s->late_ns);
	return worst;
}

/* All counts, when everybody has ended. */
static void check(void)
{
	struct sq *h = crew_open("stall");
	struct sq_stat st;

	(void)sq_stat(h, &st);
	if (shared->put != shared->taken || st.redelivered)
		crew_die("%" PRIu64 " put, %" PRIu64 " taken, %" PRIu64 " redelivered", shared->put,
			shared->taken, st.redelivered);
	crew_check_rest(h, shared->put);
	sq_close(h);
}

static int64_t run(const char *name, uint64_t capacity, uint64_t stops, uint64_t *random)
{
	struct sample sample = {.stops = stops};
	struct sq_config config = {.capacity = capacity, .max_message = MESSAGE_MAX};
	pid_t pid[WORKERS];

	sample.stall_ns = calloc(stops, sizeof(int64_t));
	sample.late_ns = calloc(stops, sizeof(int64_t));
	shared = crew_share(sizeof(*shared));
	if (capacity)
		crew_queue("stall", &config);
	for (unsigned i = 0; i < WORKERS; i++) {
		pid[i] = crew_fork();
		if (pid[i] == 0) {
			worker(i, capacity == 0);
			exit(0);
		}
	}
	for (unsigned i = 0; i < WORKERS; i++)
		while (shared->worker[i].progress == 0 && !crew_failed())
			sleep_ns(SAMPLE_NS);
	for (uint64_t n = 0; n < stops; n++) {
		uint64_t dice = rng_next(random) >> 32;
		unsigned p = dice % 2, c = PRODUCERS + dice / 2 % 2;
		int64_t span = STOP_NS_MIN + (int64_t)(dice / 4 % (STOP_NS_MAX - STOP_NS_MIN));

		const unsigned others[2] = {PRODUCERS - 1 - p, 2 * PRODUCERS + CONSUMERS - 1 - c};

		crew_stop(pid[p]);
		crew_stop(pid[c]);
		watch(others, span, LAPS * capacity, &sample.stall_ns[n], &sample.late_ns[n]);
		(void)kill(pid[p], SIGCONT);
		(void)kill(pid[c], SIGCONT);
		sleep_ns((int64_t)(rng_next(random) % CREW_MS));
	}
	shared->enough = true;
	for (unsigned i = 0; i < WORKERS; i++) {
		if (i == PRODUCERS)
			shared->over = true;
		if (crew_wait(pid[i]))
			crew_die("worker %u failed", i);
	}
	if (capacity)
		check();
	return report(name, &sample);
}

int main(int argc, char **argv)
{
	uint64_t seed = option_number(argc, argv, "--seed", (uint64_t)now_ns()),
		 random = rng_mix(seed);
	uint64_t stops = option_number(argc, argv, "--stops", 1000);
	uint64_t tiny = option_number(argc, argv, "--stops-tiny", 300);
	uint64_t half = option_number(argc, argv, "--stops-control", 300) / 2 + 1;
	int64_t noise = 0, again, worst, plays = 0;
	bool judged = time_is_judged();

	options_end(argc, argv);
	crew_init("stop_stall", seed, ALARM_S);
	do {
		if (judged)
			noise = run("control before", 0, half, &random);
		worst = run("capacity 1024", 1024, stops, &random);
		again = run("capacity 4", 4, tiny, &random);
		if (again > worst)
			worst = again;
		if (!judged)
			break;
		again = run("control after", 0, half, &random);
		if (again > noise)
			noise = again;
		if (worst <= noise + LIMIT_NS)
			break;
		if (++plays == PLAYS)
			crew_die("a running pair stood still for %" PRId64
				 " ms, the control for %" PRId64 " ms, and so it was %d times",
				worst / CREW_MS, noise / CREW_MS, PLAYS);
	} while (true);
	return crew_finish(
		"%" PRIu64
		" stops passed, 0 failed: longest stall seen by a monitor on time %.1f ms, of the control %.1f ms",
		stops + tiny, (double)worst / CREW_MS, (double)noise / CREW_MS);
}
