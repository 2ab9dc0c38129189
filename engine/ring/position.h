/* SPDX-License-Identifier: ISC */
#ifndef SQI_POSITION_H
#define SQI_POSITION_H

/*
 * Positions count for ever: position p lies in cell p mod N, in the lap p / N. The ring's messages
 * lie from its front, the first position that is not consumed, to its tail, the first that is not
 * claimed. Neither is stored: both are found by walking over the cells from a lower bound. See
 * position.c.
 */

#include <errno.h>

#include "ring/ring.h"

/* The end of the ring that a walk goes to. A position is passed if it lies before that end. */
enum sqi_edge {
	SQI_FRONT, /* passed: consumed, or skipped */
	SQI_TAIL,  /* passed: claimed, or skipped */
};

/*
 * A walk along the ring to one of its ends, private to one call. `pos` is where it is, `word` the
 * word of the cell there, and `ahead` how far the word's turn is above the position's.
 */
struct sqi_walk {
	enum sqi_edge end;
	bool anew; /* it began at sqi_edge_anew(): there is no better place to begin */
	uint64_t pos, word;
	int64_t ahead;
	uint64_t passed;  /* positions that it has passed one by one */
	uint64_t left;    /* looks at cells until the walk is given up */
	uint64_t follows; /* a busy cell before this position has a free one behind it */
};

int sqi_tail(const struct sqi_ring *ring, uint64_t *ret_pos);
uint64_t sqi_edge_anew(const struct sqi_ring *ring, enum sqi_edge end);
bool sqi_walk_skip(struct sqi_ring *ring, struct sqi_walk *walk);

/* The rest of sqi_walk_next(), out of line. Each returns the walk at its next position. */
struct sqi_walk sqi_walk_pass(const struct sqi_ring *ring, struct sqi_walk walk);
struct sqi_walk sqi_walk_anew(const struct sqi_ring *ring, struct sqi_walk walk);

/*
 * A limit on the looks of one walk in undamaged memory: one lap until the hints prove useless, one
 * for a survey, another after it, one for what follows busy cells, and the looks at cells that
 * other participants changed in between, each of which is their progress.
 */
static inline uint64_t sqi_looks_max(const struct sqi_ring *ring)
{
	return 4 * ring->mask + (1 << 22);
}

/*
 * Returns true if a position is passed, given its cell's word and how far the word's turn is ahead.
 */
static inline bool sqi_is_passed(uint64_t word, int64_t ahead, enum sqi_edge end)
{
	return ahead > 0 ||
	       (end == SQI_TAIL && ahead == 0 &&
		       (sqi_word_state(word) == SQI_FULL || sqi_word_state(word) == SQI_WRITING));
}

/*
 * Returns true if the cell still holds a message of the lap before, or one being written: then the
 * ring is full at this position.
 */
static inline bool sqi_is_full(uint64_t word, int64_t ahead)
{
	return ahead == -1 &&
	       (sqi_word_state(word) == SQI_FULL || sqi_word_state(word) == SQI_WRITING);
}

static inline struct sqi_walk sqi_walk_from(
	const struct sqi_ring *ring, uint64_t pos, enum sqi_edge end)
{
	return (struct sqi_walk){
		.end = end, .pos = pos, .left = sqi_looks_max(ring), .follows = pos};
}

/*
 * Goes on from where the walk is to the first position that is not passed, which may be the same
 * one. The caller acts on the cell there and calls again. Returns 0, or -EBADMSG if no such
 * position is found: then the memory is damaged.
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

#define SQI_HINT_EVERY 16 /* positions between two publications of a hint, of single ones */

/* Notes that all positions before this one are claimed, and now and then publishes it as a hint. */
static inline void sqi_note_claimed(struct sqi_ring *ring, uint64_t pos)
{
	ring->tail = pos;
	if (pos % SQI_HINT_EVERY == 0)
		sqi_raise(&ring->head->tail, pos);
}

/* The same of positions that are consumed. */
static inline void sqi_note_consumed(struct sqi_ring *ring, uint64_t pos)
{
	ring->front = pos;
	if (pos % SQI_HINT_EVERY == 0)
		sqi_raise(&ring->head->front, pos);
}

/* Both, of a group of positions that ends before this one: always published. */
static inline void sqi_note_group_claimed(struct sqi_ring *ring, uint64_t pos)
{
	ring->tail = pos;
	sqi_raise(&ring->head->tail, pos);
}

static inline void sqi_note_group_consumed(struct sqi_ring *ring, uint64_t pos)
{
	ring->front = pos;
	sqi_raise(&ring->head->front, pos);
}

#endif
