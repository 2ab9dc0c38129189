/* SPDX-License-Identifier: ISC */
#include <bsd/stdlib.h>
#include <errno.h>
#include <getopt.h>

#include "command.h"
#include "hold.h"
#include "now.h"
#include "parse.h"
#include "report.h"
#include "stop.h"
#include "tasks.h"
#include "waiting.h"

/* sqctl produce: the recipe's producer. */

const char help_produce[] =
	"  --rate R        put so many, not as many as possible: 100/s, 10/3s\n"
	"  --tasks N       end after so many\n"
	"  --duration SPAN end after so long\n"
	"  --max N         integers from 0 to N, at most 18446744073709551615 (1000000)\n"
	"  --below N       integers from 0 to N - 1\n"
	"  --seed N        the same integers again (at random)\n" HOLD_HELP WAITING_HELP_TOTAL "\n"
	"Puts random integers n >= 0, as text, for ever if nothing else is said. While the queue is full it\n"
	"waits; what it could not put meanwhile is not made up for. Ctrl-C or SIGTERM end it in good order;\n"
	"it says how many went in. If the queue is removed, it goes on with the one that has its name then;\n"
	"if there is none, it ends or, with --wait, waits.\n"
	"\n"
	"  sqctl produce pq --rate 10/3s            at the recipe's pace\n"
	"  sqctl produce pq --tasks 1000000         as fast as it goes\n"
	"  sqctl produce pq --duration 1m --wait    before there is a pq\n"
	"\n"
	"Exit: 0 done (or a signal ended it, without --tasks), 3 shut down, 64 usage, 66 no such queue, 70\n"
	"damaged, 77 not allowed, 124 timed out waiting for the queue. A signal before the last of --tasks ends\n"
	"it as if by that signal.\n";

struct produce {
	const char *queue;
	struct tasks tasks;
	uint64_t todo;
	int64_t duration_ns; /* 0: none */
	int64_t wait_ns;
	struct waiting waiting;
};

enum { OPT_RATE = 256, OPT_TASKS, OPT_DURATION, OPT_MAX, OPT_BELOW, OPT_SEED, OPT_WAIT };

static const struct option long_options[] = {
	{"rate", required_argument, NULL, OPT_RATE},
	{"tasks", required_argument, NULL, OPT_TASKS},
	{"duration", required_argument, NULL, OPT_DURATION},
	{"max", required_argument, NULL, OPT_MAX},
	{"below", required_argument, NULL, OPT_BELOW},
	{"seed", required_argument, NULL, OPT_SEED},
	{"wait", optional_argument, NULL, OPT_WAIT},
	{"quiet", no_argument, NULL, 'q'},
	{0},
};

static const char *parse_option(struct produce *p, int option)
{
	const char *wrong;

	switch (option) {
	case OPT_RATE:
		return parse_rate(&p->tasks.rate, &p->tasks.rate_span_ns, optarg);
	case OPT_TASKS:
		return parse_count(&p->todo, optarg, 0, INT64_MAX);
	case OPT_DURATION:
		return parse_duration(&p->duration_ns, optarg);
	case OPT_MAX:
		return parse_count(&p->tasks.max, optarg, 0, UINT64_MAX);
	case OPT_BELOW:
		wrong = parse_count(&p->tasks.max, optarg, 1, UINT64_MAX);
		if (!wrong)
			p->tasks.max--;
		return wrong;
	case OPT_SEED:
		return parse_count(&p->tasks.seed, optarg, 0, UINT64_MAX);
	case 'q':
		p->waiting.quiet = true;
		return NULL;
	default:
		return hold_parse_wait(&p->wait_ns, optarg);
	}
}

static int read_options(struct produce *p, int argc, char **argv)
{
	int option, at = 0;

	opterr = 0;
	optind = 0;
	while ((option = getopt_long(argc, argv, ":q", long_options, &at)) != -1) {
		const char *wrong;

		if (option == '?' || option == ':')
			return report_option("produce", argv, option);
		wrong = parse_option(p, option);
		if (wrong)
			return report_usage(
				"produce", "--%s '%s' %s", long_options[at].name, optarg, wrong);
	}
	if (optind == argc)
		return report_usage(
			"produce", "the name of a queue is missing; `sqctl ls` lists them");
	if (argc - optind > 1)
		return report_usage("produce", "one queue at a time");
	p->queue = argv[optind];
	return EXIT_DONE;
}

/* Until all are put (0), it is to end (-EINTR), or the queue does not take them. */
static int put(struct produce *p, struct hold *hold, uint64_t *k)
{
	while (*k < p->todo) {
		uint64_t want = p->todo - *k < TASKS_BATCH ? p->todo - *k : TASKS_BATCH;
		unsigned n = tasks_due(&p->tasks, *k, (unsigned)want, STOP_LOOK_NS);
		int r = n > 0 ? tasks_put(&p->tasks, hold->q, *k, n, STOP_LOOK_NS) : 0;

		if (r < 0 && r != -ETIMEDOUT)
			return r == -EIDRM ? -ENOENT : r;
		if (r > 0)
			*k += (uint64_t)r;
		if (r == -ETIMEDOUT)
			waiting_on(&p->waiting, p->queue, WAITING_ROOM);
		else
			waiting_over(&p->waiting);
		tasks_forgive(&p->tasks, *k);
		if (stop_wanted())
			return -EINTR;
		if (hold_gone(hold))
			return -ENOENT;
	}
	return 0;
}

static int report_end(const struct produce *p, uint64_t done, int error)
{
	switch (-error) {
	case 0:
		return EXIT_DONE;
	case EINTR:
		if (!stop_signal() || p->todo == UINT64_MAX)
			return EXIT_DONE;
		return report_stopped(stop_signal(), done, p->todo);
	case EMSGSIZE:
		return report(EXIT_USAGE,
			"%s does not take integers so long; make it with a larger --max-message, or use "
			"a smaller --max",
			p->queue);
	default:
		return report_queue(p->queue, error);
	}
}

/* From one queue of that name to the next. */
static int run(struct produce *p)
{
	int64_t from = now_ns();
	struct hold hold;
	uint64_t k = 0;
	int r, code;

	p->tasks.began_ns = from;
	do {
		r = hold_open(&hold, p->queue, p->wait_ns, p->waiting.quiet, hold_nap, NULL);
		if (r != 0)
			break;
		r = put(p, &hold, &k);
		hold_close(&hold);
		if (r == -ENOENT && !p->waiting.quiet)
			hold_report_gone(p->queue, p->wait_ns);
	} while (r == -ENOENT);
	code = r > 0 ? r : report_end(p, k, r);
	if (!p->waiting.quiet && (r <= 0 || k > 0))
		report_total("put", k, " into ", p->queue, now_ns() - from);
	return code;
}

int cmd_produce(int argc, char **argv)
{
	static _Atomic bool said;
	struct produce p = {
		.tasks = {.max = TASKS_MAX,
			.producers = 1,
			.seed = (uint64_t)arc4random() << 32 | arc4random()},
		.todo = UINT64_MAX,
		.waiting.said = &said,
	};
	int code = read_options(&p, argc, argv);

	if (code != EXIT_DONE)
		return code;
	stop_catch();
	if (p.duration_ns)
		stop_after(p.duration_ns);
	code = run(&p);
	if (code != EXIT_DONE)
		stop_die();
	return code;
}
