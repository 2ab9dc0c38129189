/* SPDX-License-Identifier: ISC */
#include "ring/group.h"

#include "ring/position.h"
#include "ring/transition.h"

/*
 * Groups of cells. A producer that has many messages claims a group of free cells by one step (W1), and
 * commits all of them by another (W2). A consumer removes a group of messages by one step (K1). In
 * between the word of the group's first cell, its head, speaks for all of them: WRITING, VOID or
 * REMOVING, with an owner and a span. Called by ops/, find.c, drain.c and member/reclaim.c.
 *
 * Invariant: while a head's word has a span, no participant but its owner, or after its death who
 * recovers, changes the words of the others; and none takes them for what they say. A walk steps
 * over the group, a scan gives the head's word for each (ring.h), and who comes by a message's id
 * asks sqi_is_covered(). A walk or a scan cannot come upon one of them without having met the head:
 * the ring's ends only move past the group as a whole, and no group goes on over the end of the
 * array.
 *
 * The words of the others are FREE, of the turn at which the group was claimed, or FULL, of the same
 * turn: the owner stores that before it commits, without a CAS, for the cells are its own. So when the
 * head becomes FULL, all are, and the group is no more: each cell is as if it had been put alone.
 * Otherwise they are FREE before the head is, of the turn that it then has (K2).
 *
 * A message may be leased by its id out of the middle of a run that a consumer is about to remove.
 * Whoever does that raises head->by_id first and then looks for a head that covers the message; and a
 * consumer that has made the step K1 looks at by_id. So one of them sees the other (sequential
 * consistency). If by_id is set, the consumer frees each cell by a CAS, and whatever it finds TAKEN is
 * not its own. Until then it is open whose such a message is: who has to know makes it the consumer's,
 * FULL -> REMOVING, so that it cannot be leased after somebody was told that it is gone.
 *
 * The spans are even: see struct sqi_slot.
 */

/*
 * How many of up to `most` cells, from this position on, may be claimed. Not over the end of the
 * array: the cells there are free at a higher turn.
 */
static inline unsigned count_free(const struct sqi_ring *ring, uint64_t pos, unsigned most)
{
	struct sqi_stride stride = sqi_stride(ring);
	struct sqi_place place = sqi_place(ring, pos);
	uint64_t free = sqi_word(SQI_FREE, 0, 0, place.turn);
	unsigned n;

	if (most > sqi_group_limit(ring, pos))
		most = sqi_group_limit(ring, pos);
	for (n = 0; n < most; n++, sqi_place_next(&place, stride))
		if (sqi_load_seq(&place.cell->word) != free)
			break;
	return n & ~1U;
}

unsigned sqi_group_free_cells(const struct sqi_ring *ring, unsigned most, uint64_t *ret_pos)
{
	unsigned n;

	*ret_pos = ring->tail;
	n = count_free(ring, *ret_pos, most);
	/* Others have put since this one did, perhaps. */
	if (n == 0 && sqi_tail(ring, ret_pos) == 0 && *ret_pos != ring->tail)
		n = count_free(ring, *ret_pos, most);
	return n;
}

/*
 * K2, D1. A cell whose turn is below the head's is the group's still, and becomes FREE. One that has
 * that turn is free already, or has been since: another recoverer was here; unless it is REMOVING,
 * which has the turn that the head had at first. A message that was leased by its id has left the
 * group: it is passed with it, as often as the head was.
 */
static inline bool is_of_group(uint64_t w, uint64_t turn)
{
	int64_t ahead = sqi_word_ahead(w, turn);

	return ahead < 0 || (ahead == 0 && sqi_word_state(w) == SQI_REMOVING);
}

void sqi_group_clear(const struct sqi_ring *ring, uint64_t pos, uint64_t w, uint64_t turn)
{
	for (unsigned i = sqi_span(ring, w); --i > 0;) {
		struct sqi_cell *c = sqi_cell(ring, pos + i);
		uint64_t old = sqi_load_seq(&c->word);

		while (is_of_group(old, turn)) {
			bool own = sqi_word_state(old) == SQI_FREE ||
				   sqi_word_state(old) == SQI_FULL ||
				   sqi_word_state(old) == SQI_REMOVING;
			uint64_t to = own ? sqi_word(SQI_FREE, 0, 0, turn)
					  : sqi_word(sqi_word_state(old), sqi_word_owner(old),
						    sqi_word_number(old), turn);

			if (sqi_cas(&c->word, old, to))
				break;
			old = sqi_load_seq(&c->word);
		}
	}
}

/* The word of the head at pos, in *ret. False unless the caller is to free the group. */
static inline bool own_head(const struct sqi_ring *ring, uint64_t pos, uint64_t *ret)
{
	uint64_t w = sqi_load_seq(&sqi_cell(ring, pos)->word);

	*ret = w;
	return sqi_word_owner(w) == ring->owner &&
	       (sqi_word_state(w) == SQI_VOID || sqi_word_state(w) == SQI_REMOVING);
}

bool sqi_group_free(const struct sqi_ring *ring, uint64_t pos)
{
	uint64_t w;

	/* Again if the head was skipped meanwhile: then all of the group was. */
	while (own_head(ring, pos, &w)) {
		struct sqi_stride stride = sqi_stride(ring);
		struct sqi_place place = sqi_place(ring, pos);
		uint64_t free = sqi_word_free(w, 0), to_end = sqi_cells_to_end(ring, pos);
		unsigned span = sqi_span(ring, w);

		if (span > to_end)
			span = (unsigned)to_end; /* the word is damaged */
		/* K2. Release: what was read of the cell, or written late; W1 acquires it. */
		for (unsigned i = span; --i > 0;) {
			sqi_place_next(&place, stride);
			sqi_store_release(&place.cell->word, free);
		}
		/* V2, F1. */
		if (sqi_cell_free(sqi_cell(ring, pos), w))
			return true;
	}
	return false;
}

bool sqi_group_end(const struct sqi_ring *ring, uint64_t pos)
{
	uint64_t w;

	while (own_head(ring, pos, &w)) {
		sqi_group_clear(ring, pos, w, sqi_word_turn(w));
		/* F1. */
		if (sqi_cell_free(sqi_cell(ring, pos), w))
			return true;
	}
	return false;
}

uint64_t sqi_group_head(const struct sqi_ring *ring, uint64_t pos)
{
	uint64_t index = pos & ring->mask, head;

	for (unsigned i = 1; i < SQI_GROUP_MAX && i <= index; i++) {
		head = sqi_load_seq(&sqi_cell(ring, index - i)->word);
		if (sqi_span(ring, head) > i)
			return head;
	}
	return 0;
}

bool sqi_is_covered(const struct sqi_ring *ring, uint64_t pos, uint64_t w)
{
	uint64_t head = sqi_group_head(ring, pos), unused;

	if (sqi_word_state(head) != SQI_REMOVING)
		return head != 0;
	/* K3. As long as this cell is FULL, at this turn, the group goes on. */
	return sqi_cell_begin_removal(sqi_cell(ring, pos), w, sqi_word_owner(head), 0, &unused);
}
