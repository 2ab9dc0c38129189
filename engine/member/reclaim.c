/* SPDX-License-Identifier: ISC */
#include "member/reclaim.h"

#include "member/grace.h"
#include "ring/ending.h"
#include "ring/group.h"
#include "ring/message.h"
#include "ring/redelivery.h"
#include "ring/transition.h"

/*
 * What a dead participant has left in one place: its put in hand, a cell, a block. Called by recovery.c,
 * by any number of recoverers at once, also for the same dead participant; any of them may be
 * killed in it. Each step is a CAS, so one recoverer makes it and the others fail.
 *
 * A recoverer that is late must not take anything from the slot's next tenant. So it reads the
 * word, then reads that the slot still bears the dead id, then does the CAS from the word that it
 * read. If the id was still there after the word was read, the word is the dead participant's. (Of a
 * block the CAS is made by sqi_block_free(), from a word of the same generation: as long as a block is
 * held its word does not change.)
 *
 * "The dead" below is the participant `d` that the call is for.
 */

/*
 * Decides whether the put that the dead had in hand happened, and counts it if so. It is in doubt
 * exactly while puts == intent_base. Then the cell tells: unless it is WRITING or VOID by the dead,
 * the commit had come first. The decision is recorded in the slot before any recoverer frees the
 * cell. The record bears the dead id, so a late recoverer cannot make it for the next tenant.
 *
 * Of the puts of a group all happened, or none. The position of the last is noted before they are
 * counted, as the dead would have done (put.c).
 */
void sqi_decide(struct sqi_ring *ring, const struct sqi_dead *d)
{
	struct sqi_slot *slot = sqi_slot(ring, d->number);
	uint64_t decision = sqi_load_seq(&slot->decision), puts, base, pos, span, last;

	if (decision >> 2 != d->id)
		return; /* it died before its first put, or the slot has another tenant */
	base = sqi_load_seq(&slot->intent_base);
	puts = sqi_load_seq(&slot->puts);
	span = sqi_load_seq(&slot->intent_span);
	pos = sqi_load_seq(sqi_intent(slot, base));
	last = sqi_load_seq(sqi_intent(slot, base + 1));
	if (!(decision & SQI_DECIDED)) {
		uint64_t verdict = SQI_DECIDED, w;

		if (puts != base)
			return;
		w = sqi_load_seq(&sqi_cell(ring, pos)->word);
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
	if (sqi_load_seq(&slot->id) != d->id || decision >> 2 != d->id ||
		!(decision & SQI_COMMITTED))
		return;
	if (span > 1)
		(void)sqi_cas(sqi_intent(slot, base + 1), last, pos + span - 1);
	(void)sqi_cas(&slot->puts, base, base + (span > 1 ? span : 1));
}

/* True if a cell of this word is given back when its owner is dead. Durable leases are kept. */
static bool is_reclaimed(uint64_t w, const struct sqi_dead *d)
{
	switch (sqi_word_state(w)) {
	case SQI_WRITING:
	case SQI_VOID:
	case SQI_RELEASING:
	case SQI_REMOVING:
		return true;
	case SQI_TAKEN:
		return d->durable == 0 || sqi_is_condemned(d->id);
	default:
		return false;
	}
}

/* Frees the cell, or gives its message back, by a CAS from this word. False if it has changed. */
static bool free_or_give_back(struct sqi_ring *ring, uint64_t pos, uint64_t w)
{
	struct sqi_cell *c = sqi_cell(ring, pos);

	/* D1. Of a group the other cells come first (K2). */
	sqi_group_clear(ring, pos, w, sqi_word_turn(w) + (sqi_word_state(w) == SQI_WRITING));
	switch (sqi_word_state(w)) {
	case SQI_WRITING:
		return sqi_cell_abandon(c, w); /* D1 */
	case SQI_TAKEN:
		if (!sqi_redelivery_give_back(ring, pos, w))
			return false;
		(void)sqi_add(&ring->head->reclaimed, 1);
		sqi_redelivery_announce(ring, pos);
		return true;
	default:
		return sqi_cell_free(c, w); /* D1 */
	}
}

/*
 * If the dead holds this cell, frees it or gives its message back. False if the slot has another
 * tenant; then nothing is done.
 */
bool sqi_reclaim_cell(struct sqi_ring *ring, uint64_t pos, const struct sqi_dead *d)
{
	const struct sqi_slot *slot = sqi_slot(ring, d->number);
	struct sqi_cell *c = sqi_cell(ring, pos);

	for (;;) {
		uint64_t w = sqi_load_seq(&c->word);
		struct sqi_ref ref;
		bool block;

		if (sqi_word_owner(w) != d->number + 1) {
			/* Another recoverer may have been killed before it announced this. */
			if (sqi_word_state(w) == SQI_BACK)
				sqi_redelivery_announce(ring, pos);
			return true;
		}
		if (!is_reclaimed(w, d))
			return true;
		/* Since L1 the block was to be freed before the cell; it may have been. */
		block = sqi_word_state(w) == SQI_RELEASING && sqi_message_block(ring, pos, &ref);
		/*
		 * The second look. If another recoverer has freed the cell meanwhile, the reference
		 * may be the next message's.
		 */
		if (block && sqi_load_seq(&c->word) != w)
			continue;
		/* Declared before the look at the id; withdrawn at the end of the slice (recovery.c): see docs/MEMORY_MODEL.md, "Lease times". */
		if (sqi_word_state(w) == SQI_TAKEN)
			sqi_declare_end(ring, w);
		if (sqi_load_seq(&slot->id) != d->id)
			return false;
		if (block)
			sqi_block_free(ring, &ref); /* the generation is raised: once only */
		if (free_or_give_back(ring, pos, w))
			return true;
		/* The cell was skipped, or another recoverer made the step: look again. */
	}
}

/*
 * True if the cell at the block's `home` holds a message in this block. Home is the cell that the
 * block's owner last meant it for.
 */
static bool cell_refers_to(const struct sqi_ring *ring, uint64_t index, uint64_t w)
{
	/*
	 * Relaxed: what the block's owner stored is visible, for the caller has seen it dead (D1),
	 * or a successor's id in its slot. A later value is of a holder of another generation; then
	 * the generations below differ.
	 */
	uint64_t home = sqi_load_relaxed(&sqi_block(ring, index)->home);
	struct sqi_ref ref;

	switch (sqi_word_state(sqi_load_seq(&sqi_cell(ring, home)->word))) {
	case SQI_FULL:
	case SQI_TAKEN:
	case SQI_BACK:
	case SQI_RELEASING:
		return sqi_message_block(ring, home, &ref) && ref.index == index &&
		       ref.gen == sqi_block_generation(w);
	default:
		return false;
	}
}

/*
 * Frees this block if the dead allocated it and no message is in it. The lap has gone over all
 * cells before, so no cell is WRITING by the dead any more. A message that is removed meanwhile
 * frees the block itself, and raises its generation: then this frees nothing. False if the slot has
 * another tenant.
 */
bool sqi_reclaim_block(struct sqi_ring *ring, uint64_t index, const struct sqi_dead *d)
{
	uint64_t w = sqi_load_seq(&sqi_block(ring, index)->word);

	if (sqi_block_is_free(w) || sqi_block_owner(w) != d->number + 1 ||
		cell_refers_to(ring, index, w))
		return true;
	/* After the word was read: so the word is not the next tenant's. */
	if (sqi_load_seq(&sqi_slot(ring, d->number)->id) != d->id)
		return false;
	sqi_block_free(ring, &(struct sqi_ref){.index = index, .gen = sqi_block_generation(w)});
	return true;
}
