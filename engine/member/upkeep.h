/* SPDX-License-Identifier: ISC */
#ifndef SQI_UPKEEP_H
#define SQI_UPKEEP_H

/* Upkeep: what participants do for the queue in passing. See upkeep.c. */

#include "member/member.h"

/*
 * A word that says when something is due: in span_ms from now. It bears the span, too, so that a
 * moment further ahead than that is known to be wrong.
 */
static inline uint64_t sqi_upkeep_at(uint64_t now_ms, uint64_t span_ms)
{
	return (now_ms + span_ms) << 16 | span_ms;
}

void sqi_upkeep(struct sqi_member *m);
void sqi_upkeep_if_late(struct sqi_member *m);

#endif
