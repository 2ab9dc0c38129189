/* SPDX-License-Identifier: ISC */
#ifndef BENCH_JOB_H
#define BENCH_JOB_H

#include <stdint.h>

/*
 * The whole job once: a producer, workers, the collector, a process each, over two queues of some
 * kind. The collector checks each result and adds up the tasks.
 */

#define JOB_WORKERS_MAX 100

struct job;

/* One kind of queues. Each function returns an exit code, and says what was wrong. */
struct job_kind {
	const char *name;
	int (*open)(struct job *job); /* by the parent */
	int (*join)(struct job *job, int role);
	int (*produce)(struct job *job, uint64_t n); /* tasks 0 to n - 1 of recipe.h */
	/* One worker: n tasks. Of several each works until it is told to stop by a task. */
	int (*work)(struct job *job, uint64_t n);
	int (*collect)(struct job *job, uint64_t n, uint64_t *ret_sum);
	void (*close)(struct job *job); /* by the parent */
};

enum { JOB_PRODUCER, JOB_WORKER, JOB_COLLECTOR };

struct job {
	const struct job_kind *kind;
	unsigned workers;
	void *memory; /* the kind's, shared */
	void *end;    /* the kind's, of this process */
};

/*
 * Run it with so many tasks, or as many as take the time. To *ret the tasks a second, to *ret_n how
 * many there were. cpus: of producer and collector, and of the workers; or PIN_FREE.
 */
int job_run(const struct job_kind *kind, unsigned workers, const int cpus[2], uint64_t n,
	int64_t span_ns, double *ret, uint64_t *ret_n);

/* With several workers: job_sq_single only. */
extern const struct job_kind job_sq_single, job_sq_batch, job_zmq_tcp, job_zmq_ipc;

#endif
