/* SPDX-License-Identifier: ISC */
#ifndef SQI_GRACE_H
#define SQI_GRACE_H

/*
 * Graces: how long the leases of a dead durable participant are kept. See grace.c. A tenant is kept
 * when it is dead and nothing of it is left but its leases; it is condemned when its grace is over.
 */

#include "member/member.h"

/* The value kept(id) of a slot's `durable`, from its value before. */
static inline uint64_t sqi_durable_kept(uint64_t durable, uint64_t id)
{
	return id << 16 | (durable & SQI_DURABLE_INDEX);
}

/* True if this id of a tenant says that its grace is over. */
static inline bool sqi_is_condemned(uint64_t id)
{
	return (id & SQI_CONDEMNED) != 0;
}

/* True if this tenant of the slot is kept. */
static inline bool sqi_is_kept(const struct sqi_slot *slot, uint64_t id)
{
	uint64_t durable = sqi_load_seq(&slot->durable);

	return durable != 0 && !sqi_is_condemned(id) && durable == sqi_durable_kept(durable, id);
}

/* Nanoseconds of it that are left. */
uint64_t sqi_grace_left(const struct sqi_slot *slot);
/* G4: condemns the tenant, if its grace is over. */
bool sqi_grace_end(struct sqi_slot *slot, uint64_t *id);
/* G1, G2: keeps the leases of one that was found dead. */
void sqi_grace_keep(struct sqi_slot *slot, const struct sqi_dead *d);

#endif
