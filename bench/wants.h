/* SPDX-License-Identifier: ISC */
#ifndef BENCH_WANTS_H
#define BENCH_WANTS_H

#include <stddef.h>

#include "options.h"
#include "out.h"

/*
 * What is required of the queues in comparison with others: the bar is the least, the goal is what
 * is wanted.
 */

struct spec {
	size_t size;
	struct ends ends;
	unsigned batch, idle;
	int place, lease;
};

struct want {
	struct bar bar;
	struct spec ours;
	const char *over; /* which peer */
	struct spec theirs;
};

/* Those with the same side of ours are neighbours. */
extern const struct want wants[];
extern const unsigned wants_n;

#endif
