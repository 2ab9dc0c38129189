/* SPDX-License-Identifier: ISC */
#include "local_collect.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "local_show.h"
#include "now.h"
#include "output.h"
#include "report.h"
#include "stop.h"

/*
 * The collector: takes results, checks each, counts and sums, and writes them as lines; to a
 * terminal, only some. A result is received right into the buffer that is written.
 */

#define BUFFER    (256 << 10)
#define LINES_MAX 32768
#define LINGER_NS 50000000  /* a line is written at most this late */
#define SAMPLE_NS 100000000 /* a terminal shows one line in this time */

struct sink {
	struct local_ledger *ledger;
	uint64_t count, written;
	u128 sum;
	int64_t waiting_ns; /* since when there is something in the buffer, as far as was looked */
	bool keep;          /* nothing is written */
	bool terminal, shared; /* shared: progress is drawn on the same terminal */
	int64_t next_sample;
	size_t used, lines;
	size_t end[LINES_MAX]; /* of each line in the buffer, its newline included */
	char buffer[BUFFER];
};

static void account(struct sink *s, const char *line, size_t len)
{
	uint64_t n;

	if (square_check(&n, line, len)) {
		s->sum += n;
	} else {
		atomic_store(&s->ledger->wrong, atomic_load(&s->ledger->wrong) + 1);
		(void)report(
			EXIT_DONE, "a wrong result: '%.*s'", (int)(len < 200 ? len : 200), line);
	}
	s->count++;
}

static void leave(struct sink *s, int error)
{
	/* Written first: a process that sees `reader_gone` reads it. */
	if (error != -EPIPE)
		atomic_store(&s->ledger->write_error, -error);
	/* The run ends; results are still counted. */
	atomic_store(&s->ledger->reader_gone, true);
}

static void write_lines(struct sink *s)
{
	size_t written, whole = 0;
	int error = output_write(s->buffer, s->used, &written);

	for (size_t i = 0; i < s->lines && s->end[i] <= written; i++) {
		whole = s->end[i];
		s->written++;
	}
	if (error == 0)
		return;
	if (written > whole && !output_take_back(s->buffer + whole, written - whole))
		atomic_store(&s->ledger->torn, true);
	leave(s, error);
}

/*
 * Check, count and write what is in the buffer. Only now, and from there, so that the proof is
 * about what goes out.
 */
static void flush(struct sink *s)
{
	for (size_t i = 0, at = 0; i < s->lines; at = s->end[i++])
		account(s, s->buffer + at, s->end[i] - at - 1);
	/* For the progress line; it may be a moment late. */
	atomic_store_explicit(&s->ledger->collected, s->count, memory_order_relaxed);
	if (s->keep)
		s->written = s->count;
	else if (!atomic_load(&s->ledger->reader_gone))
		write_lines(s);
	s->used = 0;
	s->lines = 0;
	s->waiting_ns = 0;
}

/*
 * Nothing more has come for the moment. How long to wait for it before what is in the buffer must
 * go out.
 */
static int64_t linger(struct sink *s)
{
	int64_t now;

	if (!s->used)
		return STOP_LOOK_NS;
	now = now_ns();
	if (!s->waiting_ns)
		s->waiting_ns = now;
	if (now - s->waiting_ns < LINGER_NS)
		return LINGER_NS - (now - s->waiting_ns);
	flush(s);
	return STOP_LOOK_NS;
}

static void show_sample(struct sink *s, const char *line, size_t len)
{
	char copy[SQUARE_MAX];
	size_t written;
	int64_t now;
	int n;

	account(s, line, len);
	atomic_store_explicit(&s->ledger->collected, s->count, memory_order_relaxed);
	now = now_ns();
	if (now < s->next_sample || atomic_load(&s->ledger->reader_gone))
		return;
	s->next_sample = now + SAMPLE_NS;
	memcpy(copy, line, len); /* it lies in the same buffer */
	/*
	 * Written in one piece, because progress is drawn on the same terminal. Other errors than
	 * -EPIPE are ignored: a terminal that cannot be written to shows nothing.
	 */
	n = snprintf(s->buffer, sizeof(s->buffer), "%s%.*s\n", s->shared ? "\r\033[K" : "",
		(int)len, copy);
	if (n > 0 && output_write(s->buffer, (size_t)n, &written) == -EPIPE)
		leave(s, -EPIPE);
}

int local_collect(const struct local_options *o, struct local_ledger *ledger)
{
	static struct sink sink;
	struct sink *s = &sink;
	struct sq *cq;
	int r = sq_open(&cq, o->cq);

	if (r < 0)
		return report_queue(o->cq, r);
	s->ledger = ledger;
	s->keep = local_keeps_results(o);
	s->terminal = !s->keep && isatty(STDOUT_FILENO);
	s->shared = s->terminal && local_show_escapes();
	for (;;) {
		char *at = s->buffer + s->used;
		ssize_t len = sq_get(cq, at, SQUARE_MAX, SQ_NOWAIT);

		if (len == -EAGAIN) {
			int64_t timeout = linger(s);

			/* linger() may have emptied the buffer. */
			at = s->buffer + s->used;
			len = sq_get(cq, at, SQUARE_MAX, timeout);
		}
		if (len == -ETIMEDOUT) {
			/* Check for a reader that has left also when there is nothing to write. */
			if (s->used)
				flush(s);
			else if (!atomic_load(&ledger->reader_gone) && output_gone())
				leave(s, -EPIPE);
			continue;
		}
		if (len < 0) {
			r = (int)len;
			break;
		}
		if (s->terminal) {
			show_sample(s, at, (size_t)len);
			continue;
		}
		at[len] = '\n';
		s->used += (size_t)len + 1;
		s->end[s->lines++] = s->used;
		if (s->used + SQUARE_MAX + 1 > sizeof(s->buffer) || s->lines == LINES_MAX)
			flush(s);
	}
	flush(s);
	sq_close(cq);
	ledger->sum = s->sum;
	ledger->written = s->terminal ? s->count : s->written;
	atomic_store(&ledger->collected, s->count);
	if (r != -EPIPE)
		return report_queue(o->cq, r);
	return EXIT_DONE;
}
