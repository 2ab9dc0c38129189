/* SPDX-License-Identifier: ISC */
#ifndef BENCH_GATE_H
#define BENCH_GATE_H

#include <pthread.h>
#include <stdint.h>

/*
 * Where the processes of a run meet: all of them begin a phase together, and leave their counts
 * here, in shared memory. If one dies on the way, the others wait until crew_wait() ends them.
 */

#define GATE_LINE     128 /* two lines: the neighbour's is fetched along */
#define GATE_ENDS_MAX 128

struct gate_end {
	_Alignas(GATE_LINE) uint64_t count;
	uint64_t sum;
	int64_t began_ns, ended_ns;
	int64_t busy_ns; /* a worker's: the time during which it had a task */
};

struct gate {
	pthread_barrier_t barrier;
	uint64_t messages;                              /* of the phase to come */
	_Alignas(GATE_LINE) _Atomic unsigned producing; /* producers that have not yet put all */
	_Alignas(GATE_LINE) struct gate_end end[GATE_ENDS_MAX];
};

/* For so many processes, or NULL. */
struct gate *gate_new(unsigned processes);
struct gate *gate_free(struct gate *gate);

/* Wait for all the others. */
void gate_pass(struct gate *gate);

/* This producer has put all. Is it the last one? It says so to the consumers. */
int gate_last(struct gate *gate);

#endif
