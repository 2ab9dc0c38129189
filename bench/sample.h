/* SPDX-License-Identifier: ISC */
#ifndef BENCH_SAMPLE_H
#define BENCH_SAMPLE_H

#include "options.h"
#include "out.h"

/*
 * One run of anything, between two probes. With --near a run that was not near is thrown away and made
 * again, and a run begins only when the CPUs are near, until so much time was spent on waiting; after
 * that all runs count.
 */

/* Measures once: to *ret_value. An exit code. */
typedef int sample_run(void *arg, double *ret_value);

/* One sample more, added to the row. An exit code. */
int sample_add(struct row *row, const struct options *options, sample_run *run, void *arg);

/* The same for one that does not count: the row is only read. */
int sample_take(struct sample *ret, const struct options *options, const struct row *row,
	sample_run *run, void *arg);

#endif
