/* SPDX-License-Identifier: ISC */
#ifndef SQI_RECLAIM_H
#define SQI_RECLAIM_H

/* Giving back what a dead participant has left in one place. See reclaim.c. */

#include "member/member.h"

/* Did the put in hand happen? Recorded, before its cell is freed. */
void sqi_decide(struct sqi_ring *ring, const struct sqi_dead *d);
/* What it holds of a cell, of a block. False: its slot has another tenant. */
bool sqi_reclaim_cell(struct sqi_ring *ring, uint64_t pos, const struct sqi_dead *d);
bool sqi_reclaim_block(struct sqi_ring *ring, uint64_t index, const struct sqi_dead *d);

#endif
