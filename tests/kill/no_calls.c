/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "crew.h"
#include "now.h"
#include "options.h"

/*
 * No system call while no call has to wait: a child makes messages come and go, by itself, so that
 * no other process has an effect on it, under a tracer that stops it at each system call. sq.h
 * allows one kind: a look at who is dead, forty times a second at most. Two calls of getppid() tell
 * where the stretch begins and ends.
 *
 *	--rounds 200000
 */

#define CAPACITY     64
#define BATCH        8
#define LARGE        900
#define LOOKS_MAX    40 /* in a second */
#define CALLS_A_LOOK 5  /* a lock query for each of the two participants, its name, the clock */
#define ALARM_S      600
#define SYSCALL_STOP (SIGTRAP | 0x80) /* with PTRACE_O_TRACESYSGOOD */

/* Everything that put and get are: small and large, copied and in place, one by one and many. */
static void round_of(struct sq *h)
{
	static char buf[LARGE], many[BATCH * 8];
	struct iovec in[BATCH], out[BATCH];
	struct sq_lease lease;
	void *room;

	must("sq_put", sq_put(h, buf, 8, SQ_FOREVER), 0);
	must("sq_get", sq_get(h, buf, sizeof(buf), SQ_FOREVER), 8);
	must("sq_get", sq_get(h, buf, sizeof(buf), SQ_NOWAIT), -EAGAIN);
	must("sq_put", sq_put(h, buf, LARGE, SQ_FOREVER), 0);
	must("sq_lease", sq_lease(h, &lease, SQ_FOREVER), 0);
	must("sq_ack", sq_ack(h, &lease), 0);
	must("sq_reserve", sq_reserve(h, LARGE, &room), 0);
	memset(room, 1, LARGE);
	must("sq_commit", sq_commit(h, LARGE, SQ_FOREVER), 0);
	must("sq_lease", sq_lease(h, &lease, SQ_FOREVER), 0);
	must("sq_nack", sq_nack(h, &lease), 0);
	must("sq_get", sq_get(h, buf, sizeof(buf), SQ_FOREVER), LARGE);
	for (int i = 0; i < BATCH; i++)
		in[i] = (struct iovec){buf, 8};
	must("sq_put_many", sq_put_many(h, in, BATCH, SQ_FOREVER), BATCH);
	must("sq_get_many", sq_get_many(h, many, sizeof(many), out, BATCH, SQ_FOREVER), BATCH);
}

static void child(uint64_t rounds)
{
	struct sq *h = crew_open("calls");

	round_of(h); /* the first of all may bring memory in */
	if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
		crew_die("ptrace: %s", strerror(errno));
	(void)raise(SIGSTOP);
	(void)syscall(SYS_getppid);
	for (uint64_t n = 0; n < rounds; n++)
		round_of(h);
	(void)syscall(SYS_getppid);
	sq_close(h);
}

/* To the next system call's entry, or the child's end (false). */
static bool next_call(pid_t pid, uint64_t *ret)
{
	struct __ptrace_syscall_info info;
	int status;

	for (;;) {
		if (ptrace(PTRACE_SYSCALL, pid, NULL, NULL) < 0)
			crew_die("ptrace: %s", strerror(errno));
		if (waitpid(pid, &status, 0) != pid)
			crew_die("waitpid: %s", strerror(errno));
		if (!WIFSTOPPED(status)) {
			if (status)
				crew_die("the child failed: status %x", (unsigned)status);
			return false;
		}
		if (WSTOPSIG(status) != SYSCALL_STOP)
			continue;
		if (ptrace(PTRACE_GET_SYSCALL_INFO, pid, (void *)sizeof(info), &info) < 0)
			crew_die("ptrace: %s", strerror(errno));
		if (info.op == PTRACE_SYSCALL_INFO_ENTRY) {
			*ret = info.entry.nr;
			return true;
		}
	}
}

int main(int argc, char **argv)
{
	uint64_t rounds = option_number(argc, argv, "--rounds", 200000), nr, calls = 0, allowed;
	int64_t from;
	struct sq_config config = {.capacity = CAPACITY, .max_message = LARGE};
	bool within = false, over = false;
	int status;
	pid_t pid;

	options_end(argc, argv);
	crew_init("no_calls", rounds, ALARM_S);
	crew_queue("calls", &config);
	pid = crew_fork();
	if (pid == 0) {
		child(rounds);
		_exit(0);
	}
	if (waitpid(pid, &status, WUNTRACED) != pid || !WIFSTOPPED(status))
		crew_die("the child did not stop to be traced");
	if (ptrace(PTRACE_SETOPTIONS, pid, NULL,
		    (void *)(PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL)) < 0)
		crew_die("ptrace: %s", strerror(errno));
	from = now_ns();
	while (next_call(pid, &nr)) {
		if (nr == SYS_getppid) {
			over = within;
			within = !within;
			continue;
		}
		if (!within)
			continue;
		calls++;
		if (nr != SYS_fcntl && nr != SYS_clock_gettime && nr != SYS_newfstatat &&
			nr != SYS_fstat)
			crew_die("system call %" PRIu64 " by who need not sleep", nr);
	}
	if (!over)
		crew_die("the child did not come to its end");
	/* A slow machine is allowed more of them, for it takes longer. */
	allowed = ((uint64_t)(now_ns() - from) / CREW_SECOND + 1) * LOOKS_MAX * CALLS_A_LOOK;
	if (calls > allowed)
		crew_die("%" PRIu64 " system calls, %" PRIu64 " are allowed", calls, allowed);
	return crew_finish("%" PRIu64 " rounds passed, 0 failed: %" PRIu64
			   " system calls, to see who is dead",
		rounds, calls);
}
