/* SPDX-License-Identifier: ISC */
#ifndef TESTS_MODEL_KERNEL_H
#define TESTS_MODEL_KERNEL_H

#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/*
 * What the engine calls instead of the kernel, and between any two accesses to shared words. All of
 * it is part of a run's state: see explore.h.
 */

/* Before each access: what it is to, and the function that makes it. */
void model_step(const void *address, const char *how);

int model_fcntl(int fd, int cmd, ...);
long model_syscall(long number, ...);
int model_fstat(int fd, struct stat *ret);
int model_clock_gettime(clockid_t clock, struct timespec *ret);
int model_clock_nanosleep(
	clockid_t clock, int flags, const struct timespec *span, struct timespec *rest);

/*
 * A descriptor says which participant's it is, and of which object: its locks are dropped when that
 * participant dies.
 */
#define KERNEL_FILES 2
static inline int kernel_fd(unsigned owner, unsigned file)
{
	return 1000 + (int)(owner * KERNEL_FILES + file);
}

void kernel_unlock(unsigned owner, unsigned file);

#endif
