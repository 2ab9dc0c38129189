/* SPDX-License-Identifier: ISC */
#ifndef TESTS_BRIDGE_DAEMONS_H
#define TESTS_BRIDGE_DAEMONS_H

/*
 * Real daemons on this machine, which stand for two hosts by two prefixes: the path of the program
 * is in the environment's SQBRIDGE. A failure here fails the test. No process outlives the test's.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "scratch.h"

#define WAIT_S 60 /* for anything that must come: the machine may be slow */

/* A daemon: its standard error is the file `log`, which is appended to from start to start. */
struct daemon_run {
	pid_t pid;
	const char *prefix, *log;
	long seen;              /* of the log, by expect_line() */
	long listened_ms;       /* when the hub began to listen: moment_of() that line */
	int (*before)(int arg); /* in its process, before it is the daemon; 0: go on */
	int before_arg;
};

/* cmocka's: a scratch directory, prefixes of our own, keys for farm1; and all is removed. */
int daemons_enter(void **state);
int daemons_leave(void **state);
#define DAEMON_TEST(f) cmocka_unit_test_setup_teardown(f, daemons_enter, daemons_leave)

extern char hub_prefix[32], leaf_prefix[32];

/* Words end with a NULL. run_code(): run to its end: the exit code. */
void daemon_start(
	struct daemon_run *run, const char *prefix, const char *log, const char *const *words);
int daemon_code(struct daemon_run *run);
int daemon_stop(struct daemon_run *run, int signal_number); /* and its code, or minus its signal */
int run_code(const char *log, const char *const *words);
#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

/* The hub and the leaf of most tests. hub_start() takes any port first, and the same one again. */
void hub_start_with(struct daemon_run *hub, const char *const *more);
void leaf_start_with(struct daemon_run *leaf, const char *const *more);
extern char hub_port[8];

/* Wait for a line with this text, behind the last one found; to be freed. */
char *expect_line(struct daemon_run *run, const char *text);
unsigned count_lines(const struct daemon_run *run, const char *text);
/* The value of ` key=` in a line, to buf. */
void value_of(const char *line, const char *key, char *buf, size_t cap);

/* When it was written, in milliseconds of its day; and from one such moment to a later one. */
long moment_of(const char *line);
long ms_between(long from, long to);

/* A queue of the hub's or the leaf's, as libsq names it; static. */
const char *hub_queue(const char *queue);
const char *leaf_queue(const char *queue);

/* A worker of the leaf's, as a process: from pq to cq until killed. */
pid_t worker_start(void);
void worker_stop(pid_t pid);

/* Put tasks first to last, of this size, into the hub's pq: as a process. */
pid_t producer_start(uint32_t first, uint32_t last, size_t size);

/* Take `n` results from the hub's cq: all numbers below n, each once. */
void collect(uint32_t n, size_t size);

/*
 * A connection to this port; what comes back until the end for a text that is said at a port, or by a
 * socket, which is closed then.
 */
int dial(const char *port);
char *ask(const char *port, const char *text);
char *ask_at(int fd, const char *text);

/* What a shell command prints; to be freed. */
char *shell(const char *command);

void nap_ms(unsigned ms);
int64_t clock_ms(void);

#endif
