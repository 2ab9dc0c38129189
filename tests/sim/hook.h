/* SPDX-License-Identifier: ISC */
#ifndef TESTS_SIM_HOOK_H
#define TESTS_SIM_HOOK_H

/*
 * Included before everything else when the engine's and the bridge's sources are compiled for the
 * simulator: they can be killed at each of their accesses to shared memory, and time is made up.
 */

#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include "lives.h"

#define SQ_STEP()     sim_step()
#define LEDGER_STEP() sim_ledger_step(__func__)
#define fcntl         sim_fcntl
#define close(fd)     sim_close(fd)
#define clock_gettime sim_clock_gettime

#endif
