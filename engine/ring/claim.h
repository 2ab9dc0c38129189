/* SPDX-License-Identifier: ISC */
#ifndef SQI_CLAIM_H
#define SQI_CLAIM_H

/* Claims the first free cell. See claim.c. */

#include "ring/ring.h"

int sqi_claim(struct sqi_ring *ring, uint64_t *ret_pos, uint64_t *ret_word);

#endif
