/* SPDX-License-Identifier: ISC */
#ifndef SQI_RECLAIM_H
#define SQI_RECLAIM_H

/* What death leaves behind. See reclaim.c. */

#include "member/member.h"

#ifndef SQI_SMALL_RING       /* the explorer has another */
#define SQI_SMALL_RING 16384 /* cells and blocks, that are gone over at one go */
#endif

int sqi_rescue(struct sqi_member *m);
void sqi_reap(struct sqi_member *m, unsigned number, uint64_t dead);
void sqi_give_up_slot(struct sqi_member *m);

/* One cell, one block. False: the slot has another tenant. */
bool sqi_reap_cell(struct sqi_member *m, uint64_t pos, unsigned owner, const struct sqi_slot *slot,
	uint64_t dead, bool durable);
bool sqi_block_reclaim(struct sqi_ring *ring, uint64_t index, unsigned owner,
	const struct sqi_slot *slot, uint64_t dead);

/* The same in slices, for upkeep.c. */
uint64_t sqi_ask(
	struct sqi_member *m, struct sqi_lap *lap, uint64_t at, uint64_t count, int64_t until_ns);
bool sqi_go_on(struct sqi_member *m, struct sqi_lap *lap, int64_t until_ns);
void sqi_release(struct sqi_member *m, struct sqi_lap *lap);

#endif
