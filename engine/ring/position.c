/* SPDX-License-Identifier: ISC */
#include "ring/position.h"

#include "ring/transition.h"

/*
 * Where the ring begins and ends. Called by claim.c, front.c, ops/ and the public calls; any number
 * of participants may be in it at once.
 *
 * Invariant: a producer moves past a position only when it has been claimed or skipped. So no
 * message lies behind a free position, and the first message of the ring is at the first position
 * that is not consumed.
 *
 * A walk begins at a hint: a lower bound that the handle remembers, or one that is published in the
 * head. It may be old, which costs steps only, because both ends only move forward. It may be
 * damaged, so it is used only if the position just before it is passed.
 */

/* Returns true if this position is passed. */
static bool passed(const struct sqi_ring *ring, uint64_t pos, enum sqi_edge end)
{
	uint64_t w = sqi_load_seq(&sqi_cell(ring, pos)->word);

	return sqi_is_passed(w, sqi_word_ahead(w, pos >> ring->shift), end);
}

/*
 * Finds the end from the words of all cells, without any hint. `near` is any position less than
 * 2^39 laps away. Words only go up, so a position that was passed stays passed during the survey.
 * It begins where no group goes on.
 */
static uint64_t survey(const struct sqi_ring *ring, uint64_t near, enum sqi_edge end)
{
	uint64_t first = near + INT64_MAX;

	for (struct sqi_scan s = sqi_scan_from(near & ~ring->mask, ring->mask + 1);
		sqi_scan_next(ring, &s);) {
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
 * The position to go on from after another participant has passed `pos`: the greatest hint that
 * holds. The hint of the tail serves for the front, too: a producer that reached a position had
 * found the one a lap before it consumed, and all before that. A hint is used only if it lies ahead
 * of `pos`, and the position just before it is passed.
 */
static uint64_t catch_up(const struct sqi_ring *ring, uint64_t pos, enum sqi_edge end)
{
	/* Relaxed, both: a hint is used only after a look at a cell has confirmed it. */
	uint64_t tail = sqi_load_relaxed(&ring->head->tail), front;

	if (end == SQI_TAIL)
		return (int64_t)(tail - pos) > 0 && passed(ring, tail - 1, end) ? tail : pos;
	front = sqi_load_relaxed(&ring->head->front);
	if ((int64_t)(front - pos) > 0 && passed(ring, front - 1, end))
		pos = front;
	tail -= ring->mask + 1;
	if ((int64_t)(tail - pos) > 0 && passed(ring, tail - 1, end))
		pos = tail;
	return pos;
}

/* Where a walk begins without a position of its own, or with one so old that turns have wrapped. */
uint64_t sqi_edge_anew(const struct sqi_ring *ring, enum sqi_edge end)
{
	const struct sqi_head *head = ring->head;
	/* Relaxed: the hint is used only after a look at a cell has confirmed it. */
	uint64_t hint = sqi_load_relaxed(end == SQI_TAIL ? &head->tail : &head->front);

	if (passed(ring, hint - 1, end))
		return hint;
	return survey(
		ring, sqi_word_turn(sqi_load_seq(&sqi_cell(ring, 0)->word)) << ring->shift, end);
}

/* Counts n more looks at cells. */
static void count_looks(struct sqi_walk *walk, uint64_t n)
{
	walk->left -= n < walk->left ? n : walk->left;
}

/* Begins the walk again, at the end that the hints or a survey give. */
struct sqi_walk sqi_walk_anew(const struct sqi_ring *ring, struct sqi_walk walk)
{
	walk.anew = true;
	walk.pos = walk.follows = sqi_edge_anew(ring, walk.end);
	return walk;
}

/*
 * Moves the walk past one position, or past a group of them. After the first step it goes on at the
 * published hint, and once in each lap at the result of a survey.
 */
struct sqi_walk sqi_walk_pass(const struct sqi_ring *ring, struct sqi_walk walk)
{
	unsigned span = sqi_span(ring, walk.word);
	uint64_t before = walk.passed;

	walk.pos += span;
	walk.passed += span;
	if (before == 0) {
		walk.pos = catch_up(ring, walk.pos, walk.end);
	} else if (walk.passed >> ring->shift != before >> ring->shift) {
		walk.pos = survey(ring, walk.pos, walk.end);
		count_looks(&walk, ring->mask + 1);
	}
	return walk;
}

/* Finds the first position that is not claimed. Returns 0, or -EBADMSG if the memory is damaged. */
int sqi_tail(const struct sqi_ring *ring, uint64_t *ret_pos)
{
	struct sqi_walk walk = sqi_walk_from(ring, ring->tail, SQI_TAIL);
	int r = sqi_walk_next(ring, &walk);

	if (r == 0)
		*ret_pos = walk.pos;
	return r;
}

/*
 * Returns true if a free cell follows the busy ones before `pos`; then *ret is its position. A
 * skipped cell cannot be claimed in this lap. So no skip is made if that would gain no cell: before
 * the oldest message of a full ring, or in a ring of which all is leased.
 */
static bool free_cell_follows(
	const struct sqi_ring *ring, uint64_t pos, uint64_t left, uint64_t *ret)
{
	for (struct sqi_scan s = sqi_scan_from(pos, left); sqi_scan_next(ring, &s);) {
		switch (sqi_word_state(s.word)) {
		case SQI_FULL:
		case SQI_WRITING:
			/*
			 * Of the lap before: the ring is full. Of this one: another producer has
			 * passed the busy ones already.
			 */
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
 * Skips the busy cell or group (TAKEN, BACK, VOID, RELEASING or REMOVING) at which the walk stands,
 * if a free one follows. Returns true if it was skipped or its word has changed: the caller goes on
 * walking. Returns false if no free cell follows.
 */
bool sqi_walk_skip(struct sqi_ring *ring, struct sqi_walk *walk)
{
	struct sqi_cell *c = sqi_cell(ring, walk->pos);
	unsigned span = sqi_span(ring, walk->word);

	if ((int64_t)(walk->follows - walk->pos) <= 0) {
		bool follows = free_cell_follows(
			ring, walk->pos + span, ring->mask + 1 - span, &walk->follows);

		count_looks(walk, follows ? walk->follows - walk->pos : ring->mask);
		/*
		 * If the word is the same, no participant passed this cell during the scan, so the
		 * scan saw cells of one lap and its result holds.
		 */
		if (!follows)
			return sqi_load_seq(&c->word) != walk->word;
	}
	/* S1. */
	if (sqi_cell_skip(c, walk->word)) {
		walk->pos += span;
		if (walk->end == SQI_TAIL)
			sqi_note_claimed(ring, walk->pos);
	}
	return true;
}
