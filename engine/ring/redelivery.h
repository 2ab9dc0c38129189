/* SPDX-License-Identifier: ISC */
#ifndef SQI_REDELIVERY_H
#define SQI_REDELIVERY_H

/* Messages that wait for redelivery. See redelivery.c. */

#include "ring/ring.h"

bool sqi_redelivery_give_back(struct sqi_ring *ring, uint64_t pos, uint64_t w);
void sqi_redelivery_announce(struct sqi_ring *ring, uint64_t pos);
void sqi_redelivery_mark(struct sqi_ring *ring, uint64_t pos);
bool sqi_redelivery_find(struct sqi_ring *ring, bool any, uint64_t *ret_pos, uint64_t *ret_word);
void sqi_redelivery_unmark(struct sqi_ring *ring, uint64_t pos);
void sqi_redelivery_announce_all(struct sqi_ring *ring, uint64_t from, uint64_t count);

/*
 * Returns true if a message may be waiting for redelivery: one is listed, or one came back since
 * the last search.
 */
static inline bool sqi_redelivery_maybe(const struct sqi_ring *ring)
{
	return ring->waiting.next < ring->waiting.count || ring->waiting.again ||
	       sqi_load_seq(&ring->head->back_seq) != ring->redelivery_seen;
}

#endif
