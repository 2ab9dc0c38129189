/* SPDX-License-Identifier: ISC */
#include "kernel.h"

#include <errno.h>
#include <linux/futex.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "explore.h"
#include "switch.h"

/* The kernel, as far as the engine needs it. */

static int file_of(int fd)
{
	return (fd - kernel_fd(0, 0)) % KERNEL_FILES;
}

/* Open-file-description locks: a table. */
int model_fcntl(int fd, int cmd, ...)
{
	struct lock *room = NULL, *held = NULL;
	struct flock *l;
	va_list args;

	va_start(args, cmd);
	l = va_arg(args, struct flock *);
	va_end(args);
	model_step(NULL, cmd == F_OFD_GETLK     ? "who locks"
			 : l->l_type == F_UNLCK ? "unlock"
						: "lock");
	for (int i = 0; i < LOCKS_MAX; i++) {
		struct lock *k = &run.lock[i];

		if (k->fd == 0)
			room = room ? room : k;
		else if (k->byte == l->l_start && k->file == file_of(fd))
			held = k;
	}
	if (cmd == F_OFD_GETLK) {
		l->l_type = !held || held->fd == fd ? F_UNLCK : F_WRLCK;
		return 0;
	}
	if (l->l_type == F_UNLCK) {
		if (held && held->fd == fd)
			*held = (struct lock){0};
		return 0;
	}
	if (held && held->fd != fd) {
		errno = EAGAIN;
		return -1;
	}
	if (!room)
		abort();
	*room = (struct lock){.fd = fd, .file = file_of(fd), .byte = l->l_start};
	return 0;
}

void kernel_unlock(unsigned owner, unsigned file)
{
	for (int i = 0; i < LOCKS_MAX; i++)
		if (run.lock[i].fd == kernel_fd(owner, file))
			run.lock[i] = (struct lock){0};
}

/* All descriptors of a file are of that one object, and its name stands. */
int model_fstat(int fd, struct stat *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->st_ino = (ino_t)file_of(fd);
	ret->st_nlink = 1;
	return 0;
}

/* What the participants do takes no time; that others sleep meanwhile does not cost them any either. */
int model_clock_gettime(clockid_t clock, struct timespec *ret)
{
	int64_t ns = clock == CLOCK_THREAD_CPUTIME_ID ? 0 : run.now_ns;

	*ret = (struct timespec){.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
	return 0;
}

int model_clock_nanosleep(
	clockid_t clock, int flags, const struct timespec *span, struct timespec *rest)
{
	(void)clock;
	(void)flags;
	(void)rest;
	if (switch_self() < 0)
		abort(); /* the auditor never waits */
	model_step(NULL, "nap");
	(void)explore_sleep(NULL, run.now_ns + (int64_t)span->tv_sec * 1000000000 + span->tv_nsec);
	return 0;
}

static long futex_wait(const uint32_t *address, uint32_t value, const struct timespec *until)
{
	if (__atomic_load_n(address, __ATOMIC_SEQ_CST) != value) {
		errno = EAGAIN;
		return -1;
	}
	if (switch_self() < 0)
		abort(); /* the auditor never waits */
	if (explore_sleep(address, (int64_t)until->tv_sec * 1000000000 + until->tv_nsec))
		return 0;
	errno = ETIMEDOUT;
	return -1;
}

/* Which sleeper the kernel wakes first is not defined: it is a choice. */
static long futex_wake(const uint32_t *address, int most)
{
	long n = 0;

	for (; n < most; n++) {
		unsigned char list[CO_MAX];
		unsigned count = 0;
		struct person *p;

		for (unsigned i = 0; i < explorer.count; i++)
			if ((run.person[i].state == PERSON_ASLEEP ||
				    run.person[i].state == PERSON_STARVED) &&
				run.person[i].bed == address)
				list[count++] = (unsigned char)i;
		if (count == 0)
			break;
		/* All of them, in any order, is the same as in this one. */
		p = &run.person[list[most >= CO_MAX ? 0 : explore_choose(count)]];
		p->woken = true;
		p->state = PERSON_READY;
	}
	return n;
}

long model_syscall(long number, ...)
{
	va_list args;
	uint32_t *address;
	const struct timespec *until;
	int op;
	uint32_t value;

	va_start(args, number);
	address = va_arg(args, uint32_t *);
	op = va_arg(args, int);
	value = va_arg(args, uint32_t);
	until = va_arg(args, const struct timespec *);
	va_end(args);
	if (number != SYS_futex)
		abort();
	/* Before a wait the engine itself has made a step. */
	if (op != FUTEX_WAKE)
		return futex_wait(address, value, until);
	model_step(address, "wake");
	return futex_wake(address, (int)value);
}
