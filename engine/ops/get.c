/* SPDX-License-Identifier: ISC */
#include "ops/get.h"

#include <errno.h>
#include <string.h>

#include "ops/lease.h"
#include "ops/select.h"
#include "ring/cell.h"
#include "ring/lease_time.h"
#include "ring/payload.h"
#include "ring/position.h"
#include "ring/returned.h"
#include "ring/transition.h"
#include "segment/closed.h"

/*
 * Removing a message. Called by the public calls, by any number of participants at once.
 *
 * A message in a cell is copied first and taken then, by one CAS: there is no instruction at which
 * it is in our hands and not yet ours, or ours and not yet copied. A message in a block is taken as
 * a lease, copied, and acked.
 */

#define COPY_NS 1000000000 /* and SQI_COPY_NS_PER_KIB: far more than any copy takes */

/* Copy the block's message and let it go. 0: it was taken from us, look again. */
static ssize_t get_block(struct sq *h, uint64_t pos, uint64_t w, void *buf, size_t cap)
{
	struct sq_lease lease;
	uint64_t taken;
	int r = sqi_take(h, pos, w, &lease, &taken);

	if (r <= 0)
		return r;
	/* A copy may take longer than a lease is meant to. */
	if (!sqi_lease_time_extend(
		    &h->ring, pos, taken, COPY_NS + lease.len / 1024 * SQI_COPY_NS_PER_KIB)) {
		sqi_lease_time_finish(&h->ring, pos);
		return 0;
	}
	if (lease.len > cap) {
		/* It was shorter a moment ago, when it was nobody's. */
		(void)sqi_lease_give_back(h, &lease, false);
		return -EBADMSG;
	}
	if (h->ring.g.in.lease_ns)
		sqi_copy_bytes(buf, lease.data, lease.len);
	else
		memcpy(buf, lease.data, lease.len);
	/* If the lease had ended, the copy is of nobody knows what. */
	if (sqi_lease_ack(h, &lease) < 0)
		return 0;
	return (ssize_t)lease.len + 1;
}

/*
 * R1. The look at FULL or BACK has acquired the message; the removal (F1) confirms that it was still
 * that message when it had been copied. 0: it was not, look again.
 */
static ssize_t get_small(struct sq *h, uint64_t pos, uint64_t w, void *buf, size_t len)
{
	struct sqi_cell *c = sqi_cell(&h->ring, pos);

	sqi_cell_read(c, buf, len);
	if (!sqi_cell_remove(c, w))
		return 0;
	h->ring_turn = sqi_word_state(w) == SQI_BACK;
	if (h->ring_turn) {
		sqi_returned_unmark(&h->ring, pos);
		sqi_count(&h->ring.slot->redelivered);
	} else {
		sqi_note_consumed(&h->ring, pos + 1);
	}
	return (ssize_t)len + 1;
}

/* Remove the message that this word speaks of: its length and 1. 0: look again. */
static ssize_t get_at(struct sq *h, uint64_t pos, uint64_t w, void *buf, size_t cap)
{
	const struct sqi_cell *c = sqi_cell(&h->ring, pos);
	const void *data;
	size_t len;

	if (sqi_cell_view(&h->ring, c, &data, &len) < 0)
		return sqi_cell_drop(&h->ring, pos, w);
	if (len > cap)
		return sqi_load_seq(&c->word) == w ? -EMSGSIZE : 0;
	if (data == &c->data[0])
		return get_small(h, pos, w, buf, len);
	return get_block(h, pos, w, buf, cap);
}

/*
 * One try: the message's length. -EAGAIN: none. -EPIPE: none, and never again. -EMSGSIZE: it is
 * longer than cap, and stays. -EBADMSG: it was damaged and is dropped, or the ring is damaged.
 */
ssize_t sqi_get_try(struct sq *h, void *buf, size_t cap)
{
	for (unsigned rounds = 0; rounds < SQI_ROUNDS_MAX; rounds++) {
		uint64_t pos, w;
		ssize_t r = sqi_select(h, &pos, &w);

		if (r == 0)
			r = get_at(h, pos, w, buf, cap);
		if (r < 0)
			return r;
		if (r > 0) {
			sqi_count(&h->ring.slot->gots);
			sqi_message_left(h->ring.head);
			return r - 1;
		}
	}
	return -EBADMSG;
}
