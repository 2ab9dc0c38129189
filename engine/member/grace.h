/* SPDX-License-Identifier: ISC */
#ifndef SQI_GRACE_H
#define SQI_GRACE_H

/* Durable participants: what outlives them, and for how long. See grace.c. */

#include "member/member.h"

/* A durable participant's slot as it is when this one was reaped, but for its leases. */
static inline uint64_t sqi_durable_kept(uint64_t durable, uint64_t id)
{
	return id << 16 | (durable & SQI_DURABLE_INDEX);
}

/* Is this a dead one that nobody came for in time? */
static inline bool sqi_is_condemned(uint64_t id)
{
	return (id & SQI_CONDEMNED) != 0;
}

/* Is this tenant of a durable participant's slot dead, and reaped but for its leases? */
static inline bool sqi_is_kept(const struct sqi_slot *slot, uint64_t id)
{
	uint64_t durable = sqi_load_seq(&slot->durable);

	return durable != 0 && !sqi_is_condemned(id) && durable == sqi_durable_kept(durable, id);
}

uint64_t sqi_grace_left(const struct sqi_slot *slot);
bool sqi_grace_end(struct sqi_slot *slot, uint64_t *id);
void sqi_grace_keep(struct sqi_slot *slot, const struct sqi_dead *d);

#endif
