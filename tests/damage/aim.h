/* SPDX-License-Identifier: ISC */
#ifndef AIM_H
#define AIM_H

/*
 * Damage: what is changed in a segment, and to what. Mostly one word that the engine reads as a
 * state, an index, a length, a generation, a turn or a hint, to a value at a limit of what it may
 * be, or one that another such word has; and single bits, bytes and bursts anywhere.
 */

#include "chance.h"
#include "scene.h"

enum region {
	AIM_DESCRIPTION,
	AIM_HEAD,
	AIM_SLOTS,
	AIM_COUNTS,
	AIM_BITMAP,
	AIM_RETURNS,
	AIM_ATTEMPTS,
	AIM_DEADLINES,
	AIM_BLOCKS,
	AIM_CELLS,
	AIM_REFERENCES,
	AIM_DATA,
	AIM_BYTES, /* bits, bytes and bursts wherever they fall */
	AIM_REGIONS,
};

extern const char *const aim_names[AIM_REGIONS];

/* aim(): one change. Where. */
enum region aim(const struct victim *v, struct chance *c);

/* aim_cell(): one change of the cell at this position: of its word, or of what lies in it. */
enum region aim_cell(const struct victim *v, uint64_t position, struct chance *c);

/*
 * aim_mend(): the description is whole again and the queue open, so that others can come and go on.
 */
void aim_mend(const struct victim *v);

/*
 * aim_forge(): the description of another queue in place of this one's, consistent in itself; the
 * file is made as long as that says. False: it would have to be cut short, under its users.
 */
bool aim_forge(const struct victim *v, struct chance *c);

#endif
