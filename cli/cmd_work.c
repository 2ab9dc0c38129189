/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "args.h"
#include "command.h"
#include "crew.h"
#include "hold.h"
#include "names.h"
#include "now.h"
#include "report.h"
#include "waiting.h"
#include "work.h"

/* sqctl work: the recipe's consumers, and the supervisor that sees to it that there are as many. */

const char help_work[] =
	"  -j, --jobs N    so many worker processes, at most 1024 (1)\n" HOLD_HELP
		WAITING_HELP_TOTAL SPAN_HELP "\n"
	"Each worker leases a task n from the first queue, puts the text `n * n = n²` into the second, and\n"
	"acknowledges n. While the second queue is full it waits. Kill any worker: its task is delivered\n"
	"again, and another takes its place, at once or, if it dies again and again before it has done\n"
	"anything, later and later. A task killed between put and acknowledgement is done twice.\n"
	"\n"
	"A task that is no integer >= 0 is told and dropped; or, in a queue with --max-attempts, given back\n"
	"until it is a dead letter. Ctrl-C or SIGTERM: tasks in hand are finished first, or given back if there\n"
	"is no room for the result; once more ends it at once, and they are delivered again. If a queue is\n"
	"removed, the workers go on with those that have the names then; if there is none, it ends or, with\n"
	"--wait, waits.\n"
	"\n"
	"  sqctl work pq cq -j4\n"
	"  sqctl work --wait pq cq          before a bridge has made the queues\n"
	"\n"
	"Exit: 0 a signal ended it, 3 the first queue is shut down and drained, or the second shut down, 64\n"
	"usage, 66 no such queue, 69 no processes or memory, no place in a queue for one more participant; 70\n"
	"damaged, 77 not allowed, 124 timed out waiting for a queue, 128 and the signal if it ended at once.\n";

static const char *const kinds[] = {"worker"};

struct supervisor {
	struct work_options options;
	struct work_board *board;
	struct crew crew;
	struct hold hold[2];
	enum work_queue gone; /* the queue that supervise() found to be */
	bool drained;         /* a worker has seen that no more will come */
};

static int read_options(struct work_options *o, int argc, char **argv)
{
	const struct args_option options[] = {
		{"jobs", 'j', required_argument, args_count, .to = &o->workers, .min = 1,
			.max = WORK_MAX},
		{"wait", 0, optional_argument, hold_set_wait, .to = &o->wait_ns},
		{"quiet", 'q', no_argument, args_flag, .to = &o->quiet},
		{0},
	};
	char full[2][NAMES_MAX];
	struct args args;
	int code = args_read(&args, options, argc, argv);

	if (code == EXIT_DONE && args.n != 2)
		return report_usage("work",
			"two queues: the one that tasks come from, and the one for results%s",
			args_hint(&args));
	if (code == EXIT_DONE)
		code = names_check(2, args.words);
	for (int i = 0; code == EXIT_DONE && i < 2; i++) {
		o->queue[i] = args.words[i];
		(void)names_full(full[i], o->queue[i]);
	}
	if (code == EXIT_DONE && strcmp(full[0], full[1]) == 0)
		return report_usage("work", "results cannot go where the tasks come from");
	return code;
}

static int run_worker(void *data, const struct crew_member *m)
{
	const struct supervisor *s = data;

	return work(&s->options, s->board, m->index);
}

static int ended(void *data, struct crew_member *m, pid_t pid, int status)
{
	struct supervisor *s = data;
	uint64_t now = atomic_load(&s->board->worker[m->index].done) +
		       atomic_load(&s->board->worker[m->index].refused);
	char later[32] = "";
	int64_t wait_ns;

	if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_DRAINED)
		s->drained = true;
	/*
	 * The reason is on the board; or the queue was drained, and another worker could not go on
	 * either.
	 */
	if (WIFEXITED(status) && !s->drained && !atomic_load(&s->board->trouble))
		return report(EXIT_BROKEN, "worker %u (pid %d) ended by itself with code %d",
			m->index + 1, (int)pid, WEXITSTATUS(status));
	if (WIFEXITED(status) || atomic_load(&s->board->stop))
		return 0;
	wait_ns = crew_replace_later(&s->crew, m, now != m->progress);
	m->progress = now;
	if (wait_ns)
		(void)snprintf(later, sizeof(later), " in %.1f s", (double)wait_ns / 1e9);
	return report(0, "worker %u (pid %d) was killed by signal %d; another takes its place%s",
		m->index + 1, (int)pid, WTERMSIG(status), later);
}

static uint64_t done(const struct supervisor *s)
{
	uint64_t n = 0;

	for (uint64_t i = 0; i < s->options.workers; i++)
		n += atomic_load(&s->board->worker[i].done);
	return n;
}

static int report_trouble(const struct supervisor *s, uint64_t trouble)
{
	const char *queue = s->options.queue[work_trouble_queue(trouble)];
	int error = work_trouble_error(trouble);

	if (error == -EMSGSIZE)
		return report(EXIT_USAGE,
			"a result is longer than %s allows; make it with a larger --max-message",
			queue);
	return report_queue(queue, error);
}

/* Until all have ended. EXIT_DONE if they were asked to; -ENOENT: a queue is gone. */
static int supervise(struct supervisor *s)
{
	bool gone = false;
	uint64_t trouble;
	int code;

	while (!crew_done(&s->crew, 0)) {
		switch (crew_wait(&s->crew, HOLD_LOOK_NS)) {
		case CREW_LOOK:
			break;
		case CREW_ASKED:
			(void)report(
				0, "ending: tasks in hand are finished; once more to end at once");
			break;
		case CREW_ASKED_AGAIN:
			crew_kill(&s->crew);
			return report(128 + s->crew.asked,
				"ended at once; tasks in hand will be delivered again");
		}
		code = crew_reap(&s->crew);
		if (code != 0)
			return code;
		for (int i = 0; i < 2; i++)
			if (!gone && hold_gone(&s->hold[i])) {
				gone = true;
				s->gone = (enum work_queue)i;
			}
		if (s->crew.asked || gone || atomic_load(&s->board->trouble)) {
			atomic_store(&s->board->stop, true);
			crew_no_more(&s->crew);
		}
	}
	trouble = atomic_load(&s->board->trouble);
	/* Removed before a worker could open it: treated as removed during the run. */
	if (!gone && work_trouble_error(trouble) == -ENOENT) {
		gone = true;
		s->gone = work_trouble_queue(trouble);
		trouble = 0;
	}
	if (gone && !s->crew.asked)
		return -ENOENT;
	if (trouble && !gone)
		return report_trouble(s, trouble);
	if (s->drained && !s->crew.asked)
		return report(EXIT_DRAINED, "%s is shut down and drained: no more will come",
			s->options.queue[WORK_SOURCE]);
	return EXIT_DONE;
}

static bool nap(void *data)
{
	struct supervisor *s = data;

	return crew_wait(&s->crew, HOLD_LOOK_NS) != CREW_LOOK;
}

/* With the queues that have the names now. EXIT_DONE, another exit code, -EINTR or -ENOENT. */
static int run_once(struct supervisor *s)
{
	int r = EXIT_DONE;

	for (int i = 0; r == EXIT_DONE && i < 2; i++)
		r = hold_open(&s->hold[i], s->options.queue[i], s->options.wait_ns,
			s->options.quiet, nap, s);
	if (r == EXIT_DONE) {
		r = sq_stat(s->hold[WORK_SOURCE].q, &s->options.source);
		if (r < 0)
			r = report_queue(s->options.queue[WORK_SOURCE], r);
	}
	if (r == EXIT_DONE) {
		atomic_store(&s->board->stop, false);
		atomic_store(&s->board->trouble, 0);
		r = crew_start(&s->crew);
		if (r == EXIT_DONE)
			r = supervise(s);
		crew_kill(&s->crew);
	}
	hold_close(&s->hold[0]);
	hold_close(&s->hold[1]);
	return r;
}

static int run(struct supervisor *s)
{
	int64_t from = now_ns();
	int r;

	while ((r = run_once(s)) == -ENOENT)
		if (!s->options.quiet)
			hold_report_gone(s->options.queue[s->gone], s->options.wait_ns);
	if (!s->options.quiet && (r <= 0 || done(s) > 0))
		report_total(
			"did", done(s), " of ", s->options.queue[WORK_SOURCE], now_ns() - from);
	return r == -EINTR ? EXIT_DONE : r;
}

int cmd_work(int argc, char **argv)
{
	struct supervisor s = {
		.options.workers = 1, .crew = {.kinds = kinds, .run = run_worker, .ended = ended}};
	int code = read_options(&s.options, argc, argv);

	if (code != EXIT_DONE)
		return code;
	s.board = mmap(
		NULL, sizeof(*s.board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (s.board == MAP_FAILED)
		s.board = NULL;
	s.crew.members = calloc(s.options.workers, sizeof(*s.crew.members));
	if (!s.board || !s.crew.members) {
		code = report(EXIT_UNAVAILABLE, "out of memory");
		goto out;
	}
	s.crew.data = &s;
	s.crew.count = (unsigned)s.options.workers;
	for (unsigned i = 0; i < s.crew.count; i++)
		s.crew.members[i].index = i;
	crew_listen(&s.crew);
	code = run(&s);
out:
	if (s.board)
		(void)munmap(s.board, sizeof(*s.board));
	free(s.crew.members);
	/* The signals stay blocked: what one would ask for is done already. */
	return code;
}
