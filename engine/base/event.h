/* SPDX-License-Identifier: ISC */
#ifndef SQI_EVENT_H
#define SQI_EVENT_H

/* Eventcounts: sleeping on words in shared memory, and waking. See event.c. */

#include <stdbool.h>
#include <stdint.h>

#include "base/atomic.h"

/* Say that somebody may sleep on this. Returns what the word must still be to sleep. */
uint32_t sqi_event_arm(sqi_u32 *event);

/* Until woken, or the word is not `v`, or that moment comes. True: it came. */
bool sqi_event_sleep(sqi_u32 *event, uint32_t v, int64_t until_ns);

void sqi_event_wake_slow(sqi_u32 *event, bool all);

/* Something came, or went: wake one who sleeps for it. */
static inline void sqi_event_wake(sqi_u32 *event)
{
	/*
	 * After the seq_cst CAS that made the news: either we see the sleeper's bit, or it sees the
	 * news.
	 */
	if (sqi_load_seq32(event) & 1)
		sqi_event_wake_slow(event, false);
}

/* Wake all of them. */
static inline void sqi_event_wake_all(sqi_u32 *event)
{
	if (sqi_load_seq32(event) & 1)
		sqi_event_wake_slow(event, true);
}

#endif
