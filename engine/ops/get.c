/* SPDX-License-Identifier: ISC */
#include "ops/get.h"

#include <errno.h>
#include <string.h>

#include "ops/take.h"
#include "ops/select.h"
#include "ring/group.h"
#include "ring/message.h"
#include "ring/lease_time.h"
#include "ring/payload.h"
#include "ring/position.h"
#include "ring/redelivery.h"
#include "ring/transition.h"
#include "segment/closed.h"

/*
 * Removes a message. Called by queue.c, by any number of participants at once.
 *
 * Invariant: a message in a cell is copied first and then removed by one CAS. So a participant that
 * dies has either left it in the queue or removed it with the copy made. A message in a block is
 * leased, copied and acknowledged, because its block could be used again during the copy.
 */

#define COPY_NS 1000000000 /* plus SQI_COPY_NS_PER_KIB: far more than any copy takes */

/*
 * Leases, copies and acknowledges a message in a block. Returns its length plus one, or 0 if another
 * participant was faster or the lease has ended: look again.
 */
static ssize_t get_block(struct sq *h, uint64_t pos, uint64_t w, void *buf, size_t cap)
{
	struct sq_lease lease;
	uint64_t taken;
	int r = sqi_take(h, pos, w, &lease, &taken);

	if (r <= 0)
		return r;
	/* T4. A copy may take longer than a lease time. */
	if (!sqi_lease_time_extend(
		    &h->ring, pos, taken, COPY_NS + lease.len / 1024 * SQI_COPY_NS_PER_KIB)) {
		sqi_lease_time_finish(&h->ring, pos);
		return 0;
	}
	if (lease.len > cap) {
		/* get_at() saw a shorter length in the same message: the memory is damaged. */
		(void)sqi_lease_give_back(h, &lease, false);
		return -EBADMSG;
	}
	if (h->ring.g.in.lease_ns)
		sqi_payload_read(buf, lease.data, lease.len);
	else
		memcpy(buf, lease.data, lease.len);
	/* If the lease has ended, the copy may be of another message. */
	if (sqi_lease_ack(h, &lease) < 0)
		return 0;
	return (ssize_t)lease.len + 1;
}

/*
 * Copies and removes a small message. Returns its length plus one, or 0 if the word has changed: look
 * again.
 *
 * R1. The load of the word w has acquired the message (W2, or B1). The CAS from w (F1) confirms
 * that the cell held it until the copy was made.
 */
static inline __attribute__((always_inline)) ssize_t get_small(
	struct sq *h, const struct sqi_place *p, uint64_t w, void *buf, size_t len)
{
	sqi_payload_read(buf, p->data, len);
	/* F1. */
	if (!sqi_cell_remove(p->cell, w))
		return 0;
	h->ring_is_next = sqi_word_state(w) == SQI_BACK;
	if (h->ring_is_next) {
		sqi_redelivery_unmark(&h->ring, p->pos);
		sqi_count(&h->ring.slot->redelivered); /* relaxed: own counter, for people */
	} else {
		sqi_note_consumed(&h->ring, p->pos + 1);
	}
	return (ssize_t)len + 1;
}

/* Removes the message of this word, FULL or BACK. Returns its length plus one, or 0: look again. */
static ssize_t get_at(struct sq *h, uint64_t pos, uint64_t w, void *buf, size_t cap)
{
	struct sqi_place p = sqi_place(&h->ring, pos);
	const void *data;
	size_t len;

	if (sqi_message_view(&h->ring, pos, &data, &len) < 0)
		return sqi_message_drop(&h->ring, pos, w);
	if (len > cap)
		return sqi_load_seq(&p.cell->word) == w ? -EMSGSIZE : 0;
	if (data == p.data)
		return get_small(h, &p, w, buf, len);
	return get_block(h, pos, w, buf, cap);
}

/* A message has left the queue. Returns its length. */
static inline ssize_t note_got(struct sq *h, ssize_t len)
{
	sqi_count(&h->ring.slot->gots); /* relaxed: own counter, for people */
	sqi_message_left(h->ring.head);
	return len;
}

/*
 * Copies up to n messages, as they lie in the ring from `pos` on, as long as they are FULL, small,
 * and fit; their lengths go to ret_len. How many: an even number. Not over the end of the array:
 * messages there are of another turn.
 *
 * R1, of each. K1 confirms that the cells held them until the copies were made: as long as the first
 * is FULL, no consumer goes past it.
 */
static unsigned copy_run(const struct sqi_ring *ring, uint64_t pos, unsigned char *at, size_t cap,
	uint32_t ret_len[SQI_GROUP_MAX], unsigned n)
{
	struct sqi_stride stride = sqi_stride(ring);
	struct sqi_place place = sqi_place(ring, pos);
	uint64_t full = sqi_word(SQI_FULL, 0, 0, place.turn);
	uint32_t small = ring->small;
	unsigned got = 0;
	size_t len;

	if (n > sqi_group_limit(ring, pos))
		n = sqi_group_limit(ring, pos);
	if (cap > SQI_GROUP_BYTES)
		cap = SQI_GROUP_BYTES; /* if another is faster, all was copied in vain */
	for (; got < n; got++, sqi_place_next(&place, stride)) {
		if (sqi_load_seq(&place.cell->word) != full ||
			!sqi_meta_is_small(place.cell, small, &len) || len > cap)
			break;
		sqi_ask_run_ahead(&place, stride);
		sqi_payload_read(at, place.data, len);
		ret_len[got] = (uint32_t)len;
		at += len;
		cap -= len;
	}
	return got & ~1U;
}

/* The messages of these lengths lie one behind the other from `at` on. */
static inline void pack(
	struct iovec *ret, unsigned char *at, const uint32_t len[SQI_GROUP_MAX], unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		ret[i] = (struct iovec){.iov_base = at, .iov_len = len[i]};
		at += len[i];
	}
}

/*
 * The group at pos is the caller's, and a message may have been leased by its id meanwhile: frees
 * the cells one by one, and leaves of the copies those of what was in them. How many.
 */
static __attribute__((noinline)) unsigned remove_each(
	struct sq *h, uint64_t pos, unsigned char *at, uint32_t len[SQI_GROUP_MAX], unsigned n)
{
	uint64_t full = sqi_word(SQI_FULL, 0, 0, pos >> h->ring.shift);
	unsigned char *to = at + len[0];
	unsigned got = 1;

	at = to;
	for (unsigned i = 1; i < n; at += len[i++]) {
		struct sqi_cell *c = sqi_cell(&h->ring, pos + i);
		uint64_t w;

		/* F1. */
		if (!sqi_cell_remove(c, full)) {
			w = sqi_load_seq(&c->word);
			/* Leased; or somebody had to know whose it is (K3). */
			if (sqi_word_state(w) != SQI_REMOVING || sqi_word_owner(w) != h->ring.owner)
				continue;
		}
		memmove(to, at, len[i]);
		to += len[i];
		len[got++] = len[i];
	}
	return got;
}

/*
 * As sqi_select_at_once(), but others may have taken messages since this one did. False where
 * messages are to be got one by one.
 */
static inline bool select_for_group(struct sq *h, uint64_t *ret_pos, uint64_t *ret_word)
{
	struct sqi_place place;

	*ret_pos = h->ring.front;
	if (sqi_select_at_once(h, &place, ret_word))
		return true;
	return !sqi_load_seq(&h->ring.head->closed) && sqi_select(h, ret_pos, ret_word) == 0 &&
	       sqi_word_state(*ret_word) == SQI_FULL && !sqi_redelivery_maybe(&h->ring);
}

int sqi_get_group(struct sq *h, void *buf, size_t cap, struct iovec *ret, int n)
{
	struct sqi_ring *ring = &h->ring;
	uint32_t len[SQI_GROUP_MAX];
	uint64_t pos, w, removing;
	unsigned span, got;
	bool freed;

	if (n < 2 || !buf || !select_for_group(h, &pos, &w))
		return 0;
	span = copy_run(ring, pos, buf, cap, len, (unsigned)n);
	/* K1. */
	if (span < 2 ||
		!sqi_cell_begin_removal(sqi_cell(ring, pos), w, ring->owner, span, &removing))
		return 0;
	if (!sqi_load_seq(&ring->head->by_id)) {
		got = span;
		freed = sqi_group_free(ring, pos);
	} else {
		got = remove_each(h, pos, buf, len, span);
		freed = sqi_group_end(ring, pos);
	}
	if (!freed)
		h->deferred_error = -EBADMSG; /* the caller has the messages all the same */
	pack(ret, buf, len, got);
	sqi_note_group_consumed(ring, pos + span);
	h->ring_is_next = false;
	/* Relaxed: own counter, for people. */
	sqi_store_relaxed(&ring->slot->gots, sqi_load_relaxed(&ring->slot->gots) + got);
	sqi_message_left(ring->head);
	return (int)got;
}

/* As sqi_get_try(), whatever there is. */
static __attribute__((noinline)) ssize_t get_any(struct sq *h, void *buf, size_t cap)
{
	for (unsigned rounds = 0; rounds < SQI_ROUNDS_MAX; rounds++) {
		uint64_t pos, w;
		ssize_t r = sqi_select(h, &pos, &w);

		if (r == 0)
			r = get_at(h, pos, w, buf, cap);
		if (r < 0)
			return r;
		if (r > 0)
			return note_got(h, r - 1);
	}
	return -EBADMSG;
}

/*
 * One attempt to get a message. Returns its length; -EAGAIN if there is none; -EPIPE if there is
 * none and never will be; -EMSGSIZE if it is longer than cap, and stays; -EBADMSG if it was damaged
 * and is dropped, or the ring is damaged; SQI_DEAD_LETTER as sqi_select().
 */
ssize_t sqi_get_try(struct sq *h, void *buf, size_t cap)
{
	struct sqi_place next;
	uint64_t w;

	/* The common case: a small message, and no other participant is faster. */
	if (sqi_select_at_once(h, &next, &w)) {
		size_t len;

		if (sqi_meta_is_small(next.cell, h->ring.small, &len) && len <= cap &&
			get_small(h, &next, w, buf, len) > 0)
			return note_got(h, (ssize_t)len);
	}
	return get_any(h, buf, cap);
}
