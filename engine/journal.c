/* SPDX-License-Identifier: ISC */
#include <errno.h>

#include "cell.h"
#include "handle.h"

/*
 * Durable counts of puts. An entry holds a key, the id of the participant bound to it, and the
 * count when that one was bound; the slot holds what is needed to add to it what has been put
 * since. Folding the one into the other is one CAS from the old count, so it happens once, whoever
 * does it and however often.
 */

/* What the slot's tenant has put under its key, with what was there before. */
static uint64_t count_of(const struct sqi_slot *slot, uint64_t puts)
{
	return sqi_look(&slot->journal_seq) + (puts - sqi_look(&slot->journal_puts));
}

/* The slot's tenant is gone: its count becomes the entry's, and its last put is on record. */
void sqi_journal_fold(struct sq *h, struct sqi_slot *slot, uint64_t dead)
{
	for (uint64_t i = 0; i < h->g.in.participants; i++) {
		struct sqi_entry *e = sqi_entry(h, i);
		uint64_t seq, count, puts, last, now;

		if (sqi_look(&e->key) == 0)
			return;
		if (sqi_look(&e->who) != dead)
			continue;
		seq = sqi_look(&slot->journal_seq);
		puts = sqi_look(&slot->puts);
		count = count_of(slot, puts);
		/* Else it died before it had put anything under the key. */
		if (sqi_look(&slot->journal) != i + 1)
			count = seq;
		/* Another put may have noted where it was to be since, but in the other place. */
		last = sqi_position_id(sqi_look(sqi_intent(slot, puts - 1)), h->shift) + 1;
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

static struct sqi_entry *find(struct sq *h, uint64_t key, bool make, uint64_t *ret_index)
{
	for (uint64_t i = 0; i < h->g.in.participants; i++) {
		struct sqi_entry *e = sqi_entry(h, i);

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

/* Be the only live holder of the key. -EBUSY: another lives. -ENOSPC. */
int sqi_journal_claim(struct sq *h, uint64_t key, uint64_t *ret_index)
{
	struct sqi_entry *e = find(h, key, true, ret_index);

	if (!e)
		return -ENOSPC;
	while (!sqi_cas(&e->who, 0, h->id)) {
		uint64_t who = sqi_look(&e->who);

		if (who == 0)
			continue;
		if (!sqi_is_dead(h, who))
			return -EBUSY;
		(void)sqi_rescue(h);
		/*
		 * It has no slot any more: it died when its slot was already free, or before it had
		 * one.
		 */
		(void)sqi_cas(&e->who, who, 0);
	}
	return 0;
}

int sq_bind(struct sq *h, uint64_t key, uint64_t *ret)
{
	uint64_t i, seq;
	int r;

	if (!h || !key || !ret)
		return -EINVAL;
	if (h->forked)
		return -EBADF;
	if (sqi_look(&h->slot->journal) != 0)
		return -EBUSY;
	r = sqi_journal_claim(h, key, &i);
	if (r < 0)
		return r;
	seq = sqi_look(&sqi_entry(h, i)->seq);
	h->last = sqi_look(&sqi_entry(h, i)->last);
	sqi_post(&h->slot->journal_seq, seq);
	sqi_post(&h->slot->journal_puts, h->puts);
	sqi_post(&h->slot->journal, i + 1);
	*ret = seq;
	return 0;
}

int sq_last_put(struct sq *h, uint64_t *ret)
{
	if (!h || !ret)
		return -EINVAL;
	if (h->forked)
		return -EBADF;
	if (!h->last)
		return -ENOENT;
	*ret = h->last - 1;
	return 0;
}

int sq_bound(struct sq *h, uint64_t key, uint64_t *ret)
{
	struct sqi_entry *e;
	uint64_t i;

	if (!h || !key || !ret)
		return -EINVAL;
	if (h->forked)
		return -EBADF;
	e = find(h, key, false, &i);
	if (!e)
		return -ENOENT;
	for (;;) {
		uint64_t seq = sqi_look(&e->seq), who = sqi_look(&e->who), count = seq;

		if (who != 0 && sqi_is_dead(h, who)) {
			if (sqi_rescue(h) == 0)
				(void)sqi_cas(&e->who, who, 0);
			continue;
		}
		for (unsigned n = 0; who != 0 && n < h->g.in.participants; n++) {
			const struct sqi_slot *slot = sqi_slot(h, n);

			if (sqi_look(&slot->id) == who && sqi_look(&slot->journal) == i + 1)
				count = count_of(slot, sqi_look(&slot->puts));
		}
		if (sqi_look(&e->seq) != seq || sqi_look(&e->who) != who)
			continue;
		*ret = count;
		return 0;
	}
}
