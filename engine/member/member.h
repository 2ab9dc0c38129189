/* SPDX-License-Identifier: ISC */
#ifndef SQI_MEMBER_H
#define SQI_MEMBER_H

/*
 * A participant: its id, and what its handle remembers; and whether other participants live. A
 * struct sqi_member is part of a handle, so one thread at a time uses it. See member.c.
 */

#include <stdbool.h>
#include <stdint.h>

#include "ring/ring.h"
#include "segment/map.h"

#ifndef SQI_RECOVERY_MAX /* the explorer has fewer */
#define SQI_RECOVERY_MAX 8
#endif

/*
 * A lap of recovery: once over all cells and all blocks, in slices, for some participants that were
 * found dead before it began.
 */
struct sqi_recovery {
	uint64_t count;   /* the participants that it is for; 0: there is no lap */
	uint64_t left;    /* those of them whose slots have no other tenant yet */
	uint64_t from;    /* the cell that it began at */
	uint64_t done;    /* how many cells, and then blocks, it has gone over */
	uint64_t next_ms; /* no slice before this moment */
	uint64_t claim;   /* the value that this lap last wrote to the head's recovery_ms, or 0 */
	struct sqi_dead {
		uint64_t id;      /* 0: the slot has another tenant, there is nothing more to do */
		unsigned number;  /* of the slot */
		uint64_t durable; /* the slot's `durable` when the lap began */
		uint64_t seen_ns; /* when the participant was seen dead */
	} dead[SQI_RECOVERY_MAX];
};

/* `held` of a participant that may have inherited leases with its slot: the number is not known. */
#define SQI_HELD_UNKNOWN ((uint64_t)1 << 62)

struct sqi_member {
	struct sqi_ring *ring;
	struct sqi_attachment *file;
	uint64_t id;
	uint64_t puts;          /* a copy of the slot's, which only its living tenant raises */
	uint64_t last;          /* the position or id of the last put, plus one; 0: not known */
	uint64_t held;          /* at least the number of cells TAKEN by this participant */
	uint64_t looked_ms;     /* when upkeep was last done without waiting */
	unsigned ops_to_upkeep; /* operations until the next look at the clock */
	bool counted;           /* the head's `joins` counts this participant */
	struct sqi_recovery recovery; /* the lap of recovery that this participant is in */
};

int sqi_new_id(struct sqi_member *m);
void sqi_drop_id(struct sqi_member *m);
bool sqi_is_dead(const struct sqi_member *m, uint64_t id);
bool sqi_is_locked(int fd, uint64_t id);

#endif
