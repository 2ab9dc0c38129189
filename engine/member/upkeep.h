/* SPDX-License-Identifier: ISC */
#ifndef SQI_UPKEEP_H
#define SQI_UPKEEP_H

/* What is looked after in passing. See upkeep.c. */

#include "member/member.h"

/* When the dead are to be looked for again, and how far ahead that was when it was written. */
static inline uint64_t sqi_upkeep_at(uint64_t now_ms, uint64_t span_ms)
{
	return (now_ms + span_ms) << 16 | span_ms;
}

void sqi_upkeep(struct sqi_member *m);
void sqi_upkeep_if_late(struct sqi_member *m);

#endif
