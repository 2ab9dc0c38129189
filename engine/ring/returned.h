/* SPDX-License-Identifier: ISC */
#ifndef SQI_RETURNED_H
#define SQI_RETURNED_H

/* Messages that wait for redelivery. See returned.c. */

#include "ring/ring.h"

bool sqi_returned_add(struct sqi_ring *ring, uint64_t pos, uint64_t w);
void sqi_returned_announce(struct sqi_ring *ring, uint64_t pos);
void sqi_returned_mark(struct sqi_ring *ring, uint64_t pos);
bool sqi_returned_find(struct sqi_ring *ring, bool any, uint64_t *ret_pos, uint64_t *ret_word);
void sqi_returned_unmark(struct sqi_ring *ring, uint64_t pos);
void sqi_returned_announce_all(struct sqi_ring *ring, uint64_t from, uint64_t count);

/*
 * Returns true if a message may be waiting for redelivery: one is listed, or one came back since
 * the last search.
 */
static inline bool sqi_returned_maybe(const struct sqi_ring *ring)
{
	return ring->waiting.next < ring->waiting.count || ring->waiting.again ||
	       sqi_load_seq(&ring->head->back_seq) != ring->returned_seen;
}

#endif
