/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <inttypes.h>

#include "args.h"
#include "command.h"
#include "hold.h"
#include "now.h"
#include "output.h"
#include "report.h"
#include "stop.h"
#include "take.h"

/*
 * sqctl collect: the collector, which the recipe calls God. As `sqctl get --follow`; it also goes
 * on when the queue is removed or made anew.
 */

const char help_collect[] =
	"  -n N            end after N results\n"
	"  --duration SPAN end after so long\n" HOLD_HELP WAITING_HELP_TOTAL SPAN_HELP "\n"
	"Writes each result as a line, as they come, for ever if nothing else is said. A result leaves the\n"
	"queue once it has been written: whatever ends this, those that were not are still there. Killed with\n"
	"-9 between the two, some are written again by the next. Ctrl-C or SIGTERM end it in good order; it\n"
	"says how many came. If the queue is removed, it takes what was in it and goes on with the one that\n"
	"has its name then; if there is none, it ends or, with --wait, waits.\n"
	"\n"
	"  sqctl collect cq\n"
	"  sqctl collect -n 1000 cq > squares\n"
	"  sqctl collect cq --wait | grep 49\n"
	"\n"
	"Exit: 0 done (or a signal ended it, without -n, or whoever read us left), 3 shut down and drained, 64\n"
	"usage, 66 no such queue, 69 no place in the queue for one more participant, no descriptor or memory;\n"
	"70 damaged, 74 cannot write, 77 not allowed, 124 timed out: waiting for the queue, or fewer than -n. A\n"
	"signal before the last of -n ends it as if by that signal.\n";

struct collect {
	struct take take;
	int64_t duration_ns; /* 0: none */
	int64_t wait_ns;
};

static int read_options(struct collect *c, int argc, char **argv)
{
	const struct args_option options[] = {
		{"number", 'n', required_argument, args_count, .to = &c->take.limit, .min = 1,
			.max = UINT64_MAX},
		{"duration", 0, required_argument, args_duration, .to = &c->duration_ns},
		{"wait", 0, optional_argument, hold_set_wait, .to = &c->wait_ns},
		{"quiet", 'q', no_argument, args_flag, .to = &c->take.waiting.quiet},
		{0},
	};
	struct args args;
	int code = args_read(&args, options, argc, argv);

	return code == EXIT_DONE ? args_queue(&args, &c->take.queue) : code;
}

static int report_end(const struct take *take, int error)
{
	uint64_t came = take->done + take->late;

	if (error != -EINTR)
		return take_report(take, error);
	if (!take->limit || (!stop_wanted() && output_gone()))
		return EXIT_DONE;
	if (stop_signal())
		return report_stopped(stop_signal(), came, take->limit);
	return report(EXIT_TIMED_OUT,
		"the time is up: %" PRIu64 " of %" PRIu64
		" items came; see what `sqctl stat %s` says",
		came, take->limit, report_operand(take->queue));
}

/* The reader of our output may leave while there is no queue yet. */
static bool nap(void *unused)
{
	return hold_nap(unused) || output_gone();
}

static int run(struct collect *c)
{
	struct take *take = &c->take;
	int64_t from = now_ns();
	struct hold hold;
	int r, code;

	do {
		r = hold_open(&hold, take->queue, c->wait_ns, take->waiting.quiet, nap, NULL);
		if (r != 0)
			break;
		take->q = hold.q;
		take->hold = &hold;
		r = take_run(take);
		hold_close(&hold);
		if (r == -ENOENT && !take->waiting.quiet)
			hold_report_gone(take->queue, c->wait_ns);
	} while (r == -ENOENT);
	code = r > 0 ? r : report_end(take, r);
	take_report_odd(take);
	if (!take->waiting.quiet && (r <= 0 || take->done > 0))
		report_total("collected", take->done + take->late, " from ", take->queue,
			now_ns() - from);
	return code;
}

int cmd_collect(int argc, char **argv)
{
	static _Atomic bool said;
	static struct collect c = {
		.take = {.delimiter = '\n', .follow = true, .waiting.said = &said}};
	int code = read_options(&c, argc, argv);

	if (code != EXIT_DONE)
		return code;
	stop_catch();
	if (c.duration_ns)
		stop_after(c.duration_ns);
	code = run(&c);
	if (code != EXIT_DONE)
		stop_die();
	return code;
}
