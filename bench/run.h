/* SPDX-License-Identifier: ISC */
#ifndef BENCH_RUN_H
#define BENCH_RUN_H

#include <stdint.h>

#include "options.h"
#include "out.h"
#include "peer.h"
#include "stats.h"

/*
 * One side of a comparison of throughput, and its runs. In each run processes are forked and
 * pinned, warm up, pass the gate together, and move so many messages; all are counted, and the sum
 * of all their words is compared with what was sent. The probe is made just before and just after.
 */

struct side {
	const struct peer *peer;
	struct ends ends;
	size_t size;
	unsigned batch;
	int place, lease;
	unsigned idle; /* participants that do nothing */
	uint64_t capacity;
	struct spin spin;
	int free_cpus;
	uint64_t messages; /* 0: as many as take span_ns */
	int64_t span_ns;
	struct row row; /* what came of it */
};

/* Fill side->row with what is known before: its text, its numbers. */
void run_describe(struct side *side, const char *bench, const struct options *options);

/* One run more, added to the side's row. An exit code. */
int run_add(struct side *side, const struct options *options);

/* Runs of all the sides, turn about. An exit code. */
int run_all(struct side *const *sides, unsigned n, const struct options *options);

/*
 * Which way of waiting is the fastest for this side: tried in short runs, twice each. Sets
 * side->spin. An exit code.
 */
int run_choose_spin(struct side *side, const struct options *options);

/* The text of a way of waiting. */
void run_spin_text(char *buf, size_t cap, const struct peer *peer, const struct spin *spin);

#endif
