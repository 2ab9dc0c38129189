/* SPDX-License-Identifier: ISC */
#include "member/join.h"

#include <errno.h>
#include <unistd.h>

#include "member/count.h"
#include "member/grace.h"
#include "member/recovery.h"
#include "sq.h"

/*
 * Becoming a participant (an id, its lock, a slot) and leaving (what it holds is given back, then
 * the slot, then the lock). Called when a handle is opened or closed, and sqi_count_hold() also by
 * sq_count_bind(); by any number of participants at once.
 *
 * A slot is taken by a CAS of its id, so it has one tenant. The steps G0 and G3 are those of
 * docs/MEMORY_MODEL.md, "Graces"; opener's step 1 is that of "The end of a queue" there.
 */

/*
 * Makes the slot the caller's; it bears the caller's id already. If the caller dies recovery reads
 * these words, and must not take the former tenant's put in hand for the caller's. So `decision`,
 * which says that there may be a put to decide about, comes after intent_base: each store releases
 * those before it to sqi_decide(), which loads `decision` first.
 */
static void move_in(struct sqi_member *m, unsigned number)
{
	struct sqi_slot *slot = sqi_slot(m->ring, number);

	m->ring->slot = slot;
	m->ring->owner = number + 1;
	sqi_store_release(&slot->intent_base, ~(uint64_t)0);
	sqi_store_release(&slot->intent_span, 0);
	sqi_store_release(&slot->count_entry, 0);
	sqi_store_release(&slot->ending, 0);
	sqi_store_release(&slot->decision, m->id << 2);
	sqi_store_release(&slot->pid, (uint64_t)getpid());
	/* Relaxed: the CAS of the slot's id came after the former tenant's last change. */
	m->puts = sqi_load_relaxed(&slot->puts);
}

/* Takes the first free slot. False: none is free. */
static bool take_slot(struct sqi_member *m)
{
	for (struct sqi_slots s = {0}; sqi_slots_next(m->ring, &s);)
		/* Opener's step 1: the id's byte has been locked by sqi_new_id(). */
		if (s.id == 0 && sqi_cas(&s.slot->id, 0, m->id)) {
			move_in(m, s.number);
			return true;
		}
	return false;
}

/*
 * Takes the slot of the dead tenant `id`, with its leases. False if its grace is over: then it has
 * been condemned, and its leases have been given back.
 */
static bool adopt(struct sqi_member *m, unsigned number, uint64_t id)
{
	struct sqi_slot *slot = sqi_slot(m->ring, number);

	if (!sqi_is_kept(slot, id) && !sqi_is_condemned(id))
		sqi_recover_slot(m, number, id);
	if (!sqi_is_condemned(id) && !sqi_grace_end(slot, &id)) {
		/* G3, and opener's step 1. */
		if (sqi_cas(&slot->id, id, m->id))
			return true;
		id |= SQI_CONDEMNED; /* another participant did G4 */
	}
	sqi_recover_slot(m, number, id);
	return false;
}

/*
 * Takes the slot that a durable participant of this key has left, with its leases. False if there
 * is none, or the grace is over. The caller is the key's holder, so the tenant of such a slot is
 * dead.
 */
static bool take_kept_slot(struct sqi_member *m, uint64_t index)
{
	for (struct sqi_slots s = {0}; sqi_slots_next(m->ring, &s);) {
		if (s.id == 0 || (sqi_load_seq(&s.slot->durable) & SQI_DURABLE_INDEX) != index + 1)
			continue;
		if (adopt(m, s.number, s.id)) {
			move_in(m, s.number);
			return true;
		}
	}
	return false;
}

/* The same; if none is free, after reclaiming those of the dead. 0, or -EUSERS as sqi_join(). */
static int take_slot_or_reclaim(struct sqi_member *m)
{
	if (take_slot(m))
		return 0;
	(void)sqi_recover_dead(m);
	return take_slot(m) ? 0 : -EUSERS;
}

/*
 * Makes the caller the key's holder: the only living one. 0, and the index of the key's entry.
 * -EBUSY: another holder lives. -ENOSPC: no entry is free.
 */
int sqi_count_hold(struct sqi_member *m, uint64_t key, uint64_t *ret_index)
{
	struct sqi_count_entry *e = sqi_count_find(m->ring, key, true, ret_index);

	if (!e)
		return -ENOSPC;
	while (!sqi_cas(&e->holder, 0, m->id)) {
		uint64_t who = sqi_load_seq(&e->holder);

		if (who == 0)
			continue;
		if (!sqi_is_dead(m, who))
			return -EBUSY;
		(void)sqi_recover_dead(m);
		/*
		 * Recovery does this, unless the holder has no slot: it died before it took one, or
		 * after it released it.
		 */
		(void)sqi_cas(&e->holder, who, 0);
	}
	return 0;
}

/* sqi_join() with a key. The grace is in nanoseconds, or SQI_GRACE_FOREVER. */
static int join_durably(struct sqi_member *m, uint64_t key, uint64_t grace)
{
	uint64_t index;
	int r = sqi_count_hold(m, key, &index);

	m->held = SQI_HELD_UNKNOWN;
	if (r < 0)
		return r;
	if (take_kept_slot(m, index)) {
		/* Until then the grace is the former tenant's. Pairs with sqi_grace_left(). */
		sqi_store_release(&m->ring->slot->grace, grace);
		return 0;
	}
	r = take_slot_or_reclaim(m);
	if (r < 0)
		return r;
	/*
	 * G0. `durable` comes last: until then recovery frees the slot as an ordinary one. It
	 * releases the other two to whatever sees it.
	 */
	sqi_store_release(&m->ring->slot->grace, grace);
	sqi_store_release(&m->ring->slot->run, m->id);
	sqi_store_release(&m->ring->slot->durable, m->id << 16 | SQI_DURABLE_NEW | (index + 1));
	return 0;
}

/*
 * Makes the caller a participant; a durable one, if key is not 0, with this grace in nanoseconds or
 * SQ_FOREVER. -EUSERS: all slots have living tenants, or leases in them that are kept. -EBUSY: the
 * key's holder lives. -ENOSPC: no room for another key. Or an error of sqi_new_id().
 */
int sqi_join(struct sqi_member *m, uint64_t key, int64_t grace)
{
	int r = sqi_new_id(m);

	if (r < 0)
		return r;
	if (!key)
		return take_slot_or_reclaim(m);
	return join_durably(m, key, grace == SQ_FOREVER ? SQI_GRACE_FOREVER : (uint64_t)grace);
}

/*
 * Gives back what the caller holds, its slot, and its lock. The caller closes the descriptor
 * afterwards.
 */
void sqi_leave(struct sqi_member *m)
{
	if (m->ring->slot)
		sqi_recover_own(m);
	m->ring->slot = NULL;
	sqi_drop_id(m);
}
