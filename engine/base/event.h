/* SPDX-License-Identifier: ISC */
#ifndef SQI_EVENT_H
#define SQI_EVENT_H

/* Eventcounts: sleeping on words in shared memory, and waking the sleepers. See event.c. */

#include <stdbool.h>
#include <stdint.h>

#include "base/atomic.h"

/* An event, in the segment. */
struct sqi_event {
	sqi_u32 word;   /* bit 0: a participant may sleep on it; the rest counts wake-ups */
	sqi_u32 waking; /* 0, or when a sleeper was woken that has not looked for news yet: event.c */
};

/*
 * E2. Sets bit 0, which says that a participant may sleep on this event. To be called before the
 * last look for news. Returns the word's value for sqi_event_sleep().
 */
uint32_t sqi_event_arm(struct sqi_event *event);

/*
 * Sleeps until woken, until a signal comes, or until that moment of CLOCK_MONOTONIC; not at all if
 * the word is not `v`. True if it was the moment.
 */
bool sqi_event_sleep(struct sqi_event *event, uint32_t v, int64_t until_ns);

/* The rest of the calls below, out of line: bit 0 is set. */
void sqi_event_wake_slow(struct sqi_event *event);
void sqi_event_wake_all_slow(struct sqi_event *event);

/*
 * E3. The caller is awake, and looks for news next. Until then nobody else was woken for those who
 * made some: so if it takes one piece of news and more are there, it wakes the next.
 */
static inline void sqi_event_arrive(struct sqi_event *event)
{
	uint32_t waking = sqi_load_seq32(&event->waking);

	if (waking)
		(void)sqi_cas32(&event->waking, waking, 0);
}

/* True if a participant may sleep on this event. */
static inline bool sqi_event_has_sleeper(const struct sqi_event *event)
{
	return sqi_load_seq32(&event->word) & 1;
}

/*
 * Wakes one participant that sleeps on this event, unless one was woken just now and has not looked
 * for news yet. To be called after the step that made the news, which must be sequentially
 * consistent.
 */
static inline void sqi_event_wake(struct sqi_event *event)
{
	/* E1, pairs with E2: either this sees the sleeper's bit, or the sleeper sees the news. */
	if (sqi_event_has_sleeper(event))
		sqi_event_wake_slow(event);
}

/* Wakes all that sleep on this event. */
static inline void sqi_event_wake_all(struct sqi_event *event)
{
	/* E1. */
	if (sqi_event_has_sleeper(event))
		sqi_event_wake_all_slow(event);
}

#endif
