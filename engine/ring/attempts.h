/* SPDX-License-Identifier: ISC */
#ifndef SQI_ATTEMPTS_H
#define SQI_ATTEMPTS_H

/* What counts as an attempt. See attempts.c. */

#include "ring/ring.h"

/* A message whose leases count so many attempts is a dead letter, and is not delivered again. */
static inline unsigned sqi_attempts_limit(const struct sqi_ring *ring)
{
	return ring->g.in.max_attempts ? ring->g.in.max_attempts : ~0u;
}

/* How many leases after the one numbered `from` came the one numbered `to`. */
unsigned sqi_attempts_distance(unsigned from, unsigned to);
/* C1: a lease begins. What it counts as. */
unsigned sqi_attempts_begin(struct sqi_ring *ring, uint64_t pos, uint64_t taken);
/* C2: it does not count. */
bool sqi_attempts_return(struct sqi_ring *ring, uint64_t pos, uint64_t taken);
/* What a lease counts as. */
unsigned sqi_attempts_of(const struct sqi_ring *ring, uint64_t pos, uint64_t taken);
/* Has a message that waits attempts left? From a copy of its cell, or from the cell. */
bool sqi_attempts_left_by(unsigned limit, uint64_t w, uint64_t meta, uint64_t record);
bool sqi_attempts_left(const struct sqi_ring *ring, uint64_t pos, uint64_t w);

#endif
