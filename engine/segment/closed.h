/* SPDX-License-Identifier: ISC */
#ifndef SQI_CLOSED_H
#define SQI_CLOSED_H

/*
 * The word `closed` in the head of a segment, which says how the queue ended (SQI_CLOSED_...). Its
 * value only ever rises. Called by the public calls and by whatever puts, takes or removes; by any
 * number of participants at once, and by sq_unlink(), which is none.
 */

#include "base/event.h"
#include "segment/layout.h"

/* sqi_wake_all_events(): wakes all that sleep on one of this queue's events. */
void sqi_wake_all_events(struct sqi_head *head);

/* sqi_note_removed(): sets SQI_CLOSED_GONE, and wakes all if it was not set before. */
void sqi_note_removed(struct sqi_head *head);

/*
 * sqi_closed_error(): the error of a call that a closed queue refuses. -EPIPE: it was shut down.
 * -EIDRM: it was removed, and not shut down before.
 */
int sqi_closed_error(const struct sqi_head *head);

/*
 * sqi_message_left(): wakes a producer, for there is room. Of a queue that was shut down it wakes
 * all consumers, too: this may have been the last message, and then their calls end.
 */
static inline void sqi_message_left(struct sqi_head *head)
{
	sqi_event_wake(&head->room_event);
	if (sqi_load_seq(&head->closed))
		sqi_event_wake_all(&head->message_event);
}

#endif
