/* SPDX-License-Identifier: ISC */
#include "sq.h"

#include <errno.h>
#include <time.h>

#include "base/clock.h"
#include "call.h"
#include "member/upkeep.h"
#include "ring/attempts.h"
#include "ring/group.h"
#include "ring/message.h"
#include "ring/position.h"
#include "segment/closed.h"

/*
 * Whether the messages that were in the queue at some moment have left it: sq_join(), sq_mark(),
 * sq_passed(). See sq.h. They take nothing, but see to it that what they say is
 * gone stays so (ring/group.c); any number of participants may be in
 * them at once.
 *
 * Invariant: a message stays in its cell until it is removed, redelivered or not. So it is enough
 * to look once at each cell, until the message that it held at that moment is gone.
 */

#define JOIN_NAP_MIN_NS 100000
#define JOIN_NAP_MAX_NS 10000000

/*
 * Returns true if the cell holds a message from before position `tail`. meta is read between two
 * looks at the word, and used only if the word is the same.
 */
static bool is_older(const struct sqi_ring *ring, uint64_t index, uint64_t tail)
{
	const struct sqi_cell *c = sqi_cell(ring, index);
	unsigned bits = SQI_TURN_BITS + ring->shift, unused = bits < 64 ? 64 - bits : 0;

	for (;;) {
		uint64_t w = sqi_load_seq(&c->word), id;

		switch (sqi_word_state(w)) {
		case SQI_FULL:
			/* In a cell of a group: not put yet, or gone. */
			if (sqi_is_covered(ring, index, w))
				return false;
			break;
		case SQI_TAKEN:
			break;
		case SQI_BACK:
			/* A dead letter that its queue does not take counts as gone. */
			if (sqi_attempts_left(ring, index, w))
				break;
			return false;
		default:
			return false;
		}
		/* Acquire: pairs with write_message() in put.c. The second look confirms it. */
		id = sqi_message_id(sqi_load_acquire(&c->meta), index, ring->mask, ring->shift);
		if (sqi_load_seq(&c->word) == w)
			return (int64_t)((tail - id) << unused) > 0;
	}
}

/*
 * Goes over the cells once, and waits at each until the message that it held at the time of the
 * call has left.
 */
int sq_join(struct sq *h, int64_t timeout)
{
	int64_t nap = JOIN_NAP_MIN_NS, now, deadline = INT64_MAX;
	int r = sqi_handle_check(h, timeout);
	uint64_t tail, closed;

	if (r < 0)
		return r;
	now = sqi_now_ns();
	if (timeout >= 0 && timeout < INT64_MAX - now)
		deadline = now + timeout;
	r = sqi_tail(&h->ring, &tail);
	if (r < 0)
		return r;
	for (uint64_t i = 0; i <= h->ring.mask; i++) {
		while (is_older(&h->ring, i, tail)) {
			struct timespec ts;

			/* The message will stay: no participant takes any more. */
			closed = sqi_load_seq(&h->ring.head->closed);
			if ((closed & SQI_CLOSED_HOW) == SQI_CLOSED_NOW || closed & SQI_CLOSED_GONE)
				return sqi_closed_error(h->ring.head);
			if (timeout == SQ_NOWAIT)
				return -EAGAIN;
			now = sqi_now_ns();
			if (now >= deadline)
				return -ETIMEDOUT;
			sqi_upkeep(&h->member);
			if (nap > deadline - now)
				nap = deadline - now;
			ts = (struct timespec){.tv_nsec = nap};
			(void)clock_nanosleep(CLOCK_MONOTONIC, 0, &ts, NULL);
			nap = nap * 2 < JOIN_NAP_MAX_NS ? nap * 2 : JOIN_NAP_MAX_NS;
		}
	}
	return 0;
}

int sq_mark(struct sq *h, uint64_t *ret)
{
	int r = sqi_handle_check(h, SQ_NOWAIT);

	if (r == 0 && !ret)
		r = -EINVAL;
	return r == 0 ? sqi_tail(&h->ring, ret) : r;
}

int sq_passed(struct sq *h, uint64_t mark)
{
	int r = sqi_handle_check(h, SQ_NOWAIT);

	if (r < 0)
		return r;
	for (uint64_t i = 0; i <= h->ring.mask; i++)
		if (is_older(&h->ring, i, mark))
			return 0;
	return 1;
}
