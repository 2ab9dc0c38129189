/* SPDX-License-Identifier: ISC */
#include "ops/put.h"

#include <errno.h>

#include "base/event.h"
#include "ring/cell.h"
#include "ring/claim.h"
#include "ring/payload.h"
#include "ring/transition.h"
#include "segment/closed.h"

/*
 * Appending a message: claim the first free cell, fill it, commit it. Called by the public calls, by
 * any number of participants at once.
 */

/*
 * What the message is goes into the cell that we have claimed. All stores release, though the commit
 * does so once more: who read the cell's word before our claim, and takes what it reads here for
 * another message's reference, sees the claim when it looks at the word again.
 */
static void write_message(struct sq *h, uint64_t pos, const struct sqi_message *m)
{
	struct sqi_cell *c = sqi_cell(&h->ring, pos);
	uint64_t turn = (pos >> h->ring.shift) << SQI_TURN_SHIFT;

	if (m->data || m->len == 0) {
		sqi_store_release(&c->meta, turn | m->len);
		sqi_cell_write(c, m->data, m->len);
		return;
	}
	sqi_store_release(&c->meta, turn | SQI_META_BLOCK);
	sqi_store_release(&c->data[0], m->block.gen);
	sqi_store_release(&c->data[1], m->block.index << 32 | m->block.len);
	/* Before the commit: if we die after it, recovery must find the cell that refers to the block. */
	sqi_store_release(&sqi_block(&h->ring, m->block.index)->home, pos);
}

/* The put at this position may have happened, for whoever finds us dead: the cell's word tells. */
static void begin_doubt(struct sq *h, uint64_t pos)
{
	sqi_store_release(sqi_intent(h->ring.slot, h->member.puts), pos);
	sqi_store_release(&h->ring.slot->intent_base, h->member.puts);
}

/* Our claim was revoked: let the cell go. */
static int let_go(struct sq *h, uint64_t pos)
{
	struct sqi_cell *c = sqi_cell(&h->ring, pos);
	uint64_t w;

	/* End the doubt before the cell is free: recovery looks at the cell to decide it. */
	sqi_store_release(&h->ring.slot->intent_base, ~(uint64_t)0);
	do {
		w = sqi_load_seq(&c->word);
		if (sqi_word_state(w) != SQI_VOID || sqi_word_owner(w) != h->ring.owner)
			return -EBADMSG;
	} while (!sqi_cell_free(c, w)); /* only skips come in between */
	/* The cell is free: for a put; or for the end of a queue that was shut down. */
	sqi_message_left(h->ring.head);
	return 0;
}

/*
 * One try. -EAGAIN: full. -EPIPE: shut down. The block of a message that has one is still the
 * caller's after an error.
 *
 * Between claim and commit there is the copy of one small message and nothing that could wait.
 */
int sqi_put_try(struct sq *h, const struct sqi_message *m)
{
	for (unsigned rounds = 0; rounds < SQI_ROUNDS_MAX; rounds++) {
		uint64_t pos, w;
		int r;

		if (sqi_load_seq(&h->ring.head->closed))
			return -EPIPE;
		r = sqi_claim(&h->ring, &pos, &w);
		if (r < 0)
			return r;
		write_message(h, pos, m);
		begin_doubt(h, pos);
		if (sqi_cell_commit(sqi_cell(&h->ring, pos), w)) {
			sqi_store_release(&h->ring.slot->puts, ++h->member.puts);
			h->member.last = sqi_position_id(pos, h->ring.shift) + 1;
			sqi_event_wake(&h->ring.head->message_event);
			return 0;
		}
		r = let_go(h, pos);
		if (r < 0)
			return r;
	}
	return -EBADMSG;
}
