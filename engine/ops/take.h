/* SPDX-License-Identifier: ISC */
#ifndef SQI_TAKE_H
#define SQI_TAKE_H

/* Takes a message as a lease, and settles it later. See take.c. */

#include "ops/handle.h"

#define SQI_COPY_NS_PER_KIB 16000 /* 64 MB/s: slower than any copy */

/* One attempt: the message that comes next. */
int sqi_lease_try(struct sq *h, struct sq_lease *ret);
/* The message of this word, in this cell: as a lease of the user's. */
int sqi_lease_at(struct sq *h, uint64_t pos, uint64_t w, struct sq_lease *ret);
/* The same of a message that the participant holds already. */
int sqi_lease_resume(struct sq *h, uint64_t pos, uint64_t w, struct sq_lease *ret);
/* Frees the copy that the lease is read by, if there is one. */
void sqi_lease_forget(struct sq *h, const struct sq_lease *lease);
/* The transition (R2) and what goes with it; what lies in the cell, not yet copied. */
int sqi_take(struct sq *h, uint64_t pos, uint64_t w, struct sq_lease *ret, uint64_t *ret_taken);
/* Is the lease still the participant's? */
bool sqi_lease_holds(const struct sq *h, const struct sq_lease *lease, uint64_t *ret_word);
/* Settle it: the message is gone; or it waits for redelivery. */
int sqi_lease_ack(struct sq *h, const struct sq_lease *lease);
int sqi_lease_give_back(struct sq *h, const struct sq_lease *lease, bool quietly);

/* The number of the lease, as in the cell's word. */
static inline unsigned sqi_lease_number(const struct sq_lease *lease)
{
	return lease->handle & 0xff;
}

#endif
