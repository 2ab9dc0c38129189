/* SPDX-License-Identifier: ISC */
#include "member/lap.h"

#include <string.h>

#include "base/clock.h"
#include "base/event.h"
#include "member/count.h"
#include "member/grace.h"
#include "member/reclaim.h"
#include "ring/returned.h"

/*
 * Reclaiming what death leaves behind: a lap over all cells and blocks. Anyone may do it at any time,
 * several at once, and die in it: the slot is released last, so what a dead recoverer left undone is
 * done by the next. Nobody waits for it: it reclaims, and progress never depends on it.
 *
 * Who does it in passing does it in slices; but a slot is released only by one who has itself done
 * all of a lap that began after it had seen the slot's id dead. See docs/MEMORY_MODEL.md, "Recovery
 * in slices".
 */

#ifndef SLICE_CELLS     /* the explorer has slices of one cell */
#define SLICE_CELLS 256 /* or blocks, between two looks at the clock */
#endif
#define SLICE_QUESTIONS 8

/* One more dead one. Whether its last put happened is decided before anything of it is let go. */
static void add(struct sqi_ring *ring, struct sqi_lap *lap, unsigned number, uint64_t dead)
{
	struct sqi_slot *slot = sqi_slot(ring, number);
	struct sqi_dead *d = &lap->dead[lap->count++];

	lap->left++;
	d->id = dead;
	d->number = number;
	d->seen_ns = (uint64_t)sqi_now_ns();
	/* Of the dead, if the slot still bears its id later. */
	d->durable = sqi_load_seq(&slot->durable);
	sqi_decide(ring, d);
}

/* Its slot has another tenant: somebody else has done it all. */
static void drop(struct sqi_lap *lap, struct sqi_dead *d)
{
	d->id = 0;
	lap->left--;
}

static void lap_cell(struct sqi_ring *ring, struct sqi_lap *lap, uint64_t pos)
{
	uint64_t w = sqi_load_seq(&sqi_cell(ring, pos)->word);
	unsigned owner = sqi_word_owner(w);

	/* Somebody may have given it back for one of them, and not announced it. */
	if (sqi_word_state(w) == SQI_BACK)
		sqi_returned_announce(ring, pos);
	for (struct sqi_dead *d = lap->dead; owner != 0 && d < lap->dead + lap->count; d++)
		if (d->id != 0 && d->number + 1 == owner && !sqi_reclaim_cell(ring, pos, d))
			drop(lap, d);
}

static void lap_block(struct sqi_ring *ring, struct sqi_lap *lap, uint64_t index)
{
	for (struct sqi_dead *d = lap->dead; d < lap->dead + lap->count; d++)
		if (d->id != 0 && !sqi_reclaim_block(ring, index, d))
			drop(lap, d);
}

/*
 * Go on with the lap until that moment, or to its end: true. A small ring is done at one go: that
 * takes less time than being preempted, and nobody has to wait for the next slice.
 */
bool sqi_lap_slice(struct sqi_member *m, struct sqi_lap *lap, int64_t until_ns)
{
	uint64_t cells = m->ring->mask + 1, all = cells + m->ring->g.blocks;
	bool whole = until_ns == INT64_MAX || all <= SQI_SMALL_RING;

	while (lap->left > 0 && lap->done < all) {
		if (lap->done < cells)
			lap_cell(m->ring, lap, (lap->from + lap->done) & m->ring->mask);
		else
			lap_block(m->ring, lap, lap->done - cells);
		if (++lap->done % SLICE_CELLS == 0 && lap->done < all && !whole &&
			sqi_now_ns() >= until_ns)
			break;
	}
	sqi_announce_end(m->ring, 0);
	return lap->left == 0 || lap->done == all;
}

/* All that these held was given back, but for the leases of those who may come again. */
void sqi_lap_end(struct sqi_member *m, struct sqi_lap *lap)
{
	for (struct sqi_dead *d = lap->dead; d < lap->dead + lap->count; d++) {
		struct sqi_slot *slot = sqi_slot(m->ring, (unsigned)d->number);

		if (d->id == 0)
			continue;
		sqi_count_fold(m->ring, slot, d->id);
		if (d->durable && !sqi_is_condemned(d->id)) {
			sqi_grace_keep(slot, d);
			continue;
		}
		/* The next tenant is an ordinary one. */
		if (d->durable && sqi_load_seq(&slot->id) == d->id)
			(void)sqi_cas(&slot->durable, d->durable, 0);
		if (sqi_cas(&slot->id, d->id, 0)) {
			sqi_event_wake_all(&m->ring->head->message_event);
			sqi_event_wake_all(&m->ring->head->room_event);
		}
	}
	memset(lap, 0, sizeof(*lap));
}

/* Give back all that this participant held: one found dead, or ourselves on leaving. */
void sqi_reclaim_slot(struct sqi_member *m, unsigned number, uint64_t dead)
{
	struct sqi_lap lap = {0};

	add(m->ring, &lap, number, dead);
	(void)sqi_lap_slice(m, &lap, INT64_MAX);
	sqi_lap_end(m, &lap);
}

/*
 * Can we leave without a lap? Who has nothing in hand need not go over a large ring to find that out.
 * (Over a small one it goes all the same: there may be a block that damage has cut off from its
 * message.)
 */
bool sqi_leaves_at_once(const struct sqi_member *m)
{
	return m->held == 0 && m->ring->mask + 1 + m->ring->g.blocks > SQI_SMALL_RING;
}

/* Give back all that we hold, on leaving; but who leaves at once has given back its reservation. */
void sqi_reclaim_own(struct sqi_member *m)
{
	struct sqi_lap lap = {0};

	if (m->lap.claim)
		(void)sqi_cas(&m->ring->head->lap_ms, m->lap.claim, 0);
	if (!sqi_leaves_at_once(m)) {
		sqi_reclaim_slot(m, m->ring->owner - 1, m->id);
		return;
	}
	add(m->ring, &lap, m->ring->owner - 1, m->id);
	sqi_lap_end(m, &lap);
}

/* Which of them are dead, from the slot `at` on? As many as a lap can be for. Returns where to go on. */
uint64_t sqi_find_dead(
	struct sqi_member *m, struct sqi_lap *lap, uint64_t at, uint64_t count, int64_t until_ns)
{
	for (uint64_t asked = 0; count > 0 && lap->count < SQI_LAP_MAX; count--) {
		unsigned n = (unsigned)(at % m->ring->g.in.participants);
		struct sqi_slot *slot = sqi_slot(m->ring, n);
		uint64_t id = sqi_load_seq(&slot->id);

		at = n + 1;
		if (id == 0 || (sqi_is_kept(slot, id) && !sqi_grace_end(slot, &id)))
			continue;
		if (sqi_is_dead(m, id))
			add(m->ring, lap, n, id);
		if (++asked % SLICE_QUESTIONS == 0 && until_ns != INT64_MAX &&
			sqi_now_ns() >= until_ns)
			break;
	}
	return at;
}

/* Reclaim what all the dead have left, at one go. How many there were. */
int sqi_reclaim_dead(struct sqi_member *m)
{
	uint64_t all = m->ring->g.in.participants, at = 0, seen = 0;
	int found = 0;

	while (at < all) {
		struct sqi_lap lap = {0};
		uint64_t end = sqi_find_dead(m, &lap, at, all - at, INT64_MAX);

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
		(void)sqi_lap_slice(m, &lap, INT64_MAX);
		sqi_lap_end(m, &lap);
	}
	return found;
}
