/* SPDX-License-Identifier: ISC */
#ifndef SQI_FRONT_H
#define SQI_FRONT_H

/* Finds the first message of the ring, and its end. See front.c. */

#include "ring/ring.h"

int sqi_front(struct sqi_ring *ring, uint64_t *ret_pos, uint64_t *ret_word);
int sqi_seal(struct sqi_ring *ring);

/*
 * True if no participant has taken a message since this one did, and the next, at ring->front, is
 * there. It is then what sqi_front() finds; its word is *ret_word.
 */
static inline bool sqi_front_is_next(
	const struct sqi_ring *ring, struct sqi_place *ret, uint64_t *ret_word)
{
	*ret = sqi_place(ring, ring->front);
	*ret_word = sqi_word(SQI_FULL, 0, 0, ret->turn);
	return sqi_load_seq(&ret->cell->word) == *ret_word;
}

#endif
