/* SPDX-License-Identifier: ISC */
#ifndef SQI_REVOKE_H
#define SQI_REVOKE_H

/* Revokes the claims of late writers. See revoke.c. */

#include "ring/ring.h"

bool sqi_revoke_for_message(struct sqi_ring *ring, uint64_t pos, uint64_t w);
void sqi_revoke_for_room(struct sqi_ring *ring, uint64_t pos, uint64_t w);

#endif
