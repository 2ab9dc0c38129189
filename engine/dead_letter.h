/* SPDX-License-Identifier: ISC */
#ifndef SQI_DEAD_LETTER_H
#define SQI_DEAD_LETTER_H

/* Messages that were tried too often are moved to the queue for dead letters. See dead_letter.c. */

#include "ops/handle.h"
#include "ops/select.h"

int sqi_bury_and_go_on(struct sq *h, int (*attempt)(struct sq *h, void *arg), void *arg);

/*
 * Make this attempt to take a message. Those that were tried too often and come before it are moved
 * to the dead letters; if there is no room for one, it waits where it is, and the others go on.
 */
static inline int sqi_past_dead_letters(
	struct sq *h, int (*attempt)(struct sq *h, void *arg), void *arg)
{
	int r;

	h->dead_letter.refused = false;
	r = attempt(h, arg);
	return r == SQI_DEAD_LETTER ? sqi_bury_and_go_on(h, attempt, arg) : r;
}

#endif
