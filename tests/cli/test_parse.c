/* SPDX-License-Identifier: ISC */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "parse.h"

/* parse.c: what is taken for a number, to its edges, and that nothing else is. */

#define UNTOUCHED 77

static void count_is(const char *text, uint64_t min, uint64_t max, uint64_t want)
{
	uint64_t v = UNTOUCHED;

	assert_null(parse_count(&v, text, min, max));
	assert_int_equal(v, want);
}

static void no_count(const char *text, uint64_t min, uint64_t max)
{
	uint64_t v = UNTOUCHED;
	const char *wrong = parse_count(&v, text, min, max);
	char limit[32];

	if (!wrong)
		fail_msg("'%s' was taken for %" PRIu64, text, v);
	assert_int_equal(v, UNTOUCHED);
	/* It says what is allowed. */
	(void)snprintf(limit, sizeof(limit), "from %" PRIu64 " to ", min);
	assert_non_null(strstr(wrong, limit));
	(void)snprintf(limit, sizeof(limit), " to %" PRIu64, max);
	assert_non_null(strstr(wrong, limit));
}

static void test_count(void **state)
{
	(void)state;
	count_is("0", 0, 10, 0);
	count_is("10", 0, 10, 10);
	count_is("010", 0, 10, 10);
	count_is("1", 1, 1, 1);
	count_is("18446744073709551615", 1, UINT64_MAX, UINT64_MAX);
	no_count("11", 0, 10);
	no_count("0", 1, 10);
	no_count("18446744073709551616", 1, UINT64_MAX);
	no_count("99999999999999999999999999", 1, UINT64_MAX);
	no_count("", 0, 10);
	no_count(" 1", 0, 10);
	no_count("1 ", 0, 10);
	no_count("+1", 0, 10);
	no_count("-1", 0, 10);
	no_count("-0", 0, 10);
	no_count("1k", 0, 10000);
	no_count("0x1", 0, 10);
	no_count("1.0", 0, 10);
	no_count("one", 0, 10);
}

static void size_is(const char *text, uint64_t want)
{
	uint64_t v = UNTOUCHED;

	assert_null(parse_size(&v, text, 0, UINT64_MAX));
	assert_int_equal(v, want);
}

static void no_size(const char *text, uint64_t min, uint64_t max)
{
	uint64_t v = UNTOUCHED;

	if (!parse_size(&v, text, min, max))
		fail_msg("'%s' was taken for %" PRIu64, text, v);
	assert_int_equal(v, UNTOUCHED);
}

static void test_size(void **state)
{
	uint64_t v = UNTOUCHED;

	(void)state;
	size_is("0", 0);
	size_is("0k", 0);
	size_is("1", 1);
	size_is("010", 10); /* not octal */
	size_is("000", 0);
	size_is("64k", 65536);
	size_is("64K", 65536);
	size_is("3m", 3 << 20);
	size_is("3M", 3 << 20);
	size_is("2G", (uint64_t)2 << 30);
	size_is("2t", (uint64_t)2 << 40);
	size_is("18446744073709551615", UINT64_MAX);
	no_size("18446744073709551616", 0, UINT64_MAX);
	no_size("99999999999999999999", 0, UINT64_MAX);
	no_size("18446744073709551615k", 0, UINT64_MAX);
	no_size("16777216t", 0, UINT64_MAX); /* 2^64 */
	no_size("", 0, UINT64_MAX);
	no_size("k", 0, UINT64_MAX);
	no_size(" 1k", 0, UINT64_MAX);
	no_size("1 k", 0, UINT64_MAX);
	no_size("1k ", 0, UINT64_MAX);
	no_size("1kx", 0, UINT64_MAX);
	no_size("1kk", 0, UINT64_MAX);
	no_size("1.5k", 0, UINT64_MAX);
	no_size("0x10", 0, UINT64_MAX);
	no_size("-1", 0, UINT64_MAX);
	no_size("+1", 0, UINT64_MAX);
	no_size("1z", 0, UINT64_MAX);
	no_size("1k\n", 0, UINT64_MAX);
	assert_null(parse_size(&v, "4k", 4096, 4096));
	assert_int_equal(v, 4096);
	no_size("4097", 4096, 4096);
	no_size("4095", 4096, 4096);
	no_size("5k", 0, 4096);
}

static void span_is(const char *text, int64_t want)
{
	int64_t v = UNTOUCHED;

	assert_null(parse_span(&v, text));
	assert_int_equal(v, want);
}

static void no_span(const char *text)
{
	int64_t v = UNTOUCHED;

	if (!parse_span(&v, text))
		fail_msg("'%s' was taken for %" PRId64, text, v);
	assert_int_equal(v, UNTOUCHED);
}

static void test_span(void **state)
{
	(void)state;
	span_is("0", 0);
	span_is("0ms", 0);
	span_is("1", 1000000000);
	span_is("1.5s", 1500000000);
	span_is(".5", 500000000);
	span_is("250ms", 250000000);
	span_is("7us", 7000);
	span_is("7ns", 7);
	span_is("2m", INT64_C(120000000000));
	span_is("2min", INT64_C(120000000000));
	span_is("1h", INT64_C(3600000000000));
	span_is("1d", INT64_C(86400000000000));
	span_is("8000000000", INT64_C(8000000000000000000));
	no_span("9300000000");
	no_span("99999999999999999999999999999999999h");
	no_span("");
	no_span("s");
	no_span(".");
	no_span("1.2.3");
	no_span("-1");
	no_span("+1");
	no_span(" 1");
	no_span("1 s");
	no_span("1s ");
	no_span("1x");
	no_span("1e3");
	no_span("0x10");
	no_span("inf");
	no_span("nan");
}

static void rate_is(const char *text, uint64_t want_count, int64_t want_span)
{
	uint64_t count = UNTOUCHED;
	int64_t span = UNTOUCHED;

	assert_null(parse_rate(&count, &span, text));
	assert_int_equal(count, want_count);
	assert_int_equal(span, want_span);
}

static void no_rate(const char *text)
{
	uint64_t count = UNTOUCHED;
	int64_t span = UNTOUCHED;

	if (!parse_rate(&count, &span, text))
		fail_msg("'%s' was taken for a rate", text);
	assert_int_equal(count, UNTOUCHED);
	assert_int_equal(span, UNTOUCHED);
}

static void test_rate(void **state)
{
	(void)state;
	rate_is("1", 1, 1000000000);
	rate_is("100/s", 100, 1000000000);
	rate_is("10/3s", 10, INT64_C(3000000000));
	rate_is("5/m", 5, INT64_C(60000000000));
	rate_is("1/250ms", 1, 250000000);
	rate_is("1000000000", 1000000000, 1000000000);
	no_rate("1000000001");
	no_rate("0");
	no_rate("");
	no_rate("/");
	no_rate("/s");
	no_rate("10/");
	no_rate("10/0s");
	no_rate("10/-1s");
	no_rate("10/x");
	no_rate("10/s/s");
	no_rate("10 /s");
	no_rate("-10/s");
	no_rate("1.5/s");
}

static void natural_is(const char *text, uint64_t want)
{
	uint64_t v = UNTOUCHED;

	assert_null(parse_natural(&v, text, strlen(text)));
	assert_int_equal(v, want);
}

static void no_natural(const char *text, size_t len)
{
	uint64_t v = UNTOUCHED;

	if (!parse_natural(&v, text, len))
		fail_msg("'%.*s' was taken for %" PRIu64, (int)len, text, v);
	assert_int_equal(v, UNTOUCHED);
}

static void test_natural(void **state)
{
	uint64_t v = UNTOUCHED;

	(void)state;
	natural_is("0", 0);
	natural_is("007", 7);
	natural_is("18446744073709551615", UINT64_MAX);
	no_natural("18446744073709551616", 20);
	no_natural("18446744073709551620", 20);
	no_natural("184467440737095516150", 21);
	no_natural("", 0);
	no_natural("-1", 2);
	no_natural("+1", 2);
	no_natural(" 1", 2);
	no_natural("1 ", 2);
	no_natural("1\0", 2);
	no_natural("1/", 2); /* the byte before '0' */
	no_natural("1:", 2); /* and behind '9' */
	/* Exactly so many bytes, whatever follows. */
	assert_null(parse_natural(&v, "123", 2));
	assert_int_equal(v, 12);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_count),
		cmocka_unit_test(test_size),
		cmocka_unit_test(test_span),
		cmocka_unit_test(test_rate),
		cmocka_unit_test(test_natural),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
