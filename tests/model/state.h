/* SPDX-License-Identifier: ISC */
#ifndef TESTS_MODEL_STATE_H
#define TESTS_MODEL_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The state of a run (explore.h says what that is): kept, gone back to, hashed, and looked up among
 * those visited.
 */

/* What belongs to the state: up to REGIONS_MAX pieces of memory, each of whole 64-bit words. */
enum region_kind {
	REGION_SHARED,  /* anybody may change it at any step */
	REGION_PRIVATE, /* only its owner changes it, in its own steps */
};

#define REGIONS_MAX 40

void state_forget_regions(void);
void state_add_region(enum region_kind kind, unsigned owner, void *memory, size_t size);

/* `who` has made a step, or anybody's private memory was changed from outside (who < 0). */
void state_moved(int who);

uint64_t state_hash(void);

/* Keep the state on a stack of such; go back to the one on top; drop that. */
void state_push(void);
void state_back(void);
void state_pop(void);

/* The states visited. Begin with none, and room for `memory` bytes of them. */
void visited_reset(size_t memory);

enum visit { VISIT_NEW, VISIT_KNOWN, VISIT_NO_ROOM };
enum visit visited(uint64_t hash);

#endif
