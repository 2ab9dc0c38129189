/* SPDX-License-Identifier: ISC */
#include "ops/select.h"

#include <errno.h>

#include "ring/attempts.h"
#include "ring/front.h"
#include "ring/returned.h"

/*
 * Which message comes next: of those that wait for redelivery the one that waits longest, or the
 * first of the ring, by turns as far as there are both; or none; or none for ever. By turns, so that
 * a message that is given back again and again keeps no other from being delivered. Called by get.c
 * and lease.c.
 */

/*
 * Nothing was found, and the queue is closed. -EPIPE: there is nothing and never will be. -EAGAIN:
 * a lease of somebody else may still come back. 0: look again.
 *
 * Who holds leases himself is not kept waiting for others, who may be waiting for him.
 */
static int drained(struct sq *h)
{
	bool own = false, others = false, stuck = true;
	int r = sqi_seal(&h->ring);

	if (r == 0)
		return 0;
	for (uint64_t i = 0; i <= h->ring.mask; i++) {
		uint64_t w = sqi_load_seq(&sqi_cell(&h->ring, i)->word);

		stuck &= sqi_word_state(w) == SQI_BACK;
		switch (sqi_word_state(w)) {
		case SQI_BACK:
			if (sqi_attempts_left(&h->ring, i, w)) {
				sqi_returned_announce(&h->ring, i);
				return 0;
			}
			break; /* a dead letter that its queue does not take: it stays, for nobody */
		case SQI_TAKEN:
			own |= sqi_word_owner(w) == h->ring.owner;
			others |= sqi_word_owner(w) != h->ring.owner;
			break;
		default:
			break;
		}
	}
	if (own)
		return -EPIPE;
	if (others)
		return -EAGAIN;
	/* No cell for the seal, for all hold dead letters that go nowhere: neither will anything come. */
	return stuck ? -EPIPE : r;
}

/* A message waiting for redelivery. -EAGAIN: none. */
static int next_back(struct sq *h, uint64_t *ret_pos, uint64_t *ret_word)
{
	if (!sqi_returned_find(&h->ring, !h->dead_letter.refused, ret_pos, ret_word))
		return -EAGAIN;
	if (sqi_attempts_left(&h->ring, *ret_pos, *ret_word))
		return 0;
	h->dead_letter.pos = *ret_pos;
	h->dead_letter.word = *ret_word;
	return SQI_DEAD_LETTER;
}

/*
 * 0: *ret_word is FULL or BACK. -EAGAIN: none. -EPIPE: none and never again. SQI_DEAD_LETTER: the
 * one in h->dead_letter comes next, and is to be moved to the dead letters first.
 */
int sqi_select(struct sq *h, uint64_t *ret_pos, uint64_t *ret_word)
{
	for (unsigned rounds = 0; rounds < SQI_SEARCHES_MAX; rounds++) {
		int r;

		if ((sqi_load_seq(&h->ring.head->closed) & SQI_CLOSED_HOW) == SQI_CLOSED_NOW)
			return -EPIPE;
		if (sqi_returned_maybe(&h->ring)) {
			r = h->ring_turn ? sqi_front(&h->ring, ret_pos, ret_word) : -EAGAIN;
			if (r == -EAGAIN || r == -EPIPE)
				r = next_back(h, ret_pos, ret_word);
			if (r != -EAGAIN)
				return r;
		}
		r = sqi_front(&h->ring, ret_pos, ret_word);
		if (r != -EAGAIN && r != -EPIPE)
			return r;
		/*
		 * One may have gone from the ring to those behind the search's back. Each time
		 * there was a redelivery; but not for ever.
		 */
		if (rounds < SQI_SEARCHES_MAX / 2 && sqi_returned_maybe(&h->ring))
			continue;
		if (!sqi_load_seq(&h->ring.head->closed))
			return r;
		r = drained(h);
		if (r < 0)
			return r;
	}
	return -EBADMSG;
}
