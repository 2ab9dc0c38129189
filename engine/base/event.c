/* SPDX-License-Identifier: ISC */
#include "base/event.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

/*
 * Sleeping and waking. An eventcount (the idea is D. Vyukov's) is a word in the segment: bit 0 says
 * that somebody may sleep on it, the rest counts wake-ups.
 *
 *	sleeper: set bit 0; look for news; sleep if the word is still the one we set
 *	waker:   make the news; look at bit 0; if set: count up, wake one;
 *	         if nobody was there: clear bit 0, wake all
 *
 * All of these are sequentially consistent, so either the waker sees the bit or the sleeper the
 * news. A waker may die between its two steps, and a stopped sleeper may swallow a wake-up: so
 * nobody sleeps longer than a tick at a time, which is also when the dead are looked for.
 */

#define DENIED_NS 1000000

static long wake(sqi_u32 *event, int n)
{
	return syscall(SYS_futex, event, FUTEX_WAKE, n, NULL, NULL, 0);
}

/* Until woken, or the word is not `v`, or that moment comes. True: it came. */
bool sqi_event_sleep(sqi_u32 *event, uint32_t v, int64_t until_ns)
{
	struct timespec ts = {.tv_sec = until_ns / 1000000000, .tv_nsec = until_ns % 1000000000};

	SQ_STEP();
	if (syscall(SYS_futex, event, FUTEX_WAIT_BITSET, v, &ts, NULL, FUTEX_BITSET_MATCH_ANY) == 0)
		return false;
	if (errno == ETIMEDOUT)
		return true;
	if (errno != EAGAIN && errno != EINTR)
		sqi_nap(DENIED_NS); /* a sandbox without futexes: slow, but right */
	return false;
}

void sqi_event_wake_slow(sqi_u32 *event, bool all)
{
	uint32_t v;

	if (all) {
		do
			v = sqi_load_seq32(event);
		while (!sqi_cas32(event, v, (v + 2) & ~(uint32_t)1));
		(void)wake(event, INT_MAX);
		return;
	}
	v = sqi_add32(event, 2) + 2;
	if (wake(event, 1) == 0 && sqi_cas32(event, v, v & ~(uint32_t)1))
		(void)wake(event, INT_MAX); /* those who went to sleep between these two */
}

/* Say that somebody may sleep on this. What the word must still be for him to do it. */
uint32_t sqi_event_arm(sqi_u32 *event)
{
	for (;;) {
		uint32_t v = sqi_load_seq32(event);

		if ((v & 1) || sqi_cas32(event, v, v | 1))
			return v | 1;
	}
}
