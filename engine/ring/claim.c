/* SPDX-License-Identifier: ISC */
#include "ring/claim.h"

#include <errno.h>

#include "ring/position.h"
#include "ring/revoke.h"
#include "ring/transition.h"

/*
 * Claiming the first free cell, round those that are busy. Called by ops/put.c, by any number of
 * participants at once.
 */

/*
 * The ring is full at pos. True: not any more, or only by a writer whose claim is now revoked: look
 * again.
 *
 * Consumers revoke a claim only for a message behind it. If there is none in the whole ring they do
 * not: the queue is empty for them. But producers cannot pass that writer, though cells behind it
 * may be free. For one of those a producer revokes the claim. The producer then takes that cell, and
 * the writer finds another, or its own again. They cannot revoke each other for ever: each revocation
 * needs a free cell that no producer can reach.
 */
static bool make_room(struct sqi_ring *ring, uint64_t pos)
{
	uint64_t late = 0, claimed = 0;
	bool room = false;

	for (struct sqi_scan s = sqi_scan_from(pos, ring->mask + 1); sqi_scan_next(ring, &s);) {
		switch (sqi_word_state(s.word)) {
		case SQI_FULL:
			return false;
		case SQI_WRITING:
			if (s.ahead != -1)
				return false;
			if (!claimed) {
				late = s.pos;
				claimed = s.word;
			}
			break;
		case SQI_FREE:
			if (s.ahead == 0 && !claimed)
				return true;
			room |= s.ahead == 0;
			break;
		default:
			break;
		}
	}
	if (!claimed || !room)
		return false;
	sqi_revoke_for_room(ring, late, claimed);
	return true;
}

static int claim_by_walk(struct sqi_ring *ring, uint64_t *ret_pos, uint64_t *ret_word)
{
	struct sqi_walk walk = sqi_walk_from(ring, ring->tail, SQI_TAIL);
	uint64_t revoked = 0;

	for (;;) {
		int r = sqi_walk_next(ring, &walk);

		if (r < 0)
			return r;
		switch (sqi_word_state(walk.word)) {
		case SQI_FREE:
			if (!sqi_cell_claim(
				    sqi_cell(ring, walk.pos), walk.word, ring->owner, ret_word))
				continue;
			*ret_pos = walk.pos;
			return 0;
		case SQI_TAKEN:
		case SQI_BACK:
		case SQI_VOID:
		case SQI_RELEASING:
			if (sqi_walk_skip(ring, &walk))
				continue;
			break;
		case SQI_FULL:
		case SQI_WRITING:
			break; /* of the lap before */
		case SQI_SEALED:
			return -EPIPE;
		default:
			return -EBADMSG;
		}
		/* Once for each cell: a writer whose claim was revoked may come again, but not for ever. */
		if (revoked++ > ring->mask || !make_room(ring, walk.pos)) {
			ring->tail = walk.pos;
			return -EAGAIN;
		}
	}
}

/*
 * Claim the first free cell: *ret_pos is its position and *ret_word the word that says so. -EAGAIN:
 * the ring is full. -EPIPE: it is sealed. -EBADMSG: its memory is damaged.
 */
int sqi_claim(struct sqi_ring *ring, uint64_t *ret_pos, uint64_t *ret_word)
{
	uint64_t pos = ring->tail, free = sqi_word(SQI_FREE, 0, 0, pos >> ring->shift);
	struct sqi_cell *c = sqi_cell(ring, pos);

	/* Mostly nobody has been here since we were, and the cell is free. */
	if (sqi_load_seq(&c->word) == free && sqi_cell_claim(c, free, ring->owner, ret_word)) {
		*ret_pos = pos;
	} else {
		int r = claim_by_walk(ring, ret_pos, ret_word);

		if (r < 0)
			return r;
	}
	sqi_note_claimed(ring, *ret_pos + 1);
	return 0;
}
