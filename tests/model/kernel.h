/* SPDX-License-Identifier: ISC */
#ifndef TESTS_MODEL_KERNEL_H
#define TESTS_MODEL_KERNEL_H

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* What the engine calls instead of the kernel, and between any two accesses to shared words. */

void model_step(void);
int model_fcntl(int fd, int cmd, ...);
long model_syscall(long number, ...);
int model_fstat(int fd, struct stat *ret);
int model_clock_gettime(clockid_t clock, struct timespec *ret);
int model_clock_nanosleep(
	clockid_t clock, int flags, const struct timespec *span, struct timespec *rest);

#endif
