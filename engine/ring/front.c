/* SPDX-License-Identifier: ISC */
#include "ring/front.h"

#include <errno.h>

#include "base/event.h"
#include "ring/position.h"
#include "ring/revoke.h"

/*
 * Finding the first message of the ring, past writers that are late, and the end of a queue that
 * was shut down. Called by ops/select.c, by any number of participants at once. Takes nothing
 * itself.
 */

/*
 * The first message: its position and the word that says FULL. -EAGAIN: none. -EPIPE: none, and the
 * end was sealed.
 */
int sqi_front(struct sqi_ring *ring, uint64_t *ret_pos, uint64_t *ret_word)
{
	uint64_t p = ring->front;
	uint64_t walked = 0;
	bool anew = false;

	for (uint64_t steps = sqi_steps_max(ring); steps > 0; steps--) {
		uint64_t w = sqi_look(&sqi_cell(ring, p)->word), t = p >> ring->shift;
		int64_t ahead = sqi_word_ahead(w, t);

		if (ahead == 0) {
			switch (sqi_word_state(w)) {
			case SQI_FULL:
				ring->front = p;
				*ret_pos = p;
				*ret_word = w;
				return 0;
			case SQI_WRITING:
				if (sqi_late(ring, p, w))
					continue;
				ring->front = p;
				return -EAGAIN;
			case SQI_SEALED:
				ring->front = p;
				return -EPIPE;
			case SQI_FREE:
			case SQI_TAKEN:
			case SQI_BACK:
			case SQI_VOID:
			case SQI_RELEASING:
				ring->front = p;
				return -EAGAIN;
			default:
				return -EBADMSG;
			}
		}
		if (ahead < 0) {
			if (anew)
				return -EBADMSG;
			anew = true;
			p = sqi_front_anew(ring);
			continue;
		}
		p++;
		if (walked++ == 0)
			p = sqi_front_catch_up(ring, p);
		else if (walked % (ring->mask + 1) == 0)
			p = sqi_survey(ring, p, false);
	}
	return -EBADMSG;
}

/*
 * The queue is closed and its front is free: set the seal there. 0: look again. -EPIPE: sealed.
 * -EAGAIN: no free cell.
 */
int sqi_seal(struct sqi_ring *ring)
{
	uint64_t p = ring->front, skip_end = p;

	for (uint64_t steps = sqi_steps_max(ring); steps > 0; steps--) {
		struct sqi_cell *c = sqi_cell(ring, p);
		uint64_t w = sqi_look(&c->word);

		if (sqi_word_ahead(w, p >> ring->shift) != 0)
			return 0;
		switch (sqi_word_state(w)) {
		case SQI_SEALED:
			return -EPIPE;
		case SQI_FREE:
			if (sqi_cas(&c->word, w, sqi_word_to(w, SQI_SEALED, 0))) {
				sqi_wake_all(&ring->head->came);
				return -EPIPE;
			}
			break;
		case SQI_TAKEN:
		case SQI_BACK:
		case SQI_VOID:
		case SQI_RELEASING:
			/* As a producer would. */
			if ((int64_t)(skip_end - p) <= 0 && !sqi_leads_on(ring, p, &skip_end)) {
				if (sqi_look(&c->word) != w)
					break;
				return -EAGAIN;
			}
			p += sqi_cas(&c->word, w, w + SQI_TURN_ONE);
			break;
		default:
			return 0;
		}
	}
	return -EBADMSG;
}
