/* SPDX-License-Identifier: ISC */
#include "crew.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "now.h"
#include "report.h"

#define SECOND_NS    INT64_C(1000000000)
#define SAME_WISH_NS (SECOND_NS / 10)
#define LATER_NS     (SECOND_NS / 10) /* the first wait; each is twice as long as the last */
#define LATER_MAX_NS (5 * SECOND_NS)

void crew_listen(struct crew *crew)
{
	/*
	 * SIGHUP is ignored under nohup, SIGALRM may be ignored by others. A blocked signal would
	 * be received all the same, so an ignored one is left out.
	 */
	static const int may_be_ignored[] = {SIGHUP, SIGALRM};

	(void)sigemptyset(&crew->signals);
	(void)sigaddset(&crew->signals, SIGCHLD);
	(void)sigaddset(&crew->signals, SIGINT);
	(void)sigaddset(&crew->signals, SIGTERM);
	for (size_t i = 0; i < sizeof(may_be_ignored) / sizeof(may_be_ignored[0]); i++) {
		struct sigaction old;

		if (sigaction(may_be_ignored[i], NULL, &old) < 0 || old.sa_handler != SIG_IGN)
			(void)sigaddset(&crew->signals, may_be_ignored[i]);
	}
	(void)sigprocmask(SIG_BLOCK, &crew->signals, NULL);
}

enum crew_news crew_wait(struct crew *crew, int64_t longest_ns)
{
	struct timespec timeout;
	int64_t now = now_ns();
	int sig;

	for (unsigned i = 0; i < crew->count; i++) {
		int64_t start_ns = crew->members[i].start_ns;

		if (start_ns && start_ns - now < longest_ns)
			longest_ns = start_ns > now ? start_ns - now : 0;
	}
	timeout = (struct timespec){
		.tv_sec = longest_ns / SECOND_NS, .tv_nsec = longest_ns % SECOND_NS};
	sig = sigtimedwait(&crew->signals, NULL, &timeout);
	if (sig <= 0 || sig == SIGCHLD)
		return CREW_LOOK;
	if (!crew->asked_ns) {
		crew->asked_ns = now_ns();
		crew->asked = sig;
		return CREW_ASKED;
	}
	/* timeout(1) and others signal this process and its group: two signals, one request. */
	return now_ns() - crew->asked_ns < SAME_WISH_NS ? CREW_LOOK : CREW_ASKED_AGAIN;
}

static int start(struct crew *crew, struct crew_member *m)
{
	pid_t parent = getpid(), pid;
	sigset_t none;
	char name[16];
	int code;

	m->start_ns = 0;
	(void)fflush(NULL);
	pid = fork();
	if (pid < 0)
		return report(EXIT_UNAVAILABLE,
			"cannot start a %s: %s; ask for fewer, or see `ulimit -u`",
			crew->kinds[m->kind], strerror(errno));
	if (pid > 0) {
		m->pid = pid;
		return 0;
	}
	/*
	 * No member outlives the supervisor, and signals to the whole group are for the supervisor
	 * alone.
	 */
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(EXIT_BROKEN);
	(void)signal(SIGINT, SIG_IGN);
	(void)signal(SIGTERM, SIG_IGN);
	(void)signal(SIGHUP, SIG_IGN);
	(void)signal(SIGALRM, SIG_IGN);
	(void)signal(SIGQUIT, SIG_IGN);
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	(void)snprintf(name, sizeof(name), "sq-%s%u", crew->kinds[m->kind], m->index + 1);
	(void)prctl(PR_SET_NAME, name);
	code = crew->run(crew->data, m);
	(void)fflush(stderr);
	_exit(code);
}

int crew_start(struct crew *crew)
{
	for (unsigned i = 0; i < crew->count; i++) {
		int r = start(crew, &crew->members[i]);

		if (r != 0)
			return r;
	}
	return 0;
}

int crew_replace(struct crew *crew, struct crew_member *m)
{
	return start(crew, m);
}

int64_t crew_replace_later(struct crew *crew, struct crew_member *m, bool did_something)
{
	int64_t wait_ns = 0;

	if (did_something)
		m->early_deaths = 0;
	if (m->early_deaths > 0)
		wait_ns = LATER_NS << (m->early_deaths - 1);
	if (wait_ns > LATER_MAX_NS)
		wait_ns = LATER_MAX_NS;
	else
		m->early_deaths++;
	m->start_ns = now_ns() + wait_ns;
	return wait_ns;
}

int crew_reap(struct crew *crew)
{
	int status;

	for (unsigned i = 0; i < crew->count; i++) {
		struct crew_member *m = &crew->members[i];
		pid_t pid = m->pid, gone = pid ? waitpid(pid, &status, WNOHANG) : 0;
		int r = 0;

		/*
		 * Another process has taken its status: whether it was killed is not known, so the
		 * run cannot go on.
		 */
		if (gone < 0 && errno == ECHILD) {
			m->pid = 0;
			return report(EXIT_BROKEN,
				"%s %u (pid %d) has ended, and how it did was told to somebody else",
				crew->kinds[m->kind], m->index + 1, (int)pid);
		}
		if (gone > 0) {
			m->pid = 0;
			if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
				r = crew->ended(crew->data, m, pid, status);
		}
		if (r == 0 && m->start_ns && now_ns() >= m->start_ns)
			r = start(crew, m);
		if (r != 0)
			return r;
	}
	return 0;
}

void crew_no_more(struct crew *crew)
{
	for (unsigned i = 0; i < crew->count; i++)
		crew->members[i].start_ns = 0;
}

bool crew_done(const struct crew *crew, unsigned kind)
{
	for (unsigned i = 0; i < crew->count; i++) {
		const struct crew_member *m = &crew->members[i];

		if (m->kind == kind && (m->pid != 0 || m->start_ns))
			return false;
	}
	return true;
}

void crew_kill(struct crew *crew)
{
	for (unsigned i = 0; i < crew->count; i++)
		if (crew->members[i].pid > 0)
			(void)kill(crew->members[i].pid, SIGKILL);
	for (unsigned i = 0; i < crew->count; i++) {
		struct crew_member *m = &crew->members[i];

		while (m->pid > 0 && waitpid(m->pid, NULL, 0) < 0 && errno == EINTR)
			;
		m->pid = 0;
		m->start_ns = 0;
	}
}

void crew_die(const struct crew *crew)
{
	sigset_t one;

	if (!crew->asked)
		return;
	(void)signal(crew->asked, SIG_DFL);
	(void)sigemptyset(&one);
	(void)sigaddset(&one, crew->asked);
	(void)raise(crew->asked); /* it waits until it is let through */
	(void)sigprocmask(SIG_UNBLOCK, &one, NULL);
}
