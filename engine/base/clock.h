/* SPDX-License-Identifier: ISC */
#ifndef SQI_CLOCK_H
#define SQI_CLOCK_H

/*
 * The clocks, and sleeping without being woken. Called by every part of the engine, from any
 * thread; there is no state. No call fails.
 */

#include <stdint.h>

/* The moment, by CLOCK_MONOTONIC, which all processes of a host share. */
int64_t sqi_now_ns(void);
uint64_t sqi_now_ms(void);

/* As sqi_now_ms(), up to some milliseconds late, for a fifth of the time that the call takes. */
uint64_t sqi_coarse_ms(void);

/* The processor time that this thread has used, in microseconds. */
uint64_t sqi_thread_us(void);

/* Sleeps for so long, or until a signal comes. */
void sqi_nap(int64_t ns);

#endif
