/* SPDX-License-Identifier: ISC */

/* Each arrow of word.h, as a function: from its states it leads where it should, and only from that very word. */

#include "fixture.h"

#include "ring/transition.h"

#define TURN_MAX (((uint64_t)1 << SQI_TURN_BITS) - 1)
#define OTHER    7
#define NUMBER   5

static unsigned me = 9;

static bool claim(struct sqi_cell *c, uint64_t w)
{
	uint64_t to = 0;
	bool done = sqi_cell_claim(c, w, me, 1, &to);

	assert_int_equal(to, done ? c->word : 0);
	return done;
}

static bool claim_group(struct sqi_cell *c, uint64_t w)
{
	uint64_t to = 0;
	bool done = sqi_cell_claim(c, w, me, SQI_GROUP_MAX, &to);

	assert_int_equal(to, done ? c->word : 0);
	return done;
}

static bool begin_removal(struct sqi_cell *c, uint64_t w)
{
	uint64_t to = 0;
	bool done = sqi_cell_begin_removal(c, w, me, 2, &to);

	assert_int_equal(to, done ? c->word : 0);
	return done;
}

static bool take(struct sqi_cell *c, uint64_t w)
{
	uint64_t to = 0;
	bool done = sqi_cell_take(
		c, w, me, sqi_word_state(w) == SQI_FULL ? 1 : sqi_word_number(w) + 1, &to);

	assert_int_equal(to, done ? c->word : 0);
	return done;
}

static bool begin_release(struct sqi_cell *c, uint64_t w)
{
	return sqi_cell_begin_release(c, w, me);
}

/* owner, attempts: of the word that the arrow leads to; MINE, or as it was. */
#define MINE  1
#define SAME  2
#define NOONE 0

static const struct arrow {
	const char *name;
	bool (*f)(struct sqi_cell *c, uint64_t w);
	enum sqi_state from, to;
	unsigned owner, attempts;
	uint64_t turns;
} arrows[] = {
	{"claim", claim, SQI_FREE, SQI_WRITING, MINE, 0, 0},
	{"claim a group", claim_group, SQI_FREE, SQI_WRITING, MINE, SQI_GROUP_MAX, 0},
	{"seal", sqi_cell_seal, SQI_FREE, SQI_SEALED, NOONE, 0, 0},
	{"commit", sqi_cell_commit, SQI_WRITING, SQI_FULL, NOONE, 0, 0},
	{"revoke", sqi_cell_revoke, SQI_WRITING, SQI_VOID, SAME, 0, 1},
	{"abandon", sqi_cell_abandon, SQI_WRITING, SQI_FREE, NOONE, 0, 1},
	{"free", sqi_cell_free, SQI_VOID, SQI_FREE, NOONE, 0, 0},
	{"free", sqi_cell_free, SQI_RELEASING, SQI_FREE, NOONE, 0, 0},
	{"free", sqi_cell_free, SQI_REMOVING, SQI_FREE, NOONE, 0, 0},
	{"take", take, SQI_FULL, SQI_TAKEN, MINE, 1, 1},
	{"take", take, SQI_BACK, SQI_TAKEN, MINE, NUMBER + 1, 0},
	{"give_back", sqi_cell_give_back, SQI_TAKEN, SQI_BACK, NOONE, NUMBER, 0},
	{"remove", sqi_cell_remove, SQI_FULL, SQI_FREE, NOONE, 0, 1},
	{"remove", sqi_cell_remove, SQI_TAKEN, SQI_FREE, NOONE, 0, 0},
	{"remove", sqi_cell_remove, SQI_BACK, SQI_FREE, NOONE, 0, 0},
	{"begin_removal", begin_removal, SQI_FULL, SQI_REMOVING, MINE, 2, 1},
	{"begin_release", begin_release, SQI_TAKEN, SQI_RELEASING, MINE, NUMBER, 0},
	{"skip", sqi_cell_skip, SQI_TAKEN, SQI_TAKEN, SAME, NUMBER, 1},
	{"skip", sqi_cell_skip, SQI_BACK, SQI_BACK, SAME, NUMBER, 1},
	{"skip", sqi_cell_skip, SQI_VOID, SQI_VOID, SAME, 0, 1},
	{"skip", sqi_cell_skip, SQI_RELEASING, SQI_RELEASING, SAME, NUMBER, 1},
	{"skip", sqi_cell_skip, SQI_REMOVING, SQI_REMOVING, SAME, NUMBER, 1},
};

/* A word as it is when this state is reached by arrows only. */
static uint64_t word_of(enum sqi_state state, uint64_t turn)
{
	bool owned = state == SQI_WRITING || state == SQI_TAKEN || state == SQI_VOID ||
		     state == SQI_RELEASING || state == SQI_REMOVING;
	/* Of REMOVING it is the group's span. */
	bool leased = state == SQI_TAKEN || state == SQI_BACK || state == SQI_RELEASING ||
		      state == SQI_REMOVING;

	return sqi_word(state, owned ? OTHER : 0, leased ? NUMBER : 0, turn);
}

static void test_leads_where_it_should(void **state)
{
	static const uint64_t turns[] = {0, 1, 41, TURN_MAX};

	for (size_t i = 0; i < sizeof(arrows) / sizeof(arrows[0]); i++)
		for (size_t t = 0; t < sizeof(turns) / sizeof(turns[0]); t++) {
			const struct arrow *a = &arrows[i];
			struct sqi_cell c = {.word = word_of(a->from, turns[t])};
			unsigned owner = sqi_word_owner(c.word);

			if (a->owner == MINE)
				owner = me;
			else if (a->owner == NOONE)
				owner = 0;
			if (!a->f(&c, c.word))
				fail_msg("%s: from its own word it does nothing", a->name);
			if (c.word != sqi_word(a->to, owner, a->attempts, turns[t] + a->turns))
				fail_msg("%s: to %llx", a->name, (unsigned long long)c.word);
		}
}

/* Whatever has happened to the cell since the word was read, nothing is done to it. */
static void test_only_from_that_very_word(void **state)
{
	for (size_t i = 0; i < sizeof(arrows) / sizeof(arrows[0]); i++) {
		const struct arrow *a = &arrows[i];
		uint64_t w = word_of(a->from, 41);

		for (unsigned bit = 0; bit < 64; bit++) {
			struct sqi_cell c = {.word = w ^ (uint64_t)1 << bit};
			uint64_t before = c.word;

			if (a->f(&c, w) || c.word != before)
				fail_msg("%s: bit %u of the word was another", a->name, bit);
		}
	}
}

static const struct CMUnitTest tests[] = {
	TEST(test_leads_where_it_should),
	TEST(test_only_from_that_very_word),
};

FX_MAIN(tests)
