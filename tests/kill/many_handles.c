/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "crew.h"
#include "now.h"
#include "options.h"
#include "rng.h"

/*
 * Many handles in one process: each is a participant of its own, and what happens to one is no
 * concern of the others. A process's record locks would all go when it closes any descriptor of the
 * file; ours are of the open file descriptions, and this is where the difference shows. Then
 * threads: one that ends without closing is not dead, and a process that is killed with many
 * threads in calls leaves nothing behind.
 *
 *	--kills 30 --seed N
 */

#define PITFALLS    5
#define CHURN       100
#define THREADS     12
#define VALUES_MAX  (1 << 20)
#define BLOCK       900
#define RUN_NS_MAX  (20 * CREW_MS)
#define ALARM_S     600
#define NUMBER_BITS 40

static char path[256];

/* What another process finds: this many dead. */
static void others_find(const char *queue, int dead)
{
	pid_t pid = crew_fork();

	if (pid == 0) {
		struct sq *h = crew_open(queue);

		must("sq_recover by another process", sq_recover(h), dead);
		sq_close(h);
		_exit(0);
	}
	if (crew_wait(pid) != 0)
		crew_die("another process failed");
}

/* Things a program does that open the queue's file and close it again. */
static void fall_into(int pitfall)
{
	struct sq *h;
	int fd;

	switch (pitfall) {
	case 0:
		sq_close(crew_open("many"));
		break;
	case 1:
		if (sq_check("many") || sq_gc("many") != 0)
			crew_die("a check of the queue failed");
		break;
	case 2:
		fd = open(path, O_RDWR | O_CLOEXEC);
		if (fd < 0 || close(fd) < 0)
			crew_die("%s: %s", path, strerror(errno));
		break;
	case 3:
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0 || dup2(fd, 200) != 200 || close(200) < 0 || close(fd) < 0)
			crew_die("%s: %s", path, strerror(errno));
		break;
	default: /* one handle after the other, the first closed first */
		for (int i = 0; i < CHURN; i++) {
			struct sq *next = crew_open("many");

			if (i > 0)
				sq_close(h);
			h = next;
		}
		sq_close(h);
		break;
	}
}

/* Two handles with a lease each. The second closes; the first is not affected. */
static void two_handles(int pitfall)
{
	struct sq_config config = {.capacity = 8, .max_message = BLOCK, .participants = 8};
	struct sq *a, *b, *c;
	struct sq_lease la, lb, lc;
	struct sq_stat st;
	void *at;

	crew_queue("many", &config);
	a = crew_open("many");
	b = crew_open("many");
	must("sq_put", sq_put(a, "one", 3, SQ_NOWAIT), 0);
	must("sq_put", sq_put(b, "two", 3, SQ_NOWAIT), 0);
	must("sq_lease", sq_lease(a, &la, SQ_NOWAIT), 0);
	must("sq_lease", sq_lease(b, &lb, SQ_NOWAIT), 0);
	must("sq_reserve", sq_reserve(a, BLOCK, &at), 0);
	must("sq_reserve", sq_reserve(b, BLOCK, &at), 0);

	/* A lease is its handle's, not its process's. */
	must("sq_ack of the other's", sq_ack(a, &lb), -EINVAL);
	must("sq_nack of the other's", sq_nack(a, &lb), -EINVAL);
	must("sq_touch of the other's", sq_touch(a, &lb), -EINVAL);
	must("sq_ack of the other's", sq_ack(b, &la), -EINVAL);
	must("sq_touch of its own", sq_touch(b, &lb), 0);

	fall_into(pitfall);
	others_find("many", 0);
	must("sq_stat", sq_stat(a, &st), 0);
	if (st.participants != 2 || st.leased != 2)
		crew_die("%u participants and %" PRIu64 " leases, not 2 and 2", st.participants,
			st.leased);

	/* Closed while it holds: what it held comes back at once, and only that. */
	sq_close(b);
	others_find("many", 0);
	c = crew_open("many");
	must("sq_lease of what came back", sq_lease(c, &lc, SQ_NOWAIT), 0);
	if (lc.id != lb.id || lc.attempts != 2 || memcmp(lc.data, "two", 3) != 0)
		crew_die("what came back is not what the closed handle held");
	must("sq_lease of what is held", sq_lease(c, &lb, SQ_NOWAIT), -EAGAIN);
	must("sq_ack", sq_ack(c, &lc), 0);
	sq_close(c);
	others_find("many", 0);
	must("sq_touch of the first's", sq_touch(a, &la), 0);
	must("sq_commit of the first's", sq_commit(a, BLOCK, SQ_NOWAIT), 0);
	must("sq_ack of the first's", sq_ack(a, &la), 0);
	must("sq_lease", sq_lease(a, &la, SQ_NOWAIT), 0);
	if (la.len != BLOCK || la.attempts != 1)
		crew_die("the first's reservation came as %zu bytes", la.len);
	must("sq_ack", sq_ack(a, &la), 0);
	must("sq_stat", sq_stat(a, &st), 0);
	if (st.participants != 1 || st.reclaimed != 1)
		crew_die("%u participants, %" PRIu64 " reclaimed", st.participants, st.reclaimed);
	crew_check_rest(a, 3);
	sq_close(a);
}

/* Two handles of a process that is killed: two dead. Or the one closed before: one. */
static void two_handles_killed(bool close_one)
{
	struct sq_config config = {.capacity = 8, .max_message = BLOCK, .participants = 3};
	_Atomic bool *ready = crew_share(sizeof(*ready));
	struct sq_lease lease;
	struct sq *h;
	pid_t pid;

	crew_queue("many", &config);
	h = crew_open("many");
	for (int i = 0; i < 4; i++)
		must("sq_put", sq_put(h, "task", 4, SQ_NOWAIT), 0);
	pid = crew_fork();
	if (pid == 0) {
		struct sq *a = crew_open("many"), *b = crew_open("many");

		for (int i = 0; i < 2; i++) {
			must("sq_lease", sq_lease(a, &lease, SQ_NOWAIT), 0);
			must("sq_lease", sq_lease(b, &lease, SQ_NOWAIT), 0);
		}
		if (close_one)
			sq_close(a);
		*ready = true;
		for (;;)
			(void)pause();
	}
	while (!*ready && !crew_failed())
		sleep_ns(CREW_MS / 10);
	must("sq_recover while it lives", sq_recover(h), 0);
	crew_kill(pid);
	must("sq_recover of the dead", sq_recover(h), close_one ? 1 : 2);
	for (int i = 0; i < 4; i++) {
		must("sq_lease", sq_lease(h, &lease, SQ_NOWAIT), 0);
		if (lease.attempts != 2)
			crew_die("attempts %u", lease.attempts);
		must("sq_ack", sq_ack(h, &lease), 0);
	}
	crew_check_rest(h, 4);
	sq_close(h);
}

static struct sq_lease left_lease;

static void *leave_without_closing(void *arg)
{
	struct sq **ret = arg, *h = crew_open("many");

	must("sq_lease", sq_lease(h, &left_lease, SQ_NOWAIT), 0);
	*ret = h;
	return NULL;
}

/* A handle is not its thread's: another may go on with it. Its process's death is its death. */
static void thread_that_ends(void)
{
	struct sq_config config = {.capacity = 8, .max_message = BLOCK, .participants = 3};
	struct sq_lease lease;
	pthread_t thread;
	struct sq *h, *left;
	pid_t pid;

	crew_queue("many", &config);
	h = crew_open("many");
	must("sq_put", sq_put(h, "task", 4, SQ_NOWAIT), 0);
	if (pthread_create(&thread, NULL, leave_without_closing, &left) != 0 ||
		pthread_join(thread, NULL) != 0)
		crew_die("no thread");
	others_find("many", 0);
	must("sq_recover while the process lives", sq_recover(h), 0);
	must("sq_lease of what is held", sq_lease(h, &lease, SQ_NOWAIT), -EAGAIN);
	must("sq_ack by another thread", sq_ack(left, &left_lease), 0);
	sq_close(left);

	must("sq_put", sq_put(h, "task", 4, SQ_NOWAIT), 0);
	pid = crew_fork();
	if (pid == 0) {
		if (pthread_create(&thread, NULL, leave_without_closing, &left) != 0 ||
			pthread_join(thread, NULL) != 0)
			crew_die("no thread");
		_exit(0); /* nor does the process close it */
	}
	if (crew_wait(pid) != 0)
		crew_die("the child failed");
	must("sq_recover after the process", sq_recover(h), 1);
	must("sq_lease of what came back", sq_lease(h, &lease, SQ_NOWAIT), 0);
	must("sq_ack", sq_ack(h, &lease), 0);
	crew_check_rest(h, 2);
	sq_close(h);
}

/* What the threads of the one to be killed show of themselves. */
static struct shared {
	_Atomic uint64_t going;
	struct {
		_Alignas(64) _Atomic uint64_t in_get; /* a message may be in its hand */
	} thread[THREADS];
	_Atomic uint8_t got[THREADS][VALUES_MAX];
} * shared;

static void note(uint64_t value)
{
	uint64_t thread = value >> NUMBER_BITS, number = value % ((uint64_t)1 << NUMBER_BITS);

	if (thread >= THREADS || number >= VALUES_MAX)
		crew_die("value %" PRIx64 " was never put", value);
	shared->got[thread][number]++;
}

/* Thread i: a third put, a third get, a third lease, all the time. */
static void *work(void *arg)
{
	uint64_t i = (uint64_t)(uintptr_t)arg, n;
	struct sq *h = crew_open("many");
	unsigned char buf[BLOCK];
	struct sq_lease lease;
	ssize_t len;

	if (i % 3 == 0)
		must("sq_count_bind", sq_count_bind(h, i + 1, &n), 0);
	shared->going++;
	for (n = 0; i % 3 != 0 || n < VALUES_MAX;) {
		switch (i % 3) {
		case 0:
			n += sq_put(h, buf,
				     crew_write(
					     buf, i << NUMBER_BITS | n, n % 2 ? BLOCK : CREW_HEAD),
				     CREW_MS) == 0;
			break;
		case 1:
			shared->thread[i].in_get = 1;
			len = sq_get(h, buf, sizeof(buf), CREW_MS);
			if (len > 0)
				note(crew_read(buf, (size_t)len));
			shared->thread[i].in_get = 0;
			break;
		default:
			/* Acked first and noted then: so that it is in hand for no longer. */
			if (sq_lease(h, &lease, CREW_MS) < 0)
				break;
			shared->thread[i].in_get = 1;
			n = crew_read(lease.data, lease.len);
			if (sq_ack(h, &lease) == 0)
				note(n);
			shared->thread[i].in_get = 0;
			break;
		}
	}
	for (;;)
		(void)pause();
	return NULL;
}

/* All threads die in one moment, wherever they are. How many values were under way in the end. */
static uint64_t killed_with_threads(uint64_t *random)
{
	struct sq_config config = {
		.capacity = 16, .max_message = BLOCK, .participants = THREADS + 1};
	uint64_t total = 0, lost = 0, may = 0, left, n;
	unsigned char buf[BLOCK];
	struct sq_stat st;
	struct sq *h;
	ssize_t len;
	pid_t pid;

	memset(shared, 0, sizeof(*shared));
	crew_queue("many", &config);
	h = crew_open("many");
	pid = crew_fork();
	if (pid == 0) {
		pthread_t thread;

		for (uintptr_t i = 0; i < THREADS; i++)
			if (pthread_create(&thread, NULL, work, (void *)i) != 0)
				crew_die("pthread_create failed");
		for (;;)
			(void)pause();
	}
	while (shared->going < THREADS && !crew_failed())
		sleep_ns(CREW_MS / 10);
	sleep_ns((int64_t)(rng_next(random) >> 1) % RUN_NS_MAX);
	crew_kill(pid);
	/* Those who had slept looked for the dead; but these were all alive until now. */
	must("sq_recover after the death", sq_recover(h), THREADS);
	must("sq_stat", sq_stat(h, &st), 0);
	if (st.participants != 1 || st.leased)
		crew_die("%u participants, %" PRIu64 " leases", st.participants, st.leased);
	left = st.depth;
	for (n = 0; (len = sq_get(h, buf, sizeof(buf), SQ_NOWAIT)) >= 0; n++)
		note(crew_read(buf, (size_t)len));
	must("sq_get at the end", (int)len, -EAGAIN);
	if (n != left)
		crew_die("%" PRIu64 " were left, %" PRIu64 " came", left, n);
	for (uint64_t i = 0; i < THREADS; i++) {
		may += shared->thread[i].in_get;
		if (i % 3)
			continue;
		must("sq_count_read", sq_count_read(h, i + 1, &n), 0);
		total += n;
		for (uint64_t v = 0; v < n; v++) {
			if (shared->got[i][v] > 1)
				crew_die("%" PRIu64 ":%" PRIu64 " arrived %u times", i, v,
					shared->got[i][v]);
			lost += shared->got[i][v] == 0;
		}
		if (n < VALUES_MAX && shared->got[i][n])
			crew_die("%" PRIu64 ":%" PRIu64 " arrived and was not put", i, n);
	}
	if (lost > may)
		crew_die("%" PRIu64 " values are lost, and %" PRIu64 " threads were in a get", lost,
			may);
	crew_check_rest(h, total);
	sq_close(h);
	return total;
}

int main(int argc, char **argv)
{
	uint64_t seed = option_number(argc, argv, "--seed", (uint64_t)now_ns()),
		 random = rng_mix(seed);
	uint64_t kills = option_number(argc, argv, "--kills", 30), total = 0;

	options_end(argc, argv);
	crew_init("many_handles", seed, ALARM_S);
	(void)snprintf(path, sizeof(path), "/dev/shm/sq.%s.many", getenv("SQ_PREFIX"));
	shared = crew_share(sizeof(*shared));
	for (int i = 0; i < PITFALLS; i++)
		two_handles(i);
	two_handles_killed(false);
	two_handles_killed(true);
	thread_that_ends();
	for (uint64_t i = 0; i < kills; i++)
		total += killed_with_threads(&random);
	return crew_finish("%d pitfalls, 3 deaths and %" PRIu64
			   " deaths with %d threads in calls passed, 0 failed: %" PRIu64
			   " messages",
		PITFALLS, kills, THREADS, total);
}
