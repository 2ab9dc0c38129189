/* SPDX-License-Identifier: ISC */
#ifndef SQI_EVENT_H
#define SQI_EVENT_H

/* Eventcounts: sleeping on words in shared memory, and waking the sleepers. See event.c. */

#include <stdbool.h>
#include <stdint.h>

#include "base/atomic.h"

/*
 * E2. Sets bit 0, which says that a participant may sleep on this event. To be called before the
 * last look for news. Returns the word's value for sqi_event_sleep().
 */
uint32_t sqi_event_arm(sqi_u32 *event);

/*
 * Sleeps until woken, until a signal comes, or until that moment of CLOCK_MONOTONIC; not at all if
 * the word is not `v`. True if it was the moment.
 */
bool sqi_event_sleep(sqi_u32 *event, uint32_t v, int64_t until_ns);

/* The rest of the two calls below, out of line: bit 0 is set. */
void sqi_event_wake_slow(sqi_u32 *event, bool all);

/*
 * Wakes one participant that sleeps on this event. To be called after the step that made the news,
 * which must be sequentially consistent.
 */
static inline void sqi_event_wake(sqi_u32 *event)
{
	/* E1, pairs with E2: either this sees the sleeper's bit, or the sleeper sees the news. */
	if (sqi_load_seq32(event) & 1)
		sqi_event_wake_slow(event, false);
}

/* The same for all that sleep on this event. */
static inline void sqi_event_wake_all(sqi_u32 *event)
{
	/* E1. */
	if (sqi_load_seq32(event) & 1)
		sqi_event_wake_slow(event, true);
}

#endif
