/* SPDX-License-Identifier: ISC */
#include "crew.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "now.h"
#include "pin.h"
#include "say.h"
#include "stop.h"

void *crew_memory(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

pid_t crew_fork(void)
{
	pid_t parent = getpid(), pid;

	(void)fflush(NULL); /* or the child writes it again */
	pid = fork();
	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		stop_release();
		if (getppid() != parent)
			_exit(EXIT_BROKEN);
	}
	return pid;
}

int crew_add(struct crew *crew, const char *role, int cpu, int (*f)(void *arg), void *arg)
{
	struct crew_member *m = &crew->member[crew->n];
	int r;

	if (crew->n == CREW_MAX)
		return say(EXIT_USAGE, "more than %d processes in one run", CREW_MAX);
	m->role = role;
	m->pid = crew_fork();
	if (m->pid < 0)
		return say(EXIT_UNAVAILABLE, "cannot fork: %s", strerror(errno));
	if (m->pid == 0) {
		r = pin_to(cpu);
		if (r < 0)
			_exit(say(EXIT_UNAVAILABLE, "cannot run on CPU %d: %s", cpu, strerror(-r)));
		r = f(arg);
		(void)fflush(NULL);
		_exit(r);
	}
	m->fd = pidfd_open(m->pid, 0);
	crew->n++;
	return m->fd < 0 ? say(EXIT_UNAVAILABLE, "pidfd_open: %s", strerror(errno)) : EXIT_DONE;
}

static void forget(struct crew *crew, int i)
{
	if (crew->member[i].fd >= 0)
		(void)close(crew->member[i].fd);
	crew->member[i] = crew->member[--crew->n];
}

void crew_kill(struct crew *crew)
{
	while (crew->n > 0) {
		(void)kill(crew->member[0].pid, SIGKILL);
		(void)waitpid(crew->member[0].pid, NULL, 0);
		forget(crew, 0);
	}
}

/* The member has ended: how? */
static int reap(struct crew *crew, int i)
{
	const char *role = crew->member[i].role;
	int status = 0;

	(void)waitpid(crew->member[i].pid, &status, 0);
	forget(crew, i);
	if (WIFSIGNALED(status))
		return say(EXIT_BROKEN, "a %s was ended by signal %d", role, WTERMSIG(status));
	return WEXITSTATUS(status);
}

int crew_wait(struct crew *crew)
{
	int64_t end = now_ns() + CREW_LIMIT_NS;
	struct pollfd fds[CREW_MAX];
	int code = EXIT_DONE;

	while (crew->n > 0 && code == EXIT_DONE) {
		int r;

		for (int i = 0; i < crew->n; i++)
			fds[i] = (struct pollfd){.fd = crew->member[i].fd, .events = POLLIN};
		r = poll(fds, (nfds_t)crew->n, 1000);
		if (stop_came())
			code = stop_report();
		else if (r < 0 && errno != EINTR)
			code = say(EXIT_UNAVAILABLE, "poll: %s", strerror(errno));
		else if (r <= 0 && now_ns() > end)
			code = say(EXIT_BROKEN, "a run did not end within %d seconds",
				(int)(CREW_LIMIT_NS / 1000000000));
		/* From the last: forget() moves that one. */
		for (int i = crew->n - 1; r > 0 && i >= 0; i--)
			if (fds[i].revents && code == EXIT_DONE)
				code = reap(crew, i);
	}
	crew_kill(crew);
	return code;
}
