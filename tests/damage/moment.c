/* SPDX-License-Identifier: ISC */
#include "moment.h"

#include <errno.h>
#include <linux/futex.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <time.h>

#define LOOK_NS 200 /* what it takes to look at the clock: whoever only looks gets on as well */
#define SECOND  1000000000

int __real_clock_gettime(clockid_t clock, struct timespec *ret);
int __wrap_clock_gettime(clockid_t clock, struct timespec *ret);
int __real_clock_nanosleep(
	clockid_t clock, int flags, const struct timespec *span, struct timespec *rest);
int __wrap_clock_nanosleep(
	clockid_t clock, int flags, const struct timespec *span, struct timespec *rest);
long __real_syscall(long number, ...);
long __wrap_syscall(long number, ...);

static bool ours;
static int64_t now_ns;
static uint64_t sleeps;
static void (*during)(void *arg);
static void *during_arg;

void moment_virtual(int64_t from_ns)
{
	ours = true;
	now_ns = from_ns;
	sleeps = 0;
}

void moment_real(void)
{
	ours = false;
}

int64_t moment_truly(void)
{
	struct timespec ts;

	(void)__real_clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * SECOND + ts.tv_nsec;
}

int64_t moment_now(void)
{
	return ours ? now_ns : moment_truly();
}

void moment_pass(int64_t ns)
{
	now_ns += ns;
}

uint64_t moment_sleeps(void)
{
	return sleeps;
}

void moment_during(void (*f)(void *arg), void *arg)
{
	during = f;
	during_arg = arg;
}

static void sleep_to(int64_t until_ns)
{
	sleeps++;
	if (until_ns > now_ns)
		now_ns = until_ns;
	if (during)
		during(during_arg);
}

int __wrap_clock_gettime(clockid_t clock, struct timespec *ret)
{
	if (!ours)
		return __real_clock_gettime(clock, ret);
	/* All clocks are one: none of them is compared with another. */
	now_ns += LOOK_NS;
	*ret = (struct timespec){.tv_sec = now_ns / SECOND, .tv_nsec = now_ns % SECOND};
	return 0;
}

int __wrap_clock_nanosleep(
	clockid_t clock, int flags, const struct timespec *span, struct timespec *rest)
{
	if (!ours)
		return __real_clock_nanosleep(clock, flags, span, rest);
	/* The engine gives spans here, and moments to the futex. */
	sleep_to(now_ns + span->tv_sec * SECOND + span->tv_nsec);
	return 0;
}

/* A wait comes to its end, or not even begins; nobody else is there to be woken. */
static long futex(_Atomic uint32_t *word, long op, uint32_t v, const struct timespec *until)
{
	if ((op & FUTEX_CMD_MASK) != FUTEX_WAIT_BITSET)
		return 0;
	if (atomic_load(word) != v) {
		errno = EAGAIN;
		return -1;
	}
	sleep_to(until->tv_sec * SECOND + until->tv_nsec);
	if (atomic_load(word) != v)
		return 0;
	errno = ETIMEDOUT;
	return -1;
}

long __wrap_syscall(long number, ...)
{
	long a[6];
	va_list args;

	va_start(args, number);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(args, long);
	va_end(args);
	if (ours && number == SYS_futex)
		return futex((_Atomic uint32_t *)a[0], a[1], (uint32_t)a[2],
			(const struct timespec *)a[3]);
	return __real_syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
