/* SPDX-License-Identifier: ISC */
#ifndef SQI_REDELIVERY_H
#define SQI_REDELIVERY_H

/* Messages that wait for redelivery. See redelivery.c. */

#include "ring/ring.h"

/* B1: the message of this word, TAKEN, waits for redelivery from now on. */
bool sqi_redelivery_give_back(struct sqi_ring *ring, uint64_t pos, uint64_t w);
/* Sets its bit, and wakes a consumer; only sets the bit. */
void sqi_redelivery_announce(struct sqi_ring *ring, uint64_t pos);
void sqi_redelivery_mark(struct sqi_ring *ring, uint64_t pos);
/* The message that has waited longest. */
bool sqi_redelivery_find(struct sqi_ring *ring, bool any, uint64_t *ret_pos, uint64_t *ret_word);
/* It was taken: clears its bit. */
void sqi_redelivery_unmark(struct sqi_ring *ring, uint64_t pos);
/* Announces those among these cells whose bit was never set. */
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
