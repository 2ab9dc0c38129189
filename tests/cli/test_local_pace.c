/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "local_run.h"
#include "terminal.h"

/*
 * sqctl local: as fast as asked for, and as fast as it goes. That is judged by the clock, and so only
 * where the machine has nothing else to do.
 */

#define PACE_TRIES 10

/* Never faster than asked for; as slow as the machine is, which it is not each time. */
static void test_rate(void **state)
{
	bool paced = false;

	(void)state;
	for (int tries = 0; tries < PACE_TRIES && !paced; tries++) {
		struct results r = expect_clean(local("--rate", "10/1s", "--duration", "2s"));

		assert_in_range(r.count, 1, 22);
		paced = r.count >= 19;
		drop(&r);
	}
	assert_true(paced);
	paced = false;
	for (int tries = 0; tries < PACE_TRIES && !paced; tries++) {
		/* The recipe's pace: the fourth is due 0.9 seconds after the first. */
		int64_t from = watch_now_ns(), took;
		struct results r = expect_clean(local("--rate", "10/3s", "--tasks", "4"));

		took = watch_now_ns() - from;
		assert_int_equal(r.count, 4);
		assert_true(took >= SECOND * 9 / 10);
		paced = took <= SECOND * 3 / 2;
		drop(&r);
	}
	assert_true(paced);
}

static void test_duration(void **state)
{
	struct results r;

	(void)state;
	r = expect_clean(local("--duration", "200ms"));
	assert_true(r.count > 1000);
	drop(&r);
}

static bool has_long_progress(const char *text)
{
	return watch_count(text, "\r\033[Kdone ") > 15;
}

/* At the recipe's pace most moments have nothing done in them: the rate is that of some seconds. */
static void test_terminal_slow(void **state)
{
	int zeros = 0, lines = 0;

	(void)state;
	open_terminal();
	begin_with(&(struct start){.child = errors_to_terminal}, "--rate", "10/3s", "--duration",
		LONG);
	leave_terminal();
	read_terminal_until(has_long_progress);
	assert_int_equal(kill(current.pid, SIGINT), 0);
	close_terminal();
	assert_int_equal(end().code, 0);
	for (const char *at = terminal.text; (at = strstr(at, "\033[Kdone ")) != NULL; lines++) {
		double rate = -1;

		assert_int_equal(sscanf(at += strlen("\033[K"), "done %*u  %lf/s", &rate), 1);
		zeros += rate < 0.5;
	}
	/* Nothing was done before the first, perhaps. */
	assert_true(lines > 15 && zeros <= 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_rate, local_clean),
		cmocka_unit_test_teardown(test_duration, local_clean),
		cmocka_unit_test_teardown(test_terminal_slow, local_clean),
	};

	local_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
