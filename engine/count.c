/* SPDX-License-Identifier: ISC */
#include "sq.h"

#include <errno.h>

#include "call.h"
#include "member/count.h"
#include "member/join.h"
#include "member/recovery.h"
#include "ring/message.h"

/*
 * The public calls for durable counts of puts. See sq.h. Any number of participants may be in them
 * at once.
 *
 * Invariant: a key has one live holder at a time (member/count.c). While it lives, the count is
 * that of the entry plus the puts of its slot since it was bound.
 */

int sq_count_bind(struct sq *h, uint64_t key, uint64_t *ret)
{
	int r = sqi_handle_check(h, SQ_NOWAIT);
	uint64_t i, seq;

	if (!key || !ret)
		return -EINVAL;
	if (r < 0)
		return r;
	if (sqi_load_seq(&h->ring.slot->count_entry) != 0)
		return -EBUSY;
	r = sqi_count_hold(&h->member, key, &i);
	if (r < 0)
		return r;
	seq = sqi_load_seq(&sqi_count_entry(&h->ring, i)->count);
	h->member.last = sqi_load_seq(&sqi_count_entry(&h->ring, i)->last);
	/*
	 * Release, `count_entry` last: recovery reads these after a death (D1), and counts the slot's
	 * puts under the key only once `count_entry` names the entry.
	 */
	sqi_store_release(&h->ring.slot->count_before, seq);
	sqi_store_release(&h->ring.slot->puts_before, h->member.puts);
	sqi_store_release(&h->ring.slot->count_entry, i + 1);
	*ret = seq;
	return 0;
}

int sq_last_put(struct sq *h, uint64_t *ret)
{
	int r = sqi_handle_check(h, SQ_NOWAIT);

	if (!ret)
		return -EINVAL;
	if (r < 0)
		return r;
	if (!h->member.last)
		return -ENOENT;
	*ret = sqi_position_id(h->member.last - 1, h->ring.shift);
	return 0;
}

int sq_count_read(struct sq *h, uint64_t key, uint64_t *ret)
{
	int r = sqi_handle_check(h, SQ_NOWAIT);
	struct sqi_count_entry *e;
	uint64_t i;

	if (!key || !ret)
		return -EINVAL;
	if (r < 0)
		return r;
	e = sqi_count_find(&h->ring, key, false, &i);
	if (!e)
		return -ENOENT;
	/*
	 * The count is read between two looks at the entry, and is returned only if the entry is
	 * the same. If its holder is dead, recovery adds that one's puts to the entry first.
	 */
	for (;;) {
		uint64_t seq = sqi_load_seq(&e->count), who = sqi_load_seq(&e->holder), count = seq;

		if (who != 0 && sqi_is_dead(&h->member, who)) {
			if (sqi_recover_dead(&h->member) == 0)
				(void)sqi_cas(&e->holder, who, 0);
			continue;
		}
		for (struct sqi_slots s = {0}; who != 0 && sqi_slots_next(&h->ring, &s);)
			if (s.id == who && sqi_load_seq(&s.slot->count_entry) == i + 1)
				count = sqi_count_of(s.slot, sqi_load_seq(&s.slot->puts));
		if (sqi_load_seq(&e->count) != seq || sqi_load_seq(&e->holder) != who)
			continue;
		*ret = count;
		return 0;
	}
}
