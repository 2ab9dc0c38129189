/* SPDX-License-Identifier: ISC */
#include "stop.h"

#include <signal.h>
#include <stddef.h>

#include "say.h"

static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
static volatile sig_atomic_t came;

static void note(int number)
{
	came = number;
}

void stop_release(void)
{
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
		struct sigaction now;

		if (sigaction(signals[i], NULL, &now) == 0 && now.sa_handler == note)
			(void)signal(signals[i], SIG_DFL);
	}
}

void stop_catch(void)
{
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
		struct sigaction old, new = {.sa_handler = note};

		/*
		 * Signals that are ignored (under nohup, in a shell's background jobs) stay
		 * ignored.
		 */
		if (sigaction(signals[i], NULL, &old) == 0 && old.sa_handler == SIG_IGN)
			continue;
		(void)sigaction(signals[i], &new, NULL);
	}
}

void stop_reader_gone(void)
{
	came = SIGPIPE;
}

int stop_came(void)
{
	return came;
}

int stop_report(void)
{
	/* Who reads no more needs no word about it. */
	if (came == SIGPIPE)
		return EXIT_BROKEN;
	return came ? say(EXIT_BROKEN, "stopped by signal %d", (int)came) : EXIT_DONE;
}

void stop_die(void)
{
	if (!came)
		return;
	(void)signal(came, SIG_DFL);
	(void)raise(came);
}
