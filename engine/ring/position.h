/* SPDX-License-Identifier: ISC */
#ifndef SQI_POSITION_H
#define SQI_POSITION_H

/*
 * Positions count for ever: position p lies in cell p mod N, in the lap p / N. The ring's messages
 * lie from its front, the first position that is not consumed, to its tail, the first that nobody
 * has claimed. Neither is written down anywhere: both are found by looking at the cells, from a
 * lower bound on. See position.c.
 */

#include <errno.h>

#include "ring/ring.h"

/* Which end of the ring is meant. A position is passed if it lies before that end. */
enum sqi_end {
	SQI_FRONT, /* passed: consumed, or skipped */
	SQI_TAIL,  /* passed: claimed, or skipped */
};

/*
 * A walk along the ring to one of its ends. It belongs to one call; `pos` is where it is, `word` what
 * the cell there said, and `ahead` how far the word's turn is above the position's.
 */
struct sqi_walk {
	enum sqi_end end;
	bool anew; /* it had no position of its own to begin with */
	uint64_t pos, word;
	int64_t ahead;
	uint64_t passed;  /* positions it went by, one by one */
	uint64_t left;    /* looks, and then it is given up */
	uint64_t follows; /* up to here a free cell is known to follow */
};

int sqi_tail(const struct sqi_ring *ring, uint64_t *ret_pos);
uint64_t sqi_end_anew(const struct sqi_ring *ring, enum sqi_end end);
void sqi_note_claimed(struct sqi_ring *ring, uint64_t pos);
void sqi_note_consumed(struct sqi_ring *ring, uint64_t pos);
bool sqi_walk_skip(struct sqi_ring *ring, struct sqi_walk *walk);

/* The rest of sqi_walk_next(), out of line. */
struct sqi_walk sqi_walk_pass(const struct sqi_ring *ring, struct sqi_walk walk);
struct sqi_walk sqi_walk_anew(const struct sqi_ring *ring, struct sqi_walk walk);

/*
 * No walk is longer than this while the ring's memory is whole: a lap to see that the hints are of
 * no use, another behind a survey, and looks that were lost to others, each of which is progress of
 * somebody.
 */
static inline uint64_t sqi_looks_max(const struct sqi_ring *ring)
{
	return 4 * ring->mask + (1 << 22);
}

/* Does a cell of this word, whose turn is so far ahead of a position's, say that it is passed? */
static inline bool sqi_is_passed(uint64_t word, int64_t ahead, enum sqi_end end)
{
	return ahead > 0 ||
	       (end == SQI_TAIL && ahead == 0 &&
		       (sqi_word_state(word) == SQI_FULL || sqi_word_state(word) == SQI_WRITING));
}

/* Is there still a message of the lap before, or one being written? Then the ring is full here. */
static inline bool sqi_is_full(uint64_t word, int64_t ahead)
{
	return ahead == -1 &&
	       (sqi_word_state(word) == SQI_FULL || sqi_word_state(word) == SQI_WRITING);
}

static inline struct sqi_walk sqi_walk_from(
	const struct sqi_ring *ring, uint64_t pos, enum sqi_end end)
{
	return (struct sqi_walk){
		.end = end, .pos = pos, .left = sqi_looks_max(ring), .follows = pos};
}

/*
 * From where the walk is to its end, which may be where it is: 0. The caller goes on by calling
 * again, after whatever it has done to the cell there, or if it was too late to do it. -EBADMSG:
 * there is no end, so the memory is damaged.
 */
static inline int sqi_walk_next(const struct sqi_ring *ring, struct sqi_walk *walk)
{
	while (walk->left-- > 0) {
		walk->word = sqi_load_seq(&sqi_cell(ring, walk->pos)->word);
		walk->ahead = sqi_word_ahead(walk->word, walk->pos >> ring->shift);
		if (sqi_is_passed(walk->word, walk->ahead, walk->end))
			*walk = sqi_walk_pass(ring, *walk);
		else if (walk->ahead == 0 ||
			 (walk->end == SQI_TAIL && sqi_is_full(walk->word, walk->ahead)))
			return 0;
		else if (walk->anew)
			break;
		else
			*walk = sqi_walk_anew(ring, *walk);
	}
	return -EBADMSG;
}

#endif
