/* SPDX-License-Identifier: ISC */
#include "sq.h"

#include <errno.h>

#include "call.h"
#include "dead_letter.h"
#include "ops/lease.h"
#include "ring/attempts.h"
#include "ring/lease_time.h"

/* Leases: the public calls. */

static int try_lease(struct sq *h, void *arg)
{
	return sqi_lease_try(h, arg);
}

static int attempt_lease(struct sq *h, void *arg)
{
	return sqi_past_dead_letters(h, try_lease, arg);
}

int sq_lease(struct sq *h, struct sq_lease *ret, int64_t timeout)
{
	struct sq_lease lease;
	int r = sqi_handle_check(h, timeout);

	if (r < 0)
		return r;
	if (!ret)
		return -EINVAL;
	r = sqi_call(h, &h->consuming, timeout, attempt_lease, &lease);
	if (r == 0)
		*ret = lease;
	return r;
}

/* 0: a lease of this handle, as far as can be told. -ESTALE: one of its that was settled before. */
static int check(const struct sq *h, const struct sq_lease *lease)
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
	int r = check(h, lease);

	if (r < 0)
		return r;
	r = sqi_lease_ack(h, lease);
	if (r == 0)
		sqi_count(&h->ring.slot->acks);
	sqi_lease_forget(h, lease);
	return r;
}

int sq_nack(struct sq *h, const struct sq_lease *lease)
{
	int r = check(h, lease);

	if (r < 0)
		return r;
	r = sqi_lease_give_back(h, lease, false);
	if (r == 0)
		sqi_count(&h->ring.slot->nacks);
	sqi_lease_forget(h, lease);
	return r;
}

/* The same, but for the count: that comes first, so whoever finds the message finds that, too. */
int sq_return(struct sq *h, const struct sq_lease *lease)
{
	int r = check(h, lease);
	uint64_t w;

	if (r < 0)
		return r;
	if (!sqi_lease_holds(h, lease, &w) || !sqi_attempts_return(&h->ring, lease->id, w))
		r = -ESTALE;
	if (r == 0)
		r = sqi_lease_give_back(h, lease, false);
	if (r == 0)
		sqi_count(&h->ring.slot->returned);
	sqi_lease_forget(h, lease);
	return r;
}

int sq_touch(struct sq *h, const struct sq_lease *lease)
{
	int r = check(h, lease);
	uint64_t w;

	if (r < 0)
		return r;
	if (sqi_lease_holds(h, lease, &w) && sqi_lease_time_extend(&h->ring, lease->id, w, 0))
		return 0;
	/* Its end was decided, though perhaps not carried out: do that, so that stale means stale. */
	if (sqi_lease_holds(h, lease, &w))
		sqi_lease_time_finish(&h->ring, lease->id);
	sqi_lease_forget(h, lease);
	return -ESTALE;
}
