/* SPDX-License-Identifier: ISC */
#ifndef TESTS_CLI_RUN_H
#define TESTS_CLI_RUN_H

#include <stddef.h>
#include <sys/types.h>

/*
 * Run the sqctl that was built (its path is in the environment's SQCTL), as a shell would, and see
 * what came of it. What fails here fails the test.
 */

/* A process under way. The ends that are ours of its standard descriptors, or -1. */
struct run {
	pid_t pid;
	int in, out, err;
};

struct outcome {
	int code; /* the exit code, or minus the signal that ended it */
	char *out, *err;
	size_t out_len;
};

/* How a process is started; zero fields are the plain case. */
struct start {
	const void *input;   /* standard input is a file with this in it ... */
	size_t input_len;    /* ... or strlen(), if 0 */
	int in, out;         /* or these descriptors, if above 0 */
	void (*child)(void); /* called in the child, last thing before exec */
};

/*
 * Make a /dev/shm of our own where we may, and a prefix of our own anyway. Called first in main().
 */
void run_init(void);

/* cmocka's teardown: remove all queues of the prefix. */
int run_clean(void **state);

/* Words end with a NULL. */
struct run run_start(const struct start *how, const char *const *words);

/* Wait for the end. Frees what the last one returned: an outcome is valid until the next. */
struct outcome run_end(const struct run *run);

/* Both, with this as the standard input (NULL: empty). */
#define sqctl(text, ...)                                                                           \
	run_whole(&(struct start){.input = (text)}, (const char *const[]){__VA_ARGS__, NULL})
#define sqctl_with(how, ...)  run_whole(how, (const char *const[]){__VA_ARGS__, NULL})
#define sqctl_start(how, ...) run_start(how, (const char *const[]){__VA_ARGS__, NULL})
struct outcome run_whole(const struct start *how, const char *const *words);

/*
 * Say what was there instead, if the code or a text is another. Texts are looked for; NULL: must be
 * empty.
 */
void expect(struct outcome outcome, int code, const char *out, const char *err);

/* The path of a queue's file: static. */
const char *run_path(const char *queue);

#endif
