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

/* By somebody, as the first lease, or as a later one. */
static bool is_take(uint64_t from, uint64_t to)
{
	bool first = sqi_word_state(from) == SQI_FULL;

	return sqi_word_state(to) == SQI_TAKEN && sqi_word_owner(to) != 0 &&
	       turns(from, to) == first &&
	       (first ? sqi_word_number(to) == 1 : sqi_word_number(to) != sqi_word_number(from));
}

const char *arrow_of(uint64_t from, uint64_t to)
{
	unsigned owner = sqi_word_owner(from), attempts = sqi_word_number(from);

	switch (sqi_word_state(from)) {
	case SQI_FREE:
		if (sqi_word_owner(to) && is(from, to, SQI_WRITING, sqi_word_owner(to), 0, 0))
			return "claim";
		return is(from, to, SQI_SEALED, 0, 0, 0) ? "seal" : NULL;
	case SQI_WRITING:
		if (is(from, to, SQI_FULL, 0, 0, 0))
			return "commit";
		if (is(from, to, SQI_VOID, owner, 0, 1))
			return "revoke";
		return is(from, to, SQI_FREE, 0, 0, 1) ? "abandon" : NULL;
	case SQI_FULL:
		if (is_take(from, to))
			return "take";
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
		if (is(from, to, SQI_FREE, 0, 0, 0))
			return "free";
		return is_skip(from, to) ? "skip" : NULL;
	default:
		return NULL;
	}
}

static const sqi_u64 *word; /* that is about to be accessed, if it is a cell's */
static uint64_t before;

static bool is_cell_word(const void *address)
{
	for (unsigned i = 0; i < SEGMENTS; i++) {
		const struct segment *s = &world.segment[i];
		size_t at = (size_t)((const unsigned char *)address - s->memory);

		if (s->memory && (const unsigned char *)address >= s->memory && at >= s->g.cells &&
			at < s->g.cells + s->g.capacity * s->g.cell_size)
			return (at - s->g.cells) % s->g.cell_size == 0;
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

void arrows_after(void)
{
	if (word && *word != before && !arrow_of(before, *word))
		explore_fail("a cell's word was changed by none of the arrows of word.h");
}
