/* SPDX-License-Identifier: ISC */
#include "ops/handle.h"

#include "member/join.h"
#include "ring/position.h"

/*
 * Fills in where the segment's parts are, and takes a slot. Called by queue.c with a new handle,
 * which no other thread knows yet.
 */
int sqi_handle_init(struct sq *h, uint64_t key, int64_t grace)
{
	h->member.ring = &h->ring;
	h->member.file = &h->file;
	sqi_ring_init(&h->ring);
	h->member.ops_to_upkeep = 1; /* the first call counts this participant in */
	h->ring.redelivery_seen = ~(uint64_t)0;
	h->ring.tail = sqi_edge_anew(&h->ring, SQI_TAIL);
	h->ring.front = sqi_edge_anew(&h->ring, SQI_FRONT);
	return sqi_join(&h->member, key, grace);
}
