/* SPDX-License-Identifier: ISC */
#ifndef SQI_REVOKE_H
#define SQI_REVOKE_H

/* Writers that are late. See revoke.c. */

#include "ring/ring.h"

bool sqi_late(struct sqi_ring *ring, uint64_t p, uint64_t w);
void sqi_put_off(struct sqi_ring *ring, struct sqi_cell *c, uint64_t w);

#endif
