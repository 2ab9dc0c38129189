/* SPDX-License-Identifier: ISC */
#ifndef TESTS_CLI_LOCAL_RUN_H
#define TESTS_CLI_LOCAL_RUN_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "run.h"
#include "watch.h"

/*
 * Runs of `sqctl local`, their results, and the numbers of their proofs, which are read from the
 * object of --json=FILE. Results and sums are checked here with other arithmetic than the program's
 * own.
 */

#define LONG "300s" /* of runs that are ended from outside */

__extension__ typedef unsigned __int128 wide;

/* The run under way, to be ended when a test fails in the middle. */
extern struct run current;

/* Called first in main(). */
void local_init(void);

/* cmocka's teardown: end what runs, remove what is left. */
int local_clean(void **state);

/* How many queues of ours there are: the names of all begin with the prefix, as run_init() made it. */
int left(void);

/* A prefix that nobody else has, and names with it: static, two at a time. */
const char *prefix(void);
const char *queue(const char *which);

/* --json=FILE. The file is ours, and emptied when a run begins. */
const char *json_option(void);

#define local_with(how, ...) sqctl_with(how, "local", json_option(), __VA_ARGS__)
#define local(...)           local_with(&(struct start){0}, __VA_ARGS__)
#define begin_with(how, ...) (current = sqctl_start(how, "local", json_option(), __VA_ARGS__))
#define begin(...)           begin_with(&(struct start){0}, __VA_ARGS__)

/* The end of the run under way; after a SIGINT. */
struct outcome end(void);
struct outcome interrupted(void);

/* What the run under way says and does. */
#define said()                 watch_said(&current)
#define ended()                watch_ended(&current)
#define wait_said(part, times) watch_wait_said(&current, part, times)
#define children(all, kind)    watch_children(&current, all, kind)
#define child_named(name)      watch_child_named(&current, name)

/* All of them run. */
void wait_started(void);

/* So many processes of each kind, each its own, and their pids are told. */
void expect_crew(int producers, int workers);

pid_t stop_child(const char *name);

/* The object of the last run that ended: static; empty if there was no proof. */
const char *json(void);
uint64_t number(const char *name);
void expect_json(const char *part);
void expect_sums(wide made, wide collected);

/* The tasks of which there are results, in order. */
struct results {
	uint64_t *n;
	size_t count;
	wide sum;
};

/* Check each line. Nothing may stand behind the last. */
struct results results_of(const char *text, size_t len);
void add(struct results *r, uint64_t n);
void sort(struct results *r);
void drop(struct results *r);
void same(const struct results *a, const struct results *b);

/* The only right line for n. Returns its length. */
size_t right_line(char ret[static 128], uint64_t n);

/* The n of this line, which must be right. */
uint64_t check_line(const char *line, size_t len);

/* A run in which nobody was killed and nobody took part, with its proof and all its lines. */
struct results expect_clean(struct outcome o);

void expect_no_proof(struct outcome o, int code, const char *err);

#endif
