/* SPDX-License-Identifier: ISC */
#include "member/count.h"

#include "ring/message.h"

/*
 * Durable counts of puts. Called by the public calls on counts (engine/count.c), by join.c and by
 * recovery.c; by any number of participants at once.
 *
 * An entry holds a key, the id of the key's holder, and the count when the holder was bound; the
 * holder's slot holds `puts` then and now, so the count goes on without a write to the entry. When
 * the holder is gone its count is written to the entry, by a CAS from the old count: so this
 * happens once, however many participants do it.
 */

/* The count under the key that this slot's tenant is bound to, when the slot's `puts` is this. */
uint64_t sqi_count_of(const struct sqi_slot *slot, uint64_t puts)
{
	return sqi_load_seq(&slot->count_before) + (puts - sqi_load_seq(&slot->puts_before));
}

/*
 * The tenant `dead` of this slot is gone: writes its count and the id of its last put to the
 * entries that it holds, and frees these for another holder. The put in hand has been decided
 * before.
 */
void sqi_count_fold(struct sqi_ring *ring, struct sqi_slot *slot, uint64_t dead)
{
	for (uint64_t i = 0; i < ring->g.in.participants; i++) {
		struct sqi_count_entry *e = sqi_count_entry(ring, i);
		uint64_t seq, count, puts, last, now;

		if (sqi_load_seq(&e->key) == 0)
			return;
		if (sqi_load_seq(&e->holder) != dead)
			continue;
		seq = sqi_load_seq(&slot->count_before);
		puts = sqi_load_seq(&slot->puts);
		count = sqi_count_of(slot, puts);
		/* Not bound: it died between claiming the entry and binding to it. */
		if (sqi_load_seq(&slot->count_entry) != i + 1)
			count = seq;
		/* A put in hand that did not happen has its position in the other element. */
		last = sqi_position_id(sqi_load_seq(sqi_intent(slot, puts - 1)), ring->shift) + 1;
		now = sqi_load_seq(&e->last);
		if (sqi_load_seq(&slot->id) != dead)
			return;
		if (count != seq) {
			/* After e->last was read: so `now` is not a later holder's. */
			if (sqi_load_seq(&e->holder) != dead)
				continue;
			(void)sqi_cas(&e->last, now, last);
			(void)sqi_cas(&e->count, seq, count);
		}
		(void)sqi_cas(&e->holder, dead, 0);
	}
}

/*
 * The entry of this key, and its index; if there is none and `make` is set, a free one, which is
 * given the key. NULL: there is none, or none is free. Entries are used from the first on and keep
 * their keys, so a free one is the end.
 */
struct sqi_count_entry *sqi_count_find(
	struct sqi_ring *ring, uint64_t key, bool make, uint64_t *ret_index)
{
	for (uint64_t i = 0; i < ring->g.in.participants; i++) {
		struct sqi_count_entry *e = sqi_count_entry(ring, i);

		if (sqi_load_seq(&e->key) == 0 && make)
			(void)sqi_cas(&e->key, 0, key);
		if (sqi_load_seq(&e->key) == key) {
			*ret_index = i;
			return e;
		}
		if (sqi_load_seq(&e->key) == 0)
			break;
	}
	return NULL;
}
