/* SPDX-License-Identifier: ISC */
#include "base/clock.h"

#include <time.h>

int64_t sqi_now_ns(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts); /* cannot fail with this clock */
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

uint64_t sqi_now_ms(void)
{
	return (uint64_t)(sqi_now_ns() / 1000000);
}

uint64_t sqi_coarse_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC_COARSE, &ts); /* cannot fail with this clock */
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

uint64_t sqi_thread_us(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts); /* cannot fail with this clock */
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

void sqi_nap(int64_t ns)
{
	struct timespec ts = {.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};

	/* A signal makes it shorter: the callers look again after any sleep. */
	(void)clock_nanosleep(CLOCK_MONOTONIC, 0, &ts, NULL);
}
