/* SPDX-License-Identifier: ISC */
#ifndef SQI_POSITION_H
#define SQI_POSITION_H

/*
 * Positions: from where to where the ring's messages lie, as far as one can tell without asking
 * anybody. See position.c.
 */

#include "ring/ring.h"

#define SQI_HINT_EVERY 16 /* positions between two publications of a hint */

/*
 * No walk along the ring is longer than this while its memory is whole: a lap to see that the hints
 * are of no use, another behind a survey, and steps lost to others, each of which is somebody's
 * progress.
 */
static inline uint64_t sqi_steps_max(const struct sqi_ring *ring)
{
	return 4 * ring->mask + (1 << 22);
}

bool sqi_is_claimed(const struct sqi_ring *ring, uint64_t p);
bool sqi_is_consumed(const struct sqi_ring *ring, uint64_t p);
uint64_t sqi_survey(const struct sqi_ring *ring, uint64_t p, bool past_claimed);
uint64_t sqi_tail_catch_up(const struct sqi_ring *ring, uint64_t p);
uint64_t sqi_front_catch_up(const struct sqi_ring *ring, uint64_t p);
uint64_t sqi_tail_anew(const struct sqi_ring *ring);
uint64_t sqi_front_anew(const struct sqi_ring *ring);
int sqi_tail(const struct sqi_ring *ring, uint64_t *ret_pos);
void sqi_claimed(struct sqi_ring *ring, uint64_t p);
void sqi_passed(struct sqi_ring *ring, uint64_t position);
bool sqi_leads_on(const struct sqi_ring *ring, uint64_t p, uint64_t *ret_end);

#endif
