/* SPDX-License-Identifier: ISC */
#ifndef SQI_BLOCK_H
#define SQI_BLOCK_H

/* Blocks: memory for messages that do not fit in a cell. See block.c. */

#include "ring/ring.h"

/* A reference to a block, checked, and private to the caller. */
struct sqi_ref {
	uint64_t index; /* among all classes */
	uint64_t gen;
	uint64_t len; /* of the message in it */
};

/* Allocates one of the smallest class that holds len bytes and has one free. */
int sqi_block_get(struct sqi_ring *ring, size_t len, struct sqi_ref *ret);
/* Frees it, if the reference is to its present generation. */
void sqi_block_free(struct sqi_ring *ring, const struct sqi_ref *ref);
/* Is it in use, of that generation, and large enough for its message? */
bool sqi_block_valid(const struct sqi_ring *ring, const struct sqi_ref *ref);
/* Its bytes. The index has been checked. */
void *sqi_block_data(const struct sqi_ring *ring, uint64_t index, uint64_t *ret_cap);

/* What the word of a block says. */
bool sqi_block_is_free(uint64_t w);
unsigned sqi_block_owner(uint64_t w);
uint64_t sqi_block_generation(uint64_t w);

#endif
