/* SPDX-License-Identifier: ISC */
#ifndef SQI_LEASE_TIME_H
#define SQI_LEASE_TIME_H

/* When a lease ends by itself. See lease_time.c. */

#include "ring/ring.h"

bool sqi_lease_time_prepare(struct sqi_ring *ring, uint64_t pos, uint64_t w);
bool sqi_lease_time_extend(struct sqi_ring *ring, uint64_t pos, uint64_t w, uint64_t more_ns);
void sqi_lease_time_finish(struct sqi_ring *ring, uint64_t pos);
void sqi_lease_time_expire(struct sqi_ring *ring, uint64_t from, uint64_t count);

#endif
