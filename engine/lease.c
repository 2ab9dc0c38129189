/* SPDX-License-Identifier: ISC */
#include "sq.h"

#include <errno.h>

#include "call.h"
#include "dead_letter.h"
#include "ops/take.h"
#include "ring/attempts.h"
#include "ring/lease_time.h"

/*
 * The public calls for leases. See sq.h. Each works on the caller's own handle; any number of
 * participants may be in it at once.
 *
 * Invariant: no lease is settled twice. A settled one is recognised by its copy if it has one
 * (ops/copies.c), and else by the cell's word (ops/take.c).
 */

static int try_lease(struct sq *h, void *arg)
{
	return sqi_lease_try(h, arg);
}

static int attempt_lease(struct sq *h, void *arg)
{
	return sqi_past_dead_letters(h, try_lease, arg);
}

/* A first attempt has returned r, which is an error, or SQI_DEAD_LETTER. */
static __attribute__((noinline)) int lease_on(
	struct sq *h, struct sq_lease *ret, int64_t timeout, int r)
{
	if (r == SQI_DEAD_LETTER)
		r = sqi_bury_and_go_on(h, try_lease, ret);
	return sqi_call_on(h, &h->consuming, timeout, r, attempt_lease, ret);
}

int sq_lease(struct sq *h, struct sq_lease *ret, int64_t timeout)
{
	int r = sqi_handle_check(h, timeout);

	if (r < 0)
		return r;
	if (!ret)
		return -EINVAL;
	h->dead_letter.refused = false;
	r = sqi_lease_try(h, ret);
	if (r < 0)
		return lease_on(h, ret, timeout, r);
	sqi_note_call(h, &h->consuming);
	return 0;
}

/*
 * Returns 0 if this can be a lease of the handle, -ESTALE if it was settled before, -EINVAL if it
 * is of another handle, or -EBADF in a forked child.
 */
static int check_lease(const struct sq *h, const struct sq_lease *lease)
{
	if (!h || !lease)
		return -EINVAL;
	if (h->file.forked)
		return -EBADF;
	if (lease->handle >> 8 != h->file.tag || !lease->copy != !h->ring.g.in.lease_ns)
		return -EINVAL;
	if (lease->copy &&
		!sqi_copy_is(&h->copies, lease->copy, lease->id, sqi_lease_number(lease)))
		return -ESTALE;
	return 0;
}

int sq_ack(struct sq *h, const struct sq_lease *lease)
{
	int r = check_lease(h, lease);

	if (r < 0)
		return r;
	r = sqi_lease_ack(h, lease);
	if (r == 0)
		sqi_count(&h->ring.slot->acks); /* relaxed: own counter, for people */
	sqi_lease_forget(h, lease);
	return r;
}

int sq_nack(struct sq *h, const struct sq_lease *lease)
{
	int r = check_lease(h, lease);

	if (r < 0)
		return r;
	r = sqi_lease_give_back(h, lease, false);
	if (r == 0)
		sqi_count(&h->ring.slot->nacks); /* relaxed: own counter, for people */
	sqi_lease_forget(h, lease);
	return r;
}

/*
 * As sq_nack(), but the lease does not count. That is recorded (C2) before the message comes back
 * (B1), so whoever leases the message next finds the record.
 */
int sq_return(struct sq *h, const struct sq_lease *lease)
{
	int r = check_lease(h, lease);
	uint64_t w;

	if (r < 0)
		return r;
	if (!sqi_lease_holds(h, lease, &w) || !sqi_attempts_return(&h->ring, lease->id, w))
		r = -ESTALE;
	if (r == 0)
		r = sqi_lease_give_back(h, lease, false);
	if (r == 0)
		sqi_count(&h->ring.slot->returned); /* relaxed: own counter, for people */
	sqi_lease_forget(h, lease);
	return r;
}

int sq_touch(struct sq *h, const struct sq_lease *lease)
{
	int r = check_lease(h, lease);
	uint64_t w;

	if (r < 0)
		return r;
	/* T5. */
	if (sqi_lease_holds(h, lease, &w) && sqi_lease_time_extend(&h->ring, lease->id, w, 0))
		return 0;
	/*
	 * The end of the lease was decided (X2), though perhaps not carried out. Carry it out (X3),
	 * so that the message can be delivered again when the caller learns that its lease is
	 * stale.
	 */
	if (sqi_lease_holds(h, lease, &w))
		sqi_lease_time_finish(&h->ring, lease->id);
	sqi_lease_forget(h, lease);
	return -ESTALE;
}
