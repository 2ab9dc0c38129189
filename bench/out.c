/* SPDX-License-Identifier: ISC */
#include "out.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "plot.h"
#include "say.h"
#include "stop.h"

static const struct options *options;
static char heading[64];     /* the bench and unit of the lines above */
static unsigned missed, far; /* bars; far: of the missed ones */
static bool in_progress;
static int write_error;

int out_begin(const struct options *o)
{
	options = o;
	heading[0] = '\0';
	missed = far = 0;
	return plot_begin(o->plot);
}

/* Writes what was printed. The first error is remembered; what is under way ends if nobody reads. */
static void flush(void)
{
	if (fflush(stdout) != EOF || write_error)
		return;
	write_error = errno;
	if (write_error == EPIPE)
		stop_reader_gone();
}

int out_flush(void)
{
	flush();
	if (!write_error && !ferror(stdout))
		return EXIT_DONE;
	if (write_error == EPIPE)
		return EXIT_IO; /* whoever reads no more knows why */
	return say(EXIT_IO, "cannot write to standard output%s%s", write_error ? ": " : "",
		write_error ? strerror(write_error) : "");
}

void out_progress(const char *format, ...)
{
	va_list args;

	if (options->quiet || !isatty(STDERR_FILENO))
		return;
	va_start(args, format);
	fputc('\r', stderr);
	vfprintf(stderr, format, args);
	fputs("\033[K", stderr);
	va_end(args);
	(void)fflush(stderr);
	in_progress = true;
}

static void clear_progress(void)
{
	if (in_progress)
		fputs("\r\033[K", stderr);
	(void)fflush(stderr);
	in_progress = false;
}

const char *out_number(char *buf, size_t cap, double value, const char *unit)
{
	static const char *const prefixes[] = {"", " k", " M", " G"};
	static const char *const times[] = {" ns", " us", " ms", " s"};
	bool time = strcmp(unit, "ns") == 0;
	unsigned at = 0;

	while (value >= 999.5 && at < 3) {
		value /= 1000;
		at++;
	}
	(void)snprintf(buf, cap, "%.*f%s",
		value < 9.995   ? 2
		: value < 99.95 ? 1
				: 0,
		value, time ? times[at] : prefixes[at]);
	return buf;
}

static void line(const struct row *r, const struct summary *s, bool near)
{
	char now[64], a[24], b[24], c[24], probes[40] = "-";

	(void)snprintf(now, sizeof(now), "%s, %s", r->bench, r->unit);
	if (strcmp(now, heading) != 0) {
		(void)strcpy(heading, now);
		printf("\n%-38s %-20s %8s %8s %8s %3s %-5s %-9s %s\n", now, "side", "median", "min",
			"max", "n", "CPUs", "probe ns", "waits; pinned; made");
	}
	if (s->before_ns > 0)
		(void)snprintf(probes, sizeof(probes), "%.0f, %.0f", s->before_ns, s->after_ns);
	printf("%-38s %-20s %8s %8s %8s %3u %-5s %-9s %s; %s%s%s\n", r->work, r->side,
		out_number(a, sizeof(a), s->median, r->unit),
		out_number(b, sizeof(b), s->min, r->unit),
		out_number(c, sizeof(c), s->max, r->unit), s->n, near ? "near" : "far", probes,
		r->spin, r->where, *r->setup ? "; " : "", r->setup);
}

static void object(const struct row *r, const struct summary *s, bool near)
{
	printf("{\"bench\":\"%s\",\"work\":\"%s\",\"side\":\"%s\",\"unit\":\"%s\"", r->bench,
		r->work, r->side, r->unit);
	if (r->size)
		printf(",\"size\":%llu", (unsigned long long)r->size);
	if (r->producers)
		printf(",\"producers\":%llu,\"consumers\":%llu", (unsigned long long)r->producers,
			(unsigned long long)r->consumers);
	if (r->batch)
		printf(",\"batch\":%llu", (unsigned long long)r->batch);
	printf(",\"median\":%.6g,\"min\":%.6g,\"max\":%.6g,\"n\":%u,\"near\":%s,"
	       "\"probe_before_ns\":%.1f,\"probe_after_ns\":%.1f,\"messages\":%llu,"
	       "\"spin\":\"%s\",\"pinned\":\"%s\",\"setup\":\"%s\"}\n",
		s->median, s->min, s->max, s->n, near ? "true" : "false", s->before_ns, s->after_ns,
		(unsigned long long)r->messages, r->spin, r->where, r->setup);
}

void out_row(const struct row *row)
{
	clear_progress();
	for (int near = 1; near >= 0; near--) {
		struct summary s = stats_summary(&row->series, near);

		if (s.n == 0)
			continue;
		if (options->json)
			object(row, &s, near);
		else
			line(row, &s, near);
		plot_add(row, &s, near);
	}
	flush();
}

void out_note(const char *format, ...)
{
	va_list args;

	clear_progress();
	if (options->json)
		return;
	va_start(args, format);
	printf("  ");
	vprintf(format, args);
	printf("\n");
	va_end(args);
	flush();
}

void out_ratio(const struct row *ours, const struct row *theirs)
{
	struct ratio r = stats_ratio(&ours->series, &theirs->series);

	clear_progress();
	if (r.n == 0) {
		out_note("%s and %s: never equally near", ours->side, theirs->side);
		return;
	}
	/* The same side at something else: say what. */
	out_note("%s is %.3g (%.3g to %.3g) times %s%s%s, %s: %s", ours->side, r.median, r.min,
		r.max, theirs->side, strcmp(ours->work, theirs->work) == 0 ? "" : " at ",
		strcmp(ours->work, theirs->work) == 0 ? "" : theirs->work, ours->work,
		r.near ? "near" : "far");
	if (options->json)
		printf("{\"compare\":\"%s\",\"work\":\"%s\",\"over\":\"%s\",\"ratio\":%.4g,"
		       "\"ratio_min\":%.4g,\"ratio_max\":%.4g,\"n\":%u,\"near\":%s}\n",
			ours->side, theirs->work, theirs->side, r.median, r.min, r.max, r.n,
			r.near ? "true" : "false");
}

static const char *said(const struct bar *bar, double value, bool known)
{
	bool reached = known && (bar->at_most ? value <= bar->bar : value >= bar->bar);
	bool goal = bar->goal > 0 && (bar->at_most ? value <= bar->goal : value >= bar->goal);

	if (!reached)
		missed++;
	return !reached ? "MISS" : goal ? "goal" : "pass";
}

static void bar_line(const struct bar *bar, const char *verdict, const char *text)
{
	char goal[40] = "";

	if (strcmp(heading, "bars") != 0 && !options->json) {
		printf("\n%-4s  %-58s %-22s %s\n", "bar", "asked", "", "reached");
		(void)strcpy(heading, "bars");
	}
	if (bar->goal > 0)
		(void)snprintf(goal, sizeof(goal), ", goal %g", bar->goal);
	if (!options->json)
		printf("%-4s  %-58s at %-5s %g%-10s %s\n", verdict, bar->name,
			bar->at_most ? "most" : "least", bar->bar, goal, text);
	flush();
}

static void bar_object(const struct bar *bar, const char *verdict, const char *more)
{
	if (options->json)
		printf("{\"bar\":\"%s\",\"at_%s\":%g,\"goal\":%g,\"verdict\":\"%s\"%s}\n",
			bar->name, bar->at_most ? "most" : "least", bar->bar, bar->goal, verdict,
			more);
}

void out_bar(const struct bar *bar, const struct row *ours, const struct row *theirs)
{
	struct ratio r = stats_ratio(&ours->series, &theirs->series);
	char text[200], more[200];
	const char *verdict;

	if (r.n == 0) {
		out_bar_unknown(bar, "not measured with the CPUs equally near on both sides");
		return;
	}
	clear_progress();
	verdict = said(bar, r.median, true);
	far += *verdict == 'M' && !r.near;
	(void)snprintf(text, sizeof(text), "%.3g (%.3g to %.3g), %u run%s, %s; %s over %s",
		r.median, r.min, r.max, r.n, r.n == 1 ? "" : "s", r.near ? "near" : "far",
		ours->side, theirs->side);
	(void)snprintf(more, sizeof(more),
		",\"ratio\":%.4g,\"ratio_min\":%.4g,\"ratio_max\":%.4g,\"n\":%u,\"near\":%s,"
		"\"over\":\"%s\"",
		r.median, r.min, r.max, r.n, r.near ? "true" : "false", theirs->side);
	bar_line(bar, verdict, text);
	bar_object(bar, verdict, more);
}

void out_bar_value(const struct bar *bar, double value, const char *text)
{
	const char *verdict;
	char more[60];

	clear_progress();
	verdict = said(bar, value, true);
	(void)snprintf(more, sizeof(more), ",\"value\":%.4g", value);
	bar_line(bar, verdict, text);
	bar_object(bar, verdict, more);
}

void out_bar_unknown(const struct bar *bar, const char *why)
{
	const char *verdict;
	char more[200];

	clear_progress();
	verdict = said(bar, 0, false);
	(void)snprintf(more, sizeof(more), ",\"why\":\"%s\"", why);
	bar_line(bar, verdict, why);
	bar_object(bar, verdict, more);
}

int out_end(void)
{
	int code, written;

	clear_progress();
	if (far > 0)
		out_note(
			"MISS of far runs settles nothing: a bar is meant for near ones. --near waits for them.");
	code = plot_end();
	written = out_flush();
	if (written != EXIT_DONE)
		return written;
	return code != EXIT_DONE ? code : missed ? EXIT_MISSED : EXIT_DONE;
}
