/* SPDX-License-Identifier: ISC */
#ifndef SQI_RECOVERY_H
#define SQI_RECOVERY_H

/* Recovery: giving back what dead participants held. See recovery.c. */

#include "member/member.h"

#ifndef SQI_SLICE_CELLS     /* the explorer has slices of one cell */
#define SQI_SLICE_CELLS 256 /* cells or blocks between two looks at the clock */
#endif

#ifndef SQI_SMALL_RING       /* the explorer has another */
#define SQI_SMALL_RING 16384 /* cells and blocks; so many are gone over in one slice */
#endif

/* All the dead, at once. */
int sqi_recover_dead(struct sqi_member *m);
/* One of them; or the caller's own participant. */
void sqi_recover_slot(struct sqi_member *m, unsigned number, uint64_t dead);
/* Can the participant leave without going over all cells? Then it leaves. */
bool sqi_leaves_at_once(const struct sqi_member *m);
void sqi_recover_own(struct sqi_member *m);

/* The same in slices, for upkeep.c: who is dead; so much of the lap; and its end. */
uint64_t sqi_find_dead(struct sqi_member *m, struct sqi_recovery *recovery, uint64_t at,
	uint64_t count, int64_t until_ns);
bool sqi_recovery_slice(struct sqi_member *m, struct sqi_recovery *recovery, int64_t until_ns);
void sqi_recovery_end(struct sqi_member *m, struct sqi_recovery *recovery);

#endif
