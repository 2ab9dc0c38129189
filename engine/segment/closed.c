/* SPDX-License-Identifier: ISC */
#include "segment/closed.h"

#include <errno.h>

#include "base/event.h"

void sqi_wake_everybody(struct sqi_head *head)
{
	sqi_wake_all(&head->came);
	sqi_wake_all(&head->went);
	sqi_wake_all(&head->freed);
}

void sqi_gone(struct sqi_head *head)
{
	uint64_t closed;

	do {
		closed = sqi_look(&head->closed);
		if (closed & SQI_CLOSED_GONE)
			return;
	} while (!sqi_cas(&head->closed, closed, closed | SQI_CLOSED_GONE));
	sqi_wake_everybody(head);
}

/* Who shut it down meant it to end; that its name then goes, too, is no news. */
int sqi_closed_error(const struct sqi_head *head)
{
	return (sqi_look(&head->closed) & (SQI_CLOSED_HOW | SQI_CLOSED_GONE)) == SQI_CLOSED_GONE
		       ? -EIDRM
		       : -EPIPE;
}

/* A message is gone: there is room, and a drained queue's end is news to those who wait for more. */
void sqi_removed(struct sqi_head *head)
{
	sqi_wake(&head->went);
	if (sqi_look(&head->closed))
		sqi_wake_all(&head->came);
}
