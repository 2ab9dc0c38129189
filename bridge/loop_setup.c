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

/*
 * Making the ring: the best the kernel gives, one step less after each -EINVAL, and when it gives
 * nothing, one line that says why and what to do.
 */

#define OP_FUTEX_WAIT 51 /* IORING_OP_FUTEX_WAIT: kernel 6.7, unknown to liburing 2.3 */
#define SYSCTL        "/proc/sys/kernel/io_uring_disabled"

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

void loop_setup_explain_denied(int disabled, char *why)
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

void loop_setup_explain(int error, char *why)
{
	struct utsname name;
	const char *text;

	if (uname(&name) < 0)
		(void)strlcpy(name.release, "unknown", sizeof(name.release));
	switch (error) {
	case -EPERM:
	case -EACCES:
		loop_setup_explain_denied(read_number(SYSCTL), why);
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

static int setup(struct loop *l, const struct loop_config *config)
{
	/* From the best down. Flags of 6.1, 6.0, 5.18 and 5.5. */
	static const unsigned steps[] = {
		IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SUBMIT_ALL,
		IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_SUBMIT_ALL,
		IORING_SETUP_SUBMIT_ALL,
		0,
	};
	unsigned masked = 0, submissions, completions;
	int r = -EINVAL;

	if (config->mask & LOOP_NO_DEFER)
		masked |= IORING_SETUP_DEFER_TASKRUN;
	if (config->mask & LOOP_NO_SINGLE)
		masked |= IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SINGLE_ISSUER;
	if (config->mask & LOOP_NO_SUBMIT_ALL)
		masked |= IORING_SETUP_SUBMIT_ALL;
	submissions = config->submissions ? config->submissions : LOOP_SUBMISSIONS;
	completions = config->completions ? config->completions : LOOP_COMPLETIONS;
	if (completions < 4 * submissions && !config->completions)
		completions = 4 * submissions;
	for (size_t i = 0; r == -EINVAL && i < sizeof(steps) / sizeof(steps[0]); i++) {
		struct io_uring_params p = {
			.flags = steps[i] | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP,
			.cq_entries = completions,
		};

		if (steps[i] & masked)
			continue;
		r = io_uring_queue_init_params(submissions, &l->ring, &p);
		if (r < 0) {
			l->ring.ring_fd = -1;
			continue;
		}
		l->stats.single = (p.flags & IORING_SETUP_SINGLE_ISSUER) != 0;
		l->stats.defer = (p.flags & IORING_SETUP_DEFER_TASKRUN) != 0;
		if (!(p.features & IORING_FEAT_EXT_ARG) || !(p.features & IORING_FEAT_NODROP))
			r = -ENOTSUP;
	}
	return r < 0 ? r : 0;
}

static int ask(struct loop *l, const struct loop_config *config)
{
	/* liburing's own function for this would not tell why it could not. */
	size_t bytes = sizeof(struct io_uring_probe) + 256 * sizeof(struct io_uring_probe_op);
	struct io_uring_probe *probe = calloc(1, bytes);
	int r;

	if (!probe)
		return -ENOMEM;
	r = io_uring_register_probe(&l->ring, probe, 256);
	if (r < 0)
		goto out;
	l->stats.futex = probe->last_op >= OP_FUTEX_WAIT &&
			 (probe->ops[OP_FUTEX_WAIT].flags & IO_URING_OP_SUPPORTED) &&
			 !(config->mask & LOOP_NO_FUTEX);
	l->stats.multishot = !(config->mask & LOOP_NO_MULTISHOT); /* 6.0: no probe tells */
	r = 0;
out:
	free(probe);
	return r;
}

int loop_setup_ring(struct loop *l, const struct loop_config *config, char *why)
{
	int r = setup(l, config);

	if (r == 0)
		r = ask(l, config);
	if (r == -EINVAL)
		r = -ENOTSUP; /* none of the steps was low enough */
	if (r < 0)
		loop_setup_explain(r, why);
	return r;
}
