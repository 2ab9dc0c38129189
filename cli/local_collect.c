/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "local.h"
#include "now.h"
#include "report.h"

/*
 * The collector: takes results, checks each, counts and sums, and writes them as lines; to a
 * terminal, only some. A result is received right into the buffer that is written.
 */

#define BUFFER    (256 << 10)
#define LINGER_NS 50000000  /* a line is written at most this late */
#define SAMPLE_NS 100000000 /* a terminal shows one line in this time */

struct sink {
	struct local_ledger *ledger;
	size_t used;
	int64_t waiting_ns; /* since when there is something in the buffer, as far as was looked */
	bool terminal, shared; /* shared: progress is drawn on the same terminal */
	int64_t next_sample;
	char buffer[BUFFER];
};

static void flush(struct sink *s)
{
	size_t at = 0;

	while (at < s->used && !atomic_load(&s->ledger->reader_gone)) {
		ssize_t n = write(STDOUT_FILENO, s->buffer + at, s->used - at);

		if (n >= 0) {
			at += (size_t)n;
		} else if (errno != EINTR) {
			if (errno != EPIPE)
				atomic_store(&s->ledger->write_error, errno);
			/* Nobody reads on: the run ends, but goes on being counted. */
			atomic_store(&s->ledger->reader_gone, true);
		}
	}
	s->used = 0;
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
		return SQ_FOREVER;
	now = now_ns();
	if (!s->waiting_ns)
		s->waiting_ns = now;
	if (now - s->waiting_ns < LINGER_NS)
		return LINGER_NS - (now - s->waiting_ns);
	flush(s);
	return SQ_FOREVER;
}

static void show_sample(struct sink *s, const char *line, size_t len)
{
	int64_t now = now_ns();

	if (now < s->next_sample)
		return;
	s->next_sample = now + SAMPLE_NS;
	if (s->shared)
		(void)!write(STDOUT_FILENO, "\r\033[K", 4); /* a lost cursor move harms nobody */
	memmove(s->buffer, line, len);
	s->buffer[len] = '\n';
	s->used = len + 1;
	flush(s);
}

static void account(struct sink *s, const char *line, size_t len, uint64_t *count, u128 *sum)
{
	uint64_t n;

	if (square_check(&n, line, len)) {
		*sum += n;
	} else {
		atomic_store(&s->ledger->wrong, atomic_load(&s->ledger->wrong) + 1);
		(void)report(
			EXIT_DONE, "a wrong result: '%.*s'", (int)(len < 200 ? len : 200), line);
	}
	++*count;
	atomic_store_explicit(
		&s->ledger->collected, *count, memory_order_relaxed); /* for the progress line */
}

int local_collect(const struct local_options *o, struct local_ledger *ledger)
{
	static struct sink sink;
	struct sink *s = &sink;
	uint64_t count = 0;
	struct sq *cq;
	u128 sum = 0;
	int r = sq_open(&cq, o->cq);

	if (r < 0)
		return report_queue(o->cq, r);
	s->ledger = ledger;
	s->terminal = isatty(STDOUT_FILENO);
	s->shared = s->terminal && isatty(STDERR_FILENO);
	for (;;) {
		char *at = s->buffer + s->used;
		ssize_t len = sq_get(cq, at, SQUARE_MAX, SQ_NOWAIT);

		if (len == -EAGAIN)
			len = sq_get(cq, at, SQUARE_MAX, linger(s));
		if (len == -ETIMEDOUT) {
			flush(s);
			continue;
		}
		if (len < 0) {
			r = (int)len;
			break;
		}
		account(s, at, (size_t)len, &count, &sum);
		if (s->terminal) {
			show_sample(s, at, (size_t)len);
			continue;
		}
		at[len] = '\n';
		s->used += (size_t)len + 1;
		if (s->used + SQUARE_MAX + 1 > sizeof(s->buffer))
			flush(s);
	}
	flush(s);
	sq_close(cq);
	ledger->sum = sum;
	atomic_store(&ledger->collected, count);
	if (r != -EPIPE)
		return report_queue(o->cq, r);
	atomic_store(&ledger->collector_done, true);
	return EXIT_DONE;
}
