/* SPDX-License-Identifier: ISC */
#ifndef SQI_LEASE_TIME_H
#define SQI_LEASE_TIME_H

/* When a lease ends by itself. See lease_time.c. */

#include "ring/ring.h"

/* T1: before a message is taken. */
bool sqi_lease_time_prepare(struct sqi_ring *ring, uint64_t pos, uint64_t w);
/* T4, T5: the lease has a whole lease time from now on. */
bool sqi_lease_time_extend(struct sqi_ring *ring, uint64_t pos, uint64_t w, uint64_t more_ns);
/* X3: a lease whose end is decided. */
void sqi_lease_time_finish(struct sqi_ring *ring, uint64_t pos);
/* X1 to X3: all in these cells whose time is up. */
void sqi_lease_time_expire(struct sqi_ring *ring, uint64_t from, uint64_t count);

#endif
