/* SPDX-License-Identifier: ISC */
#include "ring/front.h"

#include <errno.h>

#include "base/event.h"
#include "ring/position.h"
#include "ring/revoke.h"
#include "ring/transition.h"

/*
 * The first message of the ring, past writers that are late, and the end of a queue that was shut
 * down. Called by ops/select.c, by any number of participants at once. Takes nothing itself.
 */

static int front_by_walk(struct sqi_ring *ring, uint64_t *ret_pos, uint64_t *ret_word)
{
	struct sqi_walk walk = sqi_walk_from(ring, ring->front, SQI_FRONT);

	for (;;) {
		int r = sqi_walk_next(ring, &walk);

		if (r < 0)
			return r;
		ring->front = walk.pos;
		switch (sqi_word_state(walk.word)) {
		case SQI_FULL:
			*ret_pos = walk.pos;
			*ret_word = walk.word;
			return 0;
		case SQI_WRITING:
			if (sqi_revoke_for_message(ring, walk.pos, walk.word))
				continue;
			return -EAGAIN;
		case SQI_SEALED:
			return -EPIPE;
		case SQI_FREE:
		case SQI_TAKEN:
		case SQI_BACK:
		case SQI_VOID:
		case SQI_RELEASING:
			return -EAGAIN;
		default:
			return -EBADMSG;
		}
	}
}

/*
 * The first message: its position and the word that says FULL. -EAGAIN: there is none. -EPIPE: there
 * is none, and the end is sealed. -EBADMSG: the memory is damaged.
 */
int sqi_front(struct sqi_ring *ring, uint64_t *ret_pos, uint64_t *ret_word)
{
	uint64_t pos = ring->front, full = sqi_word(SQI_FULL, 0, 0, pos >> ring->shift);

	/* Mostly nobody has been here since we were, and a message is there. */
	if (sqi_load_seq(&sqi_cell(ring, pos)->word) == full) {
		*ret_pos = pos;
		*ret_word = full;
		return 0;
	}
	return front_by_walk(ring, ret_pos, ret_word);
}

/*
 * The queue is closed: set the seal at its front, or behind cells that are busy there, as a producer
 * would go round them. -EPIPE: it is sealed. 0: there is something to take, look again. -EAGAIN: no
 * cell is free for the seal. -EBADMSG: the memory is damaged.
 */
int sqi_seal(struct sqi_ring *ring)
{
	struct sqi_walk walk = sqi_walk_from(ring, ring->front, SQI_FRONT);

	for (;;) {
		int r = sqi_walk_next(ring, &walk);

		if (r < 0)
			return r;
		switch (sqi_word_state(walk.word)) {
		case SQI_SEALED:
			return -EPIPE;
		case SQI_FREE:
			if (!sqi_cell_seal(sqi_cell(ring, walk.pos), walk.word))
				continue;
			sqi_event_wake_all(&ring->head->message_event);
			return -EPIPE;
		case SQI_TAKEN:
		case SQI_BACK:
		case SQI_VOID:
		case SQI_RELEASING:
			if (!sqi_walk_skip(ring, &walk))
				return -EAGAIN;
			continue;
		default:
			return 0;
		}
	}
}
