/* SPDX-License-Identifier: ISC */
#include <errno.h>

#include "cell.h"
#include "handle.h"

/*
 * Appending a message: claim the first free cell, fill it, commit it. Called by queue.c, by any
 * number of participants at once.
 *
 * Invariant: a producer moves past a position only when it has been claimed or skipped by somebody.
 * So a position that is free has nothing behind it, and the first message is always at the first
 * position not yet consumed.
 */

/* Has anybody claimed or skipped this position? */
static bool passed(const struct sq *h, uint64_t p)
{
	uint64_t w = sqi_look(&sqi_cell(h, p)->word);
	int64_t ahead = sqi_word_ahead(w, p >> h->shift);

	return ahead > 0 ||
	       (ahead == 0 && (sqi_word_state(w) == SQI_FULL || sqi_word_state(w) == SQI_WRITING));
}

/*
 * Others went by: where to go on looking. The hint may be stale, or damaged: it counts only if it
 * lies ahead, just behind a passed position. One word alone would tell nothing: a redelivery raises
 * its turn before the ring's end comes there.
 */
static uint64_t catch_up(const struct sq *h, uint64_t p)
{
	uint64_t hint = sqi_peek(&h->head->tail);

	return (int64_t)(hint - p) > 0 && passed(h, hint - 1) ? hint : p;
}

/*
 * Where to begin without any position of one's own, or with one so old that its turn has wrapped.
 */
uint64_t sqi_tail_anew(const struct sq *h)
{
	uint64_t hint = sqi_peek(&h->head->tail);

	if (passed(h, hint - 1))
		return hint;
	return sqi_survey(h, sqi_word_turn(sqi_look(&sqi_cell(h, 0)->word)) << h->shift, true);
}

/* The first position that nobody has claimed. */
int sqi_tail(const struct sq *h, uint64_t *ret_pos)
{
	uint64_t p = catch_up(h, h->tail);

	if (sqi_word_ahead(sqi_look(&sqi_cell(h, p)->word), p >> h->shift) < -1)
		p = sqi_tail_anew(h);
	for (uint64_t steps = 1; steps < sqi_steps_max(h); steps++) {
		if (!passed(h, p)) {
			*ret_pos = p;
			return 0;
		}
		p = steps % (h->mask + 1) == 0 ? sqi_survey(h, p, true) : p + 1;
	}
	return -EBADMSG;
}

/*
 * Does a free cell follow the busy ones at p and behind it? Then *ret_end is where. Skipping costs
 * a cell its lap, so nobody skips in vain: not before a full ring's oldest message, and not round a
 * ring in which all is leased.
 */
bool sqi_leads_on(const struct sq *h, uint64_t p, uint64_t *ret_end)
{
	for (uint64_t q = p + 1; q != p + h->mask + 1; q++) {
		uint64_t w = sqi_look(&sqi_cell(h, q)->word);
		int64_t ahead = sqi_word_ahead(w, q >> h->shift);

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

/*
 * The ring is full at p. True: not any more, or only by a writer who has now lost his claim: look
 * again.
 *
 * Consumers revoke a claim for the message behind it. If there is none in the whole ring they need
 * not: their queue is empty. But producers cannot pass him, though cells be free behind him. For
 * one of those a producer revokes the claim. He takes it then, and who lost his claim finds another
 * or his own: two cannot chase each other, for there is nothing free that nobody can reach.
 */
static bool make_room(struct sq *h, uint64_t p)
{
	struct sqi_cell *late = NULL;
	uint64_t claimed = 0;
	bool room = false;

	for (uint64_t q = p; q != p + h->mask + 1; q++) {
		struct sqi_cell *c = sqi_cell(h, q);
		uint64_t w = sqi_look(&c->word);
		int64_t ahead = sqi_word_ahead(w, q >> h->shift);

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
	sqi_put_off(h, late, claimed);
	return true;
}

static void publish(struct sq *h, uint64_t p)
{
	h->tail = p;
	if (p % SQI_HINT_EVERY == 0)
		sqi_raise(&h->head->tail, p);
}

/* Claim the first free cell. -EAGAIN: full. */
static int claim(struct sq *h, uint64_t *ret_pos, uint64_t *ret_word)
{
	uint64_t p = h->tail, walked = 0, skip_end = p, revoked = 0;
	bool anew = false;

	for (uint64_t steps = sqi_steps_max(h); steps > 0; steps--) {
		struct sqi_cell *c = sqi_cell(h, p);
		uint64_t w = sqi_look(&c->word), t = p >> h->shift, mine;
		int64_t ahead = sqi_word_ahead(w, t);
		enum sqi_state state = sqi_word_state(w);

		if (ahead == -1 && (state == SQI_FULL || state == SQI_WRITING)) {
			/* Each cell once: he may come again, and not for ever. */
			if (revoked++ <= h->mask && make_room(h, p))
				continue;
			h->tail = p;
			return -EAGAIN;
		}
		if (ahead < 0) {
			if (anew)
				return -EBADMSG;
			anew = true;
			p = sqi_tail_anew(h);
			skip_end = p;
			continue;
		}
		if (ahead > 0 || state == SQI_WRITING || state == SQI_FULL) {
			p++;
			if (walked++ == 0)
				p = catch_up(h, p);
			else if (walked % (h->mask + 1) == 0)
				p = sqi_survey(h, p, true);
			continue;
		}
		switch (state) {
		case SQI_FREE:
			/*
			 * W1. Acquires from whoever freed the cell: what it read there, it has
			 * read.
			 */
			mine = sqi_word(SQI_WRITING, h->owner, 0, t);
			if (!sqi_cas(&c->word, w, mine))
				break;
			publish(h, p + 1);
			*ret_pos = p;
			*ret_word = mine;
			return 0;
		case SQI_TAKEN:
		case SQI_BACK:
		case SQI_VOID:
		case SQI_RELEASING:
			if ((int64_t)(skip_end - p) <= 0 && !sqi_leads_on(h, p, &skip_end)) {
				/* True of one lap: only if nobody has passed p while we looked. */
				if (sqi_look(&c->word) != w)
					break;
				if (revoked++ <= h->mask && make_room(h, p))
					break;
				h->tail = p;
				return -EAGAIN;
			}
			if (sqi_cas(&c->word, w, w + SQI_TURN_ONE))
				publish(h, ++p);
			break;
		case SQI_SEALED:
			return -EPIPE;
		default:
			return -EBADMSG;
		}
	}
	return -EBADMSG;
}

/* Our claim was revoked: let the cell go. */
static int give_up(struct sqi_cell *c, unsigned owner)
{
	for (;;) {
		uint64_t w = sqi_look(&c->word);

		if (sqi_word_state(w) != SQI_VOID || sqi_word_owner(w) != owner)
			return -EBADMSG;
		/* Only skips can get in between: they raise the turn. */
		if (sqi_cas(&c->word, w, sqi_word_free(w, 0)))
			return 0;
	}
}

/*
 * One try. -EAGAIN: full. The block of a message that has one is still the caller's after an error.
 *
 * Between claim and commit there is the copy of one small message and nothing that could wait.
 */
int sqi_put_try(struct sq *h, const struct sqi_message *m)
{
	for (unsigned rounds = 0; rounds < SQI_ROUNDS_MAX; rounds++) {
		struct sqi_cell *c;
		uint64_t p, w;
		int r;

		if (sqi_look(&h->head->closed))
			return -EPIPE;
		r = claim(h, &p, &w);
		if (r < 0)
			return r;
		c = sqi_cell(h, p);
		/* Released, as in sqi_cell_write(), and why there. */
		if (m->data || m->len == 0) {
			sqi_post(&c->meta, (p >> h->shift) << SQI_TURN_SHIFT | m->len);
			sqi_cell_write(c, m->data, m->len);
		} else {
			sqi_post(&c->meta, (p >> h->shift) << SQI_TURN_SHIFT | SQI_META_BLOCK);
			sqi_post(&c->data[0], m->block.gen);
			sqi_post(&c->data[1], m->block.index << 32 | m->block.len);
			/*
			 * Before the commit: whoever finds us dead must find the cell that speaks
			 * for the block.
			 */
			sqi_post(&sqi_block(h, m->block.index)->home, p);
		}
		/* From here to the count the put is in doubt, for whoever finds us dead. */
		sqi_post(sqi_intent(h->slot, h->puts), p);
		sqi_post(&h->slot->intent_base, h->puts);
		/* W2. Releases the message; R1 and R2 acquire it. */
		if (sqi_cas(&c->word, w, sqi_word(SQI_FULL, 0, 0, p >> h->shift))) {
			sqi_post(&h->slot->puts, ++h->puts);
			h->last = sqi_position_id(p, h->shift) + 1;
			sqi_wake(&h->head->came);
			return 0;
		}
		/*
		 * Late: a consumer went by. Not in doubt any more, and only then let go of the
		 * evidence.
		 */
		sqi_post(&h->slot->intent_base, ~(uint64_t)0);
		r = give_up(c, h->owner);
		if (r < 0)
			return r;
		/* The cell is free: for a put; or for the end of a queue that was shut down. */
		sqi_removed(h);
	}
	return -EBADMSG;
}
