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
uint64_t sqi_journal_count(const struct sqi_slot *slot, uint64_t puts)
{
	return sqi_look(&slot->journal_seq) + (puts - sqi_look(&slot->journal_puts));
}

/* The slot's tenant is gone: its count becomes the entry's, and its last put is on record. */
void sqi_journal_fold(struct sqi_ring *ring, struct sqi_slot *slot, uint64_t dead)
{
	for (uint64_t i = 0; i < ring->g.in.participants; i++) {
		struct sqi_entry *e = sqi_entry(ring, i);
		uint64_t seq, count, puts, last, now;

		if (sqi_look(&e->key) == 0)
			return;
		if (sqi_look(&e->who) != dead)
			continue;
		seq = sqi_look(&slot->journal_seq);
		puts = sqi_look(&slot->puts);
		count = sqi_journal_count(slot, puts);
		/* Else it died before it had put anything under the key. */
		if (sqi_look(&slot->journal) != i + 1)
			count = seq;
		/* Another put may have noted where it was to be since, but in the other place. */
		last = sqi_position_id(sqi_look(sqi_intent(slot, puts - 1)), ring->shift) + 1;
		now = sqi_look(&e->last);
		if (sqi_look(&slot->id) != dead)
			return;
		if (count != seq) {
			/* After the look at `last`: what was there then was of before this one. */
			if (sqi_look(&e->who) != dead)
				continue;
			(void)sqi_cas(&e->last, now, last);
			(void)sqi_cas(&e->seq, seq, count);
		}
		(void)sqi_cas(&e->who, dead, 0);
	}
}

struct sqi_entry *sqi_journal_find(
	struct sqi_ring *ring, uint64_t key, bool make, uint64_t *ret_index)
{
	for (uint64_t i = 0; i < ring->g.in.participants; i++) {
		struct sqi_entry *e = sqi_entry(ring, i);

		if (sqi_look(&e->key) == 0 && make)
			(void)sqi_cas(&e->key, 0, key);
		if (sqi_look(&e->key) == key) {
			*ret_index = i;
			return e;
		}
		if (sqi_look(&e->key) == 0)
			break;
	}
	return NULL;
}
