/* SPDX-License-Identifier: ISC */
#include "reaper.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "segment/name.h"
#include "sq.h"

static int remove_one(const char *name, void *data)
{
	char path[SQI_PATH_MAX];

	(void)data;
	if (sq_unlink(name) < 0 && sqi_name_path(path, name) == 0)
		(void)rmdir(path); /* what a test of strange files may leave */
	return 0;
}

void reaper_start(const char *prefix)
{
	int ends[2], null;
	char c;

	if (pipe2(ends, O_CLOEXEC) < 0)
		abort();
	switch (fork()) {
	case -1:
		abort();
	case 0:
		/* Not to be killed with our group, nor to keep anybody's pipe open. */
		(void)setsid();
		null = open("/dev/null", O_RDWR | O_CLOEXEC);
		for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
			(void)dup2(null, fd);
		(void)close(ends[1]);
		while (read(ends[0], &c, 1) < 0 && errno == EINTR)
			;
		(void)sq_list(prefix, remove_one, NULL);
		_exit(0);
	default:
		(void)close(ends[0]);
		break;
	}
}
