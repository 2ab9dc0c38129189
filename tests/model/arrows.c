/* SPDX-License-Identifier: ISC */
#include "arrows.h"

#include <stddef.h>

#include "explore.h"
#include "world.h"

/*
 * The drawing in word.h, written once more, from what is promised there and not from what
 * transition.h does: so that every change of a word that the engine makes in any schedule can be
 * checked against it.
 */

static uint64_t turns(uint64_t from, uint64_t to)
{
	return (sqi_word_turn(to) - sqi_word_turn(from)) & (((uint64_t)1 << SQI_TURN_BITS) - 1);
}

/* Does `to` say this state, this owner and this number, a turn or none above? */
static bool is(uint64_t from, uint64_t to, enum sqi_state state, unsigned owner, unsigned attempts,
	uint64_t more)
{
	return sqi_word_state(to) == state && sqi_word_owner(to) == owner &&
	       sqi_word_number(to) == attempts && turns(from, to) == more;
}

static bool is_skip(uint64_t from, uint64_t to)
{
	return is(from, to, sqi_word_state(from), sqi_word_owner(from), sqi_word_number(from), 1);
}

/* The number that a word of a group's head may have: its span, or 0 of a cell alone. */
static bool is_span(unsigned number)
{
	return number == 0 || (number <= SQI_GROUP_MAX && number % 2 == 0);
}

/* By somebody, as the first lease, or as a later one. */
static bool is_take(uint64_t from, uint64_t to)
{
	bool first = sqi_word_state(from) == SQI_FULL;

	return sqi_word_state(to) == SQI_TAKEN && sqi_word_owner(to) != 0 &&
	       turns(from, to) == first &&
	       (first ? sqi_word_number(to) == 1 : sqi_word_number(to) != sqi_word_number(from));
}

static const char *arrow_of(uint64_t from, uint64_t to)
{
	unsigned owner = sqi_word_owner(from), attempts = sqi_word_number(from);

	switch (sqi_word_state(from)) {
	case SQI_FREE:
		if (sqi_word_owner(to) && is_span(sqi_word_number(to)) &&
			is(from, to, SQI_WRITING, sqi_word_owner(to), sqi_word_number(to), 0))
			return "claim";
		return is(from, to, SQI_SEALED, 0, 0, 0) ? "seal" : NULL;
	case SQI_WRITING:
		if (is(from, to, SQI_FULL, 0, 0, 0))
			return "commit";
		if (is(from, to, SQI_VOID, owner, attempts, 1))
			return "revoke";
		return is(from, to, SQI_FREE, 0, 0, 1) ? "abandon" : NULL;
	case SQI_FULL:
		if (is_take(from, to))
			return "take";
		if (sqi_word_owner(to) && sqi_word_number(to) && is_span(sqi_word_number(to)) &&
			is(from, to, SQI_REMOVING, sqi_word_owner(to), sqi_word_number(to), 1))
			return "begin_removal";
		return is(from, to, SQI_FREE, 0, 0, 1) ? "remove" : NULL;
	case SQI_TAKEN:
		if (is(from, to, SQI_BACK, 0, attempts, 0))
			return "give_back";
		if (is(from, to, SQI_RELEASING, owner, attempts, 0))
			return "begin_release";
		if (is(from, to, SQI_FREE, 0, 0, 0))
			return "remove";
		return is_skip(from, to) ? "skip" : NULL;
	case SQI_BACK:
		if (is_take(from, to))
			return "take";
		if (is(from, to, SQI_FREE, 0, 0, 0))
			return "remove";
		return is_skip(from, to) ? "skip" : NULL;
	case SQI_VOID:
	case SQI_RELEASING:
	case SQI_REMOVING:
		if (is(from, to, SQI_FREE, 0, 0, 0))
			return "free";
		return is_skip(from, to) ? "skip" : NULL;
	default:
		return NULL;
	}
}

/*
 * The same of a cell that a head speaks for: FULL before all are, FREE of the turn that the head has
 * or, of a writer that is dead, will have; and what has been leased by its id goes on as it would
 * alone, and is passed by turns.
 */
static const char *covered_arrow_of(uint64_t head, uint64_t from, uint64_t to)
{
	bool writing = sqi_word_state(head) == SQI_WRITING;

	if (sqi_word_state(head) != SQI_REMOVING && sqi_word_state(from) == SQI_FREE &&
		is(from, to, SQI_FULL, 0, 0, 0))
		return "fill";
	/* Whose it is had to be known by somebody. */
	if (sqi_word_state(head) == SQI_REMOVING && sqi_word_state(from) == SQI_FULL &&
		is(from, to, SQI_REMOVING, sqi_word_owner(head), 0, 1))
		return "begin_removal";
	if (sqi_word_state(from) == SQI_REMOVING && to == sqi_word_free(to, 0) &&
		sqi_word_ahead(to, sqi_word_turn(from)) >= 0 &&
		sqi_word_ahead(to, sqi_word_turn(head)) <= 0)
		return "empty";
	/* The owner may have read the head's turn before it was skipped: then it does it again. */
	if ((sqi_word_state(from) == SQI_FREE || sqi_word_state(from) == SQI_FULL) &&
		to == sqi_word_free(to, 0) && sqi_word_ahead(to, sqi_word_turn(from)) > 0 &&
		sqi_word_ahead(to, sqi_word_turn(head) + writing) <= 0)
		return "empty";
	if (sqi_word_state(head) != SQI_REMOVING)
		return NULL;
	if (sqi_word_ahead(to, sqi_word_turn(from)) > 0 &&
		sqi_word_ahead(to, sqi_word_turn(head)) <= 0 && sqi_same_lease(from, to))
		return "skip";
	return arrow_of(from, to);
}

static const sqi_u64 *word; /* that is about to be accessed, if it is a cell's */
static uint64_t before;

static uint64_t head; /* of the group that it belongs to and is not the head of; else 0 */

static uint64_t head_of(const struct segment *s, size_t index)
{
	for (size_t i = 1; i < SQI_GROUP_MAX && i <= index; i++) {
		uint64_t w = *(const uint64_t *)(const void *)(s->memory + s->g.cells +
							       (index - i) * s->g.cell_size);

		if (sqi_word_span(w) > i)
			return w;
	}
	return 0;
}

static bool is_cell_word(const void *address)
{
	for (unsigned i = 0; i < SEGMENTS; i++) {
		const struct segment *s = &world.segment[i];
		size_t at = (size_t)((const unsigned char *)address - s->memory);

		if (s->memory && (const unsigned char *)address >= s->memory && at >= s->g.cells &&
			at < s->g.cells + s->g.capacity * s->g.cell_size) {
			head = head_of(s, (at - s->g.cells) / s->g.cell_size);
			return (at - s->g.cells) % s->g.cell_size == 0;
		}
	}
	return false;
}

void arrows_before(unsigned who)
{
	const void *next = run.person[who].next;

	word = is_cell_word(next) ? next : NULL;
	if (word)
		before = *word;
}

const char *arrow_told(void)
{
	return head ? covered_arrow_of(head, before, *word) : arrow_of(before, *word);
}

void arrows_after(void)
{
	if (word && *word != before && !arrow_told())
		explore_fail("a cell's word was changed by none of the arrows of word.h");
}
