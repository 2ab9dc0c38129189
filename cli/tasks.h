/* SPDX-License-Identifier: ISC */
#ifndef CLI_TASKS_H
#define CLI_TASKS_H

#include <stdint.h>

#include "sq.h"

/*
 * The recipe's tasks: random integers from 0 to a largest one, in decimal, perhaps at a pace. The
 * k-th of a producer is a function of k, so that a successor can go on with exactly the next.
 */

#define TASKS_BATCH 64
#define TASKS_MAX   1000000 /* the largest, if nothing else is said */

struct tasks {
	uint64_t seed;
	uint64_t max;
	uint64_t index, producers; /* this is number `index` of so many, which take turns */
	uint64_t rate;             /* of all of them, in each rate_span_ns; 0: full speed */
	int64_t rate_span_ns;
	int64_t began_ns; /* when the first was due */
};

uint64_t tasks_number(const struct tasks *t, uint64_t k);

/*
 * How many of the next `want`, which begin with the k-th, are due now. If none is, sleeps until one
 * is, or a signal comes, but no longer than longest_ns.
 */
unsigned tasks_due(const struct tasks *t, uint64_t k, unsigned want, int64_t longest_ns);

/*
 * Tasks that could not be put in time, the k-th and those behind it, are not made up for in a
 * burst.
 */
void tasks_forgive(struct tasks *t, uint64_t k);

/* Put n, at most TASKS_BATCH, which begin with the k-th. As sq_put_many(). */
int tasks_put(const struct tasks *t, struct sq *q, uint64_t k, unsigned n, int64_t timeout);

#endif
