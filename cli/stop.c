/* SPDX-License-Identifier: ISC */
#include "stop.h"

#include <signal.h>
#include <stddef.h>
#include <sys/time.h>
#include <unistd.h>

#include "now.h"

static volatile sig_atomic_t came, late;
/*
 * Our own time limit, and the alarm that our parent set. Written before note() can be called for
 * them.
 */
static int64_t until_ns = INT64_MAX, limit_ns = INT64_MAX;

/*
 * A signal may come between a look at stop_wanted() and the system call that blocks. So the alarm
 * goes off again and again until the next look.
 */
static void note(int signal_number)
{
	if (signal_number != SIGALRM || (!came && now_ns() >= limit_ns))
		came = signal_number;
	else if (now_ns() >= until_ns)
		late = 1;
	(void)alarm(1);
}

/* Read the clock first: then the limit is never later than the alarm. */
static int64_t inherited_limit_ns(void)
{
	int64_t now = now_ns();
	struct itimerval left;

	if (getitimer(ITIMER_REAL, &left) < 0 || (!left.it_value.tv_sec && !left.it_value.tv_usec))
		return INT64_MAX;
	return now + (int64_t)left.it_value.tv_sec * 1000000000 +
	       (int64_t)left.it_value.tv_usec * 1000;
}

void stop_catch(void)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGALRM};
	int64_t limit = inherited_limit_ns();

	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
		struct sigaction old, new = {.sa_handler = note};
		bool ignored = sigaction(signals[i], NULL, &old) == 0 && old.sa_handler == SIG_IGN;

		/*
		 * Signals that are ignored (under nohup, in a shell's background jobs) stay
		 * ignored; but the alarm is used for our own limit, too.
		 */
		if (signals[i] != SIGALRM && ignored)
			continue;
		if (signals[i] == SIGALRM && !ignored)
			limit_ns = limit;
		(void)sigaction(signals[i], &new, NULL);
	}
}

void stop_after(int64_t span_ns)
{
	int64_t now = now_ns(), us;
	struct itimerval timer = {0};

	until_ns = span_ns < INT64_MAX - now ? now + span_ns : INT64_MAX;
	if (limit_ns < until_ns)
		span_ns = limit_ns > now ? limit_ns - now : 0;
	/* One more: it must not come before the time. */
	us = span_ns / 1000 + 1;
	timer.it_value = (struct timeval){.tv_sec = us / 1000000, .tv_usec = us % 1000000};
	(void)setitimer(ITIMER_REAL, &timer, NULL);
	if (came)
		(void)alarm(1); /* it was set for that */
}

bool stop_wanted(void)
{
	return came || late;
}

int stop_signal(void)
{
	return came;
}

void stop_die(void)
{
	if (!came)
		return;
	(void)signal(came, SIG_DFL);
	(void)raise(came);
}
