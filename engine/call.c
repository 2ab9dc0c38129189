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
#define FUEL          64  /* a look costs as much as a tenth of one */
#define FUEL_TIMED    1   /* in a queue with a lease time: leases end though nobody waits */
#define LOOK_MS       500 /* and look after the dead so often */
#define LOOK_TIMED_MS 10  /* the same, and who is in the middle of looking */

int sqi_check(const struct sq *h, int64_t timeout)
{
	if (!h || timeout < SQ_FOREVER)
		return -EINVAL;
	return h->file.forked ? -EBADF : 0;
}

/* Once in a while, look after the dead and the overdue, though we never wait. */
void sqi_used(struct sq *h)
{
	bool timed = h->ring.g.in.lease_ns != 0;
	uint64_t now;

	if (--h->member.fuel > 0)
		return;
	h->member.fuel = timed ? FUEL_TIMED : FUEL;
	if (!h->member.counted)
		(void)sqi_add(&h->ring.head->joins, 1);
	h->member.counted = true;
	now = sqi_coarse_ms();
	if (now - h->member.looked_ms <
		(timed || h->member.lap.count > 0 ? LOOK_TIMED_MS : LOOK_MS))
		return;
	h->member.looked_ms = now;
	sqi_rescue_now_and_then(&h->member);
}

/* Somebody would have taken a message. For those who can bring some; read before written, so that
 * pollers do not take the line from each other. */
static void note_wanted(struct sq *h)
{
	if (!sqi_peek(&h->ring.head->wanted)) /* relaxed: it may be seen late */
		sqi_poke(&h->ring.head->wanted, 1);
}

/* A first attempt that needs no clock, then the long way. */
int sqi_run(struct sq *h, struct sqi_side *side, int64_t timeout,
	int (*attempt)(struct sq *h, void *arg), void *arg)
{
	int r = attempt(h, arg);

	if (r == -EAGAIN) {
		if (side == &h->consuming)
			note_wanted(h);
		if (timeout != SQ_NOWAIT)
			r = sqi_wait(h, side, timeout, attempt, arg);
		else
			sqi_rescue_now_and_then(&h->member); /* for those who poll and never wait */
	}
	side->ops++;
	sqi_used(h);
	return r == -EPIPE ? sqi_closed_error(h->ring.head) : r;
}
