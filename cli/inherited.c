/* SPDX-License-Identifier: ISC */
#include "inherited.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "report.h"

static void init_signals(void)
{
	sigset_t none;

	(void)signal(SIGCHLD, SIG_DFL);
	(void)signal(SIGPIPE, SIG_IGN);
	(void)signal(SIGXFSZ, SIG_IGN);
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
}

static void init_timers(void)
{
	static const struct itimerval off;
	struct itimerval real;

	(void)setitimer(ITIMER_VIRTUAL, &off, NULL);
	(void)setitimer(ITIMER_PROF, &off, NULL);
	(void)signal(SIGVTALRM, SIG_IGN);
	(void)signal(SIGPROF, SIG_IGN);
	if (getitimer(ITIMER_REAL, &real) == 0 &&
		(real.it_interval.tv_sec || real.it_interval.tv_usec)) {
		(void)setitimer(ITIMER_REAL, &off, NULL);
		/* One that is blocked and pending is dropped by this. */
		(void)signal(SIGALRM, signal(SIGALRM, SIG_IGN));
	}
}

/* open() takes the lowest number that is free. */
static int init_descriptors(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
		if (fcntl(fd, F_GETFD) >= 0)
			continue;
		if (open("/dev/null", fd == STDOUT_FILENO ? O_RDONLY : O_WRONLY) != fd)
			return report(EXIT_UNAVAILABLE,
				"descriptor %d is closed, and /dev/null cannot take its place: %s",
				fd, strerror(errno));
	}
	return EXIT_DONE;
}

int inherited_init(void)
{
	/* First: a tick that is pending would kill us as soon as it is let through. */
	init_timers();
	init_signals();
	(void)umask(077);
	return init_descriptors();
}
