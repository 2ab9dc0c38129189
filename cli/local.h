/* SPDX-License-Identifier: ISC */
#ifndef CLI_LOCAL_H
#define CLI_LOCAL_H

/*
 * `sqctl local`: the whole job on one machine. A supervisor starts producers, workers and a
 * collector as processes of their own, restarts those of the first two that die, and proves at the
 * end that every task was done and collected.
 *
 *	cmd_local.c	options, and the run from start to end
 *	local_crew.c	the processes: what each does, and what a death means
 *	local_make.c	a producer
 *	local_work.c	a worker
 *	local_collect.c	the collector
 *	local_show.c	progress
 *	local_proof.c	what was made, done, collected, and whether it agrees
 *	local_tell.c	the proof, for people and for programs
 *
 * What they tell each other, besides the queues, is the ledger: anonymous shared memory, so that it
 * survives each of them and goes with the last. It is read after its writer's death, so each word
 * is written in an order that leaves sense behind at any instruction.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "crew.h"
#include "sq.h"
#include "square.h"

#define LOCAL_PRODUCERS_MAX 256
#define LOCAL_WORKERS_MAX   1024
#define LOCAL_LOG_MAX       65536 /* redeliveries, and refusals, that can be told apart */
#define LOCAL_NAME_MAX      (2 * SQ_NAME_MAX + 2)

struct local_options {
	uint64_t producers, workers;
	uint64_t tasks;   /* UINT64_MAX: until told to end */
	int64_t duration; /* nanoseconds; 0: none */
	uint64_t rate;    /* tasks in each rate_span; 0: full speed */
	int64_t rate_span;
	uint64_t max;
	uint64_t capacity;
	uint64_t seed;
	bool quiet;
	bool json;
	/* NULL: standard output, and then the results are not written there. */
	const char *json_file;
	char prefix[SQ_NAME_MAX + 1];
	char pq[LOCAL_NAME_MAX], cq[LOCAL_NAME_MAX];
};

/* What a producer made. Written alternately, so that one of the two is always whole. */
struct local_made {
	_Alignas(64) _Atomic uint64_t which;
	struct {
		uint64_t count;
		u128 sum;
	} at[2];
};

/* The task in a worker's hand. Written before its result is put. */
struct local_hand {
	_Alignas(64) _Atomic uint64_t id;
	_Atomic uint64_t n;
	_Atomic uint64_t entry; /* in the log of redeliveries, plus one; 0: a first delivery */
	_Atomic uint64_t
		seq; /* results this worker had put before this one, plus one; written last */
};

/* A task that came to a worker a second time or later. */
struct local_again {
	_Atomic uint64_t id;
	_Atomic uint64_t n;
	_Atomic uint64_t done; /* its result was put, and it was acked */
};

struct local_ledger {
	_Atomic bool stop;        /* to the producers: make no more */
	_Atomic bool reader_gone; /* from the collector: its output has no reader any more */
	_Atomic int write_error;  /* from the collector: why they could not be written */
	_Atomic bool torn;        /* from the collector: half a line is out */
	int64_t began_ns;

	_Alignas(64) _Atomic uint64_t collected;
	_Atomic uint64_t wrong;
	u128 sum; /* of n, over right results; this and the next to be read when the collector is done */
	uint64_t written; /* lines that went out; on a terminal: all */

	_Alignas(64) _Atomic uint64_t again_count, refused_count;
	struct local_made made[LOCAL_PRODUCERS_MAX];
	struct local_hand hand[LOCAL_WORKERS_MAX];
	struct local_again again[LOCAL_LOG_MAX];
	_Atomic uint64_t refused[LOCAL_LOG_MAX]; /* ids plus one, some perhaps twice */
};

/*
 * A result that a worker had put when it was killed, before it could be seen to have acked its
 * task.
 */
struct local_suspect {
	uint64_t id, n;
	/* For the proof: how many results the task got, if more than one; 0 if named already. */
	uint64_t times;
};

/* Are the results collected and counted, but not written? */
static inline bool local_keeps_results(const struct local_options *o)
{
	return o->json && !o->json_file;
}

enum local_kind { LOCAL_PRODUCER, LOCAL_WORKER, LOCAL_COLLECTOR };

struct local {
	struct local_options options;
	struct local_ledger *ledger;
	struct sq *pq, *cq;
	struct crew crew;
	uint64_t restarts[3]; /* by kind */
	struct local_suspect *suspects;
	size_t suspect_count, suspect_room;
	int64_t ended_ns;
	FILE *json;    /* NULL: none */
	int cut_short; /* the exit code, if a signal came before the last of --tasks; else 0 */
};

#endif
