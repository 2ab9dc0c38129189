/* SPDX-License-Identifier: ISC */
#ifndef BENCH_PLOT_H
#define BENCH_PLOT_H

#include <stdbool.h>

struct row;
struct summary;

/* The rows as bars of a picture, by gnuplot if it is there. */

/* NULL: no picture is wanted. */
int plot_begin(const char *file);
void plot_add(const struct row *row, const struct summary *summary, bool near);

/* An exit code. */
int plot_end(void);

#endif
