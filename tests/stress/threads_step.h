/* SPDX-License-Identifier: ISC */
#ifndef TESTS_STRESS_THREADS_STEP_H
#define TESTS_STRESS_THREADS_STEP_H

#include <setjmp.h>
#include <stdbool.h>
#include <stdint.h>

#include "sq.h"

/* The death of a participant that is a thread: between any two accesses to shared words. */

/* Give up the processor at one step of so many, on average; 0: never. For the calling thread. */
void threads_unrest(uint64_t seed, unsigned one_of);

/*
 * Before the access to shared words that is `steps` steps ahead (0: never), the participant of
 * `handle` dies and *where is jumped to. The handle is good for threads_bury() only, then.
 */
void threads_doom(struct sq *handle, uint64_t steps, jmp_buf *where);

/* Not now: while true, steps are not counted. */
void threads_spare(bool spare);

/* sq_close() of the dead participant's handle, as its process would never have done. */
void threads_bury(struct sq *handle);

/* How many have died. */
uint64_t threads_deaths(void);

#endif
