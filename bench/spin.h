/* SPDX-License-Identifier: ISC */
#ifndef BENCH_SPIN_H
#define BENCH_SPIN_H

#include <sched.h>

/* What a process does after a try that failed, at a queue that leaves waiting to its users. */

struct spin {
	int pauses; /* -1: not asked, the queue waits by itself */
	int yields; /* 1: then lets another process run, for there are more of them than CPUs */
};

static inline void spin_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("isb" ::: "memory");
#endif
}

static inline void spin_wait(const struct spin *s)
{
	for (int i = 0; i < s->pauses; i++)
		spin_pause();
	if (s->yields)
		(void)sched_yield();
}

#endif
