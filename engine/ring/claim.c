/* SPDX-License-Identifier: ISC */
#include "ring/claim.h"

#include <errno.h>

#include "ring/position.h"
#include "ring/revoke.h"
#include "ring/transition.h"

/*
 * Claims the first free cell, passing busy ones. Called by ops/put.c, by any number of participants
 * at once.
 *
 * Invariant: a cell is claimed only at the first position that is not passed, so positions are
 * claimed in order, and no message is put behind a free position.
 */

/*
 * The ring is full at pos. Returns true if the caller should look again: there is room by now, or
 * the claim of a late writer was revoked to make some.
 *
 * A consumer revokes a claim only if a message lies behind it. If the whole ring has no message,
 * the queue is empty for consumers, and none of them revokes. But a late writer may still keep
 * producers from the free cells behind it. A producer then revokes its claim and takes that cell,
 * and the writer finds another, or the same again. They cannot revoke each other for ever: a revocation
 * needs a free cell that no producer can reach, and after it every producer can reach that cell.
 */
static bool make_room(struct sqi_ring *ring, uint64_t pos)
{
	uint64_t late_pos = 0, late_word = 0;
	bool room = false;

	for (struct sqi_scan s = sqi_scan_from(pos, ring->mask + 1); sqi_scan_next(ring, &s);) {
		switch (sqi_word_state(s.word)) {
		case SQI_FULL:
			return false;
		case SQI_WRITING:
			if (s.ahead != -1)
				return false;
			if (!late_word) {
				late_pos = s.pos;
				late_word = s.word;
			}
			break;
		case SQI_FREE:
			if (s.ahead == 0 && !late_word)
				return true;
			room |= s.ahead == 0;
			break;
		default:
			break;
		}
	}
	if (!late_word || !room)
		return false;
	sqi_revoke_for_room(ring, late_pos, late_word);
	return true;
}

/*
 * Goes on to the first free cell, passing busy ones. Returns 0; -EAGAIN if the ring is full, -EPIPE
 * if it is sealed, -EBADMSG if its memory is damaged.
 */
static int find_free(struct sqi_ring *ring, struct sqi_walk *walk)
{
	for (;;) {
		int r = sqi_walk_next(ring, walk);

		if (r < 0)
			return r;
		switch (sqi_word_state(walk->word)) {
		case SQI_FREE:
			return 0;
		case SQI_TAKEN:
		case SQI_BACK:
		case SQI_VOID:
		case SQI_RELEASING:
		case SQI_REMOVING:
			if (sqi_walk_skip(ring, walk))
				continue;
			return -EAGAIN;
		case SQI_FULL:
		case SQI_WRITING:
			return -EAGAIN; /* of the lap before: full */
		case SQI_SEALED:
			return -EPIPE;
		default:
			return -EBADMSG;
		}
	}
}

/*
 * True if a producer would find a free cell now. One for which a late writer's claim has to be
 * revoked does not count: whoever revokes it wakes a producer.
 */
bool sqi_has_room(struct sqi_ring *ring)
{
	struct sqi_walk walk = sqi_walk_from(ring, ring->tail, SQI_TAIL);

	return find_free(ring, &walk) == 0;
}

/*
 * Claims the first free cell: *ret_pos is its position and *ret_word its new word. Returns -EAGAIN
 * if the ring is full, -EPIPE if it is sealed, and -EBADMSG if its memory is damaged.
 */
int sqi_claim(struct sqi_ring *ring, uint64_t *ret_pos, uint64_t *ret_word)
{
	struct sqi_walk walk = sqi_walk_from(ring, ring->tail, SQI_TAIL);
	uint64_t revoked = 0;

	for (;;) {
		int r = find_free(ring, &walk);

		if (r == 0) {
			/* W1. */
			if (!sqi_cell_claim(
				    sqi_cell(ring, walk.pos), walk.word, ring->owner, 1, ret_word))
				continue;
			*ret_pos = walk.pos;
			sqi_note_claimed(ring, walk.pos + 1);
			return 0;
		}
		if (r != -EAGAIN)
			return r;
		/*
		 * At most once for each cell: a writer whose claim was revoked may claim the cell
		 * again.
		 */
		if (revoked++ > ring->mask || !make_room(ring, walk.pos)) {
			ring->tail = walk.pos;
			return -EAGAIN;
		}
	}
}
