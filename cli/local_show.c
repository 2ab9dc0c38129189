/* SPDX-License-Identifier: ISC */
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "local.h"
#include "now.h"

/*
 * Progress, to stderr: on a terminal one line that is drawn again and again; else a line now and
 * then, at growing intervals, so that a log of a long run stays short.
 */

#define DRAW_NS    200000000
#define LOG_NS     1000000000
#define LOG_MAX_NS 60000000000

static int64_t next_ns, interval_ns, last_ns;
static uint64_t last_done;
static bool terminal;

static void list(const struct local *l, enum local_kind kind, const char *name)
{
	fprintf(stderr, "%s", name);
	for (unsigned i = 0; i < l->crew.count; i++)
		if (l->crew.members[i].kind == kind)
			fprintf(stderr, " %d", (int)l->crew.members[i].pid);
	fputc('\n', stderr);
}

void local_show_start(const struct local *l)
{
	terminal = isatty(STDERR_FILENO);
	interval_ns = terminal ? DRAW_NS : LOG_NS;
	last_ns = now_ns();
	next_ns = last_ns + interval_ns;
	if (l->options.quiet)
		return;
	fprintf(stderr, "queues %s and %s, seed %" PRIu64 "\n", l->options.pq, l->options.cq,
		l->options.seed);
	list(l, LOCAL_PRODUCER, "producers");
	list(l, LOCAL_WORKER, "workers  ");
	list(l, LOCAL_COLLECTOR, "collector");
	if (isatty(STDOUT_FILENO))
		fputs("a sample of the results follows; `sqctl local > FILE` gets every line\n",
			stderr);
}

/* Take the progress line off the terminal, for something else to be written there. */
void local_show_clear(const struct local *l)
{
	if (terminal && !l->options.quiet)
		fputs("\r\033[K", stderr);
}

void local_show(const struct local *l)
{
	int64_t now = now_ns();
	struct sq_stat pq, cq;
	uint64_t done;
	double rate;

	if (l->options.quiet || now < next_ns)
		return;
	if (sq_stat(l->pq, &pq) < 0 || sq_stat(l->cq, &cq) < 0)
		return;
	done = cq.put;
	rate = now > last_ns ? (double)(done - last_done) * 1e9 / (double)(now - last_ns) : 0;
	fprintf(stderr,
		"%sdone %" PRIu64 "  %.0f/s  waiting: tasks %" PRIu64 ", in hand %" PRIu64
		", results %" PRIu64 "%s",
		terminal ? "\r\033[K" : "", done, rate, pq.depth, pq.leased, cq.depth,
		terminal ? "" : "\n");
	(void)fflush(stderr);
	last_done = done;
	last_ns = now;
	if (!terminal && interval_ns < LOG_MAX_NS)
		interval_ns *= 2;
	next_ns = now + interval_ns;
}
