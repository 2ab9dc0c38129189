/* SPDX-License-Identifier: ISC */
#ifndef BENCH_IPERF_H
#define BENCH_IPERF_H

#include <stdbool.h>
#include <stddef.h>

/* iperf3 over the loopback, if it is installed: what TCP alone carries. */

bool iperf_there(void);

/* One second of one stream in pieces of so many bytes; bytes a second. An exit code. */
int iperf_run(const int cpus[2], size_t size, double *ret);

#endif
