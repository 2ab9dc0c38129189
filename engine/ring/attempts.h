/* SPDX-License-Identifier: ISC */
#ifndef SQI_ATTEMPTS_H
#define SQI_ATTEMPTS_H

/* What counts as an attempt. See attempts.c. */

#include "ring/ring.h"

/* A message leased that often is not delivered again, but a dead letter. */
static inline unsigned sqi_attempts_limit(const struct sqi_ring *ring)
{
	return ring->g.in.max_attempts ? ring->g.in.max_attempts : ~0u;
}

/* So many leases after the one of this number came the other. */
unsigned sqi_attempts_distance(unsigned from, unsigned to);
unsigned sqi_attempts_begin(struct sqi_ring *ring, uint64_t pos, uint64_t taken);
bool sqi_attempts_return(struct sqi_ring *ring, uint64_t pos, uint64_t taken);
unsigned sqi_attempts_of(const struct sqi_ring *ring, uint64_t pos, uint64_t taken);
bool sqi_attempts_left_by(unsigned limit, uint64_t w, uint64_t meta, uint64_t u);
bool sqi_attempts_left(const struct sqi_ring *ring, uint64_t pos, uint64_t w);

#endif
