/* SPDX-License-Identifier: ISC */
#include "call.h"

#include "base/clock.h"
#include "member/upkeep.h"
#include "ops/wait.h"

/* Those who never wait look at the clock too: after so many operations; */
#define OPS_TO_UPKEEP       64  /* a look costs as much as a tenth of one */
#define OPS_TO_UPKEEP_TIMED 1   /* in a queue with a lease time: leases end though nobody waits */
#define LOOK_MS             500 /* and look after the dead so often */
#define LOOK_TIMED_MS       10  /* the same, and who is in the middle of looking */

/* Once in a while, look after the dead and the overdue, though we never wait. */
void sqi_upkeep_in_passing(struct sq *h)
{
	bool timed = h->ring.g.in.lease_ns != 0;
	uint64_t now;

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

/* The first attempt found nothing, or no room: wait, or at least look after the queue. */
int sqi_call_again(struct sq *h, struct sqi_side *side, int64_t timeout,
	int (*attempt)(struct sq *h, void *arg), void *arg)
{
	if (side == &h->consuming)
		note_wanted(h);
	if (timeout != SQ_NOWAIT)
		return sqi_wait(h, side, timeout, attempt, arg);
	sqi_upkeep(&h->member); /* for those who poll and never wait */
	return -EAGAIN;
}
