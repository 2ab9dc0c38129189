/* SPDX-License-Identifier: ISC */
#include "ring/position.h"

#include <errno.h>

/*
 * Where the ring begins and ends. Called by those who put and those who take, any number at once.
 *
 * Invariant: a producer moves past a position only when it has been claimed or skipped by somebody.
 * So a position that is free has nothing behind it, and the first message is always at the first
 * position not yet consumed.
 */

/* Has anybody claimed or skipped this position? */
bool sqi_is_claimed(const struct sqi_ring *ring, uint64_t p)
{
	uint64_t w = sqi_look(&sqi_cell(ring, p)->word);
	int64_t ahead = sqi_word_ahead(w, p >> ring->shift);

	return ahead > 0 ||
	       (ahead == 0 && (sqi_word_state(w) == SQI_FULL || sqi_word_state(w) == SQI_WRITING));
}

/* Has the message of this position, if there ever was one, gone? */
bool sqi_is_consumed(const struct sqi_ring *ring, uint64_t p)
{
	return sqi_word_ahead(sqi_look(&sqi_cell(ring, p)->word), p >> ring->shift) > 0;
}

/*
 * The hints are of no use: the first position, by all the words, that is not consumed; or, if a
 * claimed one counts as passed too, that nobody has claimed. p is any that is not 2^39 laps away.
 */
uint64_t sqi_survey(const struct sqi_ring *ring, uint64_t p, bool past_claimed)
{
	uint64_t first = p + INT64_MAX;

	for (uint64_t i = 0; i <= ring->mask; i++) {
		uint64_t at = p + i, w = sqi_look(&sqi_cell(ring, at)->word);
		int64_t ahead = sqi_word_ahead(w, at >> ring->shift);

		if (past_claimed)
			ahead += sqi_word_state(w) == SQI_FULL || sqi_word_state(w) == SQI_WRITING;
		/* Words only go up, so what was passed stays passed while we look at the others. */
		at += (uint64_t)ahead << ring->shift;
		if ((int64_t)(at - first) < 0)
			first = at;
	}
	return first;
}

/*
 * Others went by: where to go on looking. The hint may be stale, or damaged: it counts only if it
 * lies ahead, just behind a passed position. One word alone would tell nothing: a redelivery raises
 * its turn before the ring's end comes there.
 */
uint64_t sqi_tail_catch_up(const struct sqi_ring *ring, uint64_t p)
{
	uint64_t hint = sqi_peek(&ring->head->tail);

	return (int64_t)(hint - p) > 0 && sqi_is_claimed(ring, hint - 1) ? hint : p;
}

/*
 * Where to begin without any position of one's own, or with one so old that its turn has wrapped.
 */
uint64_t sqi_tail_anew(const struct sqi_ring *ring)
{
	uint64_t hint = sqi_peek(&ring->head->tail);

	if (sqi_is_claimed(ring, hint - 1))
		return hint;
	return sqi_survey(
		ring, sqi_word_turn(sqi_look(&sqi_cell(ring, 0)->word)) << ring->shift, true);
}

/* The first position that nobody has claimed. */
int sqi_tail(const struct sqi_ring *ring, uint64_t *ret_pos)
{
	uint64_t p = sqi_tail_catch_up(ring, ring->tail);

	if (sqi_word_ahead(sqi_look(&sqi_cell(ring, p)->word), p >> ring->shift) < -1)
		p = sqi_tail_anew(ring);
	for (uint64_t steps = 1; steps < sqi_steps_max(ring); steps++) {
		if (!sqi_is_claimed(ring, p)) {
			*ret_pos = p;
			return 0;
		}
		p = steps % (ring->mask + 1) == 0 ? sqi_survey(ring, p, true) : p + 1;
	}
	return -EBADMSG;
}

/*
 * Others went by: where to go on looking. The hints may be stale, or damaged: they count only just
 * behind a consumed position. A producer that reached a position had found the one a lap before it
 * consumed, and all before that.
 */
uint64_t sqi_front_catch_up(const struct sqi_ring *ring, uint64_t p)
{
	uint64_t hint = sqi_peek(&ring->head->head),
		 tail = sqi_peek(&ring->head->tail) - (ring->mask + 1);

	if ((int64_t)(hint - p) > 0 && sqi_is_consumed(ring, hint - 1))
		p = hint;
	if ((int64_t)(tail - p) > 0 && sqi_is_consumed(ring, tail - 1))
		p = tail;
	return p;
}

/*
 * Where to begin without any position of one's own, or with one so old that its turn has wrapped.
 */
uint64_t sqi_front_anew(const struct sqi_ring *ring)
{
	uint64_t hint = sqi_peek(&ring->head->head);

	if (sqi_is_consumed(ring, hint - 1))
		return hint;
	return sqi_survey(
		ring, sqi_word_turn(sqi_look(&sqi_cell(ring, 0)->word)) << ring->shift, false);
}

void sqi_claimed(struct sqi_ring *ring, uint64_t p)
{
	ring->tail = p;
	if (p % SQI_HINT_EVERY == 0)
		sqi_raise(&ring->head->tail, p);
}

/* Note that all positions below this one are consumed. */
void sqi_passed(struct sqi_ring *ring, uint64_t position)
{
	ring->front = position;
	if (position % SQI_HINT_EVERY == 0)
		sqi_raise(&ring->head->head, position);
}

/*
 * Does a free cell follow the busy ones at p and behind it? Then *ret_end is where. Skipping costs
 * a cell its lap, so nobody skips in vain: not before a full ring's oldest message, and not round a
 * ring in which all is leased.
 */
bool sqi_leads_on(const struct sqi_ring *ring, uint64_t p, uint64_t *ret_end)
{
	for (uint64_t q = p + 1; q != p + ring->mask + 1; q++) {
		uint64_t w = sqi_look(&sqi_cell(ring, q)->word);
		int64_t ahead = sqi_word_ahead(w, q >> ring->shift);

		switch (sqi_word_state(w)) {
		case SQI_FULL:
		case SQI_WRITING:
			/* Of the lap before: the ring is full. Of this one: others have gone on. */
			*ret_end = q;
			return ahead != -1;
		case SQI_FREE:
		case SQI_SEALED:
			if (ahead > 0)
				break; /* by redeliveries; not to be had in this lap */
			*ret_end = q;
			return true;
		default:
			break;
		}
	}
	return false;
}
