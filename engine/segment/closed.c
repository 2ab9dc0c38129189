/* SPDX-License-Identifier: ISC */
#include "segment/closed.h"

#include <errno.h>

#include "base/event.h"

void sqi_wake_all_events(struct sqi_head *head)
{
	sqi_event_wake_all(&head->message_event);
	sqi_event_wake_all(&head->room_event);
	sqi_event_wake_all(&head->block_event);
}

void sqi_note_removed(struct sqi_head *head)
{
	uint64_t closed;

	do {
		closed = sqi_load_seq(&head->closed);
		if (closed & SQI_CLOSED_GONE)
			return;
	} while (!sqi_cas(&head->closed, closed, closed | SQI_CLOSED_GONE));
	sqi_wake_all_events(head);
}

/* A shutdown takes precedence: a queue that is shut down is often removed afterwards. */
int sqi_closed_error(const struct sqi_head *head)
{
	return (sqi_load_seq(&head->closed) & (SQI_CLOSED_HOW | SQI_CLOSED_GONE)) == SQI_CLOSED_GONE
		       ? -EIDRM
		       : -EPIPE;
}
