/* SPDX-License-Identifier: ISC */
#ifndef TESTS_SIM_LIVES_H
#define TESTS_SIM_LIVES_H

#include <time.h>

/* What the engine's and the bridge's sources call, compiled for the simulator. */

void sim_step(void);
void sim_ledger_step(const char *where);
int sim_fcntl(int fd, int cmd, ...);
int sim_close(int fd);
int sim_clock_gettime(clockid_t clock, struct timespec *ret);

#endif
