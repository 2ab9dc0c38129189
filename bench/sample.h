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

/* One sample more of this row, which is only read. An exit code. */
int sample_take(struct sample *ret, const struct options *options, const struct row *row,
	sample_run *run, void *arg);

#endif
