/* SPDX-License-Identifier: ISC */
#ifndef BENCH_OUT_H
#define BENCH_OUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "options.h"
#include "stats.h"

/*
 * What is said of what was measured: a table, or an object of JSON a line, on standard output; a
 * line of progress on standard error, if that is a terminal; a picture.
 */

/* One side of one comparison. Text is short and plain: it goes into JSON as it is. */
struct row {
	const char *bench; /* the command */
	char work[64];     /* what is done: "64 B 1x1 batch 32" */
	char side[64];     /* who does it: "sq", "zmq tcp" */
	const char *unit;  /* of the values: "msg/s", "ns", "B/s" */
	char spin[64];     /* how it waits */
	char where[64];    /* which CPUs what is pinned to */
	char setup[128];   /* how its queue was made, and whatever else matters */
	uint64_t size, producers, consumers, batch; /* 0: it has no such thing */
	uint64_t messages;                          /* counted and checked, in all its runs */
	struct series series;
};

/* An exit code: there is no gnuplot for --plot, or its file cannot be written. */
int out_begin(const struct options *options);

/* Write what was printed. EXIT_DONE, or EXIT_IO with the reason said. */
int out_flush(void);

/* On a terminal, and gone with the next line. */
void out_progress(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Near runs and far ones are lines of their own. */
void out_row(const struct row *row);

/* One line of talk under the table; nothing in JSON. */
void out_note(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* How much the one side is of the other. */
void out_ratio(const struct row *ours, const struct row *theirs);

/*
 * What was required, and what was reached: ours over theirs, at least or, for times, at most so
 * much. Counts those that were missed.
 */
struct bar {
	const char *name;
	double bar, goal; /* goal 0: there is none */
	bool at_most;
};
void out_bar(const struct bar *bar, const struct row *ours, const struct row *theirs);

/* The same for a value that is no ratio. */
void out_bar_value(const struct bar *bar, double value, const char *said);

/* A bar that could not be measured, and why. It is missed. */
void out_bar_unknown(const struct bar *bar, const char *why);

/* Ends the table, draws the picture. An exit code: EXIT_MISSED if a bar was, and bars were asked. */
int out_end(void);

/* A number as people read it, 12.3 M, to buf. */
const char *out_number(char *buf, size_t cap, double value, const char *unit);

#endif
