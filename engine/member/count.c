/* SPDX-License-Identifier: ISC */
#include "member/count.h"

#include "ring/cell.h"

/*
 * Durable counts of puts. An entry holds a key, the id of the participant bound to it, and the
 * count when that one was bound; the slot holds what is needed to add to it what has been put
 * since. Folding the one into the other is one CAS from the old count, so it happens once, whoever
 * does it and however often.
 */

/* What the slot's tenant has put under its key, with what was there before. */
uint64_t sqi_count_of(const struct sqi_slot *slot, uint64_t puts)
{
	return sqi_load_seq(&slot->journal_seq) + (puts - sqi_load_seq(&slot->journal_puts));
}

/* The slot's tenant is gone: its count becomes the entry's, and its last put is on record. */
void sqi_count_fold(struct sqi_ring *ring, struct sqi_slot *slot, uint64_t dead)
{
	for (uint64_t i = 0; i < ring->g.in.participants; i++) {
		struct sqi_count_entry *e = sqi_count_entry(ring, i);
		uint64_t seq, count, puts, last, now;

		if (sqi_load_seq(&e->key) == 0)
			return;
		if (sqi_load_seq(&e->who) != dead)
			continue;
		seq = sqi_load_seq(&slot->journal_seq);
		puts = sqi_load_seq(&slot->puts);
		count = sqi_count_of(slot, puts);
		/* Else it died before it had put anything under the key. */
		if (sqi_load_seq(&slot->journal) != i + 1)
			count = seq;
		/* Another put may have noted where it was to be since, but in the other place. */
		last = sqi_position_id(sqi_load_seq(sqi_intent(slot, puts - 1)), ring->shift) + 1;
		now = sqi_load_seq(&e->last);
		if (sqi_load_seq(&slot->id) != dead)
			return;
		if (count != seq) {
			/* After the look at `last`: what was there then was of before this one. */
			if (sqi_load_seq(&e->who) != dead)
				continue;
			(void)sqi_cas(&e->last, now, last);
			(void)sqi_cas(&e->seq, seq, count);
		}
		(void)sqi_cas(&e->who, dead, 0);
	}
}

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
