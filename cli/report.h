/* SPDX-License-Identifier: ISC */
#ifndef CLI_REPORT_H
#define CLI_REPORT_H

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
 * What getopt_long() found wrong: `option` is what it returned, '?' or ':', with opterr 0. Returns
 * EXIT_USAGE.
 */
int report_option(const char *command, char *const *argv, int option);

/*
 * What a negative result of the engine on this queue means and what to do next. Returns its exit
 * code.
 */
int report_queue(const char *queue, int error);

#endif
