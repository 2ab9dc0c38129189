/* SPDX-License-Identifier: ISC */
#include "local_crew.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "local_collect.h"
#include "local_make.h"
#include "local_show.h"
#include "local_work.h"
#include "report.h"

/*
 * The processes of a run. A producer or worker that dies is started again, with its number, and
 * takes over where the other was.
 */

#define IDLE_DEATHS_MAX 20 /* in a row, of one that never gets anything done */

static const char *const kinds[] = {"producer", "worker", "collector"};

static int run_child(void *data, const struct crew_member *m)
{
	const struct local *l = data;

	switch ((enum local_kind)m->kind) {
	case LOCAL_PRODUCER:
		return local_make(&l->options, l->ledger, m->index);
	case LOCAL_WORKER:
		return local_work(&l->options, l->ledger, m->index);
	case LOCAL_COLLECTOR:
		break;
	}
	return local_collect(&l->options, l->ledger);
}

/* What this member has done so far, by the queues' own durable counts. */
static uint64_t progress(const struct local *l, const struct crew_member *m)
{
	uint64_t n = 0;

	if (m->kind != LOCAL_COLLECTOR &&
		sq_count_read(m->kind == LOCAL_PRODUCER ? l->pq : l->cq, m->index + 1, &n) < 0)
		n = 0;
	return n;
}

/*
 * Had the dead worker put the result that it had in hand? Then its task may have been done twice.
 */
static int note_suspect(struct local *l, const struct crew_member *m, uint64_t results)
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

static int ended(void *data, struct crew_member *m, pid_t pid, int status)
{
	struct local *l = data;
	uint64_t now;
	int r = 0;

	local_show_clear(l);
	if (m->kind == LOCAL_COLLECTOR)
		return report(EXIT_EMPTY,
			"the collector (pid %d) %s %d, and what it had in hand is lost: no proof",
			(int)pid,
			WIFSIGNALED(status) ? "was killed by signal" : "ended by itself with code",
			WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	/*
	 * If it ended by an exit code, it has reported the reason itself, and another would fail in
	 * the same way.
	 */
	if (WIFEXITED(status))
		return WEXITSTATUS(status);
	now = progress(l, m);
	if (m->kind == LOCAL_WORKER)
		r = note_suspect(l, m, now);
	if (r != 0)
		return r;
	/* A crash would happen again and again, so it is counted; SIGKILL is sent on purpose. */
	if (WTERMSIG(status) != SIGKILL)
		m->early_deaths = now == m->progress ? m->early_deaths + 1 : 0;
	m->progress = now;
	if (m->early_deaths > IDLE_DEATHS_MAX)
		return report(EXIT_BROKEN, "%s %u dies as soon as it starts (signal %d); giving up",
			kinds[m->kind], m->index + 1, WTERMSIG(status));
	l->restarts[m->kind]++;
	r = crew_replace(&l->crew, m);
	if (r == 0 && !l->options.quiet)
		(void)report(0,
			"%s %u (pid %d) was killed by signal %d; pid %d goes on in its place",
			kinds[m->kind], m->index + 1, (int)pid, WTERMSIG(status), (int)m->pid);
	return r;
}

int local_crew_start(struct local *l)
{
	l->crew.kinds = kinds;
	l->crew.run = run_child;
	l->crew.ended = ended;
	l->crew.data = l;
	return crew_start(&l->crew);
}
