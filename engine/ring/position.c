/* SPDX-License-Identifier: ISC */
#include "ring/position.h"

#include "ring/transition.h"

/*
 * Where the ring begins and ends. Called by those who put and those who take, any number at once.
 *
 * Invariant: a producer moves past a position only when it has been claimed or skipped by somebody.
 * So a position that is free has nothing behind it, and the first message is always at the first
 * position not yet consumed.
 *
 * Where to begin is a hint: a lower bound that the handle remembers, or one that others publish in
 * the head now and then. A hint may be stale, or damaged. It counts only if the position just before
 * it is passed, which is what all positions before it are then: both ends only ever move on.
 */

#define HINT_EVERY 16 /* positions between two publications of a hint */

/* Does the cell of this position say that it is passed? */
static bool passed(const struct sqi_ring *ring, uint64_t pos, enum sqi_end end)
{
	uint64_t w = sqi_load_seq(&sqi_cell(ring, pos)->word);

	return sqi_is_passed(w, sqi_word_ahead(w, pos >> ring->shift), end);
}

/*
 * The hints are of no use: the end, by all the words. `near` is any position that is less than 2^39
 * laps away. Words only go up, so what was passed stays passed while the others are looked at.
 */
static uint64_t survey(const struct sqi_ring *ring, uint64_t near, enum sqi_end end)
{
	uint64_t first = near + INT64_MAX;

	for (struct sqi_scan s = sqi_scan_from(near, ring->mask + 1); sqi_scan_next(ring, &s);) {
		int64_t laps = s.ahead;
		uint64_t pos;

		if (end == SQI_TAIL && (sqi_word_state(s.word) == SQI_FULL ||
					       sqi_word_state(s.word) == SQI_WRITING))
			laps++;
		pos = s.pos + ((uint64_t)laps << ring->shift);
		if ((int64_t)(pos - first) < 0)
			first = pos;
	}
	return first;
}

/*
 * Others have gone by: where to go on looking. A producer that reached a position had found the one
 * a lap before it consumed, and all before that; so the hint of the tail is one of the front, too.
 * A hint counts only if it lies ahead: one word alone would tell nothing, for a redelivery raises
 * its turn before the ring's end comes there.
 */
static uint64_t catch_up(const struct sqi_ring *ring, uint64_t pos, enum sqi_end end)
{
	/* Relaxed, both: hints, which count only after a look at a cell. */
	uint64_t tail = sqi_load_relaxed(&ring->head->tail), front;

	if (end == SQI_TAIL)
		return (int64_t)(tail - pos) > 0 && passed(ring, tail - 1, end) ? tail : pos;
	front = sqi_load_relaxed(&ring->head->head);
	if ((int64_t)(front - pos) > 0 && passed(ring, front - 1, end))
		pos = front;
	tail -= ring->mask + 1;
	if ((int64_t)(tail - pos) > 0 && passed(ring, tail - 1, end))
		pos = tail;
	return pos;
}

/* Where to begin without a position of one's own, or with one so old that its turn has wrapped. */
uint64_t sqi_end_anew(const struct sqi_ring *ring, enum sqi_end end)
{
	const struct sqi_head *head = ring->head;
	/* Relaxed: a hint, which counts only after a look at a cell. */
	uint64_t hint = sqi_load_relaxed(end == SQI_TAIL ? &head->tail : &head->head);

	if (passed(ring, hint - 1, end))
		return hint;
	return survey(
		ring, sqi_word_turn(sqi_load_seq(&sqi_cell(ring, 0)->word)) << ring->shift, end);
}

struct sqi_walk sqi_walk_anew(const struct sqi_ring *ring, struct sqi_walk walk)
{
	walk.anew = true;
	walk.pos = walk.follows = sqi_end_anew(ring, walk.end);
	return walk;
}

/* To the next position; but with the first step to where others are, and once a lap by a survey. */
struct sqi_walk sqi_walk_pass(const struct sqi_ring *ring, struct sqi_walk walk)
{
	walk.pos++;
	walk.passed++;
	if (walk.passed == 1)
		walk.pos = catch_up(ring, walk.pos, walk.end);
	else if (walk.passed % (ring->mask + 1) == 0)
		walk.pos = survey(ring, walk.pos, walk.end);
	return walk;
}

/* The first position that nobody has claimed. -EBADMSG: the memory is damaged. */
int sqi_tail(const struct sqi_ring *ring, uint64_t *ret_pos)
{
	struct sqi_walk walk = sqi_walk_from(ring, ring->tail, SQI_TAIL);
	int r = sqi_walk_next(ring, &walk);

	if (r == 0)
		*ret_pos = walk.pos;
	return r;
}

/* All positions before this one are claimed, as far as this handle is concerned. */
void sqi_note_claimed(struct sqi_ring *ring, uint64_t pos)
{
	ring->tail = pos;
	if (pos % HINT_EVERY == 0)
		sqi_raise(&ring->head->tail, pos);
}

/* All positions before this one are consumed. */
void sqi_note_consumed(struct sqi_ring *ring, uint64_t pos)
{
	ring->front = pos;
	if (pos % HINT_EVERY == 0)
		sqi_raise(&ring->head->head, pos);
}

/*
 * Does a free cell follow the busy ones at pos and behind it? Then *ret is where. A skip costs a
 * cell its lap, so none is made before a full ring's oldest message, or round a ring in which all
 * is leased.
 */
static bool free_cell_follows(const struct sqi_ring *ring, uint64_t pos, uint64_t *ret)
{
	for (struct sqi_scan s = sqi_scan_from(pos + 1, ring->mask); sqi_scan_next(ring, &s);) {
		switch (sqi_word_state(s.word)) {
		case SQI_FULL:
		case SQI_WRITING:
			/* Of the lap before: the ring is full. Of this one: others have gone on. */
			*ret = s.pos;
			return s.ahead != -1;
		case SQI_FREE:
		case SQI_SEALED:
			if (s.ahead > 0)
				break; /* skipped in this lap: it cannot be claimed */
			*ret = s.pos;
			return true;
		default:
			break;
		}
	}
	return false;
}

/*
 * The walk stands at a cell that is busy (TAKEN, BACK, VOID or RELEASING). Skip it, if a free one
 * follows. True: skipped, or somebody has changed it: go on. False: no free one follows.
 */
bool sqi_walk_skip(struct sqi_ring *ring, struct sqi_walk *walk)
{
	struct sqi_cell *c = sqi_cell(ring, walk->pos);

	if ((int64_t)(walk->follows - walk->pos) <= 0 &&
		!free_cell_follows(ring, walk->pos, &walk->follows))
		/* The cells were of one lap only if nobody has passed this one while we looked. */
		return sqi_load_seq(&c->word) != walk->word;
	if (sqi_cell_skip(c, walk->word)) {
		walk->pos++;
		if (walk->end == SQI_TAIL)
			sqi_note_claimed(ring, walk->pos);
	}
	return true;
}
