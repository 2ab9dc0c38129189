/* SPDX-License-Identifier: ISC */
#ifndef SQI_FRONT_H
#define SQI_FRONT_H

/* Finds the first message of the ring, and its end. See front.c. */

#include "ring/ring.h"

int sqi_front(struct sqi_ring *ring, uint64_t *ret_pos, uint64_t *ret_word);
int sqi_seal(struct sqi_ring *ring);

#endif
