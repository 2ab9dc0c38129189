/* SPDX-License-Identifier: ISC */
#include <errno.h>

#include "handle.h"

/*
 * Finding the first message of the ring, past writers that are late, and the end of a queue that
 * was shut down. Called by get.c and lease.c, by any number of participants at once. Takes nothing
 * itself.
 */

#ifndef PATIENCE_PAUSES    /* the explorer has less: each look costs it a step */
#define PATIENCE_PAUSES 64 /* with a writer, before looking behind it: about 1 us */
#endif

/* Has the message of this position, if there ever was one, gone? */
static bool consumed(const struct sq *h, uint64_t p)
{
	return sqi_word_ahead(sqi_look(&sqi_cell(h, p)->word), p >> h->shift) > 0;
}

/* Note that all positions below this one are consumed. */
void sqi_passed(struct sq *h, uint64_t position)
{
	h->front = position;
	if (position % SQI_HINT_EVERY == 0)
		sqi_raise(&h->head->head, position);
}

/*
 * Others went by: where to go on looking. The hints may be stale, or damaged: they count only just
 * behind a consumed position. A producer that reached a position had found the one a lap before it
 * consumed, and all before that.
 */
static uint64_t catch_up(const struct sq *h, uint64_t p)
{
	uint64_t hint = sqi_peek(&h->head->head), tail = sqi_peek(&h->head->tail) - (h->mask + 1);

	if ((int64_t)(hint - p) > 0 && consumed(h, hint - 1))
		p = hint;
	if ((int64_t)(tail - p) > 0 && consumed(h, tail - 1))
		p = tail;
	return p;
}

/*
 * The hints are of no use: the first position, by all the words, that is not consumed; or, if a
 * claimed one counts as passed too, that nobody has claimed. p is any that is not 2^39 laps away.
 */
uint64_t sqi_survey(const struct sq *h, uint64_t p, bool past_claimed)
{
	uint64_t first = p + INT64_MAX;

	for (uint64_t i = 0; i <= h->mask; i++) {
		uint64_t at = p + i, w = sqi_look(&sqi_cell(h, at)->word);
		int64_t ahead = sqi_word_ahead(w, at >> h->shift);

		if (past_claimed)
			ahead += sqi_word_state(w) == SQI_FULL || sqi_word_state(w) == SQI_WRITING;
		/* Words only go up, so what was passed stays passed while we look at the others. */
		at += (uint64_t)ahead << h->shift;
		if ((int64_t)(at - first) < 0)
			first = at;
	}
	return first;
}

/*
 * Where to begin without any position of one's own, or with one so old that its turn has wrapped.
 */
uint64_t sqi_front_anew(const struct sq *h)
{
	uint64_t hint = sqi_peek(&h->head->head);

	if (consumed(h, hint - 1))
		return hint;
	return sqi_survey(h, sqi_word_turn(sqi_look(&sqi_cell(h, 0)->word)) << h->shift, false);
}

/*
 * Is there a message, or the end, behind the writer at p? Stops at the first cell that nobody
 * claimed.
 */
static bool waited_for(const struct sq *h, uint64_t p)
{
	for (uint64_t q = p + 1; q != p + h->mask + 1; q++) {
		uint64_t w = sqi_look(&sqi_cell(h, q)->word);
		int64_t ahead = sqi_word_ahead(w, q >> h->shift);

		if (ahead > 0)
			continue;
		if (ahead < 0)
			return false;
		switch (sqi_word_state(w)) {
		case SQI_WRITING:
			break;
		case SQI_FULL:
		case SQI_SEALED:
			return true;
		default:
			return false;
		}
	}
	return false;
}

/* Is the writer gone within the time that a write takes? */
static bool is_done_soon(struct sqi_cell *c, uint64_t w)
{
	for (int i = 0; i < PATIENCE_PAUSES; i++) {
		sqi_pause();
		if (sqi_look(&c->word) != w)
			return true;
	}
	return false;
}

/* He finds it out when he commits. */
static void take_claim(struct sq *h, struct sqi_cell *c, uint64_t w)
{
	if (sqi_cas(&c->word, w, sqi_word_to(w, SQI_VOID, sqi_word_owner(w)) + SQI_TURN_ONE))
		(void)sqi_add(&h->head->revoked, 1);
}

/*
 * A writer stands at p. True: look at p again. False: the queue is empty, but for messages not yet
 * committed.
 *
 * A revocation is paid for by the message behind it, which somebody then takes: without that, a
 * writer and a consumer could chase each other round the ring for ever. When the queue is closed
 * the writer cannot come again, and no payment is needed.
 */
static bool late(struct sq *h, uint64_t p, uint64_t w)
{
	struct sqi_cell *c = sqi_cell(h, p);

	if (is_done_soon(c, w))
		return true;
	if (!waited_for(h, p) && !sqi_look(&h->head->closed))
		return sqi_look(&c->word) != w;
	take_claim(h, c, w);
	return true;
}

/*
 * A writer keeps producers from going on. He has the same time; then his claim is revoked. The cell
 * is not w any more, by him or by us.
 */
void sqi_put_off(struct sq *h, struct sqi_cell *c, uint64_t w)
{
	if (is_done_soon(c, w))
		return;
	take_claim(h, c, w);
	sqi_wake(&h->head->went);
}

/*
 * The first message: its position and the word that says FULL. -EAGAIN: none. -EPIPE: none, and the
 * end was sealed.
 */
int sqi_front(struct sq *h, uint64_t *ret_pos, uint64_t *ret_word)
{
	uint64_t p = h->front;
	uint64_t walked = 0;
	bool anew = false;

	for (uint64_t steps = sqi_steps_max(h); steps > 0; steps--) {
		uint64_t w = sqi_look(&sqi_cell(h, p)->word), t = p >> h->shift;
		int64_t ahead = sqi_word_ahead(w, t);

		if (ahead == 0) {
			switch (sqi_word_state(w)) {
			case SQI_FULL:
				h->front = p;
				*ret_pos = p;
				*ret_word = w;
				return 0;
			case SQI_WRITING:
				if (late(h, p, w))
					continue;
				h->front = p;
				return -EAGAIN;
			case SQI_SEALED:
				h->front = p;
				return -EPIPE;
			case SQI_FREE:
			case SQI_TAKEN:
			case SQI_BACK:
			case SQI_VOID:
			case SQI_RELEASING:
				h->front = p;
				return -EAGAIN;
			default:
				return -EBADMSG;
			}
		}
		if (ahead < 0) {
			if (anew)
				return -EBADMSG;
			anew = true;
			p = sqi_front_anew(h);
			continue;
		}
		p++;
		if (walked++ == 0)
			p = catch_up(h, p);
		else if (walked % (h->mask + 1) == 0)
			p = sqi_survey(h, p, false);
	}
	return -EBADMSG;
}

/*
 * The queue is closed and its front is free: set the seal there. 0: look again. -EPIPE: sealed.
 * -EAGAIN: no free cell.
 */
static int seal(struct sq *h)
{
	uint64_t p = h->front, skip_end = p;

	for (uint64_t steps = sqi_steps_max(h); steps > 0; steps--) {
		struct sqi_cell *c = sqi_cell(h, p);
		uint64_t w = sqi_look(&c->word);

		if (sqi_word_ahead(w, p >> h->shift) != 0)
			return 0;
		switch (sqi_word_state(w)) {
		case SQI_SEALED:
			return -EPIPE;
		case SQI_FREE:
			if (sqi_cas(&c->word, w, sqi_word_to(w, SQI_SEALED, 0))) {
				sqi_wake_all(&h->head->came);
				return -EPIPE;
			}
			break;
		case SQI_TAKEN:
		case SQI_BACK:
		case SQI_VOID:
		case SQI_RELEASING:
			/* As a producer would. */
			if ((int64_t)(skip_end - p) <= 0 && !sqi_leads_on(h, p, &skip_end)) {
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

/*
 * Nothing was found, and the queue is closed. -EPIPE: there is nothing and never will be. -EAGAIN:
 * a lease of somebody else may still come back. 0: look again.
 *
 * Who holds leases himself is not kept waiting for others, who may be waiting for him.
 */
int sqi_drained(struct sq *h)
{
	bool own = false, others = false, stuck = true;
	int r = seal(h);

	if (r == 0)
		return 0;
	for (uint64_t i = 0; i <= h->mask; i++) {
		uint64_t w = sqi_look(&sqi_cell(h, i)->word);

		stuck &= sqi_word_state(w) == SQI_BACK;
		switch (sqi_word_state(w)) {
		case SQI_BACK:
			if (sqi_tries_left(h, i, w)) {
				sqi_back_announce(h, i);
				return 0;
			}
			break; /* a dead letter that its queue does not take: it stays, for nobody */
		case SQI_TAKEN:
			own |= sqi_word_owner(w) == h->owner;
			others |= sqi_word_owner(w) != h->owner;
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
