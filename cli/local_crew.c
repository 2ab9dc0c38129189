/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "local.h"
#include "report.h"

/*
 * The processes of a run. A producer or worker that dies is started again, with its number, and
 * takes over where the other was. Only pids of our own unreaped children are ever signalled.
 */

#define IDLE_DEATHS_MAX 20 /* in a row, of one that never gets anything done */

static const char *const kinds[] = {"producer", "worker", "collector"};

static int run_child(const struct local *l, const struct local_member *m)
{
	switch (m->kind) {
	case LOCAL_PRODUCER:
		return local_make(&l->options, l->ledger, m->index);
	case LOCAL_WORKER:
		return local_work(&l->options, l->ledger, m->index);
	case LOCAL_COLLECTOR:
		break;
	}
	return local_collect(&l->options, l->ledger);
}

static int start(struct local *l, struct local_member *m)
{
	pid_t parent = getpid(), pid;
	sigset_t none;
	char name[16];
	int code;

	(void)fflush(NULL);
	pid = fork();
	if (pid < 0)
		return report(EXIT_UNAVAILABLE,
			"cannot start a %s: %s; ask for fewer, or see `ulimit -u`", kinds[m->kind],
			strerror(errno));
	if (pid > 0) {
		m->pid = pid;
		return 0;
	}
	/* Nobody outlives the supervisor, and signals to the whole group are for it alone. */
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(EXIT_BROKEN);
	(void)signal(SIGINT, SIG_IGN);
	(void)signal(SIGTERM, SIG_IGN);
	(void)signal(SIGHUP, SIG_IGN);
	(void)signal(SIGQUIT, SIG_IGN);
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	(void)snprintf(name, sizeof(name), "sq-%s%u", kinds[m->kind], m->index + 1);
	(void)prctl(PR_SET_NAME, name);
	code = run_child(l, m);
	(void)fflush(stderr);
	_exit(code);
}

int local_crew_start(struct local *l)
{
	for (unsigned i = 0; i < l->count; i++) {
		int r = start(l, &l->members[i]);

		if (r != 0)
			return r;
	}
	return 0;
}

/* What this member has done so far, by the queues' own durable counts. */
static uint64_t progress(const struct local *l, const struct local_member *m)
{
	uint64_t n = 0;

	if (m->kind != LOCAL_COLLECTOR &&
		sq_bound(m->kind == LOCAL_PRODUCER ? l->pq : l->cq, m->index + 1, &n) < 0)
		n = 0;
	return n;
}

/* The result in the dead worker's hand: had it been put? Then its task may have been done twice. */
static int note_suspect(struct local *l, const struct local_member *m, uint64_t results)
{
	struct local_hand *hand = &l->ledger->hand[m->index];
	uint64_t seq = atomic_load(&hand->seq), entry = atomic_load(&hand->entry);

	/* Read once: the next one may die before it has anything in its hand. */
	atomic_store(&hand->seq, 0);
	if (seq == 0 || seq != results)
		return 0;
	if (entry && atomic_load(&l->ledger->again[entry - 1].done))
		return 0;
	if (l->suspect_count == l->suspect_room) {
		size_t room = l->suspect_room ? 2 * l->suspect_room : 64;
		struct local_suspect *more = reallocarray(l->suspects, room, sizeof(*more));

		if (!more)
			return report(EXIT_UNAVAILABLE, "out of memory");
		l->suspects = more;
		l->suspect_room = room;
	}
	l->suspects[l->suspect_count++] = (struct local_suspect){
		.id = atomic_load(&hand->id), .n = atomic_load(&hand->n)};
	return 0;
}

static int died(struct local *l, struct local_member *m, pid_t pid, int status)
{
	uint64_t now;
	int r = 0;

	if (m->kind == LOCAL_COLLECTOR)
		return report(EXIT_EMPTY,
			"the collector (%d) ended unasked, and what it had in hand is lost: no proof",
			(int)pid);
	/*
	 * Exit codes it chose itself have been explained by itself, and another would say the same.
	 */
	if (WIFEXITED(status))
		return WEXITSTATUS(status);
	now = progress(l, m);
	if (m->kind == LOCAL_WORKER)
		r = note_suspect(l, m, now);
	if (r != 0)
		return r;
	/* A fault of its own would come again and again. SIGKILL is somebody's wish. */
	if (WTERMSIG(status) != SIGKILL)
		m->idle_deaths = now == m->progress ? m->idle_deaths + 1 : 0;
	m->progress = now;
	if (m->idle_deaths > IDLE_DEATHS_MAX)
		return report(EXIT_BROKEN, "%s %u dies as soon as it starts (signal %d); giving up",
			kinds[m->kind], m->index + 1, WTERMSIG(status));
	l->restarts[m->kind]++;
	r = start(l, m);
	if (r == 0 && !l->options.quiet)
		(void)report(0,
			"%s %u (pid %d) was killed by signal %d; pid %d goes on in its place",
			kinds[m->kind], m->index + 1, (int)pid, WTERMSIG(status), (int)m->pid);
	return r;
}

/* Take notice of children that ended. */
int local_crew_reap(struct local *l)
{
	for (unsigned i = 0; i < l->count; i++) {
		struct local_member *m = &l->members[i];
		pid_t pid = m->pid;
		int status;

		if (pid == 0 || waitpid(pid, &status, WNOHANG) != pid)
			continue;
		m->pid = 0;
		if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
			continue;
		int r = died(l, m, pid, status);

		if (r != 0)
			return r;
	}
	return 0;
}

bool local_crew_done(const struct local *l, enum local_kind kind)
{
	for (unsigned i = 0; i < l->count; i++)
		if (l->members[i].kind == kind && l->members[i].pid != 0)
			return false;
	return true;
}

void local_crew_kill(struct local *l)
{
	for (unsigned i = 0; i < l->count; i++)
		if (l->members[i].pid > 0)
			(void)kill(l->members[i].pid, SIGKILL);
	for (unsigned i = 0; i < l->count; i++) {
		while (l->members[i].pid > 0 && waitpid(l->members[i].pid, NULL, 0) < 0 &&
			errno == EINTR)
			;
		l->members[i].pid = 0;
	}
}
