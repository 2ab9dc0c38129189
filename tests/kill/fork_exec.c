/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "crew.h"
#include "now.h"

/*
 * A process with a handle and a lease starts a child in each of the ways there are, and is killed.
 * The child lives on, and must not keep its parent's participant alive: the lease comes back, the
 * slot is free again. So it does if the process itself becomes another program.
 */

#define ROUNDS      5
#define MESSAGE_MAX 1000
#define ALARM_S     1000
#define THREADS     3
#define OUTLIVES    "3600" /* seconds: longer than the test. It ends with us */
#define DEAD_NS     (60 * (int64_t)CREW_SECOND)
#define PARTICIPANTS                                                                               \
	2 /* this process and the one to be killed: a slot that is not given back is missed at once */

extern char **environ;

static struct shared {
	_Atomic pid_t grandchild;
	_Atomic bool ready;
} * shared;

/* In a child: the handle is dead, and freeing it disturbs nobody. */
static void check_inherited(struct sq *h)
{
	struct sq_stat st;
	char c;

	must("sq_put in the child", sq_put(h, "x", 1, SQ_NOWAIT), -EBADF);
	must("sq_get in the child", (int)sq_get(h, &c, 1, SQ_NOWAIT), -EBADF);
	must("sq_stat in the child", sq_stat(h, &st), -EBADF);
	sq_close(h);
}

static void by_fork(struct sq *h)
{
	pid_t pid = fork();

	if (pid == 0) {
		check_inherited(h);
		shared->ready = true;
		for (;;)
			(void)pause();
	}
	shared->grandchild = pid;
}

static void by_fork_unused(struct sq *h)
{
	pid_t pid = fork();

	if (pid == 0) {
		shared->ready = true;
		for (;;)
			(void)pause();
	}
	shared->grandchild = pid;
}

static void by_exec(struct sq *h)
{
	int gone[2];
	pid_t pid;
	char c;

	/*
	 * Its end closes as exec() succeeds: until the child has run at all, it does hold what its
	 * parent held.
	 */
	if (pipe2(gone, O_CLOEXEC) < 0)
		crew_die("pipe: %s", strerror(errno));
	pid = fork();
	if (pid == 0) {
		(void)execlp("sleep", "sleep", OUTLIVES, (char *)NULL);
		_exit(1);
	}
	(void)close(gone[1]);
	(void)!read(gone[0], &c, 1);
	shared->grandchild = pid;
	shared->ready = true;
}

/* vfork() runs no atfork handlers: it is exec that closes what the child has. */
static void by_vfork(struct sq *h)
{
	char *argv[] = {(char[]){"sleep"}, (char[]){OUTLIVES}, NULL};
	pid_t pid;

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
	pid = vfork();
#pragma GCC diagnostic pop
	if (pid == 0) {
		(void)execvp(argv[0], argv);
		_exit(1);
	}
	shared->grandchild = pid;
	shared->ready = true;
}

/* Threads that open and close all the time, and hold the lock of the mappings now and then. */
static void *come_and_go(void *arg)
{
	for (;;) {
		struct sq *own;

		if (sq_open(&own, "others") == 0)
			sq_close(own);
	}
	return arg;
}

static void by_fork_in_threads(struct sq *h)
{
	pthread_t thread;

	for (int i = 0; i < THREADS; i++)
		if (pthread_create(&thread, NULL, come_and_go, NULL) != 0)
			crew_die("pthread_create failed");
	sleep_ns(CREW_MS);
	by_fork(h);
}

static void by_spawn(struct sq *h)
{
	char *argv[] = {(char[]){"sleep"}, (char[]){OUTLIVES}, NULL};
	pid_t pid;

	if (posix_spawnp(&pid, "sleep", NULL, NULL, argv, environ) != 0)
		crew_die("posix_spawnp failed");
	shared->grandchild = pid;
	shared->ready = true;
}

static void run(const char *name, void (*start)(struct sq *h))
{
	struct sq_config config = {
		.capacity = 4, .max_message = MESSAGE_MAX, .participants = PARTICIPANTS};
	struct sq_lease lease;
	struct sq_stat st;
	struct sq *h;
	pid_t pid;

	shared->ready = false;
	shared->grandchild = 0;
	crew_queue("family", &config);
	h = crew_open("family");
	must("sq_put", sq_put(h, "task", 4, SQ_NOWAIT), 0);
	pid = crew_fork();
	if (pid == 0) {
		struct sq *own = crew_open("family");

		must("sq_lease", sq_lease(own, &lease, SQ_NOWAIT), 0);
		start(own);
		for (;;)
			(void)pause();
	}
	while ((!shared->ready || shared->grandchild <= 0) && !crew_failed())
		sleep_ns(CREW_MS);
	crew_adopt(shared->grandchild);
	must("sq_recover while it lives", sq_recover(h), 0);
	must("sq_lease while it is leased", sq_lease(h, &lease, SQ_NOWAIT), -EAGAIN);
	crew_kill(pid);
	if (crew_failed() || kill(shared->grandchild, 0) < 0)
		crew_die("%s: the child did not live on", name);
	must("sq_recover after the death", sq_recover(h), 1);
	must("sq_lease after the death", sq_lease(h, &lease, SQ_NOWAIT), 0);
	if (lease.attempts != 2 || lease.len != 4 || memcmp(lease.data, "task", 4) != 0)
		crew_die("%s: the lease came back otherwise than it was", name);
	must("sq_ack", sq_ack(h, &lease), 0);
	(void)sq_stat(h, &st);
	if (st.participants != 1 || st.reclaimed != 1)
		crew_die("%s: %u participants, %" PRIu64 " leases reclaimed", name, st.participants,
			st.reclaimed);
	/* The slot is free again. */
	sq_close(crew_open("family"));
	crew_kill(shared->grandchild); /* ours, as we are the subreaper */
	crew_check_rest(h, 1);
	sq_close(h);
}

/* A process that calls exec without closing is gone as a participant, though it lives on. */
static void run_exec_itself(void)
{
	struct sq_config config = {
		.capacity = 4, .max_message = MESSAGE_MAX, .participants = PARTICIPANTS};
	struct sq_lease lease;
	int gone[2], found;
	int64_t until;
	struct sq *h;
	pid_t pid;
	char c;

	crew_queue("family", &config);
	h = crew_open("family");
	must("sq_put", sq_put(h, "task", 4, SQ_NOWAIT), 0);
	if (pipe2(gone, O_CLOEXEC) < 0)
		crew_die("pipe: %s", strerror(errno));
	pid = crew_fork();
	if (pid == 0) {
		struct sq *own = crew_open("family");
		void *at;

		must("sq_lease", sq_lease(own, &lease, SQ_NOWAIT), 0);
		must("sq_reserve", sq_reserve(own, 900, &at), 0);
		(void)execlp("sleep", "sleep", OUTLIVES, (char *)NULL);
		crew_die("exec: %s", strerror(errno));
	}
	(void)close(gone[1]);
	(void)!read(gone[0], &c, 1);
	(void)close(gone[0]);
	until = now_ns() + DEAD_NS;
	/* exec closes one descriptor after the other, and the pipe's may be the first. */
	while ((found = sq_recover(h)) == 0 && now_ns() < until)
		sleep_ns(CREW_MS / 10);
	must("sq_recover after the exec", found, 1);
	must("sq_lease after the exec", sq_lease(h, &lease, SQ_NOWAIT), 0);
	if (lease.attempts != 2)
		crew_die("after the exec: attempts %u", lease.attempts);
	must("sq_ack", sq_ack(h, &lease), 0);
	if (crew_failed() || kill(pid, 0) < 0)
		crew_die("the process did not live on");
	crew_kill(pid);
	crew_check_rest(h, 1);
	sq_close(h);
}

int main(void)
{
	static const struct {
		const char *name;
		void (*start)(struct sq *h);
	} ways[] = {
		{"fork", by_fork},
		{"fork, unused", by_fork_unused},
		{"fork and exec", by_exec},
		{"posix_spawn", by_spawn},
		{"vfork and exec", by_vfork},
		{"fork in threads", by_fork_in_threads},
	};
	size_t n = sizeof(ways) / sizeof(ways[0]);

	crew_init("fork_exec", 0, ALARM_S);
	shared = crew_share(sizeof(*shared));
	if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
		crew_die("prctl: %s", strerror(errno));
	crew_queue("others", NULL);
	for (int round = 0; round < ROUNDS; round++) {
		for (size_t i = 0; i < n; i++)
			run(ways[i].name, ways[i].start);
		run_exec_itself();
	}
	return crew_finish("%zu ways passed, 0 failed: %d times each", n + 1, ROUNDS);
}
