/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>

#include "args.h"
#include "command.h"
#include "letters.h"
#include "report.h"
#include "stop.h"
#include "take.h"
#include "words.h"

/* sqctl get: the options, and what its end means. What it does is in take.c. */

const char help_get[] =
	"  -n N            end after N items (all that are there)\n"
	"  --timeout SPAN  wait so long for each item (not at all)\n"
	"  --follow        wait for ever, until the queue is shut down or a signal comes\n"
	"  -0, --null      end each item with a NUL instead of a newline\n" WAITING_HELP SPAN_HELP
	"\n"
	"An item leaves the queue once it has been written. What could not be written is given back, and is\n"
	"delivered again out of its order; if sqctl is killed between writing and acknowledging, items are\n"
	"delivered twice. If the output fails in the middle of an item, a file is cut back to the last whole\n"
	"one; anywhere else half of it stays, which is said. When nobody reads any more, it ends.\n"
	"\n"
	"What a pipe has taken has been written, and is lost if its reader dies: beware of `sqctl get pq |\n"
	"head -1`, use -n. With --follow a pipe is given only what its reader takes in a millisecond, at least\n"
	"one item, and is empty before: so one waits in the pipe while the reader has another in hand. Workers\n"
	"that share a queue take -n 1 in a loop, and what they have not begun stays in it.\n"
	"\n"
	"  sqctl get -n 1 --timeout 10s pq\n"
	"  while n=$(sqctl get -q -n 1 --follow pq); do echo $((n * n)); done\n"
	"  sqctl get -0 files | xargs -0 ls -l\n"
	"\n"
	"Exit: 0 done (some came, or whoever read us left, or a signal ended --follow without -n), 1 empty, 3\n"
	"shut down and drained, 64 usage, 66 no such queue, 69 no place in the queue for one more participant,\n"
	"no descriptor or memory; 70 damaged, 74 cannot write, 77 not allowed, 124 timed out: nothing came, or\n"
	"fewer than -n. A signal at another time ends it as if by that signal.\n";

static int report_end(struct take *get, int error)
{
	uint64_t came = get->done + get->late;
	struct sq_stat st;

	switch (-error) {
	case EAGAIN:
		if (came > 0)
			return EXIT_DONE;
		if (sq_look(get->queue, &st) == 0 && st.undelivered > 0)
			return report(EXIT_EMPTY,
				"%s is empty, but for %" PRIu64
				" dead letter%s that should be in %s, which is %s",
				get->queue, st.undelivered, words_plural(st.undelivered),
				st.dead_letter, letters_why(&st));
		return report(EXIT_EMPTY, "%s is empty; wait with `--timeout 10s` or `--follow`",
			get->queue);
	case ETIMEDOUT:
		if (came > 0 && get->limit == 0)
			return EXIT_DONE;
		return report(EXIT_TIMED_OUT,
			"timed out waiting for %s: %" PRIu64
			" item%s came; wait with a longer --timeout, or --follow",
			get->queue, came, words_plural(came));
	case EINTR:
		if (get->follow && !get->limit)
			return EXIT_DONE;
		return report(128 + stop_signal(), "ended by signal %d: %" PRIu64 " item%s came",
			stop_signal(), get->done, words_plural(get->done));
	default:
		return take_report(get, error);
	}
}

static int read_options(struct take *get, int argc, char **argv)
{
	unsigned timeout = 0;
	bool null = false;
	const struct args_option options[] = {
		{"number", 'n', required_argument, args_count, .to = &get->limit, .min = 1,
			.max = UINT64_MAX},
		{"timeout", 0, required_argument, args_span, .to = &get->timeout,
			.given = &timeout},
		{"follow", 0, no_argument, args_flag, .to = &get->follow},
		{"null", '0', no_argument, args_flag, .to = &null},
		{"quiet", 'q', no_argument, args_flag, .to = &get->waiting.quiet},
		{0},
	};
	struct args args;
	int code = args_read(&args, options, argc, argv);

	if (code != EXIT_DONE)
		return code;
	if (timeout && get->follow)
		return report_usage("get", "--follow waits for ever: leave it or --timeout away");
	get->share = get->follow;
	get->delimiter = null ? '\0' : '\n';
	return args_queue(&args, &get->queue);
}

int cmd_get(int argc, char **argv)
{
	static _Atomic bool said;
	static struct take get = {.waiting.said = &said};
	int r, code = read_options(&get, argc, argv);

	if (code != EXIT_DONE)
		return code;
	r = sq_open(&get.q, get.queue);
	if (r < 0)
		return report_queue(get.queue, r);
	stop_catch();
	r = take_run(&get);
	sq_close(get.q);
	code = report_end(&get, r);
	take_report_odd(&get);
	if (code != EXIT_DONE)
		stop_die();
	return code;
}
