/* SPDX-License-Identifier: ISC */
#ifndef BENCH_PROBE_H
#define BENCH_PROBE_H

#include <stdint.h>

/*
 * How far the two CPUs are from each other now: two words, one written by each of two processes,
 * each on a line of its own. There and back, in nanoseconds. The median of some thousand.
 *
 * A virtual machine's CPUs are near at one moment (80 to 120 ns) and far (300 to 450 ns) at another.
 */

/*
 * To *ret_ns; 0: both are the same CPU. Where other processes use the CPUs it is given up soon,
 * with a large number. An exit code.
 */
int probe(const int cpus[2], double *ret_ns);

/* The same for each round trip by itself, n of them, for the percentiles. */
int probe_trips(const int cpus[2], uint32_t *ret_ns, unsigned n);

#endif
