/* SPDX-License-Identifier: ISC */
#ifndef TESTS_CHILD_H
#define TESTS_CHILD_H

/* Children that do not outlive the process that forked them, however it ends. */

#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/types.h>
#include <unistd.h>

/*
 * To be called by a child, once: from here on it dies with this parent. The parent may have died before
 * the kernel was told: then no signal comes, and the child ends here.
 */
static inline void child_of(pid_t parent)
{
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
		_exit(1);
}

/* fork(), whose child dies with us, and does not print what we have printed. */
static inline pid_t child_fork(void)
{
	pid_t parent = getpid(), pid;

	(void)fflush(NULL);
	pid = fork();
	if (pid == 0)
		child_of(parent);
	return pid;
}

#endif
