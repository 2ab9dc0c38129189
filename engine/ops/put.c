/* SPDX-License-Identifier: ISC */
#include "ops/put.h"

#include <errno.h>

#include "base/event.h"
#include "ring/cell.h"
#include "ring/claim.h"
#include "ring/payload.h"
#include "segment/closed.h"

/*
 * Appending a message: claim the first free cell, fill it, commit it. Called by the public calls, by any
 * number of participants at once.
 */

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

		if (sqi_look(&h->ring.head->closed))
			return -EPIPE;
		r = sqi_claim(&h->ring, &p, &w);
		if (r < 0)
			return r;
		c = sqi_cell(&h->ring, p);
		/* Released, as in sqi_cell_write(), and why there. */
		if (m->data || m->len == 0) {
			sqi_post(&c->meta, (p >> h->ring.shift) << SQI_TURN_SHIFT | m->len);
			sqi_cell_write(c, m->data, m->len);
		} else {
			sqi_post(&c->meta, (p >> h->ring.shift) << SQI_TURN_SHIFT | SQI_META_BLOCK);
			sqi_post(&c->data[0], m->block.gen);
			sqi_post(&c->data[1], m->block.index << 32 | m->block.len);
			/*
			 * Before the commit: whoever finds us dead must find the cell that speaks
			 * for the block.
			 */
			sqi_post(&sqi_block(&h->ring, m->block.index)->home, p);
		}
		/* From here to the count the put is in doubt, for whoever finds us dead. */
		sqi_post(sqi_intent(h->ring.slot, h->member.puts), p);
		sqi_post(&h->ring.slot->intent_base, h->member.puts);
		/* W2. Releases the message; R1 and R2 acquire it. */
		if (sqi_cas(&c->word, w, sqi_word(SQI_FULL, 0, 0, p >> h->ring.shift))) {
			sqi_post(&h->ring.slot->puts, ++h->member.puts);
			h->member.last = sqi_position_id(p, h->ring.shift) + 1;
			sqi_wake(&h->ring.head->came);
			return 0;
		}
		/*
		 * Late: a consumer went by. Not in doubt any more, and only then let go of the
		 * evidence.
		 */
		sqi_post(&h->ring.slot->intent_base, ~(uint64_t)0);
		r = give_up(c, h->ring.owner);
		if (r < 0)
			return r;
		/* The cell is free: for a put; or for the end of a queue that was shut down. */
		sqi_removed(h->ring.head);
	}
	return -EBADMSG;
}
