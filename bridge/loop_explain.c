/* SPDX-License-Identifier: ISC */
#include <bsd/string.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "loop_in.h"

/* When io_uring cannot be used: one line that says why, and what to do about it. */

#define SYSCTL "/proc/sys/kernel/io_uring_disabled"

/* The number in a one-line file, or -1. */
static int read_number(const char *path)
{
	char text[16] = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -1;
	n = read(fd, text, sizeof(text) - 1);
	(void)close(fd);
	return n > 0 ? atoi(text) : -1;
}

void loop_explain_denied(int disabled, char *why)
{
	if (disabled == 2)
		(void)strlcpy(why,
			"kernel.io_uring_disabled=2 denies io_uring to every process of this host: "
			"sysctl kernel.io_uring_disabled=0, or =1 and kernel.io_uring_group=GID "
			"for a group of the bridge's",
			LOOP_WHY_MAX);
	else if (disabled == 1)
		(void)strlcpy(why,
			"kernel.io_uring_disabled=1 denies io_uring to all but the members of "
			"kernel.io_uring_group: set that to the id of a group of the bridge's, or "
			"sysctl kernel.io_uring_disabled=0",
			LOOP_WHY_MAX);
	else
		(void)strlcpy(why,
			"a seccomp filter denies io_uring. Docker's default seccomp profile does: "
			"run with --security-opt seccomp=unconfined, or with a profile that allows "
			"io_uring_setup, io_uring_enter and io_uring_register; in a systemd unit: "
			"SystemCallFilter=@system-service, or @aio",
			LOOP_WHY_MAX);
}

static void explain_enomem(char *why)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY)
		(void)snprintf(why, LOOP_WHY_MAX,
			"no memory for io_uring. The limit of locked memory is %llu KiB: raise it "
			"(ulimit -l, or LimitMEMLOCK= in a systemd unit)",
			(unsigned long long)limit.rlim_cur / 1024);
	else
		(void)strlcpy(why, "no memory for io_uring", LOOP_WHY_MAX);
}

void loop_explain(int error, char *why)
{
	struct utsname name;
	const char *text;

	if (uname(&name) < 0)
		(void)strlcpy(name.release, "unknown", sizeof(name.release));
	switch (error) {
	case -EPERM:
	case -EACCES:
		loop_explain_denied(read_number(SYSCTL), why);
		return;
	case -ENOMEM:
		explain_enomem(why);
		return;
	case -ENOSYS:
		(void)snprintf(why, LOOP_WHY_MAX,
			"there is no io_uring here (kernel %s): a kernel without CONFIG_IO_URING or "
			"older than 5.1 (Linux 6.1 or later is needed), or a seccomp filter that says "
			"so, as podman's default profile does: run with --security-opt "
			"seccomp=unconfined, or with a profile that allows io_uring_setup, "
			"io_uring_enter and io_uring_register",
			name.release);
		return;
	case -ENOTSUP:
		(void)snprintf(why, LOOP_WHY_MAX,
			"io_uring of kernel %s lacks what is needed here: Linux 6.1 or later",
			name.release);
		return;
	default:
		text = strerrordesc_np(-error);
		(void)snprintf(why, LOOP_WHY_MAX, "io_uring cannot be set up: %s",
			text ? text : "an unknown error");
	}
}
