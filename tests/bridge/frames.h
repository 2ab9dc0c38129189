/* SPDX-License-Identifier: ISC */
#ifndef TESTS_BRIDGE_FRAMES_H
#define TESTS_BRIDGE_FRAMES_H

#include "wire.h"

/*
 * Valid frames at random, the same for the same seed, for test_wire.c and fuzz_wire.c. The payloads
 * of batches, ranges, parts and texts lie in the room inside struct frames, until the next one.
 */

struct frames {
	uint64_t state;
	uint8_t room[WIRE_FRAME_MAX];
};

uint64_t frames_random(struct frames *f);
uint64_t frames_below(struct frames *f, uint64_t n);

/* A frame of this type (WIRE_SKIP too); `small`: a few hundred bytes at most. */
void frames_make(struct frames *f, struct wire_frame *ret, enum wire_type type, bool small);

#endif
