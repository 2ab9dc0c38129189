/* SPDX-License-Identifier: ISC */
#ifndef SQI_CLAIM_H
#define SQI_CLAIM_H

/* Claims the first free cell. See claim.c. */

#include "ring/position.h"
#include "ring/ring.h"
#include "ring/transition.h"

int sqi_claim(struct sqi_ring *ring, uint64_t *ret_pos, uint64_t *ret_word);
bool sqi_has_room(struct sqi_ring *ring);

/*
 * W1. The common case: true if no participant has claimed a cell since this one did, and the next,
 * at ring->tail, is free and now claimed, as by sqi_claim().
 */
static inline bool sqi_claim_next(
	struct sqi_ring *ring, const struct sqi_place *next, uint64_t *ret_word)
{
	uint64_t free = sqi_word(SQI_FREE, 0, 0, next->turn);
	bool apart = sqi_is_apart(ring);
	unsigned owner = ring->owner;

	sqi_ask_ahead(ring, next->pos);
	if (sqi_load_seq(&next->cell->word) != free)
		return false;
	/*
	 * The line was asked for some puts ago, but a consumer's processor may have it again: with a
	 * line that is read, processors fetch the one beside it. Ask while claiming, not after.
	 */
	if (apart)
		sqi_prefetch_write(next->data);
	if (!sqi_cell_claim(next->cell, free, owner, 1, ret_word))
		return false;
	sqi_note_claimed(ring, next->pos + 1);
	return true;
}

#endif
