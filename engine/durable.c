/* SPDX-License-Identifier: ISC */
#include "sq.h"

#include <errno.h>

#include "call.h"
#include "ops/take.h"

/*
 * The public calls of durable participants, which a forwarder needs: leases that outlive its
 * process. See sq.h. Any number of participants may be in them at once.
 *
 * A durable participant is a slot with a key. When its tenant dies, recovery gives back all that
 * was half done, but leaves the leases and the slot. The next participant that opens the queue with
 * the key, before the grace is over, becomes the slot's tenant, and the leases are its own
 * (member/join.c, grace.c, recovery.c). Invariant: the key's entry among the counts has one live holder
 * at a time. See docs/MEMORY_MODEL.md, "Graces".
 */

int sq_retire(struct sq *h)
{
	int r = sqi_handle_check(h, SQ_NOWAIT);

	/*
	 * From now on a death of this participant is an ordinary one. Release: recovery reads it
	 * after the death (D1).
	 */
	if (r == 0)
		sqi_store_release(&h->ring.slot->durable, 0);
	return r;
}

/*
 * In one segment the number differs for each run, because ids are never used again. From the
 * numbers of another segment of that name it differs almost surely: that was created in another
 * second, or as another file.
 */
int sq_durable_run(struct sq *h, uint64_t *ret)
{
	int r = sqi_handle_check(h, SQ_NOWAIT);

	if (r < 0)
		return r;
	if (!ret)
		return -EINVAL;
	if (sqi_load_seq(&h->ring.slot->durable) == 0)
		return -ENOENT;
	*ret = sqi_load_seq(&h->ring.slot->run) + (h->ring.head->created_s << 32) +
	       (h->file.ino << 20);
	return 0;
}

int sq_held(struct sq *h, struct sq_lease *ret, int n)
{
	int found = 0, r = sqi_handle_check(h, SQ_NOWAIT);

	if (r < 0)
		return r;
	if (n < 0 || (!ret && n > 0))
		return -EINVAL;
	for (struct sqi_scan s = sqi_scan_all(&h->ring); sqi_scan_next(&h->ring, &s);) {
		if (sqi_word_state(s.word) != SQI_TAKEN || sqi_word_owner(s.word) != h->ring.owner)
			continue;
		/* Leases that are only counted need not be held any more. */
		r = found < n ? sqi_lease_resume(h, s.pos, s.word, &ret[found]) : 1;
		if (r < 0)
			return r;
		found += r;
	}
	return found;
}
