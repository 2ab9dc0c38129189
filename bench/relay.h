/* SPDX-License-Identifier: ISC */
#ifndef BENCH_RELAY_H
#define BENCH_RELAY_H

#include <stdint.h>
#include <sys/types.h>

/*
 * A process between leaf and hub that hands on each byte half the delay after it came, in either
 * direction, at any rate: a long round trip with a high bandwidth. It needs no privileges, which
 * netem would.
 */

/* To the port *port of this machine. *port is then where to connect to instead. An exit code. */
int relay_start(pid_t *ret_pid, int *port, int64_t delay_ns);

#endif
