/* SPDX-License-Identifier: ISC */
#ifndef SQI_SELECT_H
#define SQI_SELECT_H

/* Chooses the message that comes next. See select.c. */

#include "ops/handle.h"
#include "ring/front.h"
#include "ring/redelivery.h"

/* A dead letter comes next. This is no errno value; all of ops/ pass it on. */
#define SQI_DEAD_LETTER (-4096)

/*
 * Chooses the next message. Returns 0 if *ret_word is FULL or BACK, -EAGAIN if there is no message,
 * -EPIPE if there is none and never will be, -EBADMSG if the ring is damaged, or SQI_DEAD_LETTER if
 * the one in h->dead_letter comes next and is to be moved to the dead letters first.
 */
int sqi_select(struct sq *h, uint64_t *ret_pos, uint64_t *ret_word);

/* True if there is a message, or perhaps. */
bool sqi_has_message(struct sq *h);

/*
 * The common case: true if the queue is open, nothing waits for redelivery, and the ring's next
 * message is there. It is then what sqi_select() chooses; its word says FULL.
 */
static inline bool sqi_select_at_once(struct sq *h, struct sqi_place *ret_place, uint64_t *ret_word)
{
	return !sqi_load_seq(&h->ring.head->closed) && !sqi_redelivery_maybe(&h->ring) &&
	       sqi_front_is_next(&h->ring, ret_place, ret_word);
}

#endif
