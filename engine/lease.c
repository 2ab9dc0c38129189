/* SPDX-License-Identifier: ISC */
#include <errno.h>

#include "cell.h"
#include "handle.h"

/*
 * Leases: take a message where it lies, and settle it later. Called by queue.c, get.c and next.c.
 *
 * The token of a lease is {cell, id, attempts} and the participant. A settling step reads the
 * cell's word, compares all of them, and CASes that very word: as words never come back, nothing
 * has come between.
 */

/*
 * Take the message that this word speaks of. 1: *ret is ours. 0: the word had changed. -EBADMSG:
 * damaged, and dropped.
 */
int sqi_take(struct sq *h, uint64_t pos, uint64_t w, struct sq_lease *ret)
{
	struct sqi_cell *c = sqi_cell(h, pos);
	bool first = sqi_word_state(w) == SQI_FULL;
	unsigned attempts = first ? 1 : sqi_attempts_next(sqi_word_attempts(w));
	uint64_t taken = sqi_word(SQI_TAKEN, h->owner, attempts, sqi_word_turn(w) + first);
	uint64_t meta;

	/* R2. Acquires the message. */
	if (!sqi_cas(&c->word, w, taken))
		return 0;
	meta = sqi_peek(&c->meta); /* relaxed: the cell is ours */
	sqi_due_begin(h, pos, meta >> SQI_TURN_SHIFT, attempts);
	if (first) {
		if (pos ==
			h->front) /* else it was asked for by its id, and there are others before it */
			sqi_passed(h, pos + 1);
	} else {
		sqi_back_taken(h, pos);
		sqi_count(&h->slot->redelivered);
	}
	h->held++;
	ret->id = sqi_cell_id(meta, pos, h->mask, h->shift);
	ret->attempts = attempts;
	ret->reserved = 0;
	if (sqi_cell_view(h, c, &ret->data, &ret->len) == 0)
		return 1;
	h->held--;
	for (;;) {
		w = sqi_look(&c->word);
		if (sqi_word_state(w) != SQI_TAKEN || sqi_word_owner(w) != h->owner ||
			sqi_word_attempts(w) != attempts)
			return 0;
		if (sqi_cell_damaged(h, pos, w) < 0)
			return -EBADMSG;
	}
}

int sqi_lease_try(struct sq *h, struct sq_lease *ret)
{
	for (unsigned rounds = 0; rounds < SQI_ROUNDS_MAX; rounds++) {
		uint64_t p, w;
		int r = sqi_next(h, &p, &w);

		if (r < 0)
			return r;
		r = sqi_take(h, p, w, ret);
		if (r < 0)
			return r;
		if (r == 0)
			continue;
		sqi_count(&h->slot->leases);
		return 0;
	}
	return -EBADMSG;
}

/* Is the lease still ours? Then *ret_word is the word that says so. */
static bool holds(const struct sq *h, const struct sq_lease *lease, uint64_t *ret_word)
{
	const struct sqi_cell *c = sqi_cell(h, lease->id);
	uint64_t w = sqi_look(&c->word);

	if (sqi_word_state(w) != SQI_TAKEN || sqi_word_owner(w) != h->owner ||
		sqi_word_attempts(w) != lease->attempts ||
		sqi_cell_id(sqi_peek(&c->meta), lease->id, h->mask, h->shift) != lease->id)
		return false;
	*ret_word = w;
	return true;
}

/*
 * We read by this lease no more. The pin that kept its memory for us comes off: its end was
 * noticed, or somebody found it overdue a moment after we had settled it.
 */
static void unpin(struct sq *h, const struct sq_lease *lease)
{
	sqi_due_unpin(h, lease->id, lease->id >> h->shift, h->owner);
}

static int stale(struct sq *h, const struct sq_lease *lease)
{
	if (h->held)
		h->held--;
	unpin(h, lease);
	return -ESTALE;
}

/* Remove the message. -ESTALE. */
int sqi_finish(struct sq *h, const struct sq_lease *lease)
{
	uint64_t w;

	do
		if (!holds(h, lease, &w))
			return stale(h, lease);
	while (!sqi_cell_release(h, lease->id, w));
	h->held--;
	unpin(h, lease);
	sqi_removed(h);
	return 0;
}

/* Have the message delivered again, at once or, quietly, at the next sweep. -ESTALE. */
int sqi_give_back(struct sq *h, const struct sq_lease *lease, bool quietly)
{
	uint64_t w;

	do
		if (!holds(h, lease, &w))
			return stale(h, lease);
	while (!sqi_cas(&sqi_cell(h, lease->id)->word, w, sqi_word_back(w)));
	h->held--;
	unpin(h, lease);
	if (quietly)
		sqi_back_defer(h, lease->id);
	else
		sqi_back_announce(h, lease->id);
	return 0;
}

static int check(const struct sq *h, const struct sq_lease *lease)
{
	if (!h || !lease)
		return -EINVAL;
	return h->forked ? -EBADF : 0;
}

int sq_ack(struct sq *h, const struct sq_lease *lease)
{
	int r = check(h, lease);

	if (r == 0)
		r = sqi_finish(h, lease);
	if (r == 0)
		sqi_count(&h->slot->acks);
	return r;
}

int sq_nack(struct sq *h, const struct sq_lease *lease)
{
	int r = check(h, lease);

	if (r == 0)
		r = sqi_give_back(h, lease, false);
	if (r == 0)
		sqi_count(&h->slot->nacks);
	return r;
}

int sq_touch(struct sq *h, const struct sq_lease *lease)
{
	int r = check(h, lease);
	uint64_t w;

	if (r < 0)
		return r;
	if (!holds(h, lease, &w))
		return stale(h, lease);
	if (sqi_due_touch(h, lease->id, lease->id >> h->shift, lease->attempts))
		/*
		 * It may have ended just before: then the deadline was another's, who now has some
		 * more time.
		 */
		return holds(h, lease, &w) ? 0 : stale(h, lease);
	/*
	 * Its end was decided already, though perhaps not carried out: do that, so that stale means
	 * stale.
	 */
	(void)sqi_give_back(h, lease, false);
	return -ESTALE;
}
