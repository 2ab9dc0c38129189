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
	if (!sqi_due_extend(
		    &h->ring, pos, taken, COPY_NS + lease.len / 1024 * SQI_COPY_NS_PER_KIB)) {
		sqi_due_finish(&h->ring, pos);
		return 0;
	}
	if (lease.len > cap) {
		/* It was shorter a moment ago, when it was nobody's. */
		(void)sqi_give_back(h, &lease, false);
		return -EBADMSG;
	}
	if (h->ring.g.in.lease_ns)
		sqi_copy_bytes(buf, lease.data, lease.len);
	else
		memcpy(buf, lease.data, lease.len);
	/* If the lease had ended, the copy is of nobody knows what. */
	if (sqi_finish(h, &lease) < 0)
		return 0;
	return (ssize_t)lease.len + 1;
}

ssize_t sqi_get_try(struct sq *h, void *buf, size_t cap)
{
	for (unsigned rounds = 0; rounds < SQI_ROUNDS_MAX; rounds++) {
		const void *data;
		struct sqi_cell *c;
		uint64_t p, w;
		size_t len;
		ssize_t r = sqi_next(h, &p, &w);

		if (r < 0)
			return r;
		c = sqi_cell(&h->ring, p);
		/*
		 * R1. The look at FULL acquired the message; the CAS below confirms that it was
		 * still there.
		 */
		if (sqi_cell_view(&h->ring, c, &data, &len) < 0) {
			r = sqi_cell_damaged(&h->ring, p, w);
			if (r < 0)
				return r;
			continue;
		}
		if (len > cap) {
			if (sqi_look(&c->word) != w)
				continue;
			return -EMSGSIZE;
		}
		if (data != &c->data[0]) {
			r = get_block(h, p, w, buf, cap);
			if (r < 0)
				return r;
			if (r == 0)
				continue;
		} else {
			sqi_cell_read(c, buf, len);
			if (!sqi_cell_release(&h->ring, p, w))
				continue;
			h->ring_turn = sqi_word_state(w) != SQI_FULL;
			if (!h->ring_turn) {
				sqi_passed(&h->ring, p + 1);
			} else {
				sqi_back_taken(&h->ring, p);
				sqi_count(&h->ring.slot->redelivered);
			}
		}
		sqi_count(&h->ring.slot->gots);
		sqi_removed(h->ring.head);
		return (ssize_t)len;
	}
	return -EBADMSG;
}
