/* SPDX-License-Identifier: ISC */
#include <bsd/stdlib.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "args.h"
#include "command.h"
#include "hold.h"
#include "now.h"
#include "parse.h"
#include "report.h"
#include "stop.h"
#include "tasks.h"
#include "waiting.h"

/* sqctl produce: the recipe's producer. */

#define RECIPE_MAX     999
#define RECIPE_RATE    10
#define RECIPE_SPAN_NS INT64_C(3000000000)
#define SAY_NS         INT64_C(500000000) /* no rounds are said more often */

#define PRODUCE_HELP_QUIET                                                                         \
	"  -q, --quiet     do not say the rounds, nor that it waits, nor how many there were\n"

const char help_produce[] =
	"  --tasks N       end after so many; without --rate, as fast as it goes\n"
	"  --forever       end at Ctrl-C (so it is without --tasks, too)\n"
	"  --rate R        put so many: 100/s, 10/3s; or max, as fast as it goes (10/3s)\n"
	"  --duration SPAN end after so long\n"
	"  --max N         integers from 0 to N, at most 18446744073709551615 (999)\n"
	"  --below N       integers from 0 to N - 1\n"
	"  --seed N        the same integers again (at random)\n" HOLD_HELP PRODUCE_HELP_QUIET
		SPAN_HELP "\n"
	"Puts random integers as text: 10 every 3 seconds, from 0 to 999, for ever, if nothing else is said.\n"
	"Each round, as the 10 of --rate 10/3s are, is said, but no more often than every half second; at the\n"
	"end, how many went in. While the queue is full it waits; what it could not put meanwhile is not made\n"
	"up for. Ctrl-C or SIGTERM end it in good order. If the queue is removed, it goes on with the one that\n"
	"has its name then; if there is none, it ends or, with --wait, waits.\n"
	"\n"
	"  sqctl produce pq                         the recipe's pace and range\n"
	"  sqctl produce pq --tasks 1000000         as fast as it goes\n"
	"  sqctl produce pq --duration 1m --wait    before there is a pq\n"
	"\n"
	"Exit: 0 done (or a signal ended it, without --tasks), 3 shut down, 64 usage, 66 no such queue, 69 no\n"
	"place in the queue for one more participant, no descriptor or memory; 70 damaged, 77 not allowed, 124\n"
	"timed out waiting for the queue. A signal before the last of --tasks ends it as if by that signal.\n";

struct produce {
	const char *queue;
	struct tasks tasks;
	uint64_t todo;
	int64_t duration_ns; /* 0: none */
	int64_t wait_ns;
	uint64_t said; /* of those that went in */
	int64_t said_ns;
	struct waiting waiting;
};

static const char *set_rate(const struct args_option *o, const char *text)
{
	struct produce *p = o->to;

	if (strcmp(text, "max") == 0) {
		p->tasks.rate = 0;
		return NULL;
	}
	if (parse_rate(&p->tasks.rate, &p->tasks.rate_span_ns, text))
		return "must be a rate such as 100 (a second), 100/s or 10/3s; or max";
	return NULL;
}

static const char *set_below(const struct args_option *o, const char *text)
{
	const char *wrong = args_count(o, text);

	if (!wrong)
		--*(uint64_t *)o->to;
	return wrong;
}

static int read_options(struct produce *p, int argc, char **argv)
{
	struct tasks *t = &p->tasks;
	unsigned rate = 0, tasks = 0, max = 0, below = 0;
	bool forever = false;
	const struct args_option options[] = {
		{"rate", 0, required_argument, set_rate, .to = p, .given = &rate},
		{"tasks", 0, required_argument, args_count, .to = &p->todo, .min = 0,
			.max = INT64_MAX, .given = &tasks},
		{"forever", 0, no_argument, args_flag, .to = &forever},
		{"duration", 0, required_argument, args_duration, .to = &p->duration_ns},
		{"max", 0, required_argument, args_count, .to = &t->max, .min = 0,
			.max = UINT64_MAX, .given = &max},
		{"below", 0, required_argument, set_below, .to = &t->max, .min = 1,
			.max = UINT64_MAX, .given = &below},
		{"seed", 0, required_argument, args_count, .to = &t->seed, .min = 0,
			.max = UINT64_MAX},
		{"wait", 0, optional_argument, hold_set_wait, .to = &p->wait_ns},
		{"quiet", 'q', no_argument, args_flag, .to = &p->waiting.quiet},
		{0},
	};
	struct args args;
	int code = args_read(&args, options, argc, argv);

	if (code == EXIT_DONE)
		code = args_queue(&args, &p->queue);
	if (code != EXIT_DONE)
		return code;
	if (max && below)
		return report_usage("produce", "--max and --below exclude each other");
	if (forever && (tasks || p->duration_ns))
		return report_usage("produce", "--forever excludes --tasks and --duration");
	if (!rate && !tasks) {
		t->rate = RECIPE_RATE;
		t->rate_span_ns = RECIPE_SPAN_NS;
	}
	return EXIT_DONE;
}

/* How many at once: of a pace that lets each round be said, no more than what it lacks. */
static unsigned batch(const struct produce *p, uint64_t k)
{
	uint64_t n = p->todo - k, left;

	if (n > TASKS_BATCH)
		n = TASKS_BATCH;
	if (p->tasks.rate && p->tasks.rate_span_ns >= SAY_NS) {
		left = p->tasks.rate - k % p->tasks.rate;
		n = left < n ? left : n;
	}
	return (unsigned)n;
}

/* k are put. As the recipe's producer does, say each round. */
static void say_round(struct produce *p, uint64_t k)
{
	uint64_t rate = p->tasks.rate;
	int64_t now;

	if (!rate || p->waiting.quiet || k / rate == p->said / rate)
		return;
	now = now_ns();
	if (p->tasks.rate_span_ns < SAY_NS && p->said_ns && now - p->said_ns < SAY_NS)
		return;
	(void)report(EXIT_DONE,
		"round %" PRIu64 ": put %" PRIu64 " more into %s, %" PRIu64 " in all", k / rate,
		k - p->said, p->queue, k);
	p->said = k;
	p->said_ns = now;
}

/* Until all are put (0), it is to end (-EINTR), or the queue does not take them. */
static int put(struct produce *p, struct hold *hold, uint64_t *k)
{
	while (*k < p->todo) {
		unsigned n = tasks_due(&p->tasks, *k, batch(p, *k), STOP_LOOK_NS);
		int r = n > 0 ? tasks_put(&p->tasks, hold->q, *k, n, STOP_LOOK_NS) : 0;

		if (r < 0 && r != -ETIMEDOUT)
			return r == -EIDRM ? -ENOENT : r;
		if (r > 0) {
			*k += (uint64_t)r;
			say_round(p, *k);
		}
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
		.tasks = {.max = RECIPE_MAX,
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
