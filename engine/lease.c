/* SPDX-License-Identifier: ISC */
#include <errno.h>

#include "cell.h"
#include "handle.h"

/*
 * Leases: take a message, and settle it later. Called by queue.c, get.c, next.c and durable.c.
 *
 * In a queue without a lease time the holder reads the message where it lies. In one with a lease
 * time he reads a copy, for the message may be given to another at any moment.
 *
 * The token of a lease is {cell, id, number} and the participant; the number is that in the word,
 * which is not always what the lease counts as (tries.c). A settling step reads the cell's word,
 * compares all of them, and CASes that very word: as words never come back, nothing has come
 * between.
 */

/* Is this very word in the hand of somebody who may be about to end a lease by it? */
static bool is_ending(const struct sq *h, uint64_t w)
{
	for (unsigned n = 0; n < h->g.in.participants; n++)
		if (sqi_look(&sqi_slot(h, n)->ending) == w)
			return true;
	return false;
}

/*
 * The word TAKEN that is to follow this one. A number of attempts that comes again must not make a
 * word that somebody read when it was another lease's, and is about to change: he has said so in
 * his slot, and looks once more whether it still holds after that. (If as many are stopped there as
 * there are numbers, one of them is used.)
 */
static uint64_t taken_word(const struct sq *h, uint64_t w)
{
	bool first = sqi_word_state(w) == SQI_FULL;
	unsigned attempts = first ? 1 : sqi_attempts_next(sqi_word_attempts(w));
	uint64_t taken = sqi_word(SQI_TAKEN, h->owner, attempts, sqi_word_turn(w) + first);

	for (unsigned i = SQI_ATTEMPTS_ONCE; attempts > SQI_ATTEMPTS_ONCE && i < SQI_ATTEMPTS_LAST;
		i++) {
		if (!is_ending(h, taken))
			break;
		attempts = sqi_attempts_next(attempts);
		taken = sqi_word(SQI_TAKEN, h->owner, attempts, sqi_word_turn(w));
	}
	return taken;
}

/*
 * Take the message that this word speaks of. 1: it is ours, *ret_taken is the word, and *ret what
 * lies in the queue's memory: to be copied, in a queue with a lease time, and believed only if the
 * lease is still ours then. 0: the word had changed. -EBADMSG: damaged, and dropped.
 */
int sqi_take(struct sq *h, uint64_t pos, uint64_t w, struct sq_lease *ret, uint64_t *ret_taken)
{
	struct sqi_cell *c = sqi_cell(h, pos);
	bool first = sqi_word_state(w) == SQI_FULL;
	unsigned count = 1;
	uint64_t taken, meta;

	if (!sqi_due_prepare(h, pos, w))
		return 0;
	taken = taken_word(h, w);
	/* R2. Acquires the message. */
	if (!sqi_cas(&c->word, w, taken))
		return 0;
	h->held++;
	h->ring_turn = !first;
	if (first) {
		/* Else it was asked for by its id, and there are others before it. */
		if (pos == h->front)
			sqi_passed(h, pos + 1);
	} else {
		sqi_back_taken(h, pos);
		sqi_count(&h->slot->redelivered);
		count = sqi_tries_begin(h, pos, taken);
		if (!count)
			return 0;
	}
	meta = sqi_watch(&c->meta);
	*ret = (struct sq_lease){
		.id = sqi_cell_id(meta, pos, h->mask, h->shift),
		.attempts = count,
		.handle = sqi_lease_handle(h, taken),
	};
	*ret_taken = taken;
	if (sqi_cell_view(h, c, &ret->data, &ret->len) == 0)
		return 1;
	for (;;) {
		w = sqi_look(&c->word);
		if (!sqi_same_lease(w, taken))
			return 0; /* it has ended: what was read may be of another message */
		if (sqi_cell_damaged(h, pos, w) < 0) {
			h->held--;
			return -EBADMSG;
		}
	}
}

/* The lease is not to be had: its end was decided before it began. */
static int lost_lease(struct sq *h, uint64_t pos, uint32_t copy)
{
	if (copy)
		sqi_copy_drop(h, copy);
	sqi_due_finish(h, pos);
	return 0;
}

/* What was found cannot be leased, for want of memory: others may. */
static int put_back(struct sq *h, uint64_t pos, uint64_t taken)
{
	for (;;) {
		uint64_t w = sqi_look(&sqi_cell(h, pos)->word);

		if (!sqi_same_lease(w, taken))
			return -ENOMEM;
		if (sqi_back(h, pos, w)) {
			h->held--;
			sqi_back_announce(h, pos);
			return -ENOMEM;
		}
	}
}

/*
 * From what lies in the queue's memory to a lease of the user's, whose time begins now. 1: *lease
 * is. 0: it had ended meanwhile. -ENOMEM: the message is where it was.
 */
static int begin_lease(struct sq *h, uint64_t pos, uint64_t taken, struct sq_lease *lease)
{
	void *data;

	if (!h->g.in.lease_ns)
		return 1;
	if (sqi_copy_new(h, lease->len, &lease->copy, &data) < 0)
		return put_back(h, pos, taken);
	if (!sqi_due_extend(h, pos, taken, lease->len / 1024 * SQI_COPY_NS_PER_KIB))
		return lost_lease(h, pos, lease->copy);
	sqi_copy_bytes(data, lease->data, lease->len);
	/* Still ours now, so it was all the time, and the copy is good. */
	if (!sqi_due_extend(h, pos, taken, 0))
		return lost_lease(h, pos, lease->copy);
	lease->data = data;
	sqi_copy_name(h, lease->copy, lease->id, sqi_lease_number(lease));
	return 1;
}

/* Lease the message that this word speaks of. 1, 0 and errors as of sqi_take(); -ENOMEM. */
int sqi_lease(struct sq *h, uint64_t pos, uint64_t w, struct sq_lease *ret)
{
	struct sq_lease lease;
	uint64_t taken;
	int r = sqi_take(h, pos, w, &lease, &taken);

	if (r > 0)
		r = begin_lease(h, pos, taken, &lease);
	if (r > 0)
		*ret = lease;
	return r;
}

int sqi_lease_try(struct sq *h, struct sq_lease *ret)
{
	for (unsigned rounds = 0; rounds < SQI_ROUNDS_MAX; rounds++) {
		uint64_t p, w;
		int r = sqi_next(h, &p, &w);

		if (r == 0)
			r = sqi_lease(h, p, w, ret);
		if (r != 0)
			return r < 0 ? r : 0;
	}
	return -EBADMSG;
}

/* Nobody reads by this lease any more. */
void sqi_lease_drop(struct sq *h, const struct sq_lease *lease)
{
	if (lease->copy)
		sqi_copy_drop(h, lease->copy);
}

/*
 * What this word says is ours already, as a lease to be settled by: of who was here before us, or
 * once more. 1, 0 and errors as of sqi_lease(), but a message that was damaged is not taken.
 */
int sqi_lease_again(struct sq *h, uint64_t pos, uint64_t w, struct sq_lease *ret)
{
	struct sqi_cell *c = sqi_cell(h, pos);
	struct sq_lease lease = {
		.id = sqi_cell_id(sqi_watch(&c->meta), pos, h->mask, h->shift),
		.attempts = sqi_tries_of(h, pos, w),
		.handle = sqi_lease_handle(h, w),
	};
	void *data;

	if (sqi_cell_view(h, c, &lease.data, &lease.len) < 0)
		return sqi_cell_damaged(h, pos, w);
	if (h->g.in.lease_ns) {
		const void *had;

		lease.copy = sqi_copy_find(h, lease.id, sqi_lease_number(&lease), &had);
		if (lease.copy) {
			lease.data = had;
			*ret = lease;
			return 1;
		}
		if (sqi_copy_new(h, lease.len, &lease.copy, &data) < 0)
			return -ENOMEM;
		sqi_copy_bytes(data, lease.data, lease.len);
		lease.data = data;
	}
	if (!sqi_same_lease(sqi_look(&c->word), w)) {
		sqi_lease_drop(h, &lease);
		return 0;
	}
	if (lease.copy)
		sqi_copy_name(h, lease.copy, lease.id, sqi_lease_number(&lease));
	*ret = lease;
	return 1;
}

/* Is the lease still ours? Then *ret_word is the word that says so. */
static bool holds(const struct sq *h, const struct sq_lease *lease, uint64_t *ret_word)
{
	const struct sqi_cell *c = sqi_cell(h, lease->id);
	uint64_t w = sqi_look(&c->word);

	if (sqi_word_state(w) != SQI_TAKEN || sqi_word_owner(w) != h->owner ||
		sqi_word_attempts(w) != sqi_lease_number(lease) ||
		sqi_cell_id(sqi_peek(&c->meta), lease->id, h->mask, h->shift) != lease->id)
		return false;
	*ret_word = w;
	return true;
}

/* Remove the message. -ESTALE. */
int sqi_finish(struct sq *h, const struct sq_lease *lease)
{
	uint64_t w;

	do
		if (!holds(h, lease, &w))
			return -ESTALE;
	while (!sqi_cell_release(h, lease->id, w));
	h->held--;
	sqi_removed(h);
	return 0;
}

/* Have the message delivered again, at once or, quietly, at the next sweep. -ESTALE. */
int sqi_give_back(struct sq *h, const struct sq_lease *lease, bool quietly)
{
	uint64_t w;

	do
		if (!holds(h, lease, &w))
			return -ESTALE;
	while (!sqi_back(h, lease->id, w));
	h->held--;
	if (quietly)
		sqi_back_defer(h, lease->id);
	else
		sqi_back_announce(h, lease->id);
	return 0;
}

/* 0: a lease of this handle, as far as can be told. -ESTALE: one of its that was settled before. */
static int check(const struct sq *h, const struct sq_lease *lease)
{
	if (!h || !lease)
		return -EINVAL;
	if (h->forked)
		return -EBADF;
	if (lease->handle >> 8 != h->tag || !lease->copy != !h->g.in.lease_ns)
		return -EINVAL;
	if (lease->copy && !sqi_copy_is(h, lease->copy, lease->id, sqi_lease_number(lease)))
		return -ESTALE;
	return 0;
}

int sq_ack(struct sq *h, const struct sq_lease *lease)
{
	int r = check(h, lease);

	if (r < 0)
		return r;
	r = sqi_finish(h, lease);
	if (r == 0)
		sqi_count(&h->slot->acks);
	sqi_lease_drop(h, lease);
	return r;
}

int sq_nack(struct sq *h, const struct sq_lease *lease)
{
	int r = check(h, lease);

	if (r < 0)
		return r;
	r = sqi_give_back(h, lease, false);
	if (r == 0)
		sqi_count(&h->slot->nacks);
	sqi_lease_drop(h, lease);
	return r;
}

/* The same, but for the count: that comes first, so whoever finds the message finds that, too. */
int sq_return(struct sq *h, const struct sq_lease *lease)
{
	int r = check(h, lease);
	uint64_t w;

	if (r < 0)
		return r;
	if (!holds(h, lease, &w) || !sqi_tries_return(h, lease->id, w))
		r = -ESTALE;
	if (r == 0)
		r = sqi_give_back(h, lease, false);
	if (r == 0)
		sqi_count(&h->slot->returned);
	sqi_lease_drop(h, lease);
	return r;
}

int sq_touch(struct sq *h, const struct sq_lease *lease)
{
	int r = check(h, lease);
	uint64_t w;

	if (r < 0)
		return r;
	if (holds(h, lease, &w) && sqi_due_extend(h, lease->id, w, 0))
		return 0;
	/* Its end was decided, though perhaps not carried out: do that, so that stale means stale. */
	if (holds(h, lease, &w))
		sqi_due_finish(h, lease->id);
	sqi_lease_drop(h, lease);
	return -ESTALE;
}
