/* SPDX-License-Identifier: ISC */
#ifndef BENCH_STATS_H
#define BENCH_STATS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * What was measured, and what is said of it. Pure.
 *
 * A run is near if the probes just before and just after it both were. A figure is the median of
 * the near runs, and never mixes them with the others.
 */

#define STATS_RUNS_MAX    1000
#define STATS_NEAR_MAX_NS 200.0 /* a line there and back: 80 to 150 ns are near, 320 and more far */

struct sample {
	double value;
	double before_ns, after_ns; /* the probes; 0: none was made */
};

/* The runs of one side, in the order they were made. Those of another side were made in between. */
struct series {
	unsigned n;
	struct sample run[STATS_RUNS_MAX];
};

struct summary {
	unsigned n;
	double median, min, max;
	double before_ns, after_ns; /* medians of the probes */
};

/* Of n values, 1 at least, which it sorts. */
double stats_median(double *v, unsigned n);

bool stats_near(const struct sample *sample);
void stats_add(struct series *series, struct sample sample);

/* Of its near runs, or of its far ones. n is 0 if there are none. */
struct summary stats_summary(const struct series *series, bool near);

struct ratio {
	unsigned n;
	bool near; /* of near runs only; else of far ones, for there are no near ones on both sides */
	double median;   /* of the medians */
	double min, max; /* of runs that were neighbours */
};

/* a over b. n is 0 if there is nothing to compare. */
struct ratio stats_ratio(const struct series *a, const struct series *b);

/* The value below which that share of the n lies: 0.5, 0.99. Sorted by the caller. */
double stats_percentile(const uint32_t *sorted, size_t n, double share);
void stats_sort(uint32_t *values, size_t n);

#endif
