/* SPDX-License-Identifier: ISC */
#ifndef SQI_CALL_H
#define SQI_CALL_H

/*
 * What the public calls have in common. Each checks its handle and makes one attempt. If that
 * finds no message, or no room, and at every 64th operation, call.c goes on. Each call works on the
 * caller's own handle; any number of participants may be in it at once.
 */

#include <errno.h>
#include <stdint.h>

#include "ops/handle.h"
#include "segment/closed.h"

int sqi_call_again(struct sq *h, struct sqi_side *side, int64_t timeout,
	int (*attempt)(struct sq *h, void *arg), void *arg);
void sqi_upkeep_in_passing(struct sq *h);

/* Returns 0, -EINVAL if the handle or the timeout is invalid, or -EBADF in a forked child. */
static inline int sqi_handle_check(const struct sq *h, int64_t timeout)
{
	if (!h || timeout < SQ_FOREVER)
		return -EINVAL;
	return h->file.forked ? -EBADF : 0;
}

/*
 * Counts an operation. After so many of them the participant does some upkeep, also if it never
 * waits.
 */
static inline void sqi_note_operation(struct sq *h)
{
	if (--h->member.ops_to_upkeep == 0)
		sqi_upkeep_in_passing(h);
}

/* Counts a call on this side: every one that has made its attempts. */
static inline void sqi_note_call(struct sq *h, struct sqi_side *side)
{
	side->ops++;
	sqi_note_operation(h);
}

/* Counts so many calls at once. */
static inline void sqi_note_calls(struct sq *h, struct sqi_side *side, unsigned n)
{
	side->ops += n;
	h->member.ops_to_upkeep -= n < h->member.ops_to_upkeep ? n - 1
							       : h->member.ops_to_upkeep - 1;
	sqi_note_operation(h);
}

/*
 * A first attempt has returned r. Calls attempt() until it returns something else than -EAGAIN or
 * the time is up. Returns that, or -ETIMEDOUT (with SQ_NOWAIT -EAGAIN); -EPIPE becomes -EIDRM if the
 * queue was removed.
 */
static inline int sqi_call_on(struct sq *h, struct sqi_side *side, int64_t timeout, int r,
	int (*attempt)(struct sq *h, void *arg), void *arg)
{
	if (r == -EAGAIN)
		r = sqi_call_again(h, side, timeout, attempt, arg);
	sqi_note_call(h, side);
	return r == -EPIPE ? sqi_closed_error(h->ring.head) : r;
}

/* The same from the first attempt on. */
static inline int sqi_call(struct sq *h, struct sqi_side *side, int64_t timeout,
	int (*attempt)(struct sq *h, void *arg), void *arg)
{
	return sqi_call_on(h, side, timeout, attempt(h, arg), attempt, arg);
}

#endif
