/* SPDX-License-Identifier: ISC */
#ifndef TESTS_STRESS_THREADS_HOOK_H
#define TESTS_STRESS_THREADS_HOOK_H

/*
 * Included before everything else when the engine's sources are compiled for the threads test: at
 * each access to shared words a thread may be made to wait, or die (threads_step.c). The engine's
 * own code is as it is.
 */

#include <fcntl.h>

void threads_step(void);
int threads_fcntl(int fd, int cmd, ...);

#define SQ_STEP() threads_step()
#define fcntl     threads_fcntl

#endif
