/* SPDX-License-Identifier: ISC */
#ifndef SQI_TAKE_H
#define SQI_TAKE_H

/* Leases a message, and settles it later. See lease.c. */

#include "ops/handle.h"

#define SQI_COPY_NS_PER_KIB 16000 /* 64 MB/s: slower than any copy */

int sqi_lease_try(struct sq *h, struct sq_lease *ret);
int sqi_lease_at(struct sq *h, uint64_t pos, uint64_t w, struct sq_lease *ret);
int sqi_lease_resume(struct sq *h, uint64_t pos, uint64_t w, struct sq_lease *ret);
void sqi_lease_forget(struct sq *h, const struct sq_lease *lease);
int sqi_take(struct sq *h, uint64_t pos, uint64_t w, struct sq_lease *ret, uint64_t *ret_taken);
bool sqi_lease_holds(const struct sq *h, const struct sq_lease *lease, uint64_t *ret_word);
int sqi_lease_ack(struct sq *h, const struct sq_lease *lease);
int sqi_lease_give_back(struct sq *h, const struct sq_lease *lease, bool quietly);

/* The number of the lease, as in the cell's word. */
static inline unsigned sqi_lease_number(const struct sq_lease *lease)
{
	return lease->handle & 0xff;
}

#endif
