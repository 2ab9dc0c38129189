/* SPDX-License-Identifier: ISC */
#ifndef BENCH_HOSTS_H
#define BENCH_HOSTS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "sq.h"

/*
 * Two hosts on this machine: a prefix for each, a hub and a leaf of sqbridge between them, with
 * queues pq (pulled) and cq (pushed) on either side, and perhaps a relay that makes the way long.
 * All of it is gone after hosts_close().
 */

#define HOSTS_NAME_MAX 48

struct hosts {
	char scratch[128]; /* keys and logs */
	char hub_prefix[32], leaf_prefix[32];
	char hub_pq[HOSTS_NAME_MAX], hub_cq[HOSTS_NAME_MAX];
	char leaf_pq[HOSTS_NAME_MAX], leaf_cq[HOSTS_NAME_MAX];
	pid_t hub, leaf, relay;
	long seen; /* of the log that is read */
};

struct hosts_setup {
	struct sq_config queue; /* all four of them */
	uint64_t window;
	int64_t delay_ns; /* there and back; 0: no relay */
	int hub_cpu, leaf_cpu;
};

/* Start them, and wait until both queues are carried. An exit code. hosts_close() in any case. */
int hosts_open(struct hosts *ret, const struct hosts_setup *setup);
void hosts_close(struct hosts *hosts);

/* CPU time that a process and its threads have had, in nanoseconds. */
int64_t hosts_cpu_ns(pid_t pid);

#endif
