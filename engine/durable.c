/* SPDX-License-Identifier: ISC */
#include "sq.h"

#include <errno.h>

#include "call.h"
#include "ops/lease.h"

/*
 * What a forwarder needs, which keeps books of its own about messages: leases that outlive its
 * process, and where a message is by its id. Beside any number of participants.
 *
 * A durable participant is a slot with a key. When its tenant dies, recovery lets go of all that
 * was half done, but leaves the leases and the slot; the next to come with the key before the grace
 * is over is its tenant, and the leases are his (party.c, recover.c). The key's entry in the journal
 * sees to it that there is one live holder at a time. See docs/MEMORY_MODEL.md, "Graces".
 */

int sq_retire(struct sq *h)
{
	int r = sqi_handle_check(h, SQ_NOWAIT);

	/* From here on our death is an ordinary one. */
	if (r == 0)
		sqi_store_release(&h->ring.slot->durable, 0);
	return r;
}

/*
 * In one segment it differs for each run, for ids are never used again; and from those of another
 * segment of that name, as good as surely: one made in another second, or as another file.
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
	for (uint64_t i = 0; i <= h->ring.mask; i++) {
		uint64_t w = sqi_load_seq(&sqi_cell(&h->ring, i)->word);

		if (sqi_word_state(w) != SQI_TAKEN || sqi_word_owner(w) != h->ring.owner)
			continue;
		/* Those that are only counted may end before they are asked for. */
		r = found < n ? sqi_lease_resume(h, i, w, &ret[found]) : 1;
		if (r < 0)
			return r;
		found += r;
	}
	return found;
}
