/* SPDX-License-Identifier: ISC */
#ifndef SQI_HANDLE_H
#define SQI_HANDLE_H

/*
 * A handle: one participant in one queue. It is private to one thread at a time; only what its
 * pointers into the segment lead to is shared.
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

/* One side of the queue on which the handle waits, and what decides whether a nap pays there. */
struct sqi_side {
	uint64_t ops;       /* calls since the last wait */
	int64_t began_ns;   /* the last wait, by CLOCK_MONOTONIC */
	unsigned hurried;   /* waits in a row that began soon after the one before */
	bool armed;         /* by sq_arm(): the user may have slept, and been woken, since */
	uint64_t armed_ops; /* `ops` then, or at the last call since that found nothing */
};

struct sq {
	struct sqi_member member;
	struct sqi_side producing, consuming;
	bool ring_is_next; /* the last message was a redelivery: the next is the ring's, if any */
	bool short_of_blocks; /* the last attempt to put failed because no block was free */
	int deferred_error;   /* an error that sq_get_many() could not report yet */

	struct sqi_ref reserved; /* block of a large reservation */
	void *buffer;            /* memory of small reservations */
	size_t reserved_cap;
	enum { SQI_RESERVED_NONE, SQI_RESERVED_SMALL, SQI_RESERVED_BLOCK } reservation;

	struct sq *dead_letters; /* handle on the queue for dead letters, or NULL */
	struct {
		uint64_t pos, word; /* of the message to be moved there */
		bool refused;       /* this attempt found that the queue for them takes no more */
	} dead_letter;

	struct sqi_ring ring;
	struct sqi_attachment file;
	struct sqi_copies copies;
};

/*
 * sqi_handle_init(): begin to take part, with a geometry (ring.g) and a mapping (ring.base, file).
 * Returns 0, or an error of sqi_join().
 */
int sqi_handle_init(struct sq *h, uint64_t key, int64_t grace);

#endif
