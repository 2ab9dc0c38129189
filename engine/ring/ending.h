/* SPDX-License-Identifier: ISC */
#ifndef SQI_ENDING_H
#define SQI_ENDING_H

/*
 * A participant that ends another's lease declares, in its own slot, from which word it is about to
 * do so. Who takes a message under a number that is used again looks at these declarations.
 */

#include "ring/ring.h"

/*
 * Announces that this participant is about to end another's lease by changing this word; 0
 * withdraws that. The declaration must come before the last check whether the lease is to be
 * ended: a participant that takes the message anew either sees the declaration, or has made that
 * check fail. A participant without a slot declares nothing: see docs/MEMORY_MODEL.md, "Lease
 * times".
 */
static inline void sqi_declare_end(struct sqi_ring *ring, uint64_t w)
{
	if (ring->slot)
		sqi_store_seq(&ring->slot->ending, w);
}

/* Has a participant declared that it is about to end a lease by a CAS from this very word? */
static inline bool sqi_is_declared(const struct sqi_ring *ring, uint64_t w)
{
	for (unsigned n = 0; n < ring->g.in.participants; n++)
		if (sqi_load_seq(&sqi_slot(ring, n)->ending) == w)
			return true;
	return false;
}

#endif
