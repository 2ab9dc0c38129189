/* SPDX-License-Identifier: ISC */
#include "ring/front.h"

#include <errno.h>

#include "base/event.h"
#include "ring/position.h"
#include "ring/revoke.h"
#include "ring/transition.h"

/*
 * Finds the first message of the ring, passing late writers, and seals the end of a queue that was
 * shut down. Called by ops/select.c, by any number of participants at once.
 *
 * Invariant: it takes no message. It moves the handle's front only past positions that are
 * consumed, skipped or revoked.
 */

/*
 * Finds the first message: its position and its word, which says FULL. Returns -EAGAIN if there is
 * none, -EPIPE if there is none and the end is sealed, -EBADMSG if the memory is damaged.
 */
int sqi_front(struct sqi_ring *ring, uint64_t *ret_pos, uint64_t *ret_word)
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
		case SQI_REMOVING:
			return -EAGAIN;
		default:
			return -EBADMSG;
		}
	}
}

/*
 * Seals a closed queue: at its front, or behind busy cells there, which are skipped as a producer
 * would. Returns -EPIPE if it is sealed, 0 if a message may be there and the caller should look
 * again, -EAGAIN if no cell is free for the seal, -EBADMSG if the memory is damaged.
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
			/* S2. */
			if (!sqi_cell_seal(sqi_cell(ring, walk.pos), walk.word))
				continue;
			sqi_event_wake_all(&ring->head->message_event);
			return -EPIPE;
		case SQI_TAKEN:
		case SQI_BACK:
		case SQI_VOID:
		case SQI_RELEASING:
		case SQI_REMOVING:
			if (!sqi_walk_skip(ring, &walk))
				return -EAGAIN;
			continue;
		default:
			return 0;
		}
	}
}
