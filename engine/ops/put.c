/* SPDX-License-Identifier: ISC */
#include "ops/put.h"

#include <errno.h>
#include <string.h>

#include "base/event.h"
#include "ring/message.h"
#include "ring/claim.h"
#include "ring/group.h"
#include "ring/payload.h"
#include "ring/transition.h"
#include "segment/closed.h"

/*
 * Appends a message: claims the first free cell, fills it, commits it. Called by queue.c and
 * reserve.c, by any number of participants at once.
 *
 * Invariant: while a put may have happened and is not counted, this participant's slot says at
 * which position, so recovery can decide after a death whether it happened.
 */

/*
 * Writes the message, or the reference to its block, to the claimed cell at pos. All stores come
 * after a release (sqi_payload_write() has a fence), though the commit (W2) releases, too. They pair
 * with the acquire loads of all who read meta or a reference: a participant that read the word
 * before the claim, and finds the new meta or reference, sees the claim when it reads the word
 * again.
 */
static inline void write_small(const struct sqi_place *p, const void *data, size_t len)
{
	sqi_store_release(&p->cell->meta, p->turn << SQI_TURN_SHIFT | len);
	sqi_payload_write(p->data, data, len);
}

static inline void write_message(
	struct sq *h, const struct sqi_place *p, const struct sqi_message *m)
{
	if (m->data || m->len == 0) {
		write_small(p, m->data, m->len);
		return;
	}
	sqi_store_release(&p->cell->meta, p->turn << SQI_TURN_SHIFT | SQI_META_BLOCK);
	sqi_store_release(&p->data[0], m->block.gen);
	sqi_store_release(&p->data[1], m->block.index << 32 | m->block.len);
	/*
	 * Before the commit: recovery after this participant's death (D1) keeps the block only if
	 * the cell at `home` refers to it.
	 */
	sqi_store_release(&sqi_block(&h->ring, m->block.index)->home, p->pos);
}

/*
 * Notes that a put is in doubt: if this participant dies, recovery looks at the cell at pos to
 * decide whether it happened. Release, in this order: recovery reads both after the death (D1), and
 * the put is in doubt only once intent_base equals puts.
 */
static inline void begin_doubt(struct sqi_slot *slot, uint64_t puts, uint64_t pos)
{
	sqi_store_release(sqi_intent(slot, puts), pos);
	sqi_store_release(&slot->intent_base, puts);
}

/*
 * The claim at pos was revoked: frees the cell. Returns 0, or -EBADMSG if the cell is not this
 * participant's: damage.
 */
static __attribute__((noinline)) int let_go(struct sq *h, uint64_t pos)
{
	struct sqi_cell *c = sqi_cell(&h->ring, pos);
	uint64_t w;

	/*
	 * End the doubt before the cell is free: recovery looks at the cell to decide whether the
	 * put happened. Release: recovery reads it after a death (D1).
	 */
	sqi_store_release(&h->ring.slot->intent_base, ~(uint64_t)0);
	/* V2. It fails only if the cell was skipped. */
	do {
		w = sqi_load_seq(&c->word);
		if (sqi_word_state(w) != SQI_VOID || sqi_word_owner(w) != h->ring.owner)
			return -EBADMSG;
	} while (!sqi_cell_free(c, w));
	/* The cell is free, for a put or for the seal of a queue that was shut down. */
	sqi_message_left(h->ring.head);
	return 0;
}

/*
 * The cell is claimed, its word is w: fills and commits it. Returns 1, or as let_go() if the claim
 * was revoked. `puts` is the number of this participant's puts.
 *
 * Between claim and commit there is only the copy of a small message, and nothing that could wait.
 */
static inline __attribute__((always_inline)) int fill(struct sq *h, struct sqi_slot *slot,
	uint64_t puts, const struct sqi_place *p, uint64_t w, const struct sqi_message *m)
{
	write_message(h, p, m);
	begin_doubt(slot, puts, p->pos);
	/* W2. */
	if (!sqi_cell_commit(p->cell, w))
		return let_go(h, p->pos);
	/* Ends the doubt. Release: recovery reads it after a death (D1). */
	sqi_store_release(&slot->puts, puts + 1);
	h->member.puts = puts + 1;
	h->member.last = p->pos + 1;
	/* E1. */
	sqi_event_wake(&h->ring.head->message_event);
	return 1;
}

/*
 * One attempt to put the message. Returns -EAGAIN if the ring is full, -EPIPE if the queue is shut
 * down, -EBADMSG if its memory is damaged. After an error the caller still has the message's block.
 */
static int put_try(struct sq *h, const struct sqi_message *m)
{
	for (unsigned rounds = 0; rounds < SQI_ROUNDS_MAX; rounds++) {
		uint64_t pos, w;
		int r;

		if (sqi_load_seq(&h->ring.head->closed))
			return -EPIPE;
		r = sqi_claim(&h->ring, &pos, &w);
		if (r == 0) {
			struct sqi_place p = sqi_place(&h->ring, pos);

			r = fill(h, h->ring.slot, h->member.puts, &p, w, m);
		}
		if (r != 0)
			return r < 0 ? r : 0;
	}
	return -EBADMSG;
}

/* The same of a message that a cell can hold. */
int sqi_put_small(struct sq *h, const void *data, size_t len)
{
	struct sqi_place next = sqi_place(&h->ring, h->ring.tail);
	struct sqi_message m = {.data = data, .len = len};
	struct sqi_slot *slot = h->ring.slot;
	uint64_t puts = h->member.puts, w;

	/* The common case: the queue is open, and no other participant has claimed a cell. */
	if (!sqi_load_seq(&h->ring.head->closed) && sqi_claim_next(&h->ring, &next, &w)) {
		int r = fill(h, slot, puts, &next, w, &m);

		if (r != 0)
			return r < 0 ? r : 0;
	}
	/* Another structure: so the one above needs no memory. */
	return put_try(h, &(struct sqi_message){.data = data, .len = len});
}

/*
 * Notes that a group of puts is in doubt. As begin_doubt(), but for intent_span, which says how many
 * they are; it counts only while they are in doubt, and comes before that.
 */
static inline void begin_group_doubt(struct sq *h, uint64_t pos, unsigned span)
{
	sqi_store_release(&h->ring.slot->intent_span, span);
	begin_doubt(h->ring.slot, h->member.puts, pos);
}

/*
 * The puts of a group have happened: ends the doubt. The position of the last is noted first, where
 * the position of the last put is looked for (count.c): the span is even, so that is not the element
 * that the doubt is about.
 */
static inline void end_group_doubt(struct sq *h, uint64_t pos, unsigned span)
{
	struct sqi_slot *slot = h->ring.slot;

	h->member.puts += span;
	sqi_store_release(sqi_intent(slot, h->member.puts - 1), pos + span - 1);
	sqi_store_release(&slot->puts, h->member.puts);
	sqi_store_release(&slot->intent_span, 0);
	h->member.last = pos + span;
}

/* The claim of the group at pos was revoked: frees its cells. As let_go(), but 0 or -EBADMSG. */
static __attribute__((noinline)) int let_group_go(struct sq *h, uint64_t pos)
{
	sqi_store_release(&h->ring.slot->intent_base, ~(uint64_t)0);
	sqi_store_release(&h->ring.slot->intent_span, 0);
	/* V2. */
	if (!sqi_group_free(&h->ring, pos))
		return -EBADMSG;
	sqi_message_left(h->ring.head);
	return 0;
}

/*
 * How many of these messages, from the first on, a group can hold. No more than is copied in about
 * a microsecond: for so long a consumer waits before it revokes a claim.
 */
static unsigned fit_group(const struct sq *h, const struct iovec *iov, int n)
{
	uint64_t max = h->ring.g.in.max_message < h->ring.small ? h->ring.g.in.max_message
								: h->ring.small;
	unsigned fit = 0;
	size_t bytes = 0;

	for (; fit < (unsigned)n && fit < SQI_GROUP_MAX; fit++) {
		bytes += iov[fit].iov_len;
		if (!iov[fit].iov_base || iov[fit].iov_len > max || bytes > SQI_GROUP_BYTES)
			break;
	}
	return fit;
}

int sqi_put_group(struct sq *h, const struct iovec *iov, int n)
{
	struct sqi_ring *ring = &h->ring;
	struct sqi_stride stride = sqi_stride(ring);
	struct sqi_place place;
	uint64_t pos, full, w;
	unsigned span;

	if (n < 2 || sqi_load_seq(&ring->head->closed))
		return 0;
	span = sqi_group_free_cells(ring, fit_group(h, iov, n), &pos);
	place = sqi_place(ring, pos);
	/* W1. */
	if (span < 2 || !sqi_cell_claim(place.cell, sqi_word(SQI_FREE, 0, 0, place.turn),
				ring->owner, span, &w))
		return 0;
	full = sqi_word(SQI_FULL, 0, 0, place.turn);
	for (unsigned i = 0; i < span; i++, sqi_place_next(&place, stride)) {
		sqi_ask_group_ahead(&place, stride);
		write_small(&place, iov[i].iov_base, iov[i].iov_len);
		/* The head's word, with which all are committed, comes last. */
		if (i > 0)
			sqi_store_release(&place.cell->word, full);
	}
	begin_group_doubt(h, pos, span);
	/* W2. */
	if (!sqi_cell_commit(sqi_cell(ring, pos), w))
		return let_group_go(h, pos);
	end_group_doubt(h, pos, span);
	sqi_note_group_claimed(ring, pos + span);
	/* E1. */
	sqi_event_wake(&ring->head->message_event);
	return (int)span;
}

/* An attempt for sqi_call(): the argument is the message. */
int sqi_attempt_put(struct sq *h, void *message)
{
	return put_try(h, message);
}

/* The same, for a message that needs a block: allocates and fills it first. */
int sqi_attempt_put_block(struct sq *h, void *message)
{
	struct sqi_message *m = message;
	uint64_t cap;
	int r;

	if (m->block.len == 0) {
		/*
		 * There is no block yet. It is filled before a cell is claimed, so that no cell is
		 * held during a long copy.
		 */
		if (sqi_load_seq(&h->ring.head->closed))
			return -EPIPE;
		r = sqi_block_get(&h->ring, m->len, &m->block);
		h->short_of_blocks = r < 0;
		if (r < 0)
			return r;
		memcpy(sqi_block_data(&h->ring, m->block.index, &cap), m->data, m->len);
		m->block.len = m->len;
	}
	return put_try(h, &(struct sqi_message){.len = m->len, .block = m->block});
}
