/* SPDX-License-Identifier: ISC */
#include "ops/lease.h"

#include <errno.h>

#include "ops/select.h"
#include "ring/attempts.h"
#include "ring/cell.h"
#include "ring/lease_time.h"
#include "ring/payload.h"
#include "ring/position.h"
#include "ring/returned.h"
#include "ring/transition.h"
#include "segment/closed.h"

/*
 * Leases: take a message, and settle it later. Called by the public calls and get.c, by any number
 * of participants at once.
 *
 * In a queue without a lease time the holder reads the message where it lies. In one with a lease
 * time it reads a copy, because the message may be given to another at any moment.
 *
 * The token of a lease is {cell, id, number} and the participant; the number is that in the word,
 * which is not always what the lease counts as (attempts.c). A settling step reads the cell's word,
 * compares all of them, and makes its transition from that very word.
 */

/* In a lease, `handle` says whose it is and which of the message's leases. */
static uint64_t lease_handle(const struct sq *h, uint64_t taken)
{
	return h->file.tag << 8 | sqi_word_attempts(taken);
}

/* Has somebody announced that it is about to end a lease by a CAS from this very word? */
static bool is_announced(const struct sqi_ring *ring, uint64_t w)
{
	for (unsigned n = 0; n < ring->g.in.participants; n++)
		if (sqi_load_seq(&sqi_slot(ring, n)->ending) == w)
			return true;
	return false;
}

/*
 * The number of the lease that is to follow this word. Above 127 numbers come again, and with them
 * words: one that somebody has read when it was another lease's, and is about to change, is not used.
 * Who ends a lease announces the word in its slot, and then looks once more whether the lease is to
 * be ended. (If as many are stopped there as there are numbers, one of them is used.)
 */
static unsigned next_number(const struct sqi_ring *ring, uint64_t w)
{
	unsigned number;

	if (sqi_word_state(w) == SQI_FULL)
		return 1;
	number = sqi_attempts_next(sqi_word_attempts(w));
	for (unsigned i = SQI_ATTEMPTS_ONCE; number > SQI_ATTEMPTS_ONCE && i < SQI_ATTEMPTS_LAST;
		i++) {
		if (!is_announced(ring, sqi_word_taken(w, ring->owner, number)))
			break;
		number = sqi_attempts_next(number);
	}
	return number;
}

/*
 * We have taken this message, from w. Returns what the lease counts as; 0: it has ended already.
 */
static unsigned note_taken(struct sq *h, uint64_t pos, uint64_t w, uint64_t taken)
{
	h->member.held++;
	h->ring_turn = sqi_word_state(w) == SQI_BACK;
	if (sqi_word_state(w) == SQI_FULL) {
		/* Else it was asked for by its id, and there are others before it. */
		if (pos == h->ring.front)
			sqi_note_consumed(&h->ring, pos + 1);
		return 1;
	}
	sqi_returned_unmark(&h->ring, pos);
	sqi_count(&h->ring.slot->redelivered);
	return sqi_attempts_begin(&h->ring, pos, taken);
}

/* What we have leased is damaged: drop it. 0: the lease has ended, so what was read may be another's. */
static int drop_taken(struct sq *h, uint64_t pos, uint64_t taken)
{
	for (;;) {
		uint64_t w = sqi_load_seq(&sqi_cell(&h->ring, pos)->word);

		if (!sqi_same_lease(w, taken))
			return 0;
		if (sqi_cell_drop(&h->ring, pos, w) < 0) {
			h->member.held--;
			return -EBADMSG;
		}
	}
}

/*
 * Take the message that this word speaks of. 1: it is ours, *ret_taken is the word, and *ret what
 * lies in the queue's memory: to be copied, in a queue with a lease time, and believed only if the
 * lease is still ours then. 0: the word had changed. -EBADMSG: damaged, and dropped.
 */
int sqi_take(struct sq *h, uint64_t pos, uint64_t w, struct sq_lease *ret, uint64_t *ret_taken)
{
	struct sqi_cell *c = sqi_cell(&h->ring, pos);
	struct sq_lease lease = {0};

	if (!sqi_lease_time_prepare(&h->ring, pos, w))
		return 0;
	if (!sqi_cell_take(c, w, h->ring.owner, next_number(&h->ring, w), ret_taken))
		return 0;
	lease.attempts = note_taken(h, pos, w, *ret_taken);
	if (lease.attempts == 0)
		return 0;
	lease.id = sqi_cell_id(sqi_load_acquire(&c->meta), pos, h->ring.mask, h->ring.shift);
	lease.handle = lease_handle(h, *ret_taken);
	if (sqi_cell_view(&h->ring, c, &lease.data, &lease.len) < 0)
		return drop_taken(h, pos, *ret_taken);
	*ret = lease;
	return 1;
}

/* The lease is not to be had: its end was decided before it began. */
static int lost_lease(struct sq *h, uint64_t pos, uint32_t copy)
{
	if (copy)
		sqi_copy_drop(&h->copies, copy);
	sqi_lease_time_finish(&h->ring, pos);
	return 0;
}

/*
 * There is no memory for the copy: give the message back, for others. The lease does not count as an
 * attempt, for nobody has seen the message.
 */
static int put_back(struct sq *h, uint64_t pos, uint64_t taken)
{
	for (;;) {
		uint64_t w = sqi_load_seq(&sqi_cell(&h->ring, pos)->word);

		if (!sqi_same_lease(w, taken) || !sqi_attempts_return(&h->ring, pos, taken))
			return -ENOMEM;
		if (sqi_returned_add(&h->ring, pos, w)) {
			h->member.held--;
			sqi_returned_announce(&h->ring, pos);
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

	if (!h->ring.g.in.lease_ns)
		return 1;
	if (sqi_copy_new(&h->copies, lease->len, &lease->copy, &data) < 0)
		return put_back(h, pos, taken);
	if (!sqi_lease_time_extend(&h->ring, pos, taken, lease->len / 1024 * SQI_COPY_NS_PER_KIB))
		return lost_lease(h, pos, lease->copy);
	sqi_copy_bytes(data, lease->data, lease->len);
	/* Still ours now, so it was all the time, and the copy is good. */
	if (!sqi_lease_time_extend(&h->ring, pos, taken, 0))
		return lost_lease(h, pos, lease->copy);
	lease->data = data;
	sqi_copy_name(&h->copies, lease->copy, lease->id, sqi_lease_number(lease));
	return 1;
}

/* Lease the message that this word speaks of. 1, 0 and errors as of sqi_take(); -ENOMEM. */
int sqi_lease_at(struct sq *h, uint64_t pos, uint64_t w, struct sq_lease *ret)
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
		int r = sqi_select(h, &p, &w);

		if (r == 0)
			r = sqi_lease_at(h, p, w, ret);
		if (r != 0)
			return r < 0 ? r : 0;
	}
	return -EBADMSG;
}

/* Nobody reads by this lease any more. */
void sqi_lease_forget(struct sq *h, const struct sq_lease *lease)
{
	if (lease->copy)
		sqi_copy_drop(&h->copies, lease->copy);
}

/*
 * What this word says is ours already, as a lease to be settled by: of who was here before us, or
 * once more. 1, 0 and errors as of sqi_lease_at(), but a message that was damaged is not taken.
 */
int sqi_lease_resume(struct sq *h, uint64_t pos, uint64_t w, struct sq_lease *ret)
{
	struct sqi_cell *c = sqi_cell(&h->ring, pos);
	struct sq_lease lease = {
		.id = sqi_cell_id(sqi_load_acquire(&c->meta), pos, h->ring.mask, h->ring.shift),
		.attempts = sqi_attempts_of(&h->ring, pos, w),
		.handle = lease_handle(h, w),
	};
	void *data;

	if (sqi_cell_view(&h->ring, c, &lease.data, &lease.len) < 0)
		return sqi_cell_drop(&h->ring, pos, w);
	if (h->ring.g.in.lease_ns) {
		const void *had;

		lease.copy = sqi_copy_find(&h->copies, lease.id, sqi_lease_number(&lease), &had);
		if (lease.copy) {
			lease.data = had;
			*ret = lease;
			return 1;
		}
		if (sqi_copy_new(&h->copies, lease.len, &lease.copy, &data) < 0)
			return -ENOMEM;
		sqi_copy_bytes(data, lease.data, lease.len);
		lease.data = data;
	}
	if (!sqi_same_lease(sqi_load_seq(&c->word), w)) {
		sqi_lease_forget(h, &lease);
		return 0;
	}
	if (lease.copy)
		sqi_copy_name(&h->copies, lease.copy, lease.id, sqi_lease_number(&lease));
	*ret = lease;
	return 1;
}

/* Is the lease still ours? Then *ret_word is the word that says so. */
bool sqi_lease_holds(const struct sq *h, const struct sq_lease *lease, uint64_t *ret_word)
{
	const struct sqi_cell *c = sqi_cell(&h->ring, lease->id);
	uint64_t w = sqi_load_seq(&c->word);

	if (sqi_word_state(w) != SQI_TAKEN || sqi_word_owner(w) != h->ring.owner ||
		sqi_word_attempts(w) != sqi_lease_number(lease) ||
		sqi_cell_id(sqi_load_relaxed(&c->meta), lease->id, h->ring.mask, h->ring.shift) !=
			lease->id)
		return false;
	*ret_word = w;
	return true;
}

/* Remove the message. -ESTALE. */
int sqi_lease_ack(struct sq *h, const struct sq_lease *lease)
{
	uint64_t w;

	do
		if (!sqi_lease_holds(h, lease, &w))
			return -ESTALE;
	while (!sqi_cell_release(&h->ring, lease->id, w));
	h->member.held--;
	sqi_message_left(h->ring.head);
	return 0;
}

/* Have the message delivered again, at once or, quietly, at the next sweep. -ESTALE. */
int sqi_lease_give_back(struct sq *h, const struct sq_lease *lease, bool quietly)
{
	uint64_t w;

	do
		if (!sqi_lease_holds(h, lease, &w))
			return -ESTALE;
	while (!sqi_returned_add(&h->ring, lease->id, w));
	h->member.held--;
	if (quietly)
		sqi_returned_mark(&h->ring, lease->id);
	else
		sqi_returned_announce(&h->ring, lease->id);
	return 0;
}
