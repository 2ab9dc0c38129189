/* SPDX-License-Identifier: ISC */
#include "ops/take.h"

#include <errno.h>

#include "ops/select.h"
#include "ring/attempts.h"
#include "ring/ending.h"
#include "ring/message.h"
#include "ring/lease_time.h"
#include "ring/payload.h"
#include "ring/position.h"
#include "ring/redelivery.h"
#include "ring/transition.h"
#include "segment/closed.h"

/*
 * Leases a message, and settles it later. Called by the public calls, dead_letter.c and get.c, by
 * any number of participants at once.
 *
 * In a queue without a lease time the holder reads the message where it lies. In one with a lease
 * time it reads a copy, because the message may be given to another participant at any moment.
 *
 * Invariant: only the holder settles a lease. The token of a lease is {cell, id, number} and the
 * participant. The number is that in the cell's word, which may differ from what the lease counts
 * as (attempts.c). A settling step reads the cell's word, compares all of the token, and makes its
 * transition from that very word.
 */

/* The field `handle` of a lease: the handle that holds it, and the number of the lease. */
static uint64_t lease_handle(const struct sq *h, uint64_t taken)
{
	return h->file.tag << 8 | sqi_word_number(taken);
}

/*
 * The number of the lease that follows this word. Numbers above 127 are used again, and with them
 * words. If a participant has read such a word in an earlier lease, and is about to end that lease
 * by a CAS from it, the number is not used now: the CAS would end the new lease. A participant that
 * ends a lease declares the word in its slot, and then checks again that the lease is to be ended.
 * (If participants are stopped there with all 128 numbers, one of them is used.)
 */
static inline __attribute__((always_inline)) unsigned next_number(
	const struct sqi_ring *ring, uint64_t w)
{
	unsigned number;

	if (sqi_word_state(w) == SQI_FULL)
		return 1;
	number = sqi_number_next(sqi_word_number(w));
	for (unsigned i = SQI_NUMBER_ONCE; number > SQI_NUMBER_ONCE && i < SQI_NUMBER_LAST; i++) {
		if (!sqi_is_declared(ring, sqi_word_taken(w, ring->owner, number)))
			break;
		number = sqi_number_next(number);
	}
	return number;
}

/*
 * The message was taken, by the transition from w to `taken`. Returns what the lease counts as, or
 * 0 if it has ended already.
 */
static inline __attribute__((always_inline)) unsigned note_taken(
	struct sq *h, uint64_t pos, uint64_t w, uint64_t taken)
{
	h->member.held++;
	h->ring_is_next = sqi_word_state(w) == SQI_BACK;
	if (sqi_word_state(w) == SQI_FULL) {
		/* Otherwise the message was leased by its id, and others are before it. */
		if (pos == h->ring.front)
			sqi_note_consumed(&h->ring, pos + 1);
		return 1;
	}
	sqi_redelivery_unmark(&h->ring, pos);
	sqi_count(&h->ring.slot->redelivered); /* relaxed: own counter, for people */
	return sqi_attempts_begin(&h->ring, pos, taken);
}

/*
 * Drops a leased message that is damaged: -EBADMSG. Returns 0 if the lease has ended: then what was
 * read may be another message's.
 */
static int drop_taken(struct sq *h, uint64_t pos, uint64_t taken)
{
	for (;;) {
		uint64_t w = sqi_load_seq(&sqi_cell(&h->ring, pos)->word);

		if (!sqi_same_lease(w, taken))
			return 0;
		if (sqi_message_drop(&h->ring, pos, w) < 0) {
			h->member.held--;
			return -EBADMSG;
		}
	}
}

/*
 * As sqi_take(), after what that prepares. Inline: where the word is known to be FULL, half
 * of it is.
 */
static inline __attribute__((always_inline)) int take(
	struct sq *h, uint64_t pos, uint64_t w, struct sq_lease *ret, uint64_t *ret_taken)
{
	struct sqi_cell *c = sqi_cell(&h->ring, pos);
	const void *data;
	unsigned attempts;
	uint64_t id;
	size_t len;

	/* T2, R2. */
	if (!sqi_cell_take(c, w, h->ring.owner, next_number(&h->ring, w), ret_taken))
		return 0;
	attempts = note_taken(h, pos, w, *ret_taken);
	if (attempts == 0)
		return 0;
	/* Acquire: pairs with write_message() in put.c, as R2 does already. */
	id = sqi_message_id(sqi_load_acquire(&c->meta), pos, h->ring.mask, h->ring.shift);
	if (sqi_message_view(&h->ring, pos, &data, &len) < 0)
		return drop_taken(h, pos, *ret_taken);
	/* Into its place: to copy what was written just now, by wider moves, takes as long as a CAS. */
	ret->data = data;
	ret->len = len;
	ret->id = id;
	ret->attempts = attempts;
	ret->copy = 0;
	ret->handle = lease_handle(h, *ret_taken);
	return 1;
}

/*
 * Takes the message of the word w, FULL or BACK. Returns 1, with the new word in *ret_taken and in
 * *ret a lease whose data lies in the queue's memory. In a queue with a lease time the caller has
 * to copy the data, and to check then that it still has the lease. Returns 0 if the word has
 * changed, -EBADMSG if the message was damaged and is dropped; *ret is then as it was.
 */
int sqi_take(struct sq *h, uint64_t pos, uint64_t w, struct sq_lease *ret, uint64_t *ret_taken)
{
	if (!sqi_lease_time_prepare(&h->ring, pos, w))
		return 0;
	return take(h, pos, w, ret, ret_taken);
}

/* The end of the lease was decided before it began (X2): carries it out (X3). Returns 0. */
static int lost_lease(struct sq *h, uint64_t pos, uint32_t copy)
{
	if (copy)
		sqi_copy_drop(&h->copies, copy);
	sqi_lease_time_finish(&h->ring, pos);
	return 0;
}

/*
 * There is no memory for a copy: gives the message back, for other participants. The lease does not
 * count as an attempt, because nobody has seen the message. Returns -ENOMEM.
 */
static int put_back(struct sq *h, uint64_t pos, uint64_t taken)
{
	for (;;) {
		uint64_t w = sqi_load_seq(&sqi_cell(&h->ring, pos)->word);

		if (!sqi_same_lease(w, taken) || !sqi_attempts_return(&h->ring, pos, taken))
			return -ENOMEM;
		if (sqi_redelivery_give_back(&h->ring, pos, w)) {
			h->member.held--;
			sqi_redelivery_announce(&h->ring, pos);
			return -ENOMEM;
		}
	}
}

/*
 * In a queue with a lease time, copies the message and begins the lease. Returns 1 if *lease has
 * begun, 0 if it has ended meanwhile, -ENOMEM if there is no memory: the message stays in the
 * queue.
 */
static int begin_lease(struct sq *h, uint64_t pos, uint64_t taken, struct sq_lease *lease)
{
	void *data;

	if (!h->ring.g.in.lease_ns)
		return 1;
	if (sqi_copy_new(&h->copies, lease->len, &lease->copy, &data) < 0)
		return put_back(h, pos, taken);
	/* As T4: time for the copy, so that the lease does not end during it. */
	if (!sqi_lease_time_extend(&h->ring, pos, taken, lease->len / 1024 * SQI_COPY_NS_PER_KIB))
		return lost_lease(h, pos, lease->copy);
	/* T3. */
	sqi_payload_read(data, lease->data, lease->len);
	/* T4. The lease has not ended until now, so the copy is that of the message. */
	if (!sqi_lease_time_extend(&h->ring, pos, taken, 0))
		return lost_lease(h, pos, lease->copy);
	lease->data = data;
	sqi_copy_name(&h->copies, lease->copy, lease->id, sqi_lease_number(lease));
	return 1;
}

/*
 * Leases the message of the word w, FULL or BACK. Returns 1 if it did, 0 if the word has changed or
 * the lease ended before it began, -EBADMSG as sqi_take(), or -ENOMEM.
 */
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

/* As sqi_lease_try(), whatever there is. */
static __attribute__((noinline)) int lease_any(struct sq *h, struct sq_lease *ret)
{
	for (unsigned rounds = 0; rounds < SQI_ROUNDS_MAX; rounds++) {
		uint64_t pos, w;
		int r = sqi_select(h, &pos, &w);

		if (r == 0)
			r = sqi_lease_at(h, pos, w, ret);
		if (r != 0)
			return r < 0 ? r : 0;
	}
	return -EBADMSG;
}

/*
 * One attempt to lease the next message. Returns 0, or an error as sqi_select() or sqi_lease_at();
 * then *ret is as it was.
 */
int sqi_lease_try(struct sq *h, struct sq_lease *ret)
{
	struct sqi_place next;
	uint64_t w, taken;

	/* The common case: no lease time, and no other participant is faster. */
	if (!h->ring.g.in.lease_ns && sqi_select_at_once(h, &next, &w)) {
		int r = take(h, next.pos, w, ret, &taken);

		if (r != 0)
			return r < 0 ? r : 0;
	}
	return lease_any(h, ret);
}

/*
 * Makes a lease for the message of the word w, which this participant's slot has TAKEN already: by
 * the former tenant of the slot, or by an earlier call. Returns 1, or 0 and errors as
 * sqi_lease_at(); a damaged message is dropped.
 */
int sqi_lease_resume(struct sq *h, uint64_t pos, uint64_t w, struct sq_lease *ret)
{
	struct sqi_cell *c = sqi_cell(&h->ring, pos);
	struct sq_lease lease = {
		/* Acquire: pairs with write_message() in put.c. */
		.id = sqi_message_id(sqi_load_acquire(&c->meta), pos, h->ring.mask, h->ring.shift),
		.attempts = sqi_attempts_of(&h->ring, pos, w),
		.handle = lease_handle(h, w),
	};
	void *data;

	if (sqi_message_view(&h->ring, pos, &lease.data, &lease.len) < 0)
		return sqi_message_drop(&h->ring, pos, w);
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
		sqi_payload_read(data, lease.data, lease.len);
		lease.data = data;
	}
	/* Still the same lease, so all that was read and copied is of its message. */
	if (!sqi_same_lease(sqi_load_seq(&c->word), w)) {
		sqi_lease_forget(h, &lease);
		return 0;
	}
	if (lease.copy)
		sqi_copy_name(&h->copies, lease.copy, lease.id, sqi_lease_number(&lease));
	*ret = lease;
	return 1;
}

/*
 * Gives the message back, to be delivered again: at once, or `quietly` by the next sweep or the
 * next search. Returns 0, or -ESTALE if the lease has ended.
 */
int sqi_lease_give_back(struct sq *h, const struct sq_lease *lease, bool quietly)
{
	uint64_t w;

	do
		if (!sqi_lease_holds(h, lease, &w))
			return -ESTALE;
	while (!sqi_redelivery_give_back(&h->ring, lease->id, w));
	h->member.held--;
	if (quietly)
		sqi_redelivery_mark(&h->ring, lease->id);
	else
		sqi_redelivery_announce(&h->ring, lease->id);
	return 0;
}
