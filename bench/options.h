/* SPDX-License-Identifier: ISC */
#ifndef BENCH_OPTIONS_H
#define BENCH_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

/*
 * The command line. Each option has one row in the table in options.c, with the commands that take
 * it, its default and its limits; what a command does not take it refuses.
 */

enum options_command {
	FOR_RING = 1,
	FOR_PEERS = 2,
	FOR_LATENCY = 4,
	FOR_JOB = 8,
	FOR_BRIDGE = 16,
	FOR_BARS = 32,
	FOR_TOUR = 64,
	FOR_ALL = 127,
};

#define OPTIONS_LIST_MAX 16
#define SPIN_OWN         (-1) /* the queue's own way to wait */
#define SPIN_BEST        (-2) /* whichever is the fastest, tried beforehand */

struct list {
	unsigned n;
	uint64_t v[OPTIONS_LIST_MAX];
};

/* Producers and consumers, as in 2x2. */
struct ends {
	unsigned producers, consumers;
};

enum { MODE_COPY = 1, MODE_PLACE = 2, MODE_GET = 4, MODE_LEASE = 8 };
enum { PART_TASKS = 1, PART_BULK = 2, PART_IDLE = 4, PART_DELAY = 8 };

struct options {
	/* of all commands */
	uint64_t runs, messages;
	int64_t near_ns; /* how long to wait until the CPUs are near, in all */
	int64_t span_ns; /* how long a run should be, where messages is 0 */
	int cpus[2];
	bool json, bars, quiet;
	const char *plot;
	/* of some */
	struct list size, batch;
	bool sizes_given; /* else those of all bars are meant */
	struct ends ends[OPTIONS_LIST_MAX];
	unsigned ends_n;
	unsigned modes;
	uint64_t capacity;
	int64_t spin;
	const char *peer; /* names with commas; NULL: all */
	uint64_t trips;
	unsigned parts;
	int64_t delay_ns, task_ns;
	uint64_t workers, window;
	uint64_t idle;
	bool free_cpus;
};

/*
 * Fill *ret from the defaults and the words behind the command's name. An exit code, said.
 */
int options_read(
	struct options *ret, const char *command, enum options_command self, int argc, char **argv);

/* Is that one to be measured? The words of --peer begin names; without any all are. */
bool options_peer(const struct options *options, const char *name);

/* Print the rows of a command. */
void options_help(enum options_command self);

#endif
