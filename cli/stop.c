/* SPDX-License-Identifier: ISC */
#include "stop.h"

#include <signal.h>
#include <stddef.h>
#include <unistd.h>

static volatile sig_atomic_t came;

/*
 * A signal may come after we looked and before we block: so the alarm goes on until somebody looks
 * again.
 */
static void note(int signal_number)
{
	if (signal_number != SIGALRM)
		came = signal_number;
	(void)alarm(1);
}

void stop_catch(void)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGALRM};

	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
		struct sigaction old, new = {.sa_handler = note};

		/* nohup and a shell's background jobs ignore them for us. */
		if (sigaction(signals[i], NULL, &old) == 0 && old.sa_handler == SIG_IGN)
			continue;
		(void)sigaction(signals[i], &new, NULL);
	}
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
