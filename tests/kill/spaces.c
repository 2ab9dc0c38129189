/* SPDX-License-Identifier: ISC */
#include "spaces.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

/*
 * Namespaces for tests. A mount namespace is made private at once, so that nothing of what is
 * mounted in it is seen outside.
 */

static bool say(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool done;

	if (fd < 0)
		return false;
	done = write(fd, text, strlen(text)) == (ssize_t)strlen(text);
	(void)close(fd);
	return done;
}

/* There we are who we are here: files cannot belong to nobody. */
static bool enter_as_user(int kinds)
{
	char uid[64], gid[64];

	(void)snprintf(uid, sizeof(uid), "%ld %ld 1", (long)geteuid(), (long)geteuid());
	(void)snprintf(gid, sizeof(gid), "%ld %ld 1", (long)getegid(), (long)getegid());
	return unshare(CLONE_NEWUSER | kinds) == 0 && say("/proc/self/setgroups", "deny") &&
	       say("/proc/self/uid_map", uid) && say("/proc/self/gid_map", gid);
}

bool spaces_enter(int kinds)
{
	if (unshare(kinds) < 0 && !enter_as_user(kinds))
		return false;
	return !(kinds & CLONE_NEWNS) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
}

bool spaces_permitted(int kinds)
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		_exit(!spaces_enter(kinds));
	return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

bool spaces_mount(const char *at, const char *options)
{
	return mount("none", at, "tmpfs", 0, options) == 0;
}
