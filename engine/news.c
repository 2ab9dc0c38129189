/* SPDX-License-Identifier: ISC */
#include "sq.h"

#include <errno.h>

#include "base/event.h"
#include "call.h"

/* For loops of a program's own: waiting for a queue beside other things. */

int sq_arm(struct sq *h, enum sq_news news, struct sq_watch *ret)
{
	int r = sqi_handle_check(h, SQ_NOWAIT);
	sqi_u32 *event;

	if (r < 0)
		return r;
	if (!ret)
		return -EINVAL;
	switch (news) {
	case SQ_CAME:
		event = &h->ring.head->message_event;
		break;
	case SQ_WENT:
		event = &h->ring.head->room_event;
		break;
	case SQ_FREED:
		event = &h->ring.head->block_event;
		break;
	default:
		return -EINVAL;
	}
	ret->value = sqi_event_arm(event);
	ret->word = (uint32_t *)event;
	return 0;
}

int sq_wanted(struct sq *h)
{
	int r = sqi_handle_check(h, SQ_NOWAIT);

	if (r < 0)
		return r;
	r = sqi_load_relaxed(&h->ring.head->wanted) != 0;
	if (r)
		sqi_store_relaxed(
			&h->ring.head->wanted, 0); /* relaxed: who looks again will say so again */
	return r;
}
