/* SPDX-License-Identifier: ISC */
#include "call.h"

#include <errno.h>

#include "base/clock.h"
#include "member/upkeep.h"
#include "ops/wait.h"
#include "segment/closed.h"

/*
 * What the public calls have in common: the handle is checked, an attempt is made that needs no
 * clock, and only then comes the long way.
 */

/* Those who never wait look at the clock too: after so many operations; */
#define OPS_TO_UPKEEP       64  /* a look costs as much as a tenth of one */
#define OPS_TO_UPKEEP_TIMED 1   /* in a queue with a lease time: leases end though nobody waits */
#define LOOK_MS             500 /* and look after the dead so often */
#define LOOK_TIMED_MS       10  /* the same, and who is in the middle of looking */

int sqi_handle_check(const struct sq *h, int64_t timeout)
{
	if (!h || timeout < SQ_FOREVER)
		return -EINVAL;
	return h->file.forked ? -EBADF : 0;
}

/* Once in a while, look after the dead and the overdue, though we never wait. */
void sqi_upkeep_in_passing(struct sq *h)
{
	bool timed = h->ring.g.in.lease_ns != 0;
	uint64_t now;

	if (--h->member.ops_to_upkeep > 0)
		return;
	h->member.ops_to_upkeep = timed ? OPS_TO_UPKEEP_TIMED : OPS_TO_UPKEEP;
	if (!h->member.counted)
		(void)sqi_add(&h->ring.head->joins, 1);
	h->member.counted = true;
	now = sqi_coarse_ms();
	if (now - h->member.looked_ms <
		(timed || h->member.lap.count > 0 ? LOOK_TIMED_MS : LOOK_MS))
		return;
	h->member.looked_ms = now;
	sqi_upkeep(&h->member);
}

/* Somebody would have taken a message. For those who can bring some; read before written, so that
 * pollers do not take the line from each other. */
static void note_wanted(struct sq *h)
{
	if (!sqi_load_relaxed(&h->ring.head->wanted)) /* relaxed: it may be seen late */
		sqi_store_relaxed(&h->ring.head->wanted, 1);
}

/* A first attempt that needs no clock, then the long way. */
int sqi_call(struct sq *h, struct sqi_side *side, int64_t timeout,
	int (*attempt)(struct sq *h, void *arg), void *arg)
{
	int r = attempt(h, arg);

	if (r == -EAGAIN) {
		if (side == &h->consuming)
			note_wanted(h);
		if (timeout != SQ_NOWAIT)
			r = sqi_wait(h, side, timeout, attempt, arg);
		else
			sqi_upkeep(&h->member); /* for those who poll and never wait */
	}
	side->ops++;
	sqi_upkeep_in_passing(h);
	return r == -EPIPE ? sqi_closed_error(h->ring.head) : r;
}
