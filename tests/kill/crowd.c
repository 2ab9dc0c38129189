/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "crew.h"
#include "now.h"
#include "ops/handle.h"
#include "options.h"
#include "rng.h"

/*
 * Many participants. Ten thousand that open and are killed, one after the other, with things in
 * hand, never exhaust the slots of a queue for eight. And more than a thousand processes on one
 * queue at once: they join, put, lease, and are killed all together; then exactly what they had put
 * is there, what they had leased is redelivered, and every slot is free. Once more while all of
 * them are in the middle of calls.
 *
 *	--cycles 10000 --crowd 1100 --seed N
 */

#define SLOTS       8
#define MESSAGES    6 /* in the queue of the short-lived */
#define BLOCK       900
#define CROWD_MAX   1500
#define VALUES_MAX  4096 /* of each of the crowd */
#define NUMBER_BITS 40
#define RUN_NS      (500 * CREW_MS)
#define ALARM_S     1500

static struct shared {
	_Atomic uint32_t ready, done;
	_Atomic uint64_t leased, moved;        /* by the short-lived */
	_Atomic uint32_t join, put, lease, go; /* gates */
	_Atomic bool in_get[CROWD_MAX];        /* a message may be in its hand */
	_Atomic uint8_t got[CROWD_MAX][VALUES_MAX];
} * shared;

/* One short life: it opens, takes something in hand, and is killed with it. */
static void live_and_die(uint64_t i)
{
	struct sq *h = crew_open("crowd");
	unsigned char buf[BLOCK];
	struct sq_lease lease;
	void *at;

	int r = 0;

	/* All messages may be leased by the dead: they stay there until the slots are needed. */
	switch (i % 4) {
	case 0:
		r = sq_lease(h, &lease, SQ_NOWAIT);
		shared->leased += r == 0;
		break;
	case 1:
		r = sq_reserve(h, BLOCK, &at);
		break;
	case 2:
		r = (int)sq_get(h, buf, sizeof(buf), SQ_NOWAIT);
		if (r > 0) {
			r = sq_put(h, buf, crew_write(buf, i, BLOCK), SQ_NOWAIT);
			must("sq_put", r, 0);
			shared->moved++;
		}
		break;
	default:
		break;
	}
	if (r != 0 && r != -EAGAIN)
		crew_die("cycle %" PRIu64 ": %s", i, sq_strerror(r));
	(void)raise(SIGKILL);
}

/* Only participants that open recover. */
static void cycles(uint64_t n)
{
	struct sq_config config = {.capacity = 8,
		.max_message = BLOCK,
		.participants = SLOTS,
		.block_memory = 1 << 14};
	unsigned char buf[BLOCK];
	struct sq_stat st;
	struct sq *h;

	crew_queue("crowd", &config);
	h = crew_open("crowd");
	for (int i = 0; i < MESSAGES; i++)
		must("sq_put", sq_put(h, buf, crew_write(buf, 0, BLOCK), SQ_NOWAIT), 0);
	for (uint64_t i = 0; i < n; i++) {
		pid_t pid = crew_fork();
		int status;

		if (pid == 0)
			live_and_die(i);
		status = crew_wait(pid);
		if (crew_failed() || !WIFSIGNALED(status))
			crew_die("cycle %" PRIu64 ": status %x", i, (unsigned)status);
	}
	if (sqi_load_seq(&h->ring.head->next_id) < n)
		crew_die("of %" PRIu64 " cycles %" PRIu64 " joined", n,
			(uint64_t)sqi_load_seq(&h->ring.head->next_id));
	must("sq_recover", sq_recover(h) < 0, 0);
	must("sq_stat", sq_stat(h, &st), 0);
	if (st.participants != 1 || st.depth != MESSAGES || st.leased)
		crew_die("after the cycles: %u participants, %" PRIu64 " messages, %" PRIu64
			 " leased",
			st.participants, st.depth, st.leased);
	for (int i = 0; i < MESSAGES; i++)
		must("sq_get", sq_get(h, buf, sizeof(buf), SQ_NOWAIT) > 0, 1);
	if (shared->leased < n / 16 || shared->moved < n / 16)
		crew_die("only %" PRIu64 " died with a lease, and %" PRIu64 " moved a message",
			shared->leased, shared->moved);
	crew_check_rest(h, MESSAGES + shared->moved);
	sq_close(h);
}

/* A thousand that look every millisecond would leave no time for anybody else. */
static void wait_for(_Atomic uint32_t *gate)
{
	while (!*gate)
		(void)syscall(SYS_futex, gate, FUTEX_WAIT, 0, NULL, NULL, 0);
}

static void open_gate(_Atomic uint32_t *gate)
{
	*gate = 1;
	(void)syscall(SYS_futex, gate, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

/* In step with all the others. */
static void step_by_step(unsigned i)
{
	unsigned char buf[BLOCK];
	struct sq_lease lease;
	struct sq *h;
	uint64_t n;

	wait_for(&shared->join);
	h = crew_open("crowd");
	must("sq_count_bind", sq_count_bind(h, i + 1, &n), 0);
	shared->ready++;
	wait_for(&shared->put);
	for (uint64_t v = 0; v < 2; v++)
		must("sq_put",
			sq_put(h, buf,
				crew_write(buf, (uint64_t)i << NUMBER_BITS | v, CREW_HEAD + v),
				SQ_NOWAIT),
			0);
	shared->done++;
	wait_for(&shared->lease);
	must("sq_lease", sq_lease(h, &lease, SQ_NOWAIT), 0);
	(void)crew_read(lease.data, lease.len);
	if (lease.attempts != 1)
		crew_die("attempts %u", lease.attempts);
	shared->ready++;
	for (;;)
		(void)pause();
}

static void note(uint64_t value)
{
	uint64_t who = value >> NUMBER_BITS, number = value % ((uint64_t)1 << NUMBER_BITS);

	if (who >= CROWD_MAX || number >= VALUES_MAX)
		crew_die("value %" PRIx64 " was never put", value);
	shared->got[who][number]++;
}

/* Each for itself, until it is killed. */
static void all_at_once(unsigned i)
{
	struct sq *h = crew_open("crowd");
	unsigned char buf[BLOCK];
	struct sq_lease lease;
	uint64_t n, dice = rng_mix(i);

	must("sq_count_bind", sq_count_bind(h, i + 1, &n), 0);
	shared->ready++;
	wait_for(&shared->go);
	for (n = 0;;) {
		uint64_t value;
		ssize_t len;

		switch (rng_next(&dice) >> 62) {
		case 0:
			shared->in_get[i] = true;
			len = sq_get(h, buf, sizeof(buf), CREW_MS);
			if (len > 0)
				note(crew_read(buf, (size_t)len));
			shared->in_get[i] = false;
			break;
		case 1:
			if (sq_lease(h, &lease, CREW_MS) < 0)
				break;
			value = crew_read(lease.data, lease.len);
			shared->in_get[i] = true;
			if (sq_ack(h, &lease) == 0)
				note(value);
			shared->in_get[i] = false;
			break;
		default:
			if (n == VALUES_MAX)
				break;
			len = (ssize_t)crew_write(
				buf, (uint64_t)i << NUMBER_BITS | n, n % 2 ? BLOCK : CREW_HEAD);
			n += sq_put(h, buf, (size_t)len, CREW_MS) == 0;
			break;
		}
	}
}

static void wait_until(const _Atomic uint32_t *count, uint32_t n)
{
	while (*count < n && !crew_failed())
		sleep_ns(CREW_MS);
	if (crew_failed())
		crew_die("one of the crowd failed");
}

static void kill_all(const pid_t *pid, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		(void)kill(pid[i], SIGKILL);
	for (unsigned i = 0; i < n; i++)
		(void)crew_wait(pid[i]);
}

static struct sq *begin(pid_t *pid, unsigned n, void (*live)(unsigned i))
{
	struct sq_config config = {.capacity = 4096,
		.max_message = BLOCK,
		.participants = n + 1,
		.block_memory = 1 << 18};
	struct sq *h;

	memset(shared, 0, sizeof(*shared));
	crew_queue("crowd", &config);
	h = crew_open("crowd");
	for (unsigned i = 0; i < n; i++) {
		pid[i] = crew_fork();
		if (pid[i] == 0)
			live(i);
	}
	open_gate(&shared->join);
	wait_until(&shared->ready, n);
	return h;
}

static void check_full_house(struct sq *h, unsigned n)
{
	struct sq_stat st;
	struct sq *late;

	must("sq_stat", sq_stat(h, &st), 0);
	if (st.participants != n + 1)
		crew_die("%u participants, not %u", st.participants, n + 1);
	must("sq_open of a full house", sq_open(&late, "crowd"), -EUSERS);
}

/* Exactly what they had put is there, half of it given back. How long the recovery took. */
static int64_t crowd_in_step(unsigned n)
{
	static pid_t pid[CROWD_MAX];
	struct sq *h = begin(pid, n, step_by_step);
	struct sq_stat st;
	struct sq_lease lease;
	uint64_t again = 0, bound;
	int64_t from, took;

	check_full_house(h, n);
	open_gate(&shared->put);
	wait_until(&shared->done, n);
	open_gate(&shared->lease);
	wait_until(&shared->ready, 2 * n);
	must("sq_recover while all live", sq_recover(h), 0);
	must("sq_stat", sq_stat(h, &st), 0);
	if (st.put != 2 * (uint64_t)n || st.leased != n || st.depth != n)
		crew_die("%" PRIu64 " put, %" PRIu64 " leased, %" PRIu64 " in the queue", st.put,
			st.leased, st.depth);
	kill_all(pid, n);
	from = now_ns();
	must("sq_recover of the crowd", sq_recover(h), (int)n);
	took = now_ns() - from;
	must("sq_stat", sq_stat(h, &st), 0);
	if (st.participants != 1 || st.leased || st.back != n || st.depth != 2 * (uint64_t)n ||
		st.reclaimed != n)
		crew_die("after the death of all: %u participants, %" PRIu64 " leased, %" PRIu64
			 " back, %" PRIu64 " in the queue",
			st.participants, st.leased, st.back, st.depth);
	while (sq_lease(h, &lease, SQ_NOWAIT) == 0) {
		note(crew_read(lease.data, lease.len));
		again += lease.attempts == 2;
		must("sq_ack", sq_ack(h, &lease), 0);
	}
	if (again != n)
		crew_die("%" PRIu64 " messages came again, not %u", again, n);
	for (unsigned i = 0; i < n; i++) {
		must("sq_count_read", sq_count_read(h, i + 1, &bound), 0);
		if (bound != 2 || shared->got[i][0] != 1 || shared->got[i][1] != 1)
			crew_die("of %u: %" PRIu64 " put, arrived %u and %u times", i, bound,
				shared->got[i][0], shared->got[i][1]);
	}
	crew_check_rest(h, 2 * (uint64_t)n);
	sq_close(h);
	return took;
}

/* All are killed in the middle of calls. How many messages. */
static uint64_t crowd_in_calls(unsigned n)
{
	static pid_t pid[CROWD_MAX];
	struct sq *h = begin(pid, n, all_at_once);
	uint64_t total = 0, lost = 0, may = 0, bound;
	unsigned char buf[BLOCK];
	struct sq_stat st;
	ssize_t len;

	open_gate(&shared->go);
	sleep_ns(RUN_NS);
	kill_all(pid, n);
	/* The last ones may have found the first ones dead, but nobody is found twice. */
	must("sq_recover of the crowd", sq_recover(h) > (int)n, 0);
	must("sq_stat", sq_stat(h, &st), 0);
	if (st.participants != 1 || st.leased)
		crew_die("after the death of all: %u participants, %" PRIu64 " leased",
			st.participants, st.leased);
	while ((len = sq_get(h, buf, sizeof(buf), SQ_NOWAIT)) >= 0)
		note(crew_read(buf, (size_t)len));
	for (unsigned i = 0; i < n; i++) {
		must("sq_count_read", sq_count_read(h, i + 1, &bound), 0);
		total += bound;
		may += shared->in_get[i];
		for (uint64_t v = 0; v < VALUES_MAX; v++) {
			if (shared->got[i][v] > (v < bound))
				crew_die("%u:%" PRIu64 " of %" PRIu64 " arrived %u times", i, v,
					bound, shared->got[i][v]);
			lost += v < bound && shared->got[i][v] == 0;
		}
	}
	if (lost > may)
		crew_die("%" PRIu64 " messages are lost, %" PRIu64 " were in a get", lost, may);
	crew_check_rest(h, total);
	sq_close(h);
	return total;
}

int main(int argc, char **argv)
{
	uint64_t seed = option_number(argc, argv, "--seed", (uint64_t)now_ns());
	uint64_t n = option_number(argc, argv, "--cycles", 10000);
	unsigned crowd = (unsigned)option_number(argc, argv, "--crowd", 1100);
	int64_t from, cycles_ns, recover_ns;
	uint64_t total;

	options_end(argc, argv);
	crew_init("crowd", seed, ALARM_S);
	shared = crew_share(sizeof(*shared));
	if (crowd == 0 || crowd > CROWD_MAX)
		crew_die("--crowd 1 to %d", CROWD_MAX);
	from = now_ns();
	cycles(n);
	cycles_ns = now_ns() - from;
	recover_ns = crowd_in_step(crowd);
	total = crowd_in_calls(crowd);
	return crew_finish("%" PRIu64
			   " lives on %d slots in %.1f s, and twice %u participants at once "
			   "passed, 0 failed: all recovered in %.0f ms; %" PRIu64
			   " messages of those killed in calls",
		n, SLOTS, (double)cycles_ns / CREW_SECOND, crowd, (double)recover_ns / CREW_MS,
		total);
}
