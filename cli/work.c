/* SPDX-License-Identifier: ISC */
#include "work.h"

#include <errno.h>
#include <stdio.h>

#include "parse.h"
#include "report.h"
#include "square.h"
#include "stop.h"
#include "waiting.h"

/*
 * A worker: lease a task, put its result, ack it. Killed before the put, the task goes to another,
 * and nothing was done. Killed between the put and the ack, it is done again.
 */

#define LOOK_MIN_NS 1000000

struct worker {
	const struct work_options *options;
	struct work_board *board;
	unsigned index;
	int64_t look_ns; /* between two looks at the board, and two touches of a lease */
	struct sq *source, *results;
	struct waiting waiting[2];
};

uint64_t work_trouble(enum work_queue which, int error)
{
	return (uint64_t)which << 32 | (uint32_t)-error;
}

enum work_queue work_trouble_queue(uint64_t trouble)
{
	return (enum work_queue)(trouble >> 32);
}

int work_trouble_error(uint64_t trouble)
{
	return -(int)(uint32_t)trouble;
}

static int trouble(struct worker *w, enum work_queue which, int error)
{
	uint64_t none = 0;

	if (error == -EIDRM)
		error = -ENOENT; /* the queue is gone, however it is noticed */
	(void)atomic_compare_exchange_strong(&w->board->trouble, &none, work_trouble(which, error));
	return EXIT_BROKEN;
}

/*
 * A task that is none. If the queue has dead letters it is given back until it is one of them, and
 * said at the last time; else it is dropped.
 */
static int refuse(struct worker *w, const struct sq_lease *task, const char *why)
{
	const struct sq_stat *st = &w->options->source;
	char fate[sizeof(st->dead_letter) + 32] = "dropped";
	int r;

	(void)atomic_fetch_add(&w->board->worker[w->index].refused, 1);
	if (st->max_attempts)
		(void)snprintf(fate, sizeof(fate), "to the dead letters, %s", st->dead_letter);
	if (!st->max_attempts || task->attempts >= st->max_attempts)
		(void)report_refused(EXIT_DONE, task->data, task->len, why, fate);
	r = st->max_attempts ? sq_nack(w->source, task) : sq_ack(w->source, task);
	return r == -ESTALE ? 0 : r;
}

/*
 * Put the result. While there is no room the lease is kept; -ESTALE: it had ended all the same.
 * -ECANCELED: there was no room, and we are to stop.
 */
static int put(struct worker *w, const struct sq_lease *task, const char *result, size_t len)
{
	for (;;) {
		int r = sq_put(w->results, result, len, w->look_ns);

		if (r != -ETIMEDOUT) {
			waiting_over(&w->waiting[WORK_RESULTS]);
			return r;
		}
		waiting_on(
			&w->waiting[WORK_RESULTS], w->options->queue[WORK_RESULTS], WAITING_ROOM);
		r = sq_touch(w->source, task);
		if (r < 0)
			return r;
		if (atomic_load(&w->board->stop))
			return -ECANCELED;
	}
}

/* EXIT_DONE, or why to end. */
static int do_task(struct worker *w, const struct sq_lease *task)
{
	char result[SQUARE_MAX];
	uint64_t n;
	const char *why = parse_natural(&n, task->data, task->len);
	int r;

	if (why) {
		r = refuse(w, task, why);
		return r < 0 ? trouble(w, WORK_SOURCE, r) : EXIT_DONE;
	}
	r = put(w, task, result, square_text(result, n));
	if (r == -ESTALE)
		return EXIT_DONE; /* another has the task */
	if (r < 0)
		(void)sq_nack(w->source, task); /* stale: then it was given back already */
	if (r == -ECANCELED)
		return EXIT_DONE;
	if (r < 0)
		return trouble(w, WORK_RESULTS, r);
	r = sq_ack(w->source, task);
	if (r == -ESTALE)
		return EXIT_DONE; /* another worker does it again */
	if (r < 0)
		return trouble(w, WORK_SOURCE, r);
	(void)atomic_fetch_add(&w->board->worker[w->index].done, 1);
	return EXIT_DONE;
}

static int do_tasks(struct worker *w)
{
	struct sq_lease task;
	int code = EXIT_DONE, r;

	while (code == EXIT_DONE && !atomic_load(&w->board->stop)) {
		r = sq_lease(w->source, &task, w->look_ns);
		if (r == -EPIPE)
			return EXIT_DRAINED;
		if (r == -ETIMEDOUT) {
			waiting_on(&w->waiting[WORK_SOURCE], w->options->queue[WORK_SOURCE],
				WAITING_ITEMS);
			continue;
		}
		waiting_over(&w->waiting[WORK_SOURCE]);
		code = r == 0 ? do_task(w, &task) : trouble(w, WORK_SOURCE, r);
	}
	return code;
}

int work(const struct work_options *o, struct work_board *board, unsigned index)
{
	struct worker w = {.options = o, .board = board, .index = index, .look_ns = STOP_LOOK_NS};
	int r, code;

	for (int i = 0; i < 2; i++)
		w.waiting[i] = (struct waiting){.quiet = o->quiet, .said = &board->said[i]};
	/* A lease that is to be kept is touched well before its time is up. */
	if (o->source.lease_time && o->source.lease_time / 4 < w.look_ns)
		w.look_ns = o->source.lease_time / 4 > LOOK_MIN_NS ? o->source.lease_time / 4
								   : LOOK_MIN_NS;
	r = sq_open(&w.source, o->queue[WORK_SOURCE]);
	if (r < 0)
		return trouble(&w, WORK_SOURCE, r);
	r = sq_open(&w.results, o->queue[WORK_RESULTS]);
	code = r < 0 ? trouble(&w, WORK_RESULTS, r) : do_tasks(&w);
	sq_close(w.results);
	sq_close(w.source);
	return code;
}
