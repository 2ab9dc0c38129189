/* SPDX-License-Identifier: ISC */
#ifndef SQI_CLOCK_H
#define SQI_CLOCK_H

/*
 * The clocks, and sleeping without being woken. Called by everybody, from any thread.
 */

#include <stdint.h>

/* CLOCK_MONOTONIC. */
int64_t sqi_now_ns(void);
uint64_t sqi_now_ms(void);

/* The same, some milliseconds late, and at a fifth of the price. */
uint64_t sqi_coarse_ms(void);

/* The processor time of this thread, in microseconds. */
uint64_t sqi_thread_us(void);

/* Sleep so long; a signal ends it earlier. */
void sqi_nap(int64_t ns);

#endif
