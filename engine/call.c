/* SPDX-License-Identifier: ISC */
#include "call.h"

#include "base/clock.h"
#include "base/event.h"
#include "member/upkeep.h"
#include "ops/wait.h"

/*
 * The part of a public call that the first attempt does not need: waiting, and upkeep by those who
 * never wait. Called by the public calls, by any number of participants at once.
 */

/* Operations until the next look at the clock, and milliseconds until the next upkeep. */
#define OPS_TO_UPKEEP       64  /* a look at the clock costs a tenth of an operation */
#define OPS_TO_UPKEEP_TIMED 1   /* with a lease time: leases must end also if nobody waits */
#define LOOK_MS             500 /* the dead are looked for so often */
#define LOOK_TIMED_MS       10  /* with a lease time, or in the middle of a lap of recovery */

/*
 * After sq_arm() the user may have slept and been woken, which the engine does not see (E3). The first
 * call on this side that succeeds stands for that; until then every call comes here.
 */
static void pass_on_if_armed(struct sq *h, struct sqi_side *side)
{
	struct sqi_head *head = h->ring.head;
	bool consuming = side == &h->consuming;
	struct sqi_event *events[] = {consuming ? &head->message_event : &head->room_event,
		consuming ? NULL : &head->block_event};

	if (!side->armed)
		return;
	if (side->ops == side->armed_ops) {
		h->member.ops_to_upkeep = 1;
		return;
	}
	side->armed = false;
	for (int i = 0; i < 2 && events[i]; i++) {
		sqi_event_arrive(events[i]);
		sqi_pass_on(h, events[i]);
	}
}

/* Does the upkeep if it is time, and counts this participant in at its first operation. */
void sqi_upkeep_in_passing(struct sq *h)
{
	bool timed = h->ring.g.in.lease_ns != 0;
	uint64_t now;

	h->member.ops_to_upkeep = timed ? OPS_TO_UPKEEP_TIMED : OPS_TO_UPKEEP;
	pass_on_if_armed(h, &h->consuming);
	pass_on_if_armed(h, &h->producing);
	if (!h->member.counted)
		(void)sqi_add(&h->ring.head->joins, 1);
	h->member.counted = true;
	now = sqi_coarse_ms();
	if (now - h->member.looked_ms <
		(timed || h->member.recovery.count > 0 ? LOOK_TIMED_MS : LOOK_MS))
		return;
	h->member.looked_ms = now;
	sqi_upkeep(&h->member);
}

/*
 * Notes for sq_wanted() that a consumer found no message. Reads before it writes, so that pollers
 * do not take the cache line from each other. Relaxed: a hint, which may be seen late.
 */
static void note_wanted(struct sq *h)
{
	if (!sqi_load_relaxed(&h->ring.head->wanted))
		sqi_store_relaxed(&h->ring.head->wanted, 1);
}

/*
 * The first attempt found no message, or no room: waits, or with SQ_NOWAIT does the upkeep. Returns
 * as sqi_wait(), or -EAGAIN.
 */
int sqi_call_again(struct sq *h, struct sqi_side *side, int64_t timeout,
	int (*attempt)(struct sq *h, void *arg), void *arg)
{
	if (side == &h->consuming)
		note_wanted(h);
	if (timeout != SQ_NOWAIT)
		return sqi_wait(h, side, timeout, attempt, arg);
	side->armed_ops = side->ops + 1; /* this call, which is counted when it ends */
	sqi_upkeep(&h->member);          /* for participants that poll and never wait */
	return -EAGAIN;
}
