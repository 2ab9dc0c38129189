/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "payload.h"
#include "recipe.h"
#include "square.h"

/* The sum of the messages is what is said beforehand that it will be. */
static void total_is_the_sum(void **state)
{
	static const uint64_t firsts[] = {0, 1, 12345, UINT64_MAX - 3};
	uint64_t words[32], value;

	for (size_t size = 8; size <= sizeof(words); size += 8)
		for (size_t f = 0; f < sizeof(firsts) / sizeof(firsts[0]); f++) {
			uint64_t sum = 0;

			for (uint64_t n = 0; n < 20; n++) {
				assert_int_equal(sum, payload_total(size, firsts[f], n));
				payload_write(words, size, firsts[f] + n);
				sum += payload_read(words, size, &value);
				assert_int_equal(value, firsts[f] + n);
			}
		}
}

/* Any word that is another changes the sum. */
static void every_word_is_read(void **state)
{
	uint64_t words[8], value, sum;

	payload_write(words, sizeof(words), 7);
	sum = payload_read(words, sizeof(words), &value);
	for (int i = 0; i < 8; i++) {
		words[i]++;
		assert_int_not_equal(payload_read(words, sizeof(words), &value), sum);
		words[i]--;
	}
}

static void results_are_right(void **state)
{
	static const uint64_t some[] = {0, 1, 9, 10, 999, 1000, 999999, RECIPE_N_MAX};
	char text[SQUARE_MAX], expected[SQUARE_MAX + 20];
	uint64_t n;

	for (size_t i = 0; i < sizeof(some) / sizeof(some[0]); i++) {
		size_t len = square_text(text, some[i]);

		(void)snprintf(expected, sizeof(expected), "%ju * %ju = %ju", (uintmax_t)some[i],
			(uintmax_t)some[i], (uintmax_t)(some[i] * some[i]));
		assert_int_equal(len, strlen(expected));
		assert_memory_equal(text, expected, len);
		assert_true(square_check(&n, text, len));
		assert_int_equal(n, some[i]);
	}
}

static void wrong_results_are_found(void **state)
{
	static const char *const wrong[] = {"", "7", "7 * 7", "7 * 7 = ", "7 * 7 = 48",
		"7 * 8 = 56", "7 * 7 = 49 ", "x7 * 7 = 49", "7 * 7 = 4", " * 7 = 49", "7*7=49"};
	uint64_t n;

	assert_true(square_check(&n, "7 * 7 = 49", 10));
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_false(square_check(&n, wrong[i], strlen(wrong[i])));
}

static void tasks_are_in_range_and_differ(void **state)
{
	for (uint64_t i = 0; i < 1000; i++) {
		assert_true(recipe_task(i) <= RECIPE_N_MAX);
		assert_true(i == 0 || recipe_task(i) != recipe_task(i - 1));
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(total_is_the_sum),
		cmocka_unit_test(every_word_is_read),
		cmocka_unit_test(results_are_right),
		cmocka_unit_test(wrong_results_are_found),
		cmocka_unit_test(tasks_are_in_range_and_differ),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
