/* SPDX-License-Identifier: ISC */
#include "stop.h"

#include <signal.h>
#include <stddef.h>
#include <sys/time.h>
#include <unistd.h>

#include "now.h"

static volatile sig_atomic_t came, late;
static int64_t until_ns = INT64_MAX; /* written before the timer is set that makes note() read it */

/*
 * A signal may come after we looked and before we block: so the alarm goes on until somebody looks
 * again.
 */
static void note(int signal_number)
{
	if (signal_number != SIGALRM)
		came = signal_number;
	else if (now_ns() >= until_ns)
		late = 1;
	(void)alarm(1);
}

void stop_catch(void)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGALRM};

	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
		struct sigaction old, new = {.sa_handler = note};

		/* nohup and a shell's background jobs ignore them for us; but the alarm is ours. */
		if (signals[i] != SIGALRM && sigaction(signals[i], NULL, &old) == 0 &&
			old.sa_handler == SIG_IGN)
			continue;
		(void)sigaction(signals[i], &new, NULL);
	}
}

void stop_after(int64_t span_ns)
{
	/* One more: it must not come before the time. */
	int64_t us = span_ns / 1000 + 1;
	const struct itimerval timer = {
		.it_value = {.tv_sec = us / 1000000, .tv_usec = us % 1000000}};

	until_ns = span_ns < INT64_MAX - now_ns() ? now_ns() + span_ns : INT64_MAX;
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
