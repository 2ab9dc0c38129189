/* SPDX-License-Identifier: ISC */
#ifndef BENCH_SAY_H
#define BENCH_SAY_H

/* Errors, to standard error in one piece, and the exit codes: those of sqctl, as far as they apply. */

#ifdef __cplusplus
extern "C" {
#endif

enum {
	EXIT_DONE = 0,
	EXIT_MISSED = 1, /* a bar was not reached */
	EXIT_USAGE = 64,
	EXIT_UNAVAILABLE =
		69,       /* a peer that is not built, a program that is not there, no memory */
	EXIT_BROKEN = 70, /* a count or a checksum that is wrong */
	EXIT_IO = 74,
};

/* Print `sqbench: message` and return the code. */
int say(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A wrong command line. Returns EXIT_USAGE. */
int say_usage(const char *command, const char *format, ...) __attribute__((format(printf, 2, 3)));

#ifdef __cplusplus
}
#endif

#endif
