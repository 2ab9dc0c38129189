/* SPDX-License-Identifier: ISC */
#ifndef SQI_CLOSED_H
#define SQI_CLOSED_H

/* The word that says how a queue ended, in the head of its segment. Called by everybody above. */

#include "base/event.h"
#include "segment/layout.h"

/* sqi_wake_all_events(): all who sleep on this queue look again. */
void sqi_wake_all_events(struct sqi_head *head);

/* sqi_note_removed(): it has no name any more: tell all. */
void sqi_note_removed(struct sqi_head *head);

/* sqi_closed_error(): -EPIPE: shut down. -EIDRM: removed. */
int sqi_closed_error(const struct sqi_head *head);

/* sqi_message_left(): there is room; and a drained queue's end is news to all who wait for more. */
static inline void sqi_message_left(struct sqi_head *head)
{
	sqi_event_wake(&head->room_event);
	if (sqi_load_seq(&head->closed))
		sqi_event_wake_all(&head->message_event);
}

#endif
