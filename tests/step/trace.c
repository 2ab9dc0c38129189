/* SPDX-License-Identifier: ISC */
#include "trace.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "crew.h"

/*
 * Stepping costs a good deal (some 20 us an instruction in a virtual machine), so a child that is to
 * be stopped after k instructions runs at full speed, with a breakpoint, to one that its path visits
 * for the first time (or the second, or so), and is stepped from there. That it is on the same path
 * is checked by the address at k; --every-step does without breakpoints.
 */

#define BACK_MAX  600 /* how far to look for a place for the breakpoint */
#define VDSO_SIZE 16384
#define INT3      0xcc

__attribute__((noinline)) void trace_end(void)
{
	__asm__ volatile("" ::: "memory");
}

void trace_me(void)
{
	if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
		crew_die("ptrace: %s", strerror(errno));
}

void trace_pause(void)
{
	(void)raise(SIGSTOP);
}

static int wait_for(pid_t pid)
{
	int status = 0;

	while (waitpid(pid, &status, __WALL) < 0)
		if (errno != EINTR)
			crew_die("waitpid: %s", strerror(errno));
	return status;
}

static void resume(enum __ptrace_request how, pid_t pid)
{
	if (ptrace(how, pid, NULL, NULL) < 0)
		crew_die("ptrace: %s", strerror(errno));
}

/* At a trap, not at a stop nor its end. */
static bool trapped(int status)
{
	return WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP;
}

void trace_await_begin(pid_t pid)
{
	int status = wait_for(pid);

	if (!trapped(status))
		crew_die("the child did not come to its operation (status %#x)", (unsigned)status);
	if (ptrace(PTRACE_SETOPTIONS, pid, NULL, (void *)PTRACE_O_EXITKILL) < 0)
		crew_die("ptrace: %s", strerror(errno));
}

bool trace_step(pid_t pid)
{
	resume(PTRACE_SINGLESTEP, pid);
	return trapped(wait_for(pid));
}

uint64_t trace_at(pid_t pid)
{
	struct user_regs_struct regs;

	if (ptrace(PTRACE_GETREGS, pid, NULL, &regs) < 0)
		crew_die("ptrace: %s", strerror(errno));
	return regs.rip;
}

bool trace_is_futex(pid_t pid)
{
	struct user_regs_struct regs;

	if (ptrace(PTRACE_GETREGS, pid, NULL, &regs) < 0)
		crew_die("ptrace: %s", strerror(errno));
	return regs.rax == SYS_futex;
}

bool trace_at_end(uint64_t at)
{
	return at == (uint64_t)(uintptr_t)trace_end;
}

bool trace_in_vdso(uint64_t at)
{
	uint64_t base = getauxval(AT_SYSINFO_EHDR);

	return at - base < VDSO_SIZE;
}

void trace_plan(struct trace_path *path, size_t from)
{
	for (size_t k = from; k <= path->n; k++) {
		size_t best = path->n * 2;
		uint32_t visits = 0;

		for (size_t j = from; j <= k; j++)
			visits += path->at[j] == path->at[k];
		path->hits[k] = visits;
		path->anchor[k] = (uint32_t)from;
		/* hits[] of those before it are known. Each visit but the last costs two stops. */
		for (size_t j = k + 1; j-- > from && k - j < BACK_MAX;) {
			size_t cost = 2 * path->hits[j] + (k - j);

			if (j > from && (trace_in_vdso(path->at[j]) || trace_at_end(path->at[j])))
				continue;
			if (j == from)
				cost = k - j;
			if (cost < best) {
				best = cost;
				path->anchor[k] = (uint32_t)j;
			}
		}
		if (k - from < best)
			path->anchor[k] = (uint32_t)from;
	}
}

static void poke(pid_t pid, uint64_t at, long word)
{
	if (ptrace(PTRACE_POKETEXT, pid, (void *)(uintptr_t)at, (void *)word) < 0)
		crew_die("ptrace: %s", strerror(errno));
}

/* With full speed to the `hits`-th visit of this address. */
static bool run_to(pid_t pid, uint64_t at, uint32_t hits)
{
	long word, trap;

	if (trace_at(pid) == at && --hits > 0 && !trace_step(pid))
		return false;
	if (hits == 0)
		return true;
	errno = 0;
	word = ptrace(PTRACE_PEEKTEXT, pid, (void *)(uintptr_t)at, NULL);
	if (errno)
		crew_die("ptrace: %s", strerror(errno));
	trap = (word & ~0xffL) | INT3;
	for (;;) {
		bool hit;

		poke(pid, at, trap);
		resume(PTRACE_CONT, pid);
		hit = trapped(wait_for(pid));
		if (!hit)
			return false;
		poke(pid, at, word);
		if (ptrace(PTRACE_POKEUSER, pid, (void *)offsetof(struct user_regs_struct, rip),
			    (void *)(uintptr_t)at) < 0)
			crew_die("ptrace: %s", strerror(errno));
		if (--hits == 0)
			return true;
		if (!trace_step(pid))
			return false;
	}
}

bool trace_advance(pid_t pid, const struct trace_path *path, size_t from, size_t to, bool pure)
{
	size_t k = from;

	if (!pure && path->anchor[to] > from) {
		k = path->anchor[to];
		if (!run_to(pid, path->at[k], path->hits[k]))
			return false;
	}
	for (; k < to; k++)
		if (!trace_step(pid))
			return false;
	return true;
}

void trace_kill(pid_t pid)
{
	int status;

	if (kill(pid, SIGKILL) < 0)
		crew_die("kill: %s", strerror(errno));
	status = wait_for(pid);
	if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
		crew_die("killed, but it ended otherwise (status %#x)", (unsigned)status);
}

bool trace_go_on(pid_t pid)
{
	int status;

	resume(PTRACE_CONT, pid);
	status = wait_for(pid);
	return WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP;
}

int trace_let_go(pid_t pid)
{
	int status;

	resume(PTRACE_CONT, pid);
	status = wait_for(pid);
	if (!WIFEXITED(status))
		crew_die("the child did not end by itself (status %#x)", (unsigned)status);
	return WEXITSTATUS(status);
}
