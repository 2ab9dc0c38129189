/* SPDX-License-Identifier: ISC */
#include "member/recovery.h"

#include <string.h>

#include "base/clock.h"
#include "base/event.h"
#include "member/count.h"
#include "member/grace.h"
#include "member/reclaim.h"
#include "ring/ending.h"
#include "ring/redelivery.h"

/*
 * Recovery: a lap over all cells and blocks gives back what dead participants held. Called by
 * upkeep.c in slices, by join.c for one slot, and by the public calls that reclaim all at once
 * (sq_recover(), sq_gc(), ...). Any number of participants may be in it at once, also for the same
 * dead ones, and may be killed in it: the slot is released last, so the next recoverer does what is
 * left. No participant waits for a recoverer.
 *
 * A recoverer releases a slot only if it has itself gone over every cell and every block since it
 * saw the slot's id dead. See docs/MEMORY_MODEL.md, "Recovery in slices".
 */

#define SLICE_QUESTIONS 8 /* lock queries between two looks at the clock */

/*
 * Adds a dead participant to those that the lap is for. Whether its put in hand happened is decided
 * here, before the lap frees the cell that tells.
 */
static void recovery_add(
	struct sqi_ring *ring, struct sqi_recovery *recovery, unsigned number, uint64_t dead)
{
	struct sqi_slot *slot = sqi_slot(ring, number);
	struct sqi_dead *d = &recovery->dead[recovery->count++];

	recovery->left++;
	d->id = dead;
	d->number = number;
	d->seen_ns = (uint64_t)sqi_now_ns();
	/* It is the dead participant's if the slot still bears its id at a later look. */
	d->durable = sqi_load_seq(&slot->durable);
	sqi_decide(ring, d);
}

/* Its slot has another tenant, so another recoverer has given back all that it held. */
static void recovery_drop(struct sqi_recovery *recovery, struct sqi_dead *d)
{
	d->id = 0;
	recovery->left--;
}

/* Gives back what the dead participants hold of this cell. */
static void recover_cell(struct sqi_ring *ring, struct sqi_recovery *recovery, uint64_t pos)
{
	uint64_t w = sqi_load_seq(&sqi_cell(ring, pos)->word);
	unsigned owner = sqi_word_owner(w);

	/* A recoverer may have been killed between giving the message back and announcing it. */
	if (sqi_word_state(w) == SQI_BACK)
		sqi_redelivery_announce(ring, pos);
	for (struct sqi_dead *d = recovery->dead;
		owner != 0 && d < recovery->dead + recovery->count; d++)
		if (d->id != 0 && d->number + 1 == owner && !sqi_reclaim_cell(ring, pos, d))
			recovery_drop(recovery, d);
}

/* Frees this block if a dead participant allocated it and no message is in it. */
static void recover_block(struct sqi_ring *ring, struct sqi_recovery *recovery, uint64_t index)
{
	for (struct sqi_dead *d = recovery->dead; d < recovery->dead + recovery->count; d++)
		if (d->id != 0 && !sqi_reclaim_block(ring, index, d))
			recovery_drop(recovery, d);
}

/*
 * Goes on with the lap until that moment, or to its end. True if the end is reached. A small ring
 * is done in one slice: that takes less time than the wait for a second one.
 */
bool sqi_recovery_slice(struct sqi_member *m, struct sqi_recovery *recovery, int64_t until_ns)
{
	uint64_t cells = m->ring->mask + 1, all = cells + m->ring->g.blocks;
	bool whole = until_ns == INT64_MAX || all <= SQI_SMALL_RING;

	while (recovery->left > 0 && recovery->done < all) {
		if (recovery->done < cells)
			recover_cell(m->ring, recovery,
				(recovery->from + recovery->done) & m->ring->mask);
		else
			recover_block(m->ring, recovery, recovery->done - cells);
		if (++recovery->done % SQI_SLICE_CELLS == 0 && recovery->done < all && !whole &&
			sqi_now_ns() >= until_ns)
			break;
	}
	sqi_declare_end(m->ring, 0);
	return recovery->left == 0 || recovery->done == all;
}

/*
 * The lap has gone over everything: notes what is left of each durable participant (its leases),
 * and releases the slots of the others. To be called once sqi_recovery_slice() has returned true.
 */
void sqi_recovery_end(struct sqi_member *m, struct sqi_recovery *recovery)
{
	for (struct sqi_dead *d = recovery->dead; d < recovery->dead + recovery->count; d++) {
		struct sqi_slot *slot = sqi_slot(m->ring, (unsigned)d->number);

		if (d->id == 0)
			continue;
		sqi_count_fold(m->ring, slot, d->id);
		if (d->durable && !sqi_is_condemned(d->id)) {
			sqi_grace_keep(slot, d);
			continue;
		}
		/* The grace is over: the slot's next tenant is not durable. */
		if (d->durable && sqi_load_seq(&slot->id) == d->id)
			(void)sqi_cas(&slot->durable, d->durable, 0);
		/*
		 * Freed cells are room; and if the queue was shut down, a cell that was WRITING may
		 * have kept its end from the consumers.
		 */
		if (sqi_cas(&slot->id, d->id, 0)) {
			sqi_event_wake_all(&m->ring->head->message_event);
			sqi_event_wake_all(&m->ring->head->room_event);
		}
	}
	memset(recovery, 0, sizeof(*recovery));
}

/*
 * A whole lap for one participant, which is dead, or is the caller and leaves. Gives back all that
 * it held, and releases the slot or, if it is durable, keeps its leases.
 */
void sqi_recover_slot(struct sqi_member *m, unsigned number, uint64_t dead)
{
	struct sqi_recovery recovery = {0};

	recovery_add(m->ring, &recovery, number, dead);
	(void)sqi_recovery_slice(m, &recovery, INT64_MAX);
	sqi_recovery_end(m, &recovery);
}

/*
 * True if the caller may leave without a lap: it has no cell TAKEN, and the ring is large. Over a
 * small ring it goes all the same, for there may be a block that damage has cut off from its
 * message.
 */
bool sqi_leaves_at_once(const struct sqi_member *m)
{
	return m->held == 0 && m->ring->mask + 1 + m->ring->g.blocks > SQI_SMALL_RING;
}

/*
 * The caller leaves: gives back all that it holds, and its slot. If it leaves without a lap, its
 * reservation must have been given up before.
 */
void sqi_recover_own(struct sqi_member *m)
{
	struct sqi_recovery recovery = {0};

	/* The caller's own lap ends here, so another participant may begin one at once. */
	if (m->recovery.claim)
		(void)sqi_cas(&m->ring->head->recovery_ms, m->recovery.claim, 0);
	if (!sqi_leaves_at_once(m)) {
		sqi_recover_slot(m, m->ring->owner - 1, m->id);
		return;
	}
	recovery_add(m->ring, &recovery, m->ring->owner - 1, m->id);
	sqi_recovery_end(m, &recovery);
}

/*
 * Looks at up to `count` slots from the slot `at` on, and adds the dead to the lap, until the lap
 * has as many as it can be for, or that moment has come. Tenants whose grace is over are condemned
 * on the way (G4). Returns the slot to go on at.
 */
uint64_t sqi_find_dead(struct sqi_member *m, struct sqi_recovery *recovery, uint64_t at,
	uint64_t count, int64_t until_ns)
{
	for (uint64_t asked = 0; count > 0 && recovery->count < SQI_RECOVERY_MAX; count--) {
		unsigned n = (unsigned)(at % m->ring->g.in.participants);
		struct sqi_slot *slot = sqi_slot(m->ring, n);
		uint64_t id = sqi_load_seq(&slot->id);

		at = n + 1;
		if (id == 0 || (sqi_is_kept(slot, id) && !sqi_grace_end(slot, &id)))
			continue;
		if (sqi_is_dead(m, id))
			recovery_add(m->ring, recovery, n, id);
		if (++asked % SLICE_QUESTIONS == 0 && until_ns != INT64_MAX &&
			sqi_now_ns() >= until_ns)
			break;
	}
	return at;
}

/* Gives back what all dead participants held, in whole laps. Returns how many there were. */
int sqi_recover_dead(struct sqi_member *m)
{
	uint64_t all = m->ring->g.in.participants, at = 0, seen = 0;
	int found = 0;

	while (at < all) {
		struct sqi_recovery recovery = {0};
		uint64_t end = sqi_find_dead(m, &recovery, at, all - at, INT64_MAX);

		if (recovery.count == 0)
			break;
		at = end;
		/* A durable one's grace may be 0, so over after this lap: look at it once more. */
		for (uint64_t i = recovery.count; i-- > 0;) {
			const struct sqi_dead *d = &recovery.dead[i];

			found += d->number >= seen;
			if (d->durable && !sqi_is_condemned(d->id))
				at = d->number;
		}
		seen = end > seen ? end : seen;
		(void)sqi_recovery_slice(m, &recovery, INT64_MAX);
		sqi_recovery_end(m, &recovery);
	}
	return found;
}
