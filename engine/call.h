/* SPDX-License-Identifier: ISC */
#ifndef SQI_CALL_H
#define SQI_CALL_H

/*
 * What the public calls have in common: the handle is checked, an attempt is made that needs no
 * clock, and only if that finds nothing comes the long way (call.c).
 */

#include <errno.h>
#include <stdint.h>

#include "ops/handle.h"
#include "segment/closed.h"

int sqi_call_again(struct sq *h, struct sqi_side *side, int64_t timeout,
	int (*attempt)(struct sq *h, void *arg), void *arg);
void sqi_upkeep_in_passing(struct sq *h);

static inline int sqi_handle_check(const struct sq *h, int64_t timeout)
{
	if (!h || timeout < SQ_FOREVER)
		return -EINVAL;
	return h->file.forked ? -EBADF : 0;
}

/* One operation more: after so many, look after the queue, though we never wait. */
static inline void sqi_note_operation(struct sq *h)
{
	if (--h->member.ops_to_upkeep == 0)
		sqi_upkeep_in_passing(h);
}

/* Call attempt() until it returns something else than -EAGAIN, or the time is up. */
static inline int sqi_call(struct sq *h, struct sqi_side *side, int64_t timeout,
	int (*attempt)(struct sq *h, void *arg), void *arg)
{
	int r = attempt(h, arg);

	if (r == -EAGAIN)
		r = sqi_call_again(h, side, timeout, attempt, arg);
	side->ops++;
	sqi_note_operation(h);
	return r == -EPIPE ? sqi_closed_error(h->ring.head) : r;
}

#endif
