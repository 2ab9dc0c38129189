/* SPDX-License-Identifier: ISC */
#include "sq.h"

#include <errno.h>

#include "base/event.h"
#include "call.h"

/*
 * The public calls for a program's own event loop: sq_arm(), sq_wanted(). See sq.h. Any number of
 * participants may be in them at once.
 */

int sq_arm(struct sq *h, enum sq_news news, struct sq_watch *ret)
{
	int r = sqi_handle_check(h, SQ_NOWAIT);
	struct sqi_side *side;
	struct sqi_event *event;

	if (r < 0)
		return r;
	if (!ret)
		return -EINVAL;
	switch (news) {
	case SQ_NEWS_MESSAGE:
		event = &h->ring.head->message_event;
		break;
	case SQ_NEWS_ROOM:
		event = &h->ring.head->room_event;
		break;
	case SQ_NEWS_BLOCK:
		event = &h->ring.head->block_event;
		break;
	default:
		return -EINVAL;
	}
	ret->value = sqi_event_arm(event); /* E2: the caller looks for the news afterwards */
	sqi_event_arrive(event);           /* E3: it may be back from a sleep */
	side = news == SQ_NEWS_MESSAGE ? &h->consuming : &h->producing;
	side->armed = true;
	side->armed_ops = side->ops;
	h->member.ops_to_upkeep = 1;
	ret->word = (uint32_t *)&event->word;
	return 0;
}

int sq_wanted(struct sq *h)
{
	int r = sqi_handle_check(h, SQ_NOWAIT);

	if (r < 0)
		return r;
	/* Relaxed: a hint. If a note is lost here, a consumer's next failed attempt repeats it. */
	r = sqi_load_relaxed(&h->ring.head->wanted) != 0;
	if (r)
		sqi_store_relaxed(&h->ring.head->wanted, 0);
	return r;
}
