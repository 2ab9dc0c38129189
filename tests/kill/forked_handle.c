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
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "crew.h"
#include "ops/handle.h"
#include "options.h"

/*
 * What a child can do with a handle that came to it through fork(): nothing, in no public call, and
 * not unnoticed. And what it does to its parent: nothing either, whatever it calls and however it
 * ends. Each child is made by a parent that has a lease and a reservation in hand, in a process of
 * one thread and in one whose other threads are in the middle of calls.
 *
 *	--forks 200 --map FILE    the library's list of symbols: none may be forgotten here
 */

#define ROUNDS      10
#define THREADS     4
#define BLOCK       900
#define DESCRIPTORS 256
#define KEY         3
#define ALARM_S     1000

/* What the parent has in hand when it forks. */
static struct hand {
	struct sq *h;
	struct sq_lease lease;
	void *reserved;
	char path[256];
} hand;

static struct shared {
	_Atomic uint64_t refused, faults, opened;
	_Atomic uint64_t own; /* messages put by children through their own handles */
} * shared;

/* One call of every function that takes a handle. */
static int do_put(struct sq *h)
{
	return sq_put(h, "x", 1, SQ_NOWAIT);
}

static int do_get(struct sq *h)
{
	char c;

	return (int)sq_get(h, &c, 1, SQ_NOWAIT);
}

static int do_put_many(struct sq *h)
{
	char c = 'x';

	return sq_put_many(h, &(struct iovec){.iov_base = &c, .iov_len = 1}, 1, SQ_NOWAIT);
}

static int do_get_many(struct sq *h)
{
	struct iovec iov;
	char c;

	return sq_get_many(h, &c, 1, &iov, 1, SQ_NOWAIT);
}

static int do_reserve(struct sq *h)
{
	void *at;

	return sq_reserve(h, 1, &at);
}

static int do_commit(struct sq *h)
{
	return sq_commit(h, BLOCK, SQ_NOWAIT);
}

/* It returns nothing; that it did nothing is seen by the parent's commit. */
static int do_abort(struct sq *h)
{
	sq_abort(h);
	return -EBADF;
}

static int do_lease(struct sq *h)
{
	struct sq_lease lease;

	return sq_lease(h, &lease, SQ_NOWAIT);
}

static int do_ack(struct sq *h)
{
	return sq_ack(h, &hand.lease);
}

static int do_nack(struct sq *h)
{
	return sq_nack(h, &hand.lease);
}

static int do_return(struct sq *h)
{
	return sq_return(h, &hand.lease);
}

static int do_touch(struct sq *h)
{
	return sq_touch(h, &hand.lease);
}

static int do_shutdown(struct sq *h)
{
	return sq_shutdown(h, true);
}

static int do_join(struct sq *h)
{
	return sq_join(h, SQ_NOWAIT);
}

static int do_stat(struct sq *h)
{
	struct sq_stat st;

	return sq_stat(h, &st);
}

static int do_recover(struct sq *h)
{
	return sq_recover(h);
}

static int do_bind(struct sq *h)
{
	uint64_t n;

	return sq_count_bind(h, KEY + 1, &n);
}

static int do_bound(struct sq *h)
{
	uint64_t n;

	return sq_count_read(h, KEY, &n);
}

static int do_last_put(struct sq *h)
{
	uint64_t id;

	return sq_last_put(h, &id);
}

static int do_retire(struct sq *h)
{
	return sq_retire(h);
}

static int do_durable_run(struct sq *h)
{
	uint64_t number;

	return sq_durable_run(h, &number);
}

static int do_held(struct sq *h)
{
	return sq_held(h, NULL, 0);
}

static int do_find(struct sq *h)
{
	return sq_find(h, hand.lease.id);
}

static int do_lease_id(struct sq *h)
{
	struct sq_lease lease;

	return sq_lease_id(h, hand.lease.id, &lease);
}

static int do_mark(struct sq *h)
{
	uint64_t mark;

	return sq_mark(h, &mark);
}

static int do_passed(struct sq *h)
{
	return sq_passed(h, hand.lease.id);
}

static int do_arm(struct sq *h)
{
	struct sq_watch watch;

	return sq_arm(h, SQ_NEWS_MESSAGE, &watch);
}

static int do_wanted(struct sq *h)
{
	return sq_wanted(h);
}

static const struct {
	const char *name;
	int (*call)(struct sq *h); /* NULL: takes no handle, or makes one, or is sq_close() */
} calls[] = {
	{"sq_put", do_put},
	{"sq_get", do_get},
	{"sq_put_many", do_put_many},
	{"sq_get_many", do_get_many},
	{"sq_reserve", do_reserve},
	{"sq_commit", do_commit},
	{"sq_abort", do_abort},
	{"sq_lease", do_lease},
	{"sq_ack", do_ack},
	{"sq_nack", do_nack},
	{"sq_return", do_return},
	{"sq_touch", do_touch},
	{"sq_shutdown", do_shutdown},
	{"sq_join", do_join},
	{"sq_stat", do_stat},
	{"sq_recover", do_recover},
	{"sq_count_bind", do_bind},
	{"sq_count_read", do_bound},
	{"sq_last_put", do_last_put},
	{"sq_retire", do_retire},
	{"sq_durable_run", do_durable_run},
	{"sq_held", do_held},
	{"sq_find", do_find},
	{"sq_lease_id", do_lease_id},
	{"sq_mark", do_mark},
	{"sq_passed", do_passed},
	{"sq_arm", do_arm},
	{"sq_wanted", do_wanted},
	{"sq_close", NULL},
	{"sq_create", NULL},
	{"sq_size", NULL},
	{"sq_unlink", NULL},
	{"sq_open", NULL},
	{"sq_open_durable", NULL},
	{"sq_check", NULL},
	{"sq_list", NULL},
	{"sq_look", NULL},
	{"sq_gc", NULL},
	{"sq_sweep", NULL},
	{"sq_prefix", NULL},
	{"sq_strerror", NULL},
	{"sq_version", NULL},
};
#define CALLS (sizeof(calls) / sizeof(calls[0]))

/* Every symbol of the library is in the table above. */
static void check_table(const char *map)
{
	FILE *f = fopen(map, "re");
	char line[128];
	size_t n = 0;

	if (!f)
		crew_die("%s: %s", map, strerror(errno));
	while (fgets(line, sizeof(line), f)) {
		char *name = strstr(line, "sq_");
		bool found = false;

		if (!name)
			continue;
		name[strcspn(name, "; \n")] = 0;
		for (size_t i = 0; i < CALLS; i++)
			found = found || strcmp(calls[i].name, name) == 0;
		if (!found)
			crew_die("%s is public and not tried in a child", name);
		n++;
	}
	(void)fclose(f);
	if (n != CALLS)
		crew_die("the library has %zu functions, the table %zu", n, CALLS);
}

/* No descriptor of ours is on the queue's file. */
static void check_descriptors(void)
{
	struct stat queue, st;

	if (stat(hand.path, &queue) < 0)
		crew_die("%s: %s", hand.path, strerror(errno));
	for (int fd = 0; fd < DESCRIPTORS; fd++)
		if (fstat(fd, &st) == 0 && st.st_dev == queue.st_dev && st.st_ino == queue.st_ino)
			crew_die("descriptor %d of the child keeps its parent alive", fd);
}

/* Touch what the parent may touch: a grandchild must die of it. */
static void check_fault(const volatile char *at)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		char c;

		/* A sanitizer would make a report and an exit of it. */
		(void)signal(SIGSEGV, SIG_DFL);
		(void)signal(SIGBUS, SIG_DFL);
		(void)setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
		c = *at;

		_exit(c ? 0 : 1);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		crew_die("fork in the child: %s", strerror(errno));
	if (!WIFSIGNALED(status) || (WTERMSIG(status) != SIGSEGV && WTERMSIG(status) != SIGBUS))
		crew_die("the child can read the queue's memory through its parent's handle");
	shared->faults++;
}

enum way { LEAVE, CLOSE, OWN, KILLED, WAYS };

/* In the child. `h` is any handle of the parent's, whatever its thread is doing with it. */
static void try_all(struct sq *h)
{
	for (size_t i = 0; i < CALLS; i++) {
		if (!calls[i].call)
			continue;
		must(calls[i].name, calls[i].call(h), -EBADF);
		shared->refused++;
	}
}

static void be_child(enum way way, bool deep)
{
	(void)alarm(ALARM_S / 2);
	check_descriptors();
	try_all(hand.h);
	if (deep) {
		check_fault(hand.lease.data);
		check_fault(hand.reserved);
	}
	/*
	 * No exit(): what the parent registered for its own end is not for us. Leaving, closing and
	 * being killed are the three ways a child gives its copy up.
	 */
	switch (way) {
	case CLOSE:
		sq_close(hand.h);
		break;
	case OWN: {
		struct sq *own = crew_open("forked");
		uint64_t n;

		must("sq_put of its own", sq_put(own, "own", 4, SQ_NOWAIT), 0);
		must("sq_count_bind of its own", sq_count_bind(own, KEY + 2, &n), 0);
		/* The parent's is no better for that. */
		try_all(hand.h);
		shared->own++;
		sq_close(own);
		sq_close(hand.h);
		break;
	}
	case KILLED:
		(void)raise(SIGKILL);
		break;
	default:
		break;
	}
	_exit(0);
}

static void make_child(enum way way, bool deep)
{
	pid_t pid = crew_fork();
	int status;

	if (pid == 0)
		be_child(way, deep);
	status = crew_wait(pid);
	if (way == KILLED ? !WIFSIGNALED(status) : status != 0)
		crew_die("the child ended with status %x", (unsigned)status);
	shared->opened++;
}

/* The parent between reserve and commit, with a lease in hand: both are as they were. */
static void round_of(struct sq *witness, enum way way, uint64_t base)
{
	char block[BLOCK];
	struct sq_stat st;
	struct sq_lease again;
	char got[BLOCK];
	uint64_t n;

	must("sq_put", sq_put(hand.h, "held", 5, SQ_NOWAIT), 0);
	must("sq_lease", sq_lease(hand.h, &hand.lease, SQ_NOWAIT), 0);
	must("sq_reserve", sq_reserve(hand.h, BLOCK, &hand.reserved), 0);
	memset(hand.reserved, 'b', BLOCK);
	make_child(way, true);
	/* The child is gone, its parent lives. */
	must("sq_recover", sq_recover(witness), 0);
	must("sq_lease of what is leased", sq_lease(witness, &again, SQ_NOWAIT),
		way == OWN ? 0 : -EAGAIN);
	if (way == OWN) {
		if (again.len != 4 || memcmp(again.data, "own", 4) != 0)
			crew_die("the child's own message is not what it put");
		must("sq_ack of the child's own", sq_ack(witness, &again), 0);
	}
	must("sq_stat", sq_stat(witness, &st), 0);
	if (st.participants != 2 || st.leased != 1 || st.closed != SQ_OPEN || st.reclaimed)
		crew_die("after the child: %u participants, %" PRIu64
			 " leased, closed %u, reclaimed %" PRIu64,
			st.participants, st.leased, st.closed, st.reclaimed);
	must("sq_commit", sq_commit(hand.h, BLOCK, SQ_NOWAIT), 0);
	must("sq_ack", sq_ack(hand.h, &hand.lease), 0);
	must("sq_get", (int)sq_get(hand.h, got, sizeof(got), SQ_NOWAIT), BLOCK);
	memset(block, 'b', BLOCK);
	if (memcmp(got, block, BLOCK) != 0)
		crew_die("the reservation is not what its owner wrote");
	must("sq_count_read", sq_count_read(witness, KEY, &n), 0);
	if (n != base + 2)
		crew_die("the parent's durable count is %" PRIu64 ", not %" PRIu64, n, base + 2);
}

static void one_thread(void)
{
	struct sq *witness = crew_open("forked");
	uint64_t n, own;

	hand.h = crew_open("forked");
	must("sq_count_bind", sq_count_bind(hand.h, KEY, &n), 0);
	for (int i = 0; i < ROUNDS; i++)
		for (enum way way = LEAVE; way < WAYS; way++, n += 2)
			round_of(witness, way, n);
	sq_close(hand.h);
	must("sq_count_read", sq_count_read(witness, KEY + 2, &own), 0);
	if (own != 0)
		crew_die("a child's durable count has what it put before it was bound");
	crew_check_rest(witness, n + shared->own);
	sq_close(witness);
}

/* The other threads: in calls, and opening and closing, all the time. */
static atomic_bool enough;
static struct sq *of_thread[THREADS]; /* the one that stays open */

static void *busy(void *arg)
{
	struct sq **at = arg, *h = *at;
	char buf[BLOCK] = {0};
	struct sq_lease lease;

	for (unsigned i = 0; !enough; i++) {
		struct sq *other = i % 8 == 0 ? crew_open("busy") : NULL;

		(void)sq_put(h, buf, i % 2 ? BLOCK : 8, SQ_NOWAIT);
		if (i % 3 == 0)
			(void)sq_get(h, buf, sizeof(buf), CREW_MS / 10);
		else if (sq_lease(h, &lease, CREW_MS / 10) == 0)
			(void)sq_ack(h, &lease);
		sq_close(other);
	}
	return NULL;
}

static void many_threads(uint64_t forks)
{
	struct sq_config config = {.capacity = 8, .max_message = BLOCK, .participants = 64};
	pthread_t thread[THREADS];
	struct sq *h;
	struct sq_stat st;
	char buf[BLOCK];

	crew_queue("busy", &config);
	hand.h = crew_open("busy");
	must("sq_put", sq_put(hand.h, "held", 5, SQ_NOWAIT), 0);
	must("sq_lease", sq_lease(hand.h, &hand.lease, SQ_NOWAIT), 0);
	(void)snprintf(hand.path, sizeof(hand.path), "/dev/shm/sq.%s.busy", getenv("SQ_PREFIX"));
	for (int i = 0; i < THREADS; i++) {
		of_thread[i] = crew_open("busy");
		if (pthread_create(&thread[i], NULL, busy, &of_thread[i]) != 0)
			crew_die("pthread_create failed");
	}
	for (uint64_t n = 0; n < forks; n++) {
		pid_t pid = crew_fork();

		if (pid == 0) {
			(void)alarm(ALARM_S / 2);
			check_descriptors();
			for (int i = 0; i < THREADS; i++)
				try_all(of_thread[i]);
			try_all(hand.h);
			h = crew_open("busy");
			must("sq_stat of its own", sq_stat(h, &st), 0);
			if (n % 2)
				sq_close(h); /* else its end does it */
			_exit(0);
		}
		if (crew_wait(pid) != 0)
			crew_die("a child of a process with threads failed");
		shared->opened++;
	}
	enough = true;
	for (int i = 0; i < THREADS; i++) {
		(void)pthread_join(thread[i], NULL);
		sq_close(of_thread[i]);
	}
	must("sq_ack", sq_ack(hand.h, &hand.lease), 0);
	while (sq_get(hand.h, buf, sizeof(buf), SQ_NOWAIT) >= 0)
		;
	/* The children that did not close are the dead; nothing of the threads' was reclaimed. */
	must("sq_recover", sq_recover(hand.h) < 0, 0);
	must("sq_stat", sq_stat(hand.h, &st), 0);
	if (st.participants != 1 || st.reclaimed || st.redelivered)
		crew_die("%u participants, %" PRIu64 " reclaimed, %" PRIu64 " redelivered",
			st.participants, st.reclaimed, st.redelivered);
	crew_check_rest(hand.h, ~(uint64_t)0);
	sq_close(hand.h);
}

int main(int argc, char **argv)
{
	uint64_t forks = option_number(argc, argv, "--forks", 200);
	const char *map = option_text(argc, argv, "--map", NULL);
	struct sq_config config = {.capacity = 8, .max_message = BLOCK, .participants = 3};
	size_t handles = 0;

	for (size_t i = 0; i < CALLS; i++)
		handles += calls[i].call != NULL;
	options_end(argc, argv);
	crew_init("forked_handle", 0, ALARM_S);
	shared = crew_share(sizeof(*shared));
	if (map)
		check_table(map);
	crew_queue("forked", &config);
	(void)snprintf(hand.path, sizeof(hand.path), "/dev/shm/sq.%s.forked", getenv("SQ_PREFIX"));
	one_thread();
	many_threads(forks);
	return crew_finish("%" PRIu64 " children passed, 0 failed: %" PRIu64
			   " calls refused, of all %zu functions that take a handle; %" PRIu64
			   " faults",
		shared->opened, shared->refused, handles, shared->faults);
}
