/* SPDX-License-Identifier: ISC */
#ifndef SQI_DEAD_LETTER_H
#define SQI_DEAD_LETTER_H

/* Moves messages that were tried too often to the queue for dead letters. See dead_letter.c. */

#include "ops/handle.h"
#include "ops/select.h"

int sqi_bury_and_go_on(struct sq *h, int (*attempt)(struct sq *h, void *arg), void *arg);

/*
 * Makes an attempt to get or lease a message. Dead letters that come before it are moved first. If
 * their queue takes no more, they stay where they are, and the attempt passes them.
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
