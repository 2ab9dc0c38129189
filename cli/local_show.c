/* SPDX-License-Identifier: ISC */
#include "local_show.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "now.h"

/*
 * Progress, to stderr: on a terminal one line that is drawn again and again, no longer than it is
 * wide; else, or if the terminal knows no escapes, a line now and then, at growing intervals, so
 * that a log of a long run stays short.
 */

#define DRAW_NS    200000000
#define LOG_NS     1000000000
#define LOG_MAX_NS 60000000000

#define SHOWN_MAX 160
#define PAST_NS   5000000000 /* the rate is that of so long, or of the time between two lines */
#define PAST_MAX  ((unsigned)(PAST_NS / DRAW_NS) + 1)

static int64_t next_ns, interval_ns;
static bool terminal;

/* What had been done when, newest last, around. */
static struct {
	int64_t ns;
	uint64_t done;
} past[PAST_MAX];
static unsigned past_at, past_count;

bool local_show_escapes(void)
{
	const char *term = getenv("TERM");

	return isatty(STDERR_FILENO) && term && *term && strcmp(term, "dumb") != 0;
}

static void list(FILE *to, const struct local *l, enum local_kind kind, const char *name)
{
	fprintf(to, "%s", name);
	for (unsigned i = 0; i < l->crew.count; i++)
		if (l->crew.members[i].kind == kind)
			fprintf(to, " %d", (int)l->crew.members[i].pid);
	fputc('\n', to);
}

/* In one piece: the collector writes to the same terminal. */
static void head(const struct local *l)
{
	char *text = NULL;
	size_t len = 0;
	FILE *to = open_memstream(&text, &len);

	if (!to)
		return;
	fprintf(to, "queues %s and %s, seed %" PRIu64 "\n", l->options.pq, l->options.cq,
		l->options.seed);
	list(to, l, LOCAL_PRODUCER, "producers");
	list(to, l, LOCAL_WORKER, "workers  ");
	list(to, l, LOCAL_COLLECTOR, "collector");
	if (isatty(STDOUT_FILENO) && !local_keeps_results(&l->options))
		fputs("a sample of the results follows; `sqctl local > FILE` gets every line\n",
			to);
	if (fclose(to) == 0)
		(void)fwrite(text, 1, len, stderr);
	free(text);
}

/* Done in a second, over the span that is told: a single moment says nothing about slow ones. */
static double rate_of(uint64_t done, int64_t now)
{
	unsigned oldest = past_at;
	double rate = 0;

	/* Back as far as the span goes, but to the last line at least. */
	for (unsigned i = 1; i <= past_count; i++) {
		unsigned k = (past_at + PAST_MAX - i) % PAST_MAX;

		if (i > 1 && now - past[k].ns > PAST_NS)
			break;
		oldest = k;
	}
	if (past_count > 0 && now > past[oldest].ns)
		rate = (double)(done - past[oldest].done) * 1e9 / (double)(now - past[oldest].ns);
	past[past_at].ns = now;
	past[past_at].done = done;
	past_at = (past_at + 1) % PAST_MAX;
	past_count += past_count < PAST_MAX;
	return rate;
}

/* As much of it as the terminal has room for: a longer one would not be drawn over by the next. */
static void draw(const char *line)
{
	struct winsize size = {0};
	int len = (int)strlen(line);

	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1 && len >= size.ws_col)
		len = size.ws_col - 1;
	fprintf(stderr, "\r\033[K%.*s", len, line);
}

void local_show_start(const struct local *l)
{
	terminal = local_show_escapes();
	interval_ns = terminal ? DRAW_NS : LOG_NS;
	next_ns = now_ns() + interval_ns;
	(void)rate_of(0, now_ns());
	if (l->options.quiet)
		return;
	head(l);
}

void local_show_clear(const struct local *l)
{
	if (terminal && !l->options.quiet)
		fputs("\r\033[K", stderr);
}

void local_show(const struct local *l)
{
	int64_t now = now_ns();
	char line[SHOWN_MAX];
	struct sq_stat pq, cq;
	double rate;

	if (l->options.quiet || now < next_ns)
		return;
	if (sq_stat(l->pq, &pq) < 0 || sq_stat(l->cq, &cq) < 0)
		return;
	rate = rate_of(cq.put, now);
	(void)snprintf(line, sizeof(line),
		"done %" PRIu64 "  %.*f/s  waiting: tasks %" PRIu64 ", in hand %" PRIu64
		", results %" PRIu64,
		cq.put, rate < 10 ? 1 : 0, rate, pq.depth, pq.leased, cq.depth);
	if (terminal)
		draw(line);
	else
		fprintf(stderr, "%s\n", line);
	(void)fflush(stderr);
	if (!terminal && interval_ns < LOG_MAX_NS)
		interval_ns *= 2;
	next_ns = now + interval_ns;
}
