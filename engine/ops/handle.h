/* SPDX-License-Identifier: ISC */
#ifndef SQI_HANDLE_H
#define SQI_HANDLE_H

/*
 * A handle: one participant in one queue, private to one thread at a time.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "member/member.h"
#include "ops/copies.h"
#include "ring/block.h"
#include "ring/ring.h"
#include "segment/map.h"
#include "sq.h"

/* A side of the queue to wait on. */
struct sqi_side {
	uint64_t ops;     /* done since the last wait */
	int64_t began_ns; /* the last wait */
	unsigned hurried; /* waits in a row that came soon after another */
};

struct sq {
	struct sqi_member member;
	struct sqi_side producing, consuming;
	bool ring_turn; /* the last message was a redelivery: the next is one of the ring, if it has any */
	bool short_of_blocks; /* the last attempt to put failed for want of one */
	int deferred_error;   /* an error that sq_get_many() could not report yet */

	struct sqi_ref reserved; /* of a large reservation */
	void *buffer;            /* of a small one */
	size_t reserved_cap;
	enum { SQI_RESERVED_NONE, SQI_RESERVED_SMALL, SQI_RESERVED_BLOCK } reservation;

	struct sq *dead_letters;
	struct {
		uint64_t pos, word; /* of the message that is to be moved there */
		bool refused;       /* in this attempt: there was no room for one */
	} dead_letter;

	struct sqi_ring ring;
	struct sqi_attachment file;
	struct sqi_copies copies;
};

/* sqi_handle_init(): from a geometry (ring.g) and a mapping (file.base) to a participant. */
int sqi_handle_init(struct sq *h, uint64_t key, int64_t grace);

#endif
