/* SPDX-License-Identifier: ISC */
#ifndef BENCH_TCP_H
#define BENCH_TCP_H

#include <stddef.h>
#include <stdint.h>

/* Bare TCP over the loopback: an upper limit for everything that runs over it. */

/* A listening socket on any port. Negative errno. */
int tcp_listen(int *ret_port);

/* A connection to a port of this machine. Negative errno. */
int tcp_connect(int port);

/* Do not wait for more to send. */
void tcp_at_once(int fd);

/* Round trips of so many bytes between two processes that block, each timed. An exit code. */
int tcp_trips(const int cpus[2], size_t size, uint32_t *ret_ns, unsigned trips);

#endif
