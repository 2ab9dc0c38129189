/* SPDX-License-Identifier: ISC */
#ifndef CLI_REPORT_H
#define CLI_REPORT_H

#include <stddef.h>
#include <stdint.h>

/*
 * Errors and exit codes, the same in every command. Data goes to stdout, talk to stderr.
 */

enum {
	EXIT_DONE = 0,
	EXIT_EMPTY = 1, /* nothing there; or a proof that failed */
	EXIT_DRAINED = 3,
	EXIT_USAGE = 64,
	EXIT_NO_QUEUE = 66,
	EXIT_UNAVAILABLE = 69, /* the system refuses what is needed */
	EXIT_BROKEN = 70,      /* damaged memory, or our own fault */
	EXIT_CANNOT_CREATE = 73,
	EXIT_IO = 74,
	EXIT_FULL = 75,
	EXIT_DENIED = 77,
	EXIT_TIMED_OUT = 124,
};

/* Print `sqctl: message` and return the code. */
int report(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The same for a wrong command line: adds which --help to read. Returns EXIT_USAGE. */
int report_usage(const char *command, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/*
 * What a negative result of the engine on this queue means and what to do next. Returns its exit
 * code.
 */
int report_queue(const char *queue, int error);

/* The queue as a command takes it: with -- before it, if its name looks like an option. */
const char *report_operand(const char *queue);

/* A task that is none: its text as far as it can be shown, why, and what becomes of it. */
int report_refused(int code, const void *task, size_t len, const char *why, const char *fate);

/* A signal came before all of them were done. Returns the exit code, 128 and the signal. */
int report_stopped(int signal_number, uint64_t done, uint64_t wanted);

/* At the end, how many and how fast: `put 12 items into pq in 4.0 s, 3/s`. */
void report_total(
	const char *did, uint64_t n, const char *where, const char *queue, int64_t span_ns);

#endif
