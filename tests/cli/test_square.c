/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "square.h"

/*
 * The recipe's task: every n of 64 bits has one right text, and nothing else passes for it. Here
 * products come from digit strings multiplied as on paper, or stand there as literals.
 */

#define UNTOUCHED 0x5a5a5a5a5a5a5a5a
#define AROUND    5 /* an edge is looked at from two below to two above */

static const char *natural(uint64_t v)
{
	static char text[NATURAL_MAX + 1];

	text[natural_text(text, v)] = '\0';
	return text;
}

static const char *wide(u128 v)
{
	static char text[WIDE_MAX + 1];

	text[wide_text(text, v)] = '\0';
	return text;
}

static const char *square(uint64_t n)
{
	static char text[SQUARE_MAX + 1];

	text[square_text(text, n)] = '\0';
	return text;
}

/* n * n of decimal digits, as on paper. */
static void multiply(char *ret, const char *n)
{
	size_t len = strlen(n), at = 0;
	unsigned digits[2 * NATURAL_MAX + 1] = {0};

	assert_in_range(len, 1, NATURAL_MAX);
	for (size_t i = 0; i < len; i++)
		for (size_t j = 0; j < len; j++)
			digits[i + j] += (unsigned)((n[len - 1 - i] - '0') *
						    (n[len - 1 - j] - '0'));
	for (size_t i = 0; i < 2 * len; i++) {
		digits[i + 1] += digits[i] / 10;
		digits[i] %= 10;
	}
	for (size_t i = 2 * len; i-- > 0;)
		if (digits[i] || at || i == 0)
			ret[at++] = (char)('0' + digits[i]);
	ret[at] = '\0';
}

/* A copy of exactly this size, so that a sanitizer sees a read beyond it. */
static bool check_exact(uint64_t *ret, const char *text, size_t len)
{
	char *copy = malloc(len ? len : 1);
	bool ok;

	assert_non_null(copy);
	memcpy(copy, text, len);
	ok = square_check(ret, copy, len);
	free(copy);
	return ok;
}

static void refused(const char *text, size_t len)
{
	uint64_t n = UNTOUCHED;

	if (check_exact(&n, text, len))
		fail_msg("'%.*s' passed", (int)len, text);
	assert_int_equal(n, UNTOUCHED);
}

static void right(uint64_t n)
{
	char product[2 * NATURAL_MAX + 2], digits[32], text[128];
	uint64_t got = UNTOUCHED;

	(void)snprintf(digits, sizeof(digits), "%llu", (unsigned long long)n);
	multiply(product, digits);
	(void)snprintf(text, sizeof(text), "%s * %s = %s", digits, digits, product);
	assert_string_equal(natural(n), digits);
	assert_string_equal(square(n), text);
	assert_true(check_exact(&got, text, strlen(text)));
	assert_int_equal(got, n);
	assert_int_equal(square_length_max(n), strlen(text));
}

static void test_literals(void **state)
{
	static const struct {
		uint64_t n;
		const char *text;
	} known[] = {
		{0, "0 * 0 = 0"},
		{1, "1 * 1 = 1"},
		{9, "9 * 9 = 81"},
		{10, "10 * 10 = 100"},
		{4294967295, "4294967295 * 4294967295 = 18446744065119617025"},
		{4294967296, "4294967296 * 4294967296 = 18446744073709551616"},
		{4294967297, "4294967297 * 4294967297 = 18446744082299486209"},
		{10000000000, "10000000000 * 10000000000 = 100000000000000000000"},
		{10000000000000000000u,
			"10000000000000000000 * 10000000000000000000 = 100000000000000000000000000000000000000"},
		{UINT64_MAX,
			"18446744073709551615 * 18446744073709551615 = 340282366920938463426481119284349108225"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		assert_string_equal(square(known[i].n), known[i].text);
		right(known[i].n);
	}
	assert_int_equal(strlen(square(UINT64_MAX)), SQUARE_MAX);
}

static void test_edges(void **state)
{
	uint64_t power = 1, seed = 1;

	(void)state;
	for (int k = 0; k < 20; k++) {
		for (int i = 0; i < AROUND; i++)
			right(power - 2 + (uint64_t)i); /* wraps to the largest ones, too */
		power *= 10;
	}
	for (int k = 0; k < 64; k++)
		for (int i = 0; i < AROUND; i++)
			right((UINT64_C(1) << k) - 2 + (uint64_t)i);
	for (int i = 0; i < 20000; i++) {
		seed = seed * 6364136223846793005 + 1442695040888963407;
		right(seed >> (seed >> 58));
	}
}

static void test_wide(void **state)
{
	const u128 two64 = (u128)UINT64_MAX + 1;
	char want[WIDE_MAX + 1];
	u128 power = 1;

	(void)state;
	assert_string_equal(wide(0), "0");
	assert_string_equal(wide(UINT64_MAX), "18446744073709551615");
	assert_string_equal(wide(two64), "18446744073709551616");
	assert_string_equal(wide(two64 * two64 - 1), "340282366920938463463374607431768211455");
	/* 10^k and one less, where the chunks meet and where zeros stand inside. */
	for (int k = 0; k < 39; k++) {
		memset(want, '0', sizeof(want));
		want[0] = '1';
		want[k + 1] = '\0';
		assert_string_equal(wide(power), want);
		memset(want, '9', sizeof(want));
		want[k] = '\0';
		assert_string_equal(wide(power - 1), k ? want : "0");
		power *= 10;
	}
	/* 10^38 + 7 and 10^20 + 10^18 */
	power = (u128)10000000000000000000u * 10000000000000000000u;
	assert_string_equal(wide(power + 7), "100000000000000000000000000000000000007");
	assert_string_equal(wide((u128)10000000000 * 10000000000 + 1000000000000000000),
		"101000000000000000000");
}

/* No result for a task to max is longer than what is said. */
static void test_length(void **state)
{
	uint64_t max = 1;

	(void)state;
	for (int k = 0; k < 20; k++) {
		for (uint64_t n = max - 1; n <= max; n++)
			for (uint64_t less = 0; less <= 100 && less <= n; less++)
				assert_true(strlen(square(n - less)) <= square_length_max(n));
		max *= 10;
	}
	assert_int_equal(square_length_max(UINT64_MAX), SQUARE_MAX);
}

static void test_refused(void **state)
{
	static const char *const wrong[] = {
		"",
		" ",
		"7",
		"7 ",
		"7 * 7",
		"7 * 7 = ",
		"7 * 7 = 48",
		"7 * 7 = 50",
		"7 * 8 = 49",
		"8 * 7 = 56",
		"7*7=49",
		"7 * 7 = 49 ",
		" 7 * 7 = 49",
		"7  * 7 = 49",
		"7 * 7 =  49",
		"7 * 7 = 49\n",
		"07 * 07 = 49",
		"7 * 07 = 49",
		"7 * 7 = 049",
		"+7 * +7 = 49",
		"-1 * -1 = 1",
		"0x7 * 0x7 = 49",
		"00 * 00 = 0",
		"4294967296 * 4294967296 = 0",
		"18446744073709551615 * 18446744073709551615 = 1",
		"18446744073709551616 * 18446744073709551616 = 0",
		"18446744073709551616 * 18446744073709551616 = 340282366920938463463374607431768211456",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		refused(wrong[i], strlen(wrong[i]));
	refused("7 * 7 = 49", 11); /* and the zero behind it */
}

/* Any other byte anywhere, or one more, or any number fewer, and it is no longer right. */
static void test_near(void **state)
{
	static const uint64_t some[] = {0, 7, 12, 1000, 65536, 4294967296, UINT64_MAX};

	(void)state;
	for (size_t i = 0; i < sizeof(some) / sizeof(some[0]); i++) {
		char text[SQUARE_MAX + 2];
		size_t len = strlen(square(some[i]));

		memcpy(text, square(some[i]), len);
		for (size_t at = 0; at < len; at++) {
			char kept = text[at];

			refused(text, at);
			for (int c = 0; c < 256; c++) {
				text[at] = (char)c;
				if (text[at] != kept)
					refused(text, len);
			}
			text[at] = kept;
		}
		for (int c = 0; c < 256; c++) {
			text[len] = (char)c;
			refused(text, len + 1);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_literals),
		cmocka_unit_test(test_edges),
		cmocka_unit_test(test_wide),
		cmocka_unit_test(test_length),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_near),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
