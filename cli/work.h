/* SPDX-License-Identifier: ISC */
#ifndef CLI_WORK_H
#define CLI_WORK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "sq.h"

/*
 * `sqctl work`: processes that lease tasks from one queue, put results into another and acknowledge.
 *
 *	cmd_work.c	options, and the supervisor
 *	work.c		a worker
 *
 * What they tell each other is anonymous shared memory: it survives each of them and goes with the
 * last. A word has one writer, but for `trouble` and `said`, which are the first one's.
 */

#define WORK_MAX 1024

enum work_queue { WORK_SOURCE, WORK_RESULTS };

struct work_board {
	_Atomic bool stop; /* to the workers: finish what is in hand, and end */
	/* From the first that could not go on: the queue, and the error it gave. 0: none. */
	_Atomic uint64_t trouble;
	_Atomic bool said[2]; /* by some worker: that it waits for this queue */
	struct {
		_Alignas(64) _Atomic uint64_t done; /* acknowledged */
		_Atomic uint64_t refused;           /* tasks that were none, each time */
	} worker[WORK_MAX];
};

struct work_options {
	const char *queue[2];
	uint64_t workers;
	int64_t wait_ns;
	bool quiet;
	/*
	 * Of the source queue: what becomes of tasks that are none, and how often a lease is to be
	 * touched.
	 */
	struct sq_stat source;
};

/* The trouble in one word, and back. Errors are negative errno values. */
uint64_t work_trouble(enum work_queue which, int error);
enum work_queue work_trouble_queue(uint64_t trouble);
int work_trouble_error(uint64_t trouble);

/* A worker's life. EXIT_DONE when told to stop, EXIT_DRAINED, or EXIT_BROKEN: see the board. */
int work(const struct work_options *o, struct work_board *board, unsigned index);

#endif
