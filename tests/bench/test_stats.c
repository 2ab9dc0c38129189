/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "stats.h"

#define NEAR 100.0
#define FAR  400.0

static void add(struct series *s, double value, double before, double after)
{
	stats_add(s, (struct sample){value, before, after});
}

static void median_of_odd_and_even(void **state)
{
	struct series s = {0};
	struct summary m;

	assert_int_equal(stats_summary(&s, true).n, 0);
	add(&s, 3, NEAR, NEAR);
	add(&s, 1, NEAR, NEAR);
	add(&s, 2, NEAR, NEAR);
	m = stats_summary(&s, true);
	assert_int_equal(m.n, 3);
	assert_true(m.median == 2 && m.min == 1 && m.max == 3);
	add(&s, 10, NEAR, NEAR + 10);
	m = stats_summary(&s, true);
	assert_true(m.median == 2.5 && m.min == 1 && m.max == 10);
	assert_true(m.before_ns == NEAR && m.after_ns == NEAR);
}

/* Near is what was near before and after; a run without probes is not. */
static void near_and_far_are_apart(void **state)
{
	struct series s = {0};

	add(&s, 10, NEAR, NEAR);
	add(&s, 1, FAR, NEAR);
	add(&s, 2, NEAR, FAR);
	add(&s, 3, 0, 0);
	add(&s, 11, STATS_NEAR_MAX_NS, STATS_NEAR_MAX_NS);
	assert_int_equal(stats_summary(&s, true).n, 2);
	assert_true(stats_summary(&s, true).median == 10.5);
	assert_int_equal(stats_summary(&s, false).n, 3);
	assert_true(stats_summary(&s, false).median == 2);
}

static void ratio_is_of_medians_and_its_spread_of_neighbours(void **state)
{
	struct series a = {0}, b = {0};
	struct ratio r;

	for (int i = 1; i <= 3; i++) {
		add(&a, 10 * i, NEAR, NEAR);
		add(&b, i == 3 ? 5 : 10, NEAR, NEAR);
	}
	add(&a, 1000, FAR, FAR);
	add(&b, 1, NEAR, NEAR);
	r = stats_ratio(&a, &b);
	assert_true(r.near);
	assert_int_equal(r.n, 3);
	/* 20 over the median of 10, 10, 5, 1. The last pair is far on one side. */
	assert_true(r.median == 20 / 7.5);
	assert_true(r.min == 1 && r.max == 6);
}

/* Near runs on one side only are no comparison: those of both that were far are. */
static void ratio_compares_equals(void **state)
{
	struct series a = {0}, b = {0};

	add(&a, 10, NEAR, NEAR);
	add(&b, 10, FAR, FAR);
	assert_int_equal(stats_ratio(&a, &b).n, 0);
	add(&a, 4, FAR, FAR);
	assert_int_equal(stats_ratio(&a, &b).n, 1);
	assert_false(stats_ratio(&a, &b).near);
	assert_true(stats_ratio(&a, &b).median == 0.4);
}

static void percentiles(void **state)
{
	uint32_t v[1000] = {0};

	assert_true(stats_percentile(v, 0, 0.5) == 0);
	for (uint32_t i = 0; i < 1000; i++)
		v[i] = 999 - i;
	stats_sort(v, 1000);
	assert_true(stats_percentile(v, 1000, 0.5) == 500);
	assert_true(stats_percentile(v, 1000, 0.99) == 990);
	assert_true(stats_percentile(v, 1000, 0.999) == 999);
	assert_true(stats_percentile(v, 1000, 1) == 999);
	assert_true(stats_percentile(v, 1, 0.5) == 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(median_of_odd_and_even),
		cmocka_unit_test(near_and_far_are_apart),
		cmocka_unit_test(ratio_is_of_medians_and_its_spread_of_neighbours),
		cmocka_unit_test(ratio_compares_equals),
		cmocka_unit_test(percentiles),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
