/* SPDX-License-Identifier: ISC */
#ifndef SQI_COUNT_H
#define SQI_COUNT_H

/* Durable counts of puts: their entries. See count.c. */

#include "ring/ring.h"

/* What the slot's tenant has put under its key, with what was there before. */
uint64_t sqi_count_of(const struct sqi_slot *slot, uint64_t puts);
/* Adds what a dead tenant has put to its key's entry, once. */
void sqi_count_fold(struct sqi_ring *ring, struct sqi_slot *slot, uint64_t dead);
/* The entry of a key; made, if wanted. */
struct sqi_count_entry *sqi_count_find(
	struct sqi_ring *ring, uint64_t key, bool make, uint64_t *ret_index);

#endif
