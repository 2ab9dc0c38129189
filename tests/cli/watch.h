/* SPDX-License-Identifier: ISC */
#ifndef TESTS_CLI_WATCH_H
#define TESTS_CLI_WATCH_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "run.h"
#include "sq.h"

/*
 * Watch sqctl while it runs: what it says, its children, its queues. What is waited for must come
 * some time; how soon is no matter.
 */

#define SECOND             INT64_C(1000000000)
#define WATCH_PATIENCE     (60 * SECOND) /* for a state to come; then the test fails */
#define WATCH_CHILDREN_MAX 32
#define WATCH_ERRORS_MAX   (1 << 20)

int64_t watch_now_ns(void);

/* What it has said so far: static. */
const char *watch_said(const struct run *run);
int watch_count(const char *text, const char *part);

/* Wait until it has said this so many times. */
void watch_wait_said(const struct run *run, const char *part, int times);

/* Has it ended? It is still to be waited for. */
bool watch_ended(const struct run *run);

/* Ask it to end, and wait for that. */
struct outcome watch_signal(const struct run *run, int signal_number);

/* A child of a supervisor. */
struct watch_child {
	pid_t pid;
	char name[16];
};

/* Its children whose name begins so. */
int watch_children(
	const struct run *run, struct watch_child ret[static WATCH_CHILDREN_MAX], const char *kind);

/* Wait until it has so many. */
void watch_wait_children(const struct run *run, const char *kind, int n);

/* The only one of its kind. It has its name only a moment after it was forked. */
pid_t watch_child_named(const struct run *run, const char *name);

/* Stop it, and wait until it is. */
void watch_stop(pid_t pid);

/*
 * Kill the supervisor; it must be a subreaper's child. Its children of this kind must end by
 * SIGKILL. run->pid is -1 then.
 */
void watch_kill_supervisor(struct run *run, const char *kind);

/* Make the queue and open it. NULL: defaults. */
struct sq *watch_make(const char *name, const struct sq_config *config);
struct sq_stat watch_stat(struct sq *q);
void watch_put(struct sq *q, const char *item);

/* Wait until this much was put in all, and so much is there now. */
void watch_wait_put(struct sq *q, uint64_t n);
void watch_wait_depth(struct sq *q, uint64_t n);

/* Wait until so many take part, this handle included. */
void watch_wait_participants(struct sq *q, uint64_t n);

/* Take one, which must come, and is a number or begins with one. */
uint64_t watch_get_number(struct sq *q);

#endif
