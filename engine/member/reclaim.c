/* SPDX-License-Identifier: ISC */
#include "member/reclaim.h"

#include "member/grace.h"
#include "ring/cell.h"
#include "ring/returned.h"
#include "ring/transition.h"

/*
 * What a dead participant has left in one place: its put in hand, a cell, a block. Called by lap.c,
 * by any number of participants at once, of which any may die in it. Each step is a CAS that one of
 * them makes.
 *
 * A slow recoverer must not take anything from the slot's next tenant. So: read the word, then read
 * that the slot still bears the dead one's id, then CAS from that very word. If the id was still
 * there after the word was read, the word was the dead one's.
 */

/*
 * Did the put that it had in hand happen? It is in doubt if the intent was set and the count not yet
 * raised. Then the cell tells: if it is not being written by the dead one, the commit had come first.
 * The cell is evidence, so the verdict is recorded before anybody lets it go. The record bears the
 * dead one's id, so that a slow recoverer cannot write it for the slot's next tenant.
 */
void sqi_decide(struct sqi_ring *ring, const struct sqi_dead *d)
{
	struct sqi_slot *slot = sqi_slot(ring, d->number);
	uint64_t decision = sqi_load_seq(&slot->decision), puts, base;

	if (decision >> 2 != d->id)
		return; /* it died before it could put anything, or we are late */
	base = sqi_load_seq(&slot->intent_base);
	puts = sqi_load_seq(&slot->puts);
	if (!(decision & SQI_DECIDED)) {
		uint64_t verdict = SQI_DECIDED, w;

		if (puts != base)
			return;
		w = sqi_load_seq(&sqi_cell(ring, sqi_load_seq(sqi_intent(slot, base)))->word);
		if (sqi_word_owner(w) != d->number + 1 ||
			(sqi_word_state(w) != SQI_WRITING && sqi_word_state(w) != SQI_VOID))
			verdict |= SQI_COMMITTED;
		if (sqi_load_seq(&slot->id) != d->id)
			return;
		if (sqi_cas(&slot->decision, decision, decision | verdict))
			decision |= verdict;
		else
			decision = sqi_load_seq(&slot->decision);
	}
	if (sqi_load_seq(&slot->id) == d->id && decision >> 2 == d->id &&
		(decision & SQI_COMMITTED))
		(void)sqi_cas(&slot->puts, base, base + 1);
}

/* Is this the word of a cell that is let go when its owner is dead? */
static bool is_reclaimed(uint64_t w, const struct sqi_dead *d)
{
	switch (sqi_word_state(w)) {
	case SQI_WRITING:
	case SQI_VOID:
	case SQI_RELEASING:
		return true;
	case SQI_TAKEN:
		return d->durable == 0 || sqi_is_condemned(d->id);
	default:
		return false;
	}
}

/* Let a cell of the dead go, from this very word. False: the word had changed. */
static bool let_go(struct sqi_ring *ring, uint64_t pos, uint64_t w)
{
	struct sqi_cell *c = sqi_cell(ring, pos);

	switch (sqi_word_state(w)) {
	case SQI_WRITING:
		return sqi_cell_abandon(c, w);
	case SQI_TAKEN:
		if (!sqi_returned_add(ring, pos, w))
			return false;
		(void)sqi_add(&ring->head->reclaimed, 1);
		sqi_returned_announce(ring, pos);
		return true;
	default:
		return sqi_cell_free(c, w);
	}
}

/* What the dead one held of this cell goes free, or back. False: the slot has another tenant. */
bool sqi_reclaim_cell(struct sqi_ring *ring, uint64_t pos, const struct sqi_dead *d)
{
	const struct sqi_slot *slot = sqi_slot(ring, d->number);
	struct sqi_cell *c = sqi_cell(ring, pos);

	for (;;) {
		uint64_t w = sqi_load_seq(&c->word);
		struct sqi_ref ref;
		bool block;

		if (sqi_word_owner(w) != d->number + 1) {
			/* Another recoverer was faster, and may not have announced it yet. */
			if (sqi_word_state(w) == SQI_BACK)
				sqi_returned_announce(ring, pos);
			return true;
		}
		if (!is_reclaimed(w, d))
			return true;
		block = sqi_word_state(w) == SQI_RELEASING && sqi_cell_block(ring, c, &ref);
		/*
		 * Another recoverer may have let the cell go meanwhile: then this would be the next
		 * message's block.
		 */
		if (block && sqi_load_seq(&c->word) != w)
			continue;
		if (sqi_word_state(w) == SQI_TAKEN)
			sqi_announce_end(ring, w);
		if (sqi_load_seq(&slot->id) != d->id)
			return false;
		if (block)
			sqi_block_free(ring, &ref); /* by generation: twice is once */
		if (let_go(ring, pos, w))
			return true;
		/* Skipped, or another recoverer was faster. */
	}
}

/* Does the cell for which this block was last meant by its owner hold the message in it? */
static bool cell_refers_to(const struct sqi_ring *ring, uint64_t index, uint64_t w)
{
	const struct sqi_cell *c = sqi_cell(ring, sqi_load_relaxed(&sqi_block(ring, index)->home));
	struct sqi_ref ref;

	switch (sqi_word_state(sqi_load_seq(&c->word))) {
	case SQI_FULL:
	case SQI_TAKEN:
	case SQI_BACK:
	case SQI_RELEASING:
		return sqi_cell_block(ring, c, &ref) && ref.index == index &&
		       ref.gen == sqi_block_generation(w);
	default:
		return false;
	}
}

/*
 * If this block was allocated by the dead one and no message is in it, it is freed. The dead one's
 * cells were let go before, so a cell that it was still writing does not count; and a message that
 * leaves while we look frees its block first, and then ours is freed no more. False: the slot has
 * another tenant.
 */
bool sqi_reclaim_block(struct sqi_ring *ring, uint64_t index, const struct sqi_dead *d)
{
	uint64_t w = sqi_load_seq(&sqi_block(ring, index)->word);

	if (sqi_block_is_free(w) || sqi_block_owner(w) != d->number + 1 ||
		cell_refers_to(ring, index, w))
		return true;
	/* After the look at the word: it is not of the slot's next tenant. */
	if (sqi_load_seq(&sqi_slot(ring, d->number)->id) != d->id)
		return false;
	sqi_block_free(ring, &(struct sqi_ref){.index = index, .gen = sqi_block_generation(w)});
	return true;
}
