/* SPDX-License-Identifier: ISC */
#include "traced.h"

#include <errno.h>
#include <linux/futex.h>
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "crew.h"
#include "now.h"

/*
 * Children that stop at their futex calls, by ptrace(2). One tracer, one thread.
 */

#define SYSCALL_STOP (SIGTRAP | 0x80) /* with PTRACE_O_TRACESYSGOOD */
#define LOOK_NS      20000

void traced_me(void)
{
	if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
		crew_die("ptrace: %s", strerror(errno));
	(void)raise(SIGSTOP);
}

void traced_begin(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, WUNTRACED) != pid || !WIFSTOPPED(status))
		crew_die("the child did not stop to be traced");
	if (ptrace(PTRACE_SETOPTIONS, pid, NULL,
		    (void *)(PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL)) < 0)
		crew_die("ptrace: %s", strerror(errno));
	traced_go(pid);
}

void traced_go(pid_t pid)
{
	if (ptrace(PTRACE_SYSCALL, pid, NULL, NULL) < 0)
		crew_die("ptrace: %s", strerror(errno));
}

void traced_end(pid_t pid)
{
	if (ptrace(PTRACE_DETACH, pid, NULL, NULL) < 0)
		crew_die("ptrace: %s", strerror(errno));
}

/* At a system call: is it a futex's? The entry tells which call it is, the exit does not. */
static bool is_futex(pid_t pid, struct traced_stop *ret)
{
	static struct traced_stop last;
	static pid_t last_pid;
	struct __ptrace_syscall_info info;

	if (ptrace(PTRACE_GET_SYSCALL_INFO, pid, (void *)sizeof(info), &info) < 0)
		crew_die("ptrace: %s", strerror(errno));
	if (info.op == PTRACE_SYSCALL_INFO_EXIT) {
		if (last_pid != pid)
			return false;
		last_pid = 0;
		*ret = last;
		ret->entry = false;
		ret->rval = info.exit.rval;
		return true;
	}
	if (info.op != PTRACE_SYSCALL_INFO_ENTRY || info.entry.nr != SYS_futex)
		return false;
	last_pid = pid;
	last = (struct traced_stop){.entry = true,
		.op = (int)info.entry.args[1] & FUTEX_CMD_MASK,
		.at = info.entry.args[0]};
	*ret = last;
	return true;
}

bool traced_next(pid_t pid, struct traced_stop *ret, int64_t span_ns)
{
	int64_t until = now_ns() + span_ns;

	for (;;) {
		int status;
		pid_t r = waitpid(pid, &status, WNOHANG);

		if (r < 0)
			crew_die("waitpid: %s", strerror(errno));
		if (r == 0) {
			if (now_ns() > until)
				return false;
			sleep_ns(LOOK_NS);
			continue;
		}
		if (!WIFSTOPPED(status))
			crew_die("the traced child ended: status %x", (unsigned)status);
		if (WSTOPSIG(status) == SYSCALL_STOP && is_futex(pid, ret))
			return true;
		traced_go(pid); /* signals are swallowed: nobody sends it any but SIGKILL */
	}
}
