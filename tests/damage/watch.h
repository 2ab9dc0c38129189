/* SPDX-License-Identifier: ISC */
#ifndef WATCH_H
#define WATCH_H

/*
 * What a damage test tells about itself while it runs: which call it is in, so that it can be found
 * dead or hung, and what was wrong. Each program decides what to do about it: the supervisor of
 * damage.c goes on with the next case, a fuzzer aborts.
 */

#include <stdnoreturn.h>

/* A call of the engine begins, and ends with this result. */
void watch_begin(const char *call);
void watch_end(const char *call, long result);

/* The engine broke its promise. */
noreturn void watch_broken(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* For people who replay a case; nothing unless they asked. */
void watch_note(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
