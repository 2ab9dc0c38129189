/* SPDX-License-Identifier: ISC */
#include "ring/claim.h"

#include <errno.h>

#include "ring/position.h"
#include "ring/revoke.h"

/*
 * Claiming the first free cell, round those that are busy. Called by ops/put.c.
 */

/*
 * The ring is full at p. True: not any more, or only by a writer who has now lost his claim: look
 * again.
 *
 * Consumers revoke a claim for the message behind it. If there is none in the whole ring they need
 * not: their queue is empty. But producers cannot pass him, though cells be free behind him. For
 * one of those a producer revokes the claim. He takes it then, and who lost his claim finds another
 * or his own: two cannot chase each other, for there is nothing free that nobody can reach.
 */
static bool make_room(struct sqi_ring *ring, uint64_t p)
{
	struct sqi_cell *late = NULL;
	uint64_t claimed = 0;
	bool room = false;

	for (uint64_t q = p; q != p + ring->mask + 1; q++) {
		struct sqi_cell *c = sqi_cell(ring, q);
		uint64_t w = sqi_look(&c->word);
		int64_t ahead = sqi_word_ahead(w, q >> ring->shift);

		switch (sqi_word_state(w)) {
		case SQI_FULL:
			return false;
		case SQI_WRITING:
			if (ahead != -1)
				return false;
			if (!late) {
				late = c;
				claimed = w;
			}
			break;
		case SQI_FREE:
			if (ahead == 0 && !late)
				return true;
			room |= ahead == 0;
			break;
		default:
			break;
		}
	}
	if (!late || !room)
		return false;
	sqi_put_off(ring, late, claimed);
	return true;
}

/* Claim the first free cell. -EAGAIN: full. */
int sqi_claim(struct sqi_ring *ring, uint64_t *ret_pos, uint64_t *ret_word)
{
	uint64_t p = ring->tail, walked = 0, skip_end = p, revoked = 0;
	bool anew = false;

	for (uint64_t steps = sqi_steps_max(ring); steps > 0; steps--) {
		struct sqi_cell *c = sqi_cell(ring, p);
		uint64_t w = sqi_look(&c->word), t = p >> ring->shift, mine;
		int64_t ahead = sqi_word_ahead(w, t);
		enum sqi_state state = sqi_word_state(w);

		if (ahead == -1 && (state == SQI_FULL || state == SQI_WRITING)) {
			/* Each cell once: he may come again, and not for ever. */
			if (revoked++ <= ring->mask && make_room(ring, p))
				continue;
			ring->tail = p;
			return -EAGAIN;
		}
		if (ahead < 0) {
			if (anew)
				return -EBADMSG;
			anew = true;
			p = sqi_tail_anew(ring);
			skip_end = p;
			continue;
		}
		if (ahead > 0 || state == SQI_WRITING || state == SQI_FULL) {
			p++;
			if (walked++ == 0)
				p = sqi_tail_catch_up(ring, p);
			else if (walked % (ring->mask + 1) == 0)
				p = sqi_survey(ring, p, true);
			continue;
		}
		switch (state) {
		case SQI_FREE:
			/*
			 * W1. Acquires from whoever freed the cell: what it read there, it has
			 * read.
			 */
			mine = sqi_word(SQI_WRITING, ring->owner, 0, t);
			if (!sqi_cas(&c->word, w, mine))
				break;
			sqi_claimed(ring, p + 1);
			*ret_pos = p;
			*ret_word = mine;
			return 0;
		case SQI_TAKEN:
		case SQI_BACK:
		case SQI_VOID:
		case SQI_RELEASING:
			if ((int64_t)(skip_end - p) <= 0 && !sqi_leads_on(ring, p, &skip_end)) {
				/* True of one lap: only if nobody has passed p while we looked. */
				if (sqi_look(&c->word) != w)
					break;
				if (revoked++ <= ring->mask && make_room(ring, p))
					break;
				ring->tail = p;
				return -EAGAIN;
			}
			if (sqi_cas(&c->word, w, w + SQI_TURN_ONE))
				sqi_claimed(ring, ++p);
			break;
		case SQI_SEALED:
			return -EPIPE;
		default:
			return -EBADMSG;
		}
	}
	return -EBADMSG;
}
