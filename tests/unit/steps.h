/* SPDX-License-Identifier: ISC */
#ifndef STEPS_H
#define STEPS_H

/*
 * An engine that tells of each of its accesses to shared memory, just before it makes it. A program
 * that is linked with it can have something happen between any two of them, or die there.
 */

#include <setjmp.h>
#include <stdbool.h>

/* Called at each access: counts down, and at the last one, before the access is made, calls then(). */
void step(void);
extern long countdown; /* 0: not counting */
extern void (*then)(void);

/* As then(): leave the call that was made after setjmp(killed), and all it was about to do. */
extern jmp_buf killed;
void kill_here(void);

/* Run f with `event` at its k-th access. False: it has no k-th access. */
bool at_step(long k, void (*event)(void), void (*f)(void));

/* Run f until its k-th access, and leave it there for ever. False: it has no k-th access. */
bool dies_at_step(long k, void (*f)(void));

#endif
