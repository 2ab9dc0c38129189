/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "args.h"
#include "command.h"
#include "lines.h"
#include "now.h"
#include "report.h"
#include "sq.h"
#include "stop.h"
#include "waiting.h"
#include "words.h"

/*
 * sqctl put. Items go in in order, and if they cannot all go in, the number of the first that did
 * not is told: the caller can go on from there. What one read() gave is put before the next: no
 * item waits for others to come.
 */

#define BATCH 512

const char help_put[] =
	"  -0, --null      items on standard input end in a NUL instead of a newline\n"
	"  --timeout SPAN  give up when there was no room for so long (for ever; 0: at once)\n" WAITING_HELP
		SPAN_HELP "\n"
	"Without items the lines of standard input are put, as they come. A line may hold any bytes; an empty\n"
	"line is an empty item; the last needs no newline. Items that begin with - come behind --. If an item\n"
	"does not go in, none behind it does, and it is told which was the first; a file on standard input is\n"
	"left at that item.\n"
	"\n"
	"  sqctl put pq 17 4 && sqctl put pq -- -1\n"
	"  seq 1000000 | sqctl put pq\n"
	"  find . -print0 | sqctl put -0 --timeout 10s files\n"
	"\n"
	"Exit: 0 done, 3 shut down, 64 usage or an item too long, 66 no such queue, 69 no place in the queue\n"
	"for one more participant, no descriptor or memory; 70 damaged, 74 cannot read, 75 full, 77 not\n"
	"allowed, 124 timed out. A signal ends it as if by that signal.\n";

struct put {
	struct sq *q;
	const char *queue;
	int64_t timeout;
	uint64_t done;
	struct waiting waiting;
};

/*
 * Put them all. 0; -EINTR: a signal; else why the first of the rest did not go in. *ret: how many
 * did. The time allowed begins anew with every item that goes in.
 */
static int put_items(struct put *put, const struct iovec *items, int n, int *ret)
{
	int64_t from = now_ns(), left = put->timeout;
	int done = 0, r;

	*ret = 0;
	while (done < n) {
		if (stop_signal())
			return -EINTR;
		r = sq_put_many(put->q, items + done, n - done,
			left < 0 || left > STOP_LOOK_NS ? STOP_LOOK_NS : left);
		if (r < 0 && r != -ETIMEDOUT)
			return r;
		if (r > 0) {
			done += r;
			put->done += (uint64_t)r;
			*ret = done;
			waiting_over(&put->waiting);
		} else {
			waiting_on(&put->waiting, put->queue, WAITING_ROOM);
		}
		if (put->timeout <= 0)
			continue;
		if (r > 0)
			from = now_ns();
		left = put->timeout - (now_ns() - from);
		if (left <= 0 && done < n)
			return -ETIMEDOUT;
	}
	return 0;
}

static uint64_t longest_allowed(struct put *put)
{
	struct sq_stat st;

	return sq_stat(put->q, &st) == 0 ? st.max_message : SQ_MESSAGE_MAX;
}

static int report_progress(const struct put *put, int code)
{
	if (put->done == 0)
		return report(code, "nothing went in");
	return report(code,
		"%" PRIu64 " item%s went in; item %" PRIu64
		" and what follows did not: go on from there",
		put->done, words_plural(put->done), put->done + 1);
}

static int report_read(const struct put *put, int error)
{
	return report_progress(
		put, report(EXIT_IO, "cannot read items: %s; see what standard input is",
			     strerrordesc_np(-error)));
}

/* What it is that there is no room for: another message, or one so long. */
static int report_full(const struct put *put)
{
	struct sq_stat st;
	char size[WORDS_SIZE_MAX];

	if (sq_stat(put->q, &st) < 0 || st.depth + st.leased + st.undelivered >= st.capacity ||
		st.classes == 0)
		return report(EXIT_FULL,
			"%s is full; take some with `sqctl get %s`, or wait with a longer --timeout",
			put->queue, report_operand(put->queue));
	return report(EXIT_FULL,
		"%s has no room for an item of that length now: %" PRIu64 " of %" PRIu64
		" places for the largest, of up to %s bytes, are in use (`sqctl stat %s` shows all sizes); "
		"take some with `sqctl get %s`, wait with a longer --timeout, or make a queue with more "
		"--block-memory",
		put->queue, st.class[st.classes - 1].count - st.class[st.classes - 1].free,
		st.class[st.classes - 1].count, words_size(size, st.class[st.classes - 1].size),
		report_operand(put->queue), report_operand(put->queue));
}

/* Why we end before the end, and how far we came. Returns the exit code. */
static int report_put(struct put *put, int error)
{
	int code;

	switch (-error) {
	case EMSGSIZE:
		code = report(EXIT_USAGE,
			"item %" PRIu64 " is longer than %s allows, which is %" PRIu64
			" bytes; split it, or make a queue with a larger --max-message",
			put->done + 1, put->queue, longest_allowed(put));
		break;
	case EAGAIN:
		code = report_full(put);
		break;
	case ETIMEDOUT:
		code = report(EXIT_TIMED_OUT,
			"timed out waiting for room in %s; take some with `sqctl get %s`, or wait with a longer --timeout",
			put->queue, report_operand(put->queue));
		break;
	case EINTR:
		code = report(128 + stop_signal(), "ended by signal %d", stop_signal());
		break;
	default:
		code = report_queue(put->queue, error);
		break;
	}
	return report_progress(put, code);
}

/* Would an item of this length ever go in? A reservation tells without a walk over the queue. */
static bool too_long(struct put *put, size_t len)
{
	void *room;
	int r = sq_reserve(put->q, len, &room);

	if (r == 0)
		sq_abort(put->q);
	return r == -EMSGSIZE;
}

static int put_arguments(struct put *put, int n, char *const *words)
{
	struct iovec *items = calloc((size_t)n, sizeof(*items));
	int r, done, longest = 0;

	if (!items)
		return report(
			EXIT_UNAVAILABLE, "no memory for %d items; give them on standard input", n);
	for (int i = 0; i < n; i++) {
		items[i] = (struct iovec){.iov_base = words[i], .iov_len = strlen(words[i])};
		if (items[i].iov_len > items[longest].iov_len)
			longest = i;
	}
	/* All items are known here: if one is too long, none goes in. */
	if (too_long(put, items[longest].iov_len))
		r = report(EXIT_USAGE,
			"item %d is longer than %s allows, which is %" PRIu64
			" bytes; split it, or make a queue with a larger --max-message; nothing went in",
			longest + 1, put->queue, longest_allowed(put));
	else if ((r = put_items(put, items, n, &done)) < 0)
		r = report_put(put, r);
	free(items);
	return r;
}

/* The whole lines that were read. */
static int put_lines(struct put *put, struct lines *lines)
{
	struct iovec items[BATCH];
	int n, r, done;

	do {
		for (n = 0; n < BATCH && lines_next(lines, &items[n]); n++)
			;
		r = put_items(put, items, n, &done);
		if (r < 0) {
			lines_return(lines, &items[done]);
			return report_put(put, r);
		}
	} while (n == BATCH);
	return EXIT_DONE;
}

static int put_input(struct put *put, char delimiter)
{
	struct lines lines;
	size_t max = 0; /* set when a line is too long: it takes a walk */
	int code = EXIT_DONE, r = lines_init(&lines, STDIN_FILENO, delimiter);

	if (r < 0)
		return report(EXIT_UNAVAILABLE, "no memory to read items; give them as arguments");
	if (isatty(STDIN_FILENO) && !put->waiting.quiet)
		fputs("sqctl: a line is an item; end with Ctrl-D\n", stderr);
	do {
		r = stop_signal() ? -EINTR : lines_fill(&lines, max);
		if (r == -EMSGSIZE && max == 0) {
			max = longest_allowed(put);
			r = 1;
		} else if (r == -EINTR && !stop_signal()) {
			r = 1;
		}
		if (r >= 0) {
			code = put_lines(put, &lines);
		} else {
			lines_return(&lines, NULL);
			code = r == -EINTR || r == -EMSGSIZE ? report_put(put, r)
							     : report_read(put, r);
		}
	} while (r > 0 && code == EXIT_DONE);
	lines_deinit(&lines);
	return code;
}

int cmd_put(int argc, char **argv)
{
	static _Atomic bool said;
	struct put put = {.timeout = SQ_FOREVER, .waiting.said = &said};
	bool null = false;
	const struct args_option options[] = {
		{"null", '0', no_argument, args_flag, .to = &null},
		{"timeout", 0, required_argument, args_span, .to = &put.timeout},
		{"quiet", 'q', no_argument, args_flag, .to = &put.waiting.quiet},
		{0},
	};
	struct args args;
	int r, code = args_read(&args, options, argc, argv);

	if (code == EXIT_DONE)
		code = args_queues(&args);
	if (code != EXIT_DONE)
		return code;
	put.queue = args.words[0];
	r = sq_open(&put.q, put.queue);
	if (r < 0)
		return report_queue(put.queue, r);
	stop_catch();
	if (args.n > 1)
		code = put_arguments(&put, args.n - 1, args.words + 1);
	else
		code = put_input(&put, null ? '\0' : '\n');
	sq_close(put.q);
	if (code != EXIT_DONE)
		stop_die();
	return code;
}
