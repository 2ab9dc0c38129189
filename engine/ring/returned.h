/* SPDX-License-Identifier: ISC */
#ifndef SQI_RETURNED_H
#define SQI_RETURNED_H

/* Messages that wait for redelivery. See returned.c. */

#include "ring/ring.h"

bool sqi_back(struct sqi_ring *ring, uint64_t pos, uint64_t w);
void sqi_back_announce(struct sqi_ring *ring, uint64_t pos);
void sqi_back_defer(struct sqi_ring *ring, uint64_t pos);
bool sqi_back_maybe(const struct sqi_ring *ring);
bool sqi_back_find(struct sqi_ring *ring, bool any, uint64_t *ret_pos, uint64_t *ret_word);
void sqi_back_taken(struct sqi_ring *ring, uint64_t pos);
void sqi_back_sweep(struct sqi_ring *ring, uint64_t from, uint64_t count);

#endif
