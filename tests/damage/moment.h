/* SPDX-License-Identifier: ISC */
#ifndef MOMENT_H
#define MOMENT_H

/*
 * Time of our own making. The engine's clock_gettime(), clock_nanosleep() and futex calls are
 * wrapped by the linker: in virtual time a sleep takes no time, what happens during it is a function
 * of ours, and a case is the same whenever it is run.
 */

#include <stdbool.h>
#include <stdint.h>

/* moment_virtual(): from now on time is ours, and starts there. */
void moment_virtual(int64_t from_ns);

/* moment_real(): the machine's again. */
void moment_real(void);

/* moment_now(): nanoseconds, of whichever time it is. */
int64_t moment_now(void);

/* moment_truly(): nanoseconds of the machine's, even in virtual time. */
int64_t moment_truly(void);

/* moment_pass(): virtual time goes on. */
void moment_pass(int64_t ns);

/* moment_sleeps(): how often the engine slept in virtual time. */
uint64_t moment_sleeps(void);

/* moment_during(): to be called at each sleep. NULL: nothing. */
void moment_during(void (*f)(void *arg), void *arg);

#endif
