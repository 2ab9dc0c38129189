/* SPDX-License-Identifier: ISC */
#ifndef BENCH_COMMAND_H
#define BENCH_COMMAND_H

#include "options.h"

/*
 * The commands of sqbench: one entry in the table in main.c, one file each. A command measures, says
 * what it found by out.h, and returns an exit code.
 */

struct command {
	const char *name;
	enum options_command self;
	const char *summary; /* one line */
	int (*run)(const struct options *options);
};

int cmd_bars(const struct options *options);
int cmd_bridge(const struct options *options);
int cmd_job(const struct options *options);
int cmd_latency(const struct options *options);
int cmd_peers(const struct options *options);
int cmd_ring(const struct options *options);
int cmd_tour(const struct options *options);

#endif
