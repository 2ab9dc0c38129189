/* SPDX-License-Identifier: ISC */
#include "member/join.h"

#include <errno.h>
#include <unistd.h>

#include "member/count.h"
#include "member/grace.h"
#include "member/lap.h"
#include "sq.h"

/*
 * Becoming a participant: an id, a lock, a slot; and giving back what one holds, and the slot.
 * Called when a handle is opened and closed.
 */

/* The slot bears our id. */
static void move_in(struct sqi_member *m, unsigned number)
{
	struct sqi_slot *slot = sqi_slot(m->ring, number);

	m->ring->slot = slot;
	m->ring->owner = number + 1;
	/*
	 * The former tenant's intent is void, and only then is there one of ours to decide about.
	 */
	sqi_store_release(&slot->intent_base, ~(uint64_t)0);
	sqi_store_release(&slot->journal, 0);
	sqi_store_release(&slot->ending, 0);
	sqi_store_release(&slot->decision, m->id << 2);
	sqi_store_release(&slot->pid, (uint64_t)getpid());
	m->puts = sqi_load_relaxed(&slot->puts);
}

static bool take_slot(struct sqi_member *m)
{
	for (unsigned n = 0; n < m->ring->g.in.participants; n++) {
		struct sqi_slot *slot = sqi_slot(m->ring, n);

		if (sqi_load_seq(&slot->id) == 0 && sqi_cas(&slot->id, 0, m->id)) {
			move_in(m, n);
			return true;
		}
	}
	return false;
}

/* G3. False: the grace of that one, who is dead, is over, and nothing of it is left. */
static bool adopt(struct sqi_member *m, unsigned number, uint64_t id)
{
	struct sqi_slot *slot = sqi_slot(m->ring, number);

	if (!sqi_is_kept(slot, id) && !sqi_is_condemned(id))
		sqi_reclaim_slot(m, number, id);
	if (!sqi_is_condemned(id) && !sqi_grace_end(slot, &id)) {
		if (sqi_cas(&slot->id, id, m->id))
			return true;
		id |= SQI_CONDEMNED; /* another was faster */
	}
	sqi_reclaim_slot(m, number, id);
	return false;
}

/*
 * The slot of the durable participant of this key, which is ours: with the leases in it. It has a
 * dead tenant, for the key's only live holder is us.
 */
static bool take_kept_slot(struct sqi_member *m, uint64_t index)
{
	for (unsigned n = 0; n < m->ring->g.in.participants; n++) {
		const struct sqi_slot *slot = sqi_slot(m->ring, n);
		uint64_t id = sqi_load_seq(&slot->id);

		if (id == 0 || (sqi_load_seq(&slot->durable) & SQI_DURABLE_INDEX) != index + 1)
			continue;
		if (adopt(m, n, id)) {
			move_in(m, n);
			return true;
		}
	}
	return false;
}

/* A slot, if need be one of the dead. */
static int settle(struct sqi_member *m)
{
	if (take_slot(m))
		return 0;
	(void)sqi_reclaim_dead(m);
	return take_slot(m) ? 0 : -EUSERS;
}

/* Be the only live holder of the key. -EBUSY: another lives. -ENOSPC. */
int sqi_count_claim(struct sqi_member *m, uint64_t key, uint64_t *ret_index)
{
	struct sqi_count_entry *e = sqi_count_find(m->ring, key, true, ret_index);

	if (!e)
		return -ENOSPC;
	while (!sqi_cas(&e->who, 0, m->id)) {
		uint64_t who = sqi_load_seq(&e->who);

		if (who == 0)
			continue;
		if (!sqi_is_dead(m, who))
			return -EBUSY;
		(void)sqi_reclaim_dead(m);
		/*
		 * It has no slot any more: it died when its slot was already free, or before it had
		 * one.
		 */
		(void)sqi_cas(&e->who, who, 0);
	}
	return 0;
}

static int join_durably(struct sqi_member *m, uint64_t key, uint64_t grace)
{
	uint64_t index;
	int r = sqi_count_claim(m, key, &index);

	m->held = SQI_HELD_UNKNOWN;
	if (r < 0)
		return r;
	if (take_kept_slot(m, index)) {
		sqi_store_release(&m->ring->slot->grace, grace);
		return 0;
	}
	r = settle(m);
	if (r < 0)
		return r;
	/* G0. Last `durable`: whoever finds us dead before has an ordinary slot to free. */
	sqi_store_release(&m->ring->slot->grace, grace);
	sqi_store_release(&m->ring->slot->run, m->id);
	sqi_store_release(&m->ring->slot->durable, m->id << 16 | SQI_DURABLE_NEW | (index + 1));
	return 0;
}

/*
 * Become a participant; a durable one, if there is a key. -EUSERS: no slot is free, and none is
 * held by the dead. -EBUSY: the key's holder lives. -ENOSPC: no room for another key.
 */
int sqi_join(struct sqi_member *m, uint64_t key, int64_t grace)
{
	int r = sqi_new_id(m);

	if (r < 0)
		return r;
	if (!key)
		return settle(m);
	return join_durably(m, key, grace == SQ_FOREVER ? SQI_GRACE_FOREVER : (uint64_t)grace);
}

/* Give back what we hold, and the slot. The caller closes the descriptor afterwards. */
void sqi_leave(struct sqi_member *m)
{
	if (m->ring->slot)
		sqi_reclaim_own(m);
	m->ring->slot = NULL;
	sqi_drop_id(m);
}
