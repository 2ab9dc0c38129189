/* SPDX-License-Identifier: ISC */
#include "ops/select.h"

#include <errno.h>

#include "ring/attempts.h"
#include "ring/front.h"
#include "ring/group.h"
#include "ring/redelivery.h"

/*
 * Chooses the message that comes next: the one that has waited longest for redelivery, or the first
 * of the ring, by turns if there are both. By turns, so that a message that is given back again and
 * again does not keep others from being delivered. Also finds that there is no message, now or for
 * ever. Called by get.c and lease.c, by any number of participants at once.
 *
 * Invariant: it takes no message. The caller's CAS from the word that it returns decides.
 */

/*
 * Nothing was found, and the queue is closed. Returns -EPIPE if there is no message and never will
 * be, -EAGAIN if another participant's lease may still come back, 0 if the caller should look
 * again.
 *
 * A participant that holds leases itself gets -EPIPE, and does not wait for others' leases: the
 * others may be waiting for its own.
 */
static int end_of_queue(struct sq *h)
{
	bool own = false, others = false, stuck = true;
	int r = sqi_seal(&h->ring);
	uint64_t w;

	if (r == 0)
		return 0;
	for (struct sqi_scan s = sqi_scan_all(&h->ring); sqi_scan_next(&h->ring, &s);) {
		stuck &= sqi_word_state(s.word) == SQI_BACK;
		switch (sqi_word_state(s.word)) {
		case SQI_BACK:
			if (sqi_attempts_left(&h->ring, s.pos, s.word)) {
				sqi_redelivery_announce(&h->ring, s.pos);
				return 0;
			}
			break; /* a dead letter that its queue does not take: it is not delivered */
		case SQI_TAKEN:
			own |= sqi_word_owner(s.word) == h->ring.owner;
			others |= sqi_word_owner(s.word) != h->ring.owner;
			break;
		case SQI_REMOVING:
			w = sqi_load_seq(&sqi_cell(&h->ring, s.pos)->word);
			/* Whose is it? */
			if (sqi_word_state(w) == SQI_FULL && !sqi_is_covered(&h->ring, s.pos, w))
				return 0;
			break;
		default:
			break;
		}
	}
	if (own)
		return -EPIPE;
	if (others)
		return -EAGAIN;
	/*
	 * stuck: all cells hold such dead letters, so no cell is free for the seal. No message can
	 * come.
	 */
	return stuck ? -EPIPE : r;
}

/*
 * Finds a message that waits for redelivery. Returns 0, -EAGAIN if there is none, or
 * SQI_DEAD_LETTER with the message in h->dead_letter.
 */
static int next_redelivery(struct sq *h, uint64_t *ret_pos, uint64_t *ret_word)
{
	if (!sqi_redelivery_find(&h->ring, !h->dead_letter.refused, ret_pos, ret_word))
		return -EAGAIN;
	if (sqi_attempts_left(&h->ring, *ret_pos, *ret_word))
		return 0;
	h->dead_letter.pos = *ret_pos;
	h->dead_letter.word = *ret_word;
	return SQI_DEAD_LETTER;
}

int sqi_select(struct sq *h, uint64_t *ret_pos, uint64_t *ret_word)
{
	for (unsigned rounds = 0; rounds < SQI_SEARCHES_MAX; rounds++) {
		int r;

		if ((sqi_load_seq(&h->ring.head->closed) & SQI_CLOSED_HOW) == SQI_CLOSED_NOW)
			return -EPIPE;
		if (sqi_redelivery_maybe(&h->ring)) {
			r = h->ring_is_next ? sqi_front(&h->ring, ret_pos, ret_word) : -EAGAIN;
			if (r == -EAGAIN || r == -EPIPE)
				r = next_redelivery(h, ret_pos, ret_word);
			if (r != -EAGAIN)
				return r;
		}
		r = sqi_front(&h->ring, ret_pos, ret_word);
		if (r != -EAGAIN && r != -EPIPE)
			return r;
		/*
		 * A message may have been leased from the ring and given back between the two
		 * looks. Each time there was a redelivery, which is progress; the number of rounds
		 * is limited all the same.
		 */
		if (rounds < SQI_SEARCHES_MAX / 2 && sqi_redelivery_maybe(&h->ring))
			continue;
		if (!sqi_load_seq(&h->ring.head->closed))
			return r;
		r = end_of_queue(h);
		if (r < 0)
			return r;
	}
	return -EBADMSG;
}

bool sqi_has_message(struct sq *h)
{
	uint64_t pos, word;

	return sqi_redelivery_maybe(&h->ring) || sqi_front(&h->ring, &pos, &word) == 0;
}
