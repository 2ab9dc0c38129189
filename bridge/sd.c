/* SPDX-License-Identifier: ISC */
#include "sd.h"

#include <bsd/stdlib.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

int sd_notify(const char *state)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	size_t n = path ? strlen(path) : 0;
	int fd, r = 0;

	if (n == 0)
		return 0;
	if ((*path != '/' && *path != '@') || n >= sizeof(to.sun_path))
		return -EINVAL;
	memcpy(to.sun_path, path, n);
	if (*path == '@')
		to.sun_path[0] = '\0'; /* an abstract name */
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&to,
		    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n)) < 0)
		r = -errno;
	(void)close(fd);
	return r;
}

int sd_reloading(void)
{
	char text[64];
	struct timespec now = {0};

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	(void)snprintf(text, sizeof(text), "RELOADING=1\nMONOTONIC_USEC=%" PRIu64,
		(uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000);
	return sd_notify(text);
}

int64_t sd_watchdog_ns(void)
{
	const char *usec = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID"), *wrong = NULL;
	long long n;

	if (!usec)
		return 0;
	if (pid && (strtonum(pid, 1, INT_MAX, &wrong) != getpid() || wrong))
		return 0; /* it is another's */
	n = strtonum(usec, 1, LLONG_MAX / 1000, &wrong);
	return wrong ? 0 : n * 1000;
}
