/* SPDX-License-Identifier: ISC */
#include "sq.h"

#include <errno.h>

#include "call.h"
#include "ops/take.h"
#include "ring/group.h"
#include "ring/message.h"

/*
 * The public calls on a message by its id: sq_find(), sq_lease_id(). See sq.h. Any number of
 * participants may be in them at once.
 *
 * Invariant: a message stays in the cell that its id names until it is removed, so only that cell
 * is looked at.
 */

/*
 * Reads the word of the cell that holds the message of this id. Returns false if the message is
 * gone. meta is read between two looks at the word, and used only if the word is the same.
 */
static bool find(const struct sqi_ring *ring, uint64_t id, uint64_t *ret_word)
{
	const struct sqi_cell *c = sqi_cell(ring, id);

	for (;;) {
		uint64_t w = sqi_load_seq(&c->word), meta;

		/* A cell of a group holds no message yet, or none any more. */
		if (!sqi_word_is_message(w) ||
			(sqi_word_state(w) == SQI_FULL && sqi_is_covered(ring, id, w)))
			return false;
		/* Acquire: pairs with write_message() in put.c. The next look confirms it. */
		meta = sqi_load_acquire(&c->meta);
		if (sqi_load_seq(&c->word) != w)
			continue; /* each failure is progress of another participant */
		*ret_word = w;
		return sqi_message_id(meta, id, ring->mask, ring->shift) == id;
	}
}

int sq_find(struct sq *h, uint64_t id)
{
	int r = sqi_handle_check(h, SQ_NOWAIT);
	uint64_t w;

	if (r < 0)
		return r;
	if (!find(&h->ring, id, &w))
		return SQ_GONE;
	return sqi_word_state(w) == SQI_TAKEN ? SQ_LEASED : SQ_WAITING;
}

int sq_lease_id(struct sq *h, uint64_t id, struct sq_lease *ret)
{
	struct sq_lease lease;
	int r = sqi_handle_check(h, SQ_NOWAIT);
	bool by_id = false; /* it was set before the last find() */
	uint64_t w;

	if (r == 0 && !ret)
		r = -EINVAL;
	while (r == 0) {
		if (!find(&h->ring, id, &w))
			return -ENOENT;
		if (sqi_word_state(w) == SQI_TAKEN)
			return -EBUSY;
		/*
		 * Before the last look for a head, whoever sets it: whoever removes a group with this
		 * message after that look sees it.
		 */
		if (sqi_word_state(w) == SQI_FULL && !by_id) {
			if (!sqi_load_seq(&h->ring.head->by_id))
				sqi_store_seq(&h->ring.head->by_id, 1);
			by_id = true;
			continue;
		}
		r = sqi_lease_at(h, id, w, &lease);
		if (r > 0) {
			*ret = lease;
			return 0;
		}
	}
	return r;
}
