/* SPDX-License-Identifier: ISC */
#ifndef SQI_TAKE_H
#define SQI_TAKE_H

/* Takes a message as a lease, and settles it later. See take.c. */

#include <errno.h>

#include "ops/handle.h"
#include "ring/message.h"
#include "segment/closed.h"

#define SQI_COPY_NS_PER_KIB 16000 /* 64 MB/s: slower than any copy */

/* One attempt: the message that comes next. */
int sqi_lease_try(struct sq *h, struct sq_lease *ret);
/* The message of this word, in this cell: as a lease of the user's. */
int sqi_lease_at(struct sq *h, uint64_t pos, uint64_t w, struct sq_lease *ret);
/* The same of a message that the participant holds already. */
int sqi_lease_resume(struct sq *h, uint64_t pos, uint64_t w, struct sq_lease *ret);
/* The transition (R2) and what goes with it; what lies in the cell, not yet copied. */
int sqi_take(struct sq *h, uint64_t pos, uint64_t w, struct sq_lease *ret, uint64_t *ret_taken);
/* Settles it: the message waits for redelivery. */
int sqi_lease_give_back(struct sq *h, const struct sq_lease *lease, bool quietly);

/* The number of the lease, as in the cell's word. */
static inline unsigned sqi_lease_number(const struct sq_lease *lease)
{
	return lease->handle & 0xff;
}

/* Frees the copy of a lease. Its data must not be read any more. */
static inline void sqi_lease_forget(struct sq *h, const struct sq_lease *lease)
{
	if (lease->copy)
		sqi_copy_drop(&h->copies, lease->copy);
}

/*
 * Returns true if this participant still holds the lease; then *ret_word is the cell's word.
 *
 * The load of meta is relaxed. The load of the word acquires the commit (W2) of the message that
 * the word is about, and so its meta. If the word changes afterwards, the caller's CAS from it
 * fails.
 */
static inline bool sqi_lease_holds(
	const struct sq *h, const struct sq_lease *lease, uint64_t *ret_word)
{
	const struct sqi_cell *c = sqi_cell(&h->ring, lease->id);
	uint64_t w = sqi_load_seq(&c->word);

	if (sqi_word_state(w) != SQI_TAKEN || sqi_word_owner(w) != h->ring.owner ||
		sqi_word_number(w) != sqi_lease_number(lease) ||
		sqi_message_id(sqi_load_relaxed(&c->meta), lease->id, h->ring.mask,
			h->ring.shift) != lease->id)
		return false;
	*ret_word = w;
	return true;
}

/*
 * Acknowledges: removes the message and wakes a producer. Returns 0, or -ESTALE if the lease has
 * ended.
 */
static inline int sqi_lease_ack(struct sq *h, const struct sq_lease *lease)
{
	uint64_t w;

	do
		if (!sqi_lease_holds(h, lease, &w))
			return -ESTALE;
	while (!sqi_message_release(&h->ring, lease->id, w));
	h->member.held--;
	sqi_message_left(h->ring.head);
	return 0;
}

#endif
