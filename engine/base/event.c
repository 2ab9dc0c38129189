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
 * that a participant may sleep on it, the rest counts wake-ups. Called by ops/wait.c and news.c to
 * sleep, and by whatever makes news to wake; by any number of participants at once.
 *
 *	sleeper: set bit 0 (E2); look for news; sleep if the word is still what it was then
 *	waker:   make the news; look at bit 0 (E1); if it is set: count up, wake one;
 *	         if there was none to wake: clear bit 0, wake all
 *
 * All of these steps are sequentially consistent, so either the waker sees the bit or the sleeper
 * sees the news. A waker may be killed between its two steps, and a sleeper that is stopped may use
 * up a wake-up: so no sleep is longer than a tick.
 */

#define DENIED_NS 1000000 /* the length of a sleep where futexes are forbidden */

/* Wakes up to n sleepers. Returns how many there were. */
static long wake(sqi_u32 *event, int n)
{
	return syscall(SYS_futex, event, FUTEX_WAKE, n, NULL, NULL, 0);
}

bool sqi_event_sleep(sqi_u32 *event, uint32_t v, int64_t until_ns)
{
	struct timespec ts = {.tv_sec = until_ns / 1000000000, .tv_nsec = until_ns % 1000000000};

	SQ_STEP();
	if (syscall(SYS_futex, event, FUTEX_WAIT_BITSET, v, &ts, NULL, FUTEX_BITSET_MATCH_ANY) == 0)
		return false;
	if (errno == ETIMEDOUT)
		return true;
	if (errno != EAGAIN && errno != EINTR)
		sqi_nap(DENIED_NS); /* a sandbox without futexes: the caller looks again */
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
		/* Those that went to sleep between the wake and the CAS: their bit is cleared. */
		(void)wake(event, INT_MAX);
}

uint32_t sqi_event_arm(sqi_u32 *event)
{
	for (;;) {
		uint32_t v = sqi_load_seq32(event);

		/* E2. If the bit is set already, the load that sees it does for the CAS. */
		if ((v & 1) || sqi_cas32(event, v, v | 1))
			return v | 1;
	}
}
