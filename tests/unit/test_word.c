/* SPDX-License-Identifier: ISC */
#include "fixture.h"

/* The cell word's arithmetic, most of all where the turn wraps around. */

#define TURN_MAX (((uint64_t)1 << SQI_TURN_BITS) - 1)

static void test_fields(void **state)
{
	const uint64_t turns[] = {0, 1, 12345, TURN_MAX - 1, TURN_MAX};
	const unsigned owners[] = {0, 1, 2048, 4095}, attempts[] = {0, 1, 127, 128, 255};

	for (unsigned s = 0; s < 16; s++)
		for (size_t t = 0; t < 5; t++)
			for (size_t o = 0; o < 4; o++)
				for (size_t a = 0; a < 5; a++) {
					uint64_t w = sqi_word((enum sqi_state)s, owners[o],
						attempts[a], turns[t]);

					assert_int_equal(sqi_word_state(w), s);
					assert_int_equal(sqi_word_owner(w), owners[o]);
					assert_int_equal(sqi_word_number(w), attempts[a]);
					assert_int_equal(sqi_word_turn(w), turns[t]);
				}
	/* Fresh memory is a ring of free cells. */
	assert_int_equal(sqi_word(SQI_FREE, 0, 0, 0), 0);
}

static void test_numbers(void **state)
{
	/* They are in the memory of running queues: a change of them is a change of the layout. */
	assert_int_equal(SQI_FREE, 0);
	assert_int_equal(SQI_WRITING, 1);
	assert_int_equal(SQI_FULL, 2);
	assert_int_equal(SQI_TAKEN, 3);
	assert_int_equal(SQI_BACK, 4);
	assert_int_equal(SQI_VOID, 5);
	assert_int_equal(SQI_RELEASING, 6);
	assert_int_equal(SQI_SEALED, 7);
	assert_int_equal(SQI_REMOVING, 8);
	assert_int_equal(sqi_word(SQI_TAKEN, 0xabc, 0xde, 0x123456789a), 0x123456789adeabc3);
}

static void test_position_wider_than_turn(void **state)
{
	/* A position's turn is given with up to 63 bits, and only the lower 40 count. */
	uint64_t t = ((uint64_t)0xabcdef << SQI_TURN_BITS) | 77;

	assert_int_equal(sqi_word(SQI_FREE, 0, 0, t), sqi_word(SQI_FREE, 0, 0, 77));
	assert_int_equal(sqi_word_ahead(sqi_word(SQI_FULL, 5, 9, 78), t), 1);
	assert_int_equal(sqi_word_ahead(sqi_word(SQI_FULL, 5, 9, 76), t), -1);
}

static void test_ahead(void **state)
{
	const uint64_t half = (uint64_t)1 << (SQI_TURN_BITS - 1);
	const uint64_t turns[] = {0, 1, half - 1, half, half + 1, TURN_MAX - 1, TURN_MAX};
	const int64_t ds[] = {
		0, 1, -1, 2, -2, 1000000, -1000000, (int64_t)half - 1, -(int64_t)half};

	for (size_t t = 0; t < 7; t++)
		for (size_t d = 0; d < 9; d++) {
			uint64_t to = turns[t] + (uint64_t)ds[d];

			/* State, owner and attempts must not leak into the distance. */
			assert_int_equal(
				sqi_word_ahead(
					sqi_word((enum sqi_state)15, 0xfff, 0xff, to), turns[t]),
				ds[d]);
			assert_int_equal(
				sqi_word_ahead(sqi_word(SQI_FREE, 0, 0, to), turns[t]), ds[d]);
		}
}

static void test_transitions_at_the_wrap(void **state)
{
	uint64_t w = sqi_word(SQI_WRITING, 17, 0, TURN_MAX), to;

	/* claim, commit */
	assert_int_equal(sqi_word_ahead(w, TURN_MAX), 0);
	w = sqi_word(SQI_FULL, 0, 0, TURN_MAX);
	/* get: the turn wraps to 0, and nothing spills into the other fields. */
	to = sqi_word_free(w, 1);
	assert_int_equal(to, 0);
	assert_int_equal(sqi_word_ahead(to, TURN_MAX), 1);
	/* lease */
	w = sqi_word(SQI_TAKEN, 17, 1, TURN_MAX + 1);
	assert_int_equal(sqi_word_turn(w), 0);
	/* revoke */
	to = sqi_word_to(sqi_word(SQI_WRITING, 17, 0, TURN_MAX), SQI_VOID, 17) + SQI_TURN_ONE;
	assert_int_equal(to, sqi_word(SQI_VOID, 17, 0, 0));
	/* nack: attempts stay, the owner goes, the turn goes up */
	w = sqi_word(SQI_TAKEN, 17, 3, TURN_MAX);
	to = sqi_word_to(w, SQI_BACK, 0) + SQI_TURN_ONE;
	assert_int_equal(to, sqi_word(SQI_BACK, 0, 3, 0));
	assert_int_equal(sqi_word_ahead(to, TURN_MAX), 1);
	/* skip */
	assert_int_equal(w + SQI_TURN_ONE, sqi_word(SQI_TAKEN, 17, 3, 0));
	/* ack of a block, then its cell */
	to = sqi_word_to(w, SQI_RELEASING, 4095);
	assert_int_equal(to, sqi_word(SQI_RELEASING, 4095, 3, TURN_MAX));
	assert_int_equal(sqi_word_free(to, 0), sqi_word(SQI_FREE, 0, 0, TURN_MAX));
}

static void test_free_forgets(void **state)
{
	uint64_t w = sqi_word(SQI_TAKEN, 0xfff, 0xff, 41);

	assert_int_equal(sqi_word_free(w, 0), sqi_word(SQI_FREE, 0, 0, 41));
	assert_int_equal(sqi_word_free(w, 1), sqi_word(SQI_FREE, 0, 0, 42));
}

static void test_attempts(void **state)
{
	unsigned a = 0;

	for (unsigned i = 1; i <= 255; i++) {
		a = sqi_number_next(a);
		assert_int_equal(a, i);
	}
	a = sqi_number_next(a);
	assert_int_equal(a, 128);
	for (int i = 0; i < 1000; i++) {
		unsigned next = sqi_number_next(a);

		assert_int_not_equal(next, a);
		assert_in_range(next, 128, 255);
		a = next;
	}
	/* A count that was exhausted stays exhausted. */
	assert_true(SQ_ATTEMPTS_MAX < 128);
}

/*
 * A message's words do not come again while its attempts are counted exactly; later two in a row are
 * never the same. And however often it comes back, it does so in the turn it was leased in: it costs
 * the ring no lap. Cause: it did, after each 128 redeliveries.
 */
static void test_words_of_a_message(void **state)
{
	static uint64_t taken[1500];
	uint64_t back = 0;

	for (unsigned i = 0; i < 1500; i++) {
		unsigned attempts = i ? sqi_number_next(sqi_word_number(back)) : 1;

		taken[i] = sqi_word(SQI_TAKEN, 5, attempts, i ? sqi_word_turn(back) : TURN_MAX - 2);
		for (unsigned k = i < SQI_NUMBER_ONCE ? 0 : i - 1; k < i; k++)
			assert_int_not_equal(taken[k], taken[i]);
		back = sqi_word_back(taken[i]);
		assert_int_equal(sqi_word_state(back), SQI_BACK);
		assert_int_equal(sqi_word_owner(back), 0);
		assert_int_equal(sqi_word_number(back), attempts);
		assert_int_equal(sqi_word_turn(back), TURN_MAX - 2);
	}
}

static const struct CMUnitTest tests[] = {
	TEST(test_fields),
	TEST(test_numbers),
	TEST(test_position_wider_than_turn),
	TEST(test_ahead),
	TEST(test_transitions_at_the_wrap),
	TEST(test_free_forgets),
	TEST(test_attempts),
	TEST(test_words_of_a_message),
};

FX_MAIN(tests)
