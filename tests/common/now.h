/* SPDX-License-Identifier: ISC */
#ifndef TESTS_NOW_H
#define TESTS_NOW_H

/* The clock of the tests, sleep by it, and whether how long something took may fail a test. */

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

/* Nanoseconds of this clock. */
static inline int64_t clock_ns(clockid_t clock)
{
	struct timespec ts;

	(void)clock_gettime(clock, &ts); /* cannot fail with the clocks that the tests ask for */
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

/* CLOCK_MONOTONIC: the same in all processes of the machine. */
static inline int64_t now_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

/* Sleep for all of this, whatever signals come. */
static inline void sleep_ns(int64_t ns)
{
	struct timespec ts = {.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};

	while (clock_nanosleep(CLOCK_MONOTONIC, 0, &ts, &ts) == EINTR)
		;
}

/*
 * May this run fail because something took long? Unless the environment has TESTS_ANY_TIME, which the
 * gate's tests have: there only what hangs fails. The tests of tier deep, and a program run by hand,
 * judge time.
 */
static inline bool time_is_judged(void)
{
	return getenv("TESTS_ANY_TIME") == NULL;
}

#endif
