/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "run.h"
#include "sq.h"
#include "watch.h"

/* sqctl produce: as many numbers as were asked for, no faster than asked for, however it ends. */

/* At 100/s: a batch that was begun, what is late by no more than is made up for, one each more. */
#define SLACK 24

#define LONG "300s"
#define WIDE "18446744073709551615"

static const struct sq_config small = {.capacity = 4, .participants = 8};
static const struct sq_config large = {.capacity = 16384, .participants = 8};

/* n numbers, all of them below this; both ends of the range come. */
static void expect_range(struct sq *q, int n, uint64_t below)
{
	uint64_t least = UINT64_MAX, most = 0, v;

	assert_int_equal(watch_stat(q).depth, n);
	for (int i = 0; i < n; i++) {
		v = watch_get_number(q);
		least = v < least ? v : least;
		most = v > most ? v : most;
	}
	assert_in_range(least, 0, below / 10);
	assert_in_range(most, below - 1 - below / 10, below - 1);
}

static void test_numbers(void **state)
{
	struct sq *q = watch_make("q", NULL);

	(void)state;
	expect(sqctl(NULL, "produce", "q", "--tasks", "1000"), 0, NULL, "put 1000 items into q in");
	expect_range(q, 1000, 1000);
	expect(sqctl(NULL, "produce", "q", "--tasks", "999", "--max", "10"), 0, NULL, "put 999");
	expect_range(q, 999, 11);
	expect(sqctl(NULL, "produce", "--below", "10", "--tasks", "300", "q"), 0, NULL, "put 300");
	expect_range(q, 300, 10);
	expect(sqctl(NULL, "produce", "q", "--tasks", "300", "--max", WIDE), 0, NULL, "put 300");
	expect_range(q, 300, UINT64_MAX);
	expect(sqctl(NULL, "produce", "q", "--tasks", "2", "--below", "1"), 0, NULL, "put 2 items");
	assert_int_equal(watch_get_number(q), 0);
	assert_int_equal(watch_get_number(q), 0);
	expect(sqctl(NULL, "produce", "q", "--tasks", "0"), 0, NULL, "put 0 items into q in");
	expect(sqctl(NULL, "produce", "q", "--tasks", "1"), 0, NULL, "put 1 item into q in");
	sq_close(q);
}

/* A seed says which: those that `local` makes of it. */
static void test_seed(void **state)
{
	struct sq *q = watch_make("q", NULL);
	struct outcome o;
	uint64_t first;
	char *line;

	(void)state;
	expect(sqctl(NULL, "produce", "q", "--tasks", "500", "--seed", "7"), 0, NULL, "put 500");
	o = sqctl(NULL, "local", "--producers", "1", "--workers", "1", "--tasks", "500", "--seed",
		"7", "--max", "999");
	expect(o, 0, "", "proof: nothing lost");
	line = o.out;
	for (int i = 0; i < 500; i++) {
		assert_int_equal(watch_get_number(q), strtoull(line, NULL, 10));
		line = strchr(line, '\n') + 1;
	}
	expect(sqctl(NULL, "produce", "q", "--tasks", "1", "--max", WIDE), 0, NULL, "put 1 ");
	first = watch_get_number(q);
	expect(sqctl(NULL, "produce", "q", "--tasks", "1", "--max", WIDE), 0, NULL, "put 1 ");
	assert_int_not_equal(watch_get_number(q), first); /* never, in practice, the same */
	sq_close(q);
}

/* By counting: at no moment more than so many have been due since it began, at 10 every 3 seconds. */
static void keeps_pace(struct sq *q, uint64_t until, int64_t from)
{
	uint64_t before = watch_stat(q).put, put = 0;

	while (put < until) {
		put = watch_stat(q).put - before;
		assert_true((int64_t)put <= 1 + (watch_now_ns() - from) * 10 / (3 * SECOND));
		assert_true(watch_now_ns() - from < WATCH_PATIENCE);
		(void)usleep(1000);
	}
}

/* If nothing else is said: 10 every 3 seconds, for ever, and each of these rounds is said. */
static void test_recipe(void **state)
{
	struct sq *q = watch_make("q", NULL);
	int64_t from = watch_now_ns();
	struct run run = sqctl_start(&(struct start){0}, "produce", "q");
	struct outcome o;

	(void)state;
	keeps_pace(q, 11, from);
	watch_wait_said(&run, "sqctl: round 1: put 10 more into q, 10 in all\n", 1);
	o = watch_signal(&run, SIGTERM);
	expect(o, 0, "", " items into q in");
	assert_int_equal(watch_count(o.err, "round "), watch_stat(q).put / 10);

	/* The same, said; and with an end, where it says no pace. */
	from = watch_now_ns();
	run = sqctl_start(&(struct start){0}, "produce", "--forever", "q");
	keeps_pace(q, 2, from);
	expect(watch_signal(&run, SIGINT), 0, "", " items into q in");
	from = watch_now_ns();
	run = sqctl_start(&(struct start){0}, "produce", "--duration", LONG, "q");
	keeps_pace(q, 2, from);
	expect(watch_signal(&run, SIGINT), 0, "", " items into q in");
	sq_close(q);
}

/* Each round has its line, also where several puts make one; at full speed there are none. */
static void test_rounds(void **state)
{
	struct sq *q = watch_make("q", &large);
	struct outcome o = sqctl(NULL, "produce", "q", "--tasks", "450", "--rate", "300/600ms");
	int64_t from;

	(void)state;
	expect(o, 0, "", "sqctl: round 1: put 300 more into q, 300 in all\n");
	assert_int_equal(watch_count(o.err, "round "), 1);
	o = sqctl(NULL, "produce", "q", "--tasks", "3", "--rate", "1/1s");
	for (int i = 1; i <= 3; i++) {
		char line[64];

		(void)snprintf(line, sizeof(line),
			"sqctl: round %d: put 1 more into q, %d in all\n", i, i);
		expect(o, 0, "", line);
	}
	/* Not a thousand lines a second. */
	from = watch_now_ns();
	o = sqctl(NULL, "produce", "q", "--duration", "800ms", "--rate", "1/1ms");
	expect(o, 0, "", "sqctl: round ");
	assert_true(watch_count(o.err, "round ") <= 1 + (watch_now_ns() - from) / (SECOND / 2));
	o = sqctl(NULL, "produce", "q", "--tasks", "100");
	expect(o, 0, "", "put 100 items");
	assert_int_equal(watch_count(o.err, "round "), 0);
	o = sqctl(NULL, "produce", "-q", "q", "--tasks", "20", "--rate", "10/1s");
	expect(o, 0, "", NULL);
	assert_string_equal(o.err, "");
	sq_close(q);
}

static void test_rate(void **state)
{
	struct sq *q = watch_make("q", &large);
	int64_t from = watch_now_ns();
	struct run run = sqctl_start(&(struct start){0}, "produce", "q", "--rate", "10/3s");
	uint64_t put;

	(void)state;
	keeps_pace(q, 4, from);
	expect(watch_signal(&run, SIGTERM), 0, NULL, " into q in");
	put = watch_stat(q).put;
	/* As fast as it goes, for ever. */
	run = sqctl_start(&(struct start){0}, "produce", "q", "--rate", "max");
	watch_wait_put(q, put + 1000);
	expect(watch_signal(&run, SIGTERM), 0, NULL, " into q in");
	put = watch_stat(q).put;
	/* It may have filled the queue. */
	for (uint64_t i = 0; i < put; i++)
		(void)watch_get_number(q);
	run = sqctl_start(&(struct start){0}, "produce", "q", "--rate", "1/100000d");
	watch_wait_put(q, put + 1);
	(void)usleep(100000);
	assert_int_equal(watch_stat(q).put, put + 1);
	expect(watch_signal(&run, SIGINT), 0, NULL, "put 1 item into q in");
	sq_close(q);
}

/* What was not put while the queue was full does not come in a rush. */
static void test_rate_after_full(void **state)
{
	struct sq *q = watch_make("q", &small);
	struct run run = sqctl_start(&(struct start){0}, "produce", "q", "--rate", "100");
	uint64_t put = 4;
	int64_t from;

	(void)state;
	watch_wait_put(q, 4);
	(void)usleep(1000000); /* a hundred become due, if no one forgives them */
	from = watch_now_ns();
	while (put < 80) {
		(void)watch_get_number(q);
		put = watch_stat(q).put;
		assert_true((int64_t)put - 4 <= SLACK + (watch_now_ns() - from) / (SECOND / 100));
	}
	expect(watch_signal(&run, SIGTERM), 0, NULL, " into q in");
	sq_close(q);
}

static void test_full(void **state)
{
	struct sq *q = watch_make("q", &small);
	struct run run = sqctl_start(&(struct start){0}, "produce", "q", "--tasks", "100");

	(void)state;
	for (int i = 0; i < 100; i++)
		(void)watch_get_number(q);
	expect(run_end(&run), 0, NULL, "put 100 items");
	/* Ends while it waits for room. */
	run = sqctl_start(&(struct start){0}, "produce", "q", "--rate", "max");
	watch_wait_put(q, 104);
	expect(watch_signal(&run, SIGINT), 0, NULL, "put 4 items into q in");
	run = sqctl_start(&(struct start){0}, "produce", "q", "--tasks", "100");
	assert_int_equal(watch_get_number(q) < UINT64_MAX, true);
	watch_wait_put(q, 105);
	expect(watch_signal(&run, SIGTERM), -SIGTERM, NULL, "ended by signal 15, after 1 of 100");
	assert_int_equal(watch_stat(q).depth, 4);
	sq_close(q);
}

static void test_duration(void **state)
{
	struct sq *q = watch_make("q", &small);
	int64_t from = watch_now_ns();

	(void)state;
	expect(sqctl(NULL, "produce", "q", "--duration", "300ms", "--rate", "max"), 0, NULL,
		"put 4 items into q in");
	assert_true(watch_now_ns() - from >= 300000000);
	expect(sqctl(NULL, "produce", "q", "--duration", "10ms", "--tasks", "9"), 0, NULL,
		"put 0 items into q in");
	sq_close(q);
}

static void test_shut_down(void **state)
{
	struct sq *q = watch_make("q", &small);
	struct run run = sqctl_start(&(struct start){0}, "produce", "q", "--rate", "max");

	(void)state;
	watch_wait_put(q, 4);
	assert_int_equal(sq_shutdown(q, false), 0);
	expect(run_end(&run), 3, NULL, "q is shut down; make another to go on");
	sq_close(q);
}

static void test_wait(void **state)
{
	struct run run;
	struct sq *q;

	(void)state;
	expect(sqctl(NULL, "produce", "q"), 66, NULL,
		"no such queue: q; make it with `sqctl create q`");
	expect(sqctl(NULL, "produce", "--wait=50ms", "q"), 124, NULL,
		"timed out waiting for somebody to make q");
	run = sqctl_start(&(struct start){0}, "produce", "--wait", "q");
	watch_wait_said(&run, "waiting for q, which is not there yet", 1);
	expect(watch_signal(&run, SIGTERM), 0, NULL, "put 0 items");
	run = sqctl_start(&(struct start){0}, "produce", "--wait", "q", "--tasks", "3");
	watch_wait_said(&run, "waiting for q, which is not there yet", 1);
	q = watch_make("q", NULL);
	expect(run_end(&run), 0, NULL, "put 3 items");
	assert_int_equal(watch_stat(q).put, 3);
	sq_close(q);
}

static void test_removed(void **state)
{
	struct sq *q = watch_make("q", &small);
	struct run run = sqctl_start(&(struct start){0}, "produce", "q", "--rate", "max");

	(void)state;
	watch_wait_put(q, 4);
	assert_int_equal(sq_unlink("q"), 0);
	expect(run_end(&run), 66, NULL, "q was removed; --wait waits for another");
	sq_close(q);
	q = watch_make("q", &small);
	run = sqctl_start(&(struct start){0}, "produce", "q", "--wait", "--rate", "max");
	watch_wait_put(q, 4);
	assert_int_equal(sq_unlink("q"), 0);
	watch_wait_said(&run, "waiting for q", 1);
	sq_close(q);
	q = watch_make("q", &small);
	watch_wait_put(q, 4);
	expect(watch_signal(&run, SIGTERM), 0, NULL, "put 8 items");
	sq_close(q);
}

static void test_usage(void **state)
{
	static const char *const cases[][4] = {
		{"--rate", "0/s", "--rate '0/s' must be a rate such as 100"},
		{"--rate", "x", "--rate 'x' must be a rate"},
		{"--rate", "maxi", "or 10/3s; or max"},
		{"--tasks", "-1", "--tasks '-1' must be a whole number from 0"},
		{"--duration", "0", "--duration '0' must be above 0"},
		{"--duration", "1y", "--duration '1y' must be a span of time"},
		{"--max", "18446744073709551616", "--max '18446744073709551616' must be"},
		{"--below", "0", "--below '0' must be a whole number from 1"},
		{"--seed", "a", "--seed 'a' must be a whole number"},
		{"q", "--wait=x", "--wait 'x' must be a span of time"},
		{"q", "--tasks", "--tasks needs a value"},
		{"q", "--x", "no such option: --x; see `sqctl help produce`"},
		{"q", "p", "one queue at a time"},
	};
	struct sq *q = watch_make("q", NULL);

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		expect(sqctl(NULL, "produce", cases[i][0], cases[i][1]), 64, NULL, cases[i][2]);
	expect(sqctl(NULL, "produce", "q", "--forever", "--tasks", "1"), 64, NULL,
		"--forever excludes --tasks and --duration");
	expect(sqctl(NULL, "produce", "q", "--duration", "1s", "--forever"), 64, NULL,
		"--forever excludes --tasks and --duration");
	expect(sqctl(NULL, "produce", "q", "--forever=1"), 64, NULL, "takes no value");
	expect(sqctl(NULL, "produce", "q", "--below", "5", "--max", "3"), 64, NULL,
		"--max and --below exclude each other");
	expect(sqctl(NULL, "produce", "--tasks", "5", "--wait", "1s", "q"), 64, NULL,
		"one queue at a time; if '1s' is the value of --wait, write --wait=1s; see");
	expect(sqctl(NULL, "produce", "q", "p", "--wait"), 64, NULL, "one queue at a time; see");
	expect(sqctl(NULL, "produce"), 64, NULL, "the name of a queue is missing");
	expect(sqctl(NULL, "produce", "q!"), 64, NULL, "is no queue name");
	expect(sqctl(NULL, "help", "produce"), 0, "--rate R", NULL);
	assert_int_equal(watch_stat(q).put, 0);
	sq_close(q);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_numbers, run_clean),
		cmocka_unit_test_teardown(test_seed, run_clean),
		cmocka_unit_test_teardown(test_recipe, run_clean),
		cmocka_unit_test_teardown(test_rounds, run_clean),
		cmocka_unit_test_teardown(test_rate, run_clean),
		cmocka_unit_test_teardown(test_rate_after_full, run_clean),
		cmocka_unit_test_teardown(test_full, run_clean),
		cmocka_unit_test_teardown(test_duration, run_clean),
		cmocka_unit_test_teardown(test_shut_down, run_clean),
		cmocka_unit_test_teardown(test_wait, run_clean),
		cmocka_unit_test_teardown(test_removed, run_clean),
		cmocka_unit_test_teardown(test_usage, run_clean),
	};

	run_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
