/* SPDX-License-Identifier: ISC */
#ifndef STEPS_H
#define STEPS_H

/*
 * Something happens at a chosen step of the engine. A test that includes this first, and sources of
 * the engine after it, has them once more in its own program, with a step before each of their accesses
 * to shared memory; the library's remain as they are.
 */

static inline void step(void);

#define SQ_STEP() step()

#include "fixture.h"

#include <stdbool.h>

#define STEPS_MAX 1000 /* more than any call has */

static long countdown;     /* so many steps to go; 0: nothing is to happen */
static void (*then)(void); /* what happens then, in the middle of the call */
static jmp_buf steps_killed;

static inline void step(void)
{
	if (countdown > 0 && --countdown == 0)
		then();
}

/* Run f with `event` at its k-th step. False: it has no k-th step. */
static inline bool at_step(long k, void (*event)(void), void (*f)(void))
{
	bool more;

	assert_in_range(k, 1, STEPS_MAX);
	countdown = k;
	then = event;
	f();
	more = countdown == 0;
	countdown = 0;
	return more;
}

/* An event: whoever runs f dies here. What it held is still there; fx_die() drops its lock. */
static inline void kill_here(void)
{
	longjmp(steps_killed, 1);
}

/* Run f up to an event at its k-th step that ends in kill_here(). False: it has no k-th step. */
static inline bool cut_at_step(long k, void (*event)(void), void (*f)(void))
{
	assert_in_range(k, 1, STEPS_MAX);
	countdown = k;
	then = event;
	if (setjmp(steps_killed))
		return true;
	f();
	countdown = 0;
	return false;
}

#endif
