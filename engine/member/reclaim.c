/* SPDX-License-Identifier: ISC */
#include "member/reclaim.h"

#include <string.h>

#include "base/clock.h"
#include "base/event.h"
#include "member/count.h"
#include "member/grace.h"
#include "ring/cell.h"
#include "ring/returned.h"

/*
 * What death leaves behind. Anyone may run this at any time, several at once, and die in it: every
 * step is a CAS that only one of them makes, and the slot is released last, so that what a dead
 * recoverer left undone is done by the next. Nobody waits for it: it reclaims, and progress never
 * depends on it.
 *
 * It takes a lap over all cells and blocks. Who does it in passing does it in slices; but a slot is
 * released only by one who has himself done all of a lap that began after he had seen its id dead.
 * See docs/MEMORY_MODEL.md, "Recovery in slices".
 *
 * A slow recoverer must not rob the slot's next tenant. So: read the word, then read that the slot
 * still bears the dead id, then CAS that very word. If the id was still there after the word was
 * read, the word was of the dead.
 */

#ifndef SLICE_CELLS     /* the explorer has slices of one cell */
#define SLICE_CELLS 256 /* or blocks, between two looks at the clock */
#endif
#define SLICE_QUESTIONS 8

/*
 * Did the put in hand happen? It is in doubt if the intent was set and the count not yet raised.
 * Then the cell knows: if it is not being written by the dead, the commit had come first. The cell
 * is evidence, so the verdict is recorded before any recoverer lets it go; the record bears the
 * dead one's id, so that a slow one cannot write it for another.
 */
static void decide(struct sqi_member *m, struct sqi_slot *slot, unsigned owner, uint64_t dead)
{
	uint64_t decision = sqi_look(&slot->decision), puts, base, w;

	if (decision >> 2 != dead)
		return; /* it died before it could put anything, or we are late */
	base = sqi_look(&slot->intent_base);
	puts = sqi_look(&slot->puts);
	if (!(decision & SQI_DECIDED)) {
		uint64_t verdict = SQI_DECIDED;

		if (puts != base)
			return;
		w = sqi_look(&sqi_cell(m->ring, sqi_look(sqi_intent(slot, base)))->word);
		if (sqi_word_owner(w) != owner ||
			(sqi_word_state(w) != SQI_WRITING && sqi_word_state(w) != SQI_VOID))
			verdict |= SQI_COMMITTED;
		if (sqi_look(&slot->id) != dead)
			return;
		if (sqi_cas(&slot->decision, decision, decision | verdict))
			decision |= verdict;
		else
			decision = sqi_look(&slot->decision);
	}
	if (sqi_look(&slot->id) == dead && decision >> 2 == dead && (decision & SQI_COMMITTED))
		(void)sqi_cas(&slot->puts, base, base + 1);
}

/* What the dead held of this cell goes free, or back. False: the slot has another tenant. */
bool sqi_reap_cell(struct sqi_member *m, uint64_t pos, unsigned owner, const struct sqi_slot *slot,
	uint64_t dead, bool durable)
{
	struct sqi_cell *c = sqi_cell(m->ring, pos);

	for (;;) {
		uint64_t w = sqi_look(&c->word), to;
		struct sqi_ref ref;
		bool block;

		if (sqi_word_owner(w) != owner) {
			/* Another recoverer was faster, and may not have told of it yet. */
			if (sqi_word_state(w) == SQI_BACK)
				sqi_back_announce(m->ring, pos);
			return true;
		}
		block = sqi_word_state(w) == SQI_RELEASING && sqi_cell_block(m->ring, c, &ref);
		/*
		 * Another recoverer may have let the cell go meanwhile: then this would be the next
		 * message's block.
		 */
		if (block && sqi_look(&c->word) != w)
			continue;
		switch (sqi_word_state(w)) {
		case SQI_WRITING:
			to = sqi_word_free(w, 1);
			break;
		case SQI_VOID:
		case SQI_RELEASING:
			to = sqi_word_free(w, 0);
			break;
		case SQI_TAKEN:
			if (durable)
				return true;
			to = 0; /* sqi_back() knows */
			break;
		default:
			return true;
		}
		if (sqi_word_state(w) == SQI_TAKEN)
			sqi_ending(m->ring, w);
		if (sqi_look(&slot->id) != dead)
			return false;
		if (block)
			sqi_block_free(m->ring, &ref); /* by generation: twice is once */
		if (sqi_word_state(w) == SQI_TAKEN ? !sqi_back(m->ring, pos, w)
						   : !sqi_cas(&c->word, w, to))
			continue; /* skipped, or another recoverer was faster */
		if (sqi_word_state(w) == SQI_TAKEN) {
			(void)sqi_add(&m->ring->head->reclaimed, 1);
			sqi_back_announce(m->ring, pos);
		}
		return true;
	}
}

/* One that is dead. Whether its last put happened is found out before anything of it is let go. */
static void add(struct sqi_member *m, struct sqi_lap *lap, unsigned number, uint64_t dead)
{
	struct sqi_slot *slot = sqi_slot(m->ring, number);
	struct sqi_dead *d = &lap->dead[lap->count++];

	lap->left++;
	d->id = dead;
	d->number = number;
	d->seen_ns = (uint64_t)sqi_now_ns();
	/* Of the dead, if the slot still bears its id later. */
	d->durable = sqi_look(&slot->durable);
	decide(m, slot, number + 1, dead);
}

/* Its slot has another tenant: somebody else has done it all. */
static void drop(struct sqi_lap *lap, struct sqi_dead *d)
{
	d->id = 0;
	lap->left--;
}

static void lap_cell(struct sqi_member *m, struct sqi_lap *lap, uint64_t at)
{
	uint64_t w = sqi_look(&sqi_cell(m->ring, at)->word);
	unsigned owner = sqi_word_owner(w);

	/* It may have come back from the hands of one of them without the news of it. */
	if (sqi_word_state(w) == SQI_BACK)
		sqi_back_announce(m->ring, at);
	for (struct sqi_dead *d = lap->dead; owner != 0 && d < lap->dead + lap->count; d++)
		if (d->id != 0 && d->number + 1 == owner &&
			!sqi_reap_cell(m, at, owner, sqi_slot(m->ring, (unsigned)d->number), d->id,
				d->durable != 0 && !sqi_is_condemned(d->id)))
			drop(lap, d);
}

/* Does the cell that this block's owner last meant it for hold its message? */
static bool spoken_for(const struct sqi_ring *ring, uint64_t index, uint64_t w)
{
	const struct sqi_cell *c = sqi_cell(ring, sqi_peek(&sqi_block(ring, index)->home));
	struct sqi_ref ref;

	switch (sqi_word_state(sqi_look(&c->word))) {
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
 * This participant is gone: free this block if it held it and no message is in it. Its cells were
 * let go before, so a cell it was still writing does not count; and a message that leaves while we
 * look frees its block first, and our CAS fails. False: the slot has another tenant.
 */
bool sqi_block_reclaim(struct sqi_ring *ring, uint64_t index, unsigned owner,
	const struct sqi_slot *slot, uint64_t dead)
{
	sqi_u64 *word = &sqi_block(ring, index)->word;
	uint64_t w = sqi_look(word);

	if (sqi_block_is_free(w) || sqi_block_owner(w) != owner || spoken_for(ring, index, w))
		return true;
	/* After the look at the word: it is not of the slot's next tenant. */
	if (sqi_look(&slot->id) != dead)
		return false;
	sqi_block_free(ring, &(struct sqi_ref){.index = index, .gen = sqi_block_generation(w)});
	return true;
}

static void lap_block(struct sqi_member *m, struct sqi_lap *lap, uint64_t index)
{
	for (struct sqi_dead *d = lap->dead; d < lap->dead + lap->count; d++)
		if (d->id != 0 && !sqi_block_reclaim(m->ring, index, (unsigned)d->number + 1,
					  sqi_slot(m->ring, (unsigned)d->number), d->id))
			drop(lap, d);
}

/*
 * Till that moment, or to the end. True: this is the end. A small ring is done in less time than it
 * takes to be preempted, and those who wait for it should not wait for us to come again.
 */
bool sqi_go_on(struct sqi_member *m, struct sqi_lap *lap, int64_t until_ns)
{
	uint64_t cells = m->ring->mask + 1, all = cells + m->ring->g.blocks;
	bool whole = until_ns == INT64_MAX || all <= SQI_SMALL_RING;

	while (lap->left > 0 && lap->done < all) {
		if (lap->done < cells)
			lap_cell(m, lap, (lap->from + lap->done) & m->ring->mask);
		else
			lap_block(m, lap, lap->done - cells);
		if (++lap->done % SLICE_CELLS == 0 && lap->done < all && !whole &&
			sqi_now_ns() >= until_ns)
			break;
	}
	sqi_ending(m->ring, 0);
	return lap->left == 0 || lap->done == all;
}

/* All that these held was given back, but for the leases of those who may come again. */
void sqi_release(struct sqi_member *m, struct sqi_lap *lap)
{
	for (struct sqi_dead *d = lap->dead; d < lap->dead + lap->count; d++) {
		struct sqi_slot *slot = sqi_slot(m->ring, (unsigned)d->number);

		if (d->id == 0)
			continue;
		sqi_journal_fold(m->ring, slot, d->id);
		if (d->durable && !sqi_is_condemned(d->id)) {
			sqi_keep(slot, d);
			continue;
		}
		/* The next tenant is an ordinary one. */
		if (d->durable && sqi_look(&slot->id) == d->id)
			(void)sqi_cas(&slot->durable, d->durable, 0);
		if (sqi_cas(&slot->id, d->id, 0)) {
			sqi_wake_all(&m->ring->head->came);
			sqi_wake_all(&m->ring->head->went);
		}
	}
	memset(lap, 0, sizeof(*lap));
}

/* Give back all that this participant held: one found dead, or ourselves on leaving. */
void sqi_reap(struct sqi_member *m, unsigned number, uint64_t dead)
{
	struct sqi_lap lap = {0};

	add(m, &lap, number, dead);
	(void)sqi_go_on(m, &lap, INT64_MAX);
	sqi_release(m, &lap);
}

/*
 * Our own, on leaving. Who has nothing in hand need not go over a large ring to find it out. (In a
 * small one it is done all the same: there may be a block that damage has cut off from its message.)
 */
void sqi_give_up_slot(struct sqi_member *m)
{
	struct sqi_lap lap = {0};

	if (m->lap.claim)
		(void)sqi_cas(&m->ring->head->lap_ms, m->lap.claim, 0);
	if (m->held > 0 || m->ring->mask + 1 + m->ring->g.blocks <= SQI_SMALL_RING) {
		sqi_reap(m, m->ring->owner - 1, m->id);
		return;
	}
	add(m, &lap, m->ring->owner - 1, m->id);
	sqi_release(m, &lap);
}

/* Which of them are dead, from the slot `at` on? As many as a lap can be for. Returns where to go on. */
uint64_t sqi_ask(
	struct sqi_member *m, struct sqi_lap *lap, uint64_t at, uint64_t count, int64_t until_ns)
{
	for (uint64_t asked = 0; count > 0 && lap->count < SQI_LAP_MAX; count--) {
		unsigned n = (unsigned)(at % m->ring->g.in.participants);
		struct sqi_slot *slot = sqi_slot(m->ring, n);
		uint64_t id = sqi_look(&slot->id);

		at = n + 1;
		if (id == 0 || (sqi_is_kept(slot, id) && !sqi_condemn(slot, &id)))
			continue;
		if (sqi_is_dead(m, id))
			add(m, lap, n, id);
		if (++asked % SLICE_QUESTIONS == 0 && until_ns != INT64_MAX &&
			sqi_now_ns() >= until_ns)
			break;
	}
	return at;
}

/* Reap all the dead, at one go. How many there were. */
int sqi_rescue(struct sqi_member *m)
{
	uint64_t all = m->ring->g.in.participants, at = 0, seen = 0;
	int found = 0;

	while (at < all) {
		struct sqi_lap lap = {0};
		uint64_t end = sqi_ask(m, &lap, at, all - at, INT64_MAX);

		if (lap.count == 0)
			break;
		at = end;
		/* The grace of some may be over as soon as it begins: they are asked for again. */
		for (uint64_t i = lap.count; i-- > 0;) {
			const struct sqi_dead *d = &lap.dead[i];

			found += d->number >= seen;
			if (d->durable && !sqi_is_condemned(d->id))
				at = d->number;
		}
		seen = end > seen ? end : seen;
		(void)sqi_go_on(m, &lap, INT64_MAX);
		sqi_release(m, &lap);
	}
	return found;
}
