/* SPDX-License-Identifier: ISC */
#ifndef TESTS_MODEL_HOOK_H
#define TESTS_MODEL_HOOK_H

/*
 * Included before everything else when the engine's sources are compiled for the explorer: each
 * access to shared words becomes a step, and the kernel (locks, futexes, clocks, sleeping) is ours.
 * The engine's own code is as it is; only its waits are short, for each look costs a step.
 */

#include "kernel.h"

/*
 * In atomic.h every access is to *p and in a function named after what it does. Elsewhere this p is
 * the one below: an access of which only the function is known.
 */
static const void *const p __attribute__((unused)) = 0;

#define SQ_STEP()       model_step((const void *)p, __func__)
#define fcntl           model_fcntl
#define fstat           model_fstat
#define syscall         model_syscall
#define clock_gettime   model_clock_gettime
#define clock_nanosleep model_clock_nanosleep

#define PATIENCE_PAUSES 1
#define SPIN_PAUSES_MAX 1

/* Slices of one cell, and a participant with nothing in hand leaves without a lap. */
#define SQI_SLICE_CELLS 1
#define SLICE_NS        0
#define SQI_SMALL_RING  0

#endif
