/* SPDX-License-Identifier: ISC */
#ifndef BENCH_CARRY_H
#define BENCH_CARRY_H

#include <stddef.h>
#include <stdint.h>

#include "hosts.h"

/* What is done over the two hosts: producers on the hub's side, workers on the leaf's. */

struct carry_load {
	size_t size;
	uint64_t messages; /* 0: as many as take span_ns */
	int64_t span_ns;
	int hub_cpu, leaf_cpu;
};

struct carry_result {
	uint64_t messages;
	double per_second;      /* put at the hub, pulled, done at the leaf, settled at the hub */
	double hub_ns, leaf_ns; /* CPU time of the daemons for each */
};

/*
 * A producer, and a worker that leases, reads, and acks. Returns when the hub's queue is settled.
 */
int carry_tasks(const struct hosts *hosts, const struct carry_load *load, struct carry_result *ret);

/* One task at a time: put at the hub, leased at the leaf, its result put there, got at the hub. */
int carry_trips(
	const struct hosts *hosts, const struct carry_load *load, uint32_t *ret_ns, unsigned trips);

/*
 * So many tasks that each take that long, without a CPU, for so many workers: which share of their
 * time, from the first task to the last, had they one in hand? *ret_n: how many there were.
 */
int carry_busy(const struct hosts *hosts, const struct carry_load *load, unsigned workers,
	int64_t task_ns, double *ret_share, uint64_t *ret_n);

#endif
