/* SPDX-License-Identifier: ISC */
#ifndef SQI_GROUP_H
#define SQI_GROUP_H

/*
 * Several cells in a row that one participant claims by one step, or empties by one step. See
 * group.c.
 */

#include "ring/ring.h"

#define SQI_GROUP_BYTES 8192 /* of its messages */
#define SQI_GROUP_PART  8    /* and no more than such a part of the ring, or two cells */

/* The most cells that a group may have which begins at this position: not over the end of the array. */
static inline unsigned sqi_group_limit(const struct sqi_ring *ring, uint64_t pos)
{
	uint64_t part = (ring->mask + 1) / SQI_GROUP_PART, most = part > 2 ? part : 2;
	uint64_t to_end = sqi_cells_to_end(ring, pos);

	if (most > ring->mask)
		most = ring->mask; /* never all of it */
	if (most > to_end)
		most = to_end;
	return most < SQI_GROUP_MAX ? (unsigned)most : SQI_GROUP_MAX;
}

/*
 * The longest run of free cells from the ring's tail on that the caller may claim as a group: an even
 * number, at most `most`; 0 if there are less than two. The first is at *ret_pos.
 */
unsigned sqi_group_free_cells(const struct sqi_ring *ring, unsigned most, uint64_t *ret_pos);

/* Frees the other cells of a group whose head's word is w, for anybody: after the owner's death. */
void sqi_group_clear(const struct sqi_ring *ring, uint64_t pos, uint64_t w, uint64_t turn);

/*
 * Frees all cells of the caller's own group, VOID or REMOVING, whose head is at pos. Returns false if
 * the head is not the caller's: damage.
 */
bool sqi_group_free(const struct sqi_ring *ring, uint64_t pos);

/* The same if another participant may hold a message in the middle of it: by sqi_group_clear(). */
bool sqi_group_end(const struct sqi_ring *ring, uint64_t pos);

/*
 * The word of the head of the group to which the cell at this position belongs. 0 if it belongs to
 * none, or is the head.
 */
uint64_t sqi_group_head(const struct sqi_ring *ring, uint64_t pos);

/*
 * Returns true if the cell at this position, whose word w says FULL, holds no message: it belongs to
 * a group and is not its head. If the group is being removed, that is then decided: nobody can lease
 * the message by its id any more. If it returns false, w may have changed.
 */
bool sqi_is_covered(const struct sqi_ring *ring, uint64_t pos, uint64_t w);

#endif
