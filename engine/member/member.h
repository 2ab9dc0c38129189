/* SPDX-License-Identifier: ISC */
#ifndef SQI_MEMBER_H
#define SQI_MEMBER_H

/* Participants, and whether they live. See member.c. */

#include <stdbool.h>
#include <stdint.h>

#include "ring/ring.h"
#include "segment/map.h"

#ifndef SQI_LAP_MAX /* the explorer has fewer */
#define SQI_LAP_MAX 8
#endif

/*
 * Once round all cells and over all blocks, in slices, for some participants that were found dead
 * before it began.
 */
struct sqi_lap {
	uint64_t count;   /* of them; 0: there is no lap */
	uint64_t left;    /* whose slots have no other tenant */
	uint64_t from;    /* the cell it began at */
	uint64_t done;    /* cells, and then blocks */
	uint64_t next_ms; /* the next slice, not before */
	uint64_t claim;   /* what we wrote to the head's lap_ms */
	struct sqi_dead {
		uint64_t id;      /* 0: its slot has another tenant */
		unsigned number;  /* of its slot */
		uint64_t durable; /* as it is in its slot */
		uint64_t seen_ns; /* dead */
	} dead[SQI_LAP_MAX];
};

/* Cells in our hand, perhaps: those that our forerunner in the slot may have left are in it. */
#define SQI_HELD_UNKNOWN ((uint64_t)1 << 62)

struct sqi_member {
	struct sqi_ring *ring;
	struct sqi_attachment *file;
	uint64_t id;
	uint64_t puts;          /* as in the slot, which nobody else raises while we live */
	uint64_t last;          /* id of the last put, plus one; 0: not known */
	uint64_t held;          /* cells TAKEN by us, or more; 0: none */
	uint64_t looked_ms;     /* the last look for the dead in passing */
	unsigned ops_to_upkeep; /* operations until the next look at the clock */
	bool counted;           /* among those that took part */
	struct sqi_lap lap;     /* of the dead that we found */
};

int sqi_new_id(struct sqi_member *m);
void sqi_drop_id(struct sqi_member *m);
bool sqi_is_dead(const struct sqi_member *m, uint64_t id);
bool sqi_is_locked(int fd, uint64_t id);

#endif
