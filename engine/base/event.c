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
 *	sleeper: set bit 0 (E2); look for news; sleep if the word is still what it was then;
 *	         awake: clear `waking` (E3); look for news; took some, and more is there: wake one
 *	waker:   make the news; look at bit 0 (E1); if it is set: is a sleeper being woken?
 *	         if not: say so in `waking` (E4), count up, wake one;
 *	         if there was none to wake: clear bit 0, wake all; clear `waking`, look at bit 0 again,
 *	         and if it is set: wake all
 *
 * One wake-up is on its way at a time: a process needs some 50 us to wake, in which others may put a
 * thousand messages, and each wake-up is a system call for them and a context switch for a sleeper
 * that mostly comes too late. The news of those that woke nobody is the business of the one that
 * clears `waking`: it looks after that, and wakes the next if it does not take all. (The scheduler
 * of the Go language wakes its threads in such a chain.)
 *
 * All of these steps are sequentially consistent, so either the waker sees the bit or the sleeper
 * sees the news; and either the waker sees `waking` cleared, or the one that clears it sees the
 * news. A waker may be killed between its steps, and a sleeper that is stopped or killed may use up
 * a wake-up: so no sleep is longer than a tick, and `waking` counts for WAKING_MS only.
 */

#define DENIED_NS 1000000 /* the length of a sleep where futexes are forbidden */
#define WAKING_MS 10      /* a sleeper that has not come by then is late, stopped or dead */

/* Wakes up to n sleepers. Returns how many there were. */
static long wake(struct sqi_event *event, int n)
{
	return syscall(SYS_futex, &event->word, FUTEX_WAKE, n, NULL, NULL, 0);
}

bool sqi_event_sleep(struct sqi_event *event, uint32_t v, int64_t until_ns)
{
	struct timespec ts = {.tv_sec = until_ns / 1000000000, .tv_nsec = until_ns % 1000000000};

	SQ_STEP();
	if (syscall(SYS_futex, &event->word, FUTEX_WAIT_BITSET, v, &ts, NULL,
		    FUTEX_BITSET_MATCH_ANY) == 0)
		return false;
	if (errno == ETIMEDOUT)
		return true;
	if (errno != EAGAIN && errno != EINTR)
		sqi_nap(DENIED_NS); /* a sandbox without futexes: the caller looks again */
	return false;
}

void sqi_event_wake_all_slow(struct sqi_event *event)
{
	uint32_t v;

	do
		v = sqi_load_seq32(&event->word);
	while (!sqi_cas32(&event->word, v, (v + 2) & ~(uint32_t)1));
	(void)wake(event, INT_MAX);
}

/*
 * E4. Notes that the caller wakes a sleeper now. Returns the note, or 0 if another was woken just
 * now, or comes just now: it looks for news after that.
 */
static uint32_t begin_waking(struct sqi_event *event)
{
	/* Milliseconds in 31 bits, and never 0. One in the future is damage, and counts as past. */
	uint32_t now = (uint32_t)sqi_coarse_ms() << 1 | 1, waking = sqi_load_seq32(&event->waking);

	if (waking && now - waking < WAKING_MS << 1)
		return 0;
	return sqi_cas32(&event->waking, waking, now) ? now : 0;
}

void sqi_event_wake_slow(struct sqi_event *event)
{
	uint32_t waking = begin_waking(event), v;

	if (!waking)
		return;
	v = sqi_add32(&event->word, 2) + 2;
	if (wake(event, 1) > 0)
		return;
	if (sqi_cas32(&event->word, v, v & ~(uint32_t)1))
		/* Those that went to sleep between the wake and the CAS: their bit is cleared. */
		(void)wake(event, INT_MAX);
	/*
	 * Nobody comes to look for the news of those that saw the note. If a participant has begun
	 * to sleep since, it may have looked before these were there.
	 */
	(void)sqi_cas32(&event->waking, waking, 0);
	sqi_event_wake_all(event);
}

uint32_t sqi_event_arm(struct sqi_event *event)
{
	for (;;) {
		uint32_t v = sqi_load_seq32(&event->word);

		/* E2. If the bit is set already, the load that sees it does for the CAS. */
		if ((v & 1) || sqi_cas32(&event->word, v, v | 1))
			return v | 1;
	}
}
