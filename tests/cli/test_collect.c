/* SPDX-License-Identifier: ISC */
#include <fcntl.h>
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

/*
 * sqctl collect: every result is written, or still there, however it ends. What it has of `get` is
 * tested there.
 */

#define MANY       20000
#define LINE_BYTES 6 /* of the items of fill(), newline included */
#define PIPE_BYTES 4096

static const struct sq_config many = {.capacity = MANY, .participants = 8};

/* 00000, 00001 and so on. */
static void fill(struct sq *q, int n)
{
	char item[16];

	for (int i = 0; i < n; i++) {
		(void)snprintf(item, sizeof(item), "%05d", i);
		watch_put(q, item);
	}
}

#define start_to(fd, ...) sqctl_start(&(struct start){.out = (fd)}, "collect", __VA_ARGS__)
#define start_plain(...)  sqctl_start(&(struct start){0}, "collect", __VA_ARGS__)

static void expect_left(struct sq *q, uint64_t depth)
{
	struct sq_stat st = watch_stat(q);

	assert_int_equal(st.leased, 0);
	assert_int_equal(st.depth, depth);
}

static void test_number(void **state)
{
	struct sq *q = watch_make("q", &many);
	struct outcome o;
	struct run run;

	(void)state;
	fill(q, 5);
	o = sqctl(NULL, "collect", "-n", "3", "q");
	expect(o, 0, "00000\n00001\n00002\n", "collected 3 items from q in");
	assert_int_equal(o.out_len, 3 * LINE_BYTES);
	expect_left(q, 2);
	/* Waits for those that are not there yet. */
	run = start_plain("q", "--number", "4");
	watch_wait_depth(q, 0);
	fill(q, 3);
	o = run_end(&run);
	expect(o, 0, "00003\n00004\n00000\n00001\n", "collected 4 items from q in");
	assert_int_equal(o.out_len, 4 * LINE_BYTES);
	expect_left(q, 1);
	sq_close(q);
}

/* Each goes out when no more is there; a signal is the usual end. */
static void test_lines(void **state)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
	struct sq *q = watch_make("q", &many);

	(void)state;
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
		int end[2];
		char got[64];
		struct run run;

		assert_int_equal(pipe2(end, O_CLOEXEC), 0);
		run = start_to(end[1], "q");
		assert_int_equal(close(end[1]), 0);
		for (int k = 0; k < 3; k++) {
			watch_put(q, "7 * 7 = 49");
			assert_int_equal(read(end[0], got, sizeof(got)), 11);
			assert_memory_equal(got, "7 * 7 = 49\n", 11);
		}
		/* Written, and acknowledged. */
		assert_int_equal(sq_join(q, WATCH_PATIENCE), 0);
		expect(watch_signal(&run, signals[i]), 0, NULL, "collected 3 items from q in");
		assert_int_equal(close(end[0]), 0);
	}
	sq_close(q);
}

static void test_many(void **state)
{
	struct sq *q = watch_make("q", &many);
	struct outcome o;
	char item[16];

	(void)state;
	fill(q, MANY);
	o = sqctl(NULL, "collect", "-n", "20000", "q");
	expect(o, 0, "", "collected 20000 items from q in");
	assert_int_equal(o.out_len, MANY * LINE_BYTES);
	for (int i = 0; i < MANY; i++) {
		(void)snprintf(item, sizeof(item), "%05d\n", i);
		assert_memory_equal(o.out + (size_t)i * LINE_BYTES, item, LINE_BYTES);
	}
	expect_left(q, 0);
	sq_close(q);
}

static void test_signal_before_number(void **state)
{
	struct sq *q = watch_make("q", &many);
	struct run run = start_plain("-n", "9", "q");

	(void)state;
	fill(q, 2);
	assert_int_equal(sq_join(q, WATCH_PATIENCE), 0);
	expect(watch_signal(&run, SIGINT), -SIGINT, "00000\n00001\n",
		"ended by signal 2, after 2 of 9");
	sq_close(q);
}

static void test_duration(void **state)
{
	struct sq *q = watch_make("q", &many);
	int64_t from = watch_now_ns();

	(void)state;
	fill(q, 3);
	expect(sqctl(NULL, "collect", "--duration", "300ms", "q"), 0, "00000\n00001\n00002\n",
		"collected 3 items from q in");
	assert_true(watch_now_ns() - from >= 300000000);
	expect(sqctl(NULL, "collect", "--duration", "100ms", "-n", "2", "q"), 124, NULL,
		"the time is up: 0 of 2 items came");
	sq_close(q);
}

/* The time is up while the output is not read: what was not written is still in the queue. */
static void test_duration_in_write(void **state)
{
	struct sq *q = watch_make("q", &many);
	struct run run;
	int end[2];

	(void)state;
	fill(q, MANY);
	assert_int_equal(pipe2(end, O_CLOEXEC), 0);
	assert_int_equal(fcntl(end[1], F_SETPIPE_SZ, PIPE_BYTES), PIPE_BYTES);
	run = start_to(end[1], "--duration", "300ms", "q");
	assert_int_equal(close(end[1]), 0);
	expect(run_end(&run), 0, NULL, " from q in");
	assert_int_equal(watch_stat(q).leased, 0);
	assert_in_range(watch_stat(q).depth, MANY - PIPE_BYTES / LINE_BYTES, MANY);
	assert_int_equal(close(end[0]), 0);
	sq_close(q);
}

static void test_drained(void **state)
{
	struct sq *q = watch_make("q", &many);
	struct run run = start_plain("q");

	(void)state;
	fill(q, 2);
	assert_int_equal(sq_shutdown(q, false), 0);
	expect(run_end(&run), 3, "00000\n00001\n", "q is shut down and drained");
	expect(sqctl(NULL, "collect", "q"), 3, NULL, "collected 0 items from q in");
	sq_close(q);
}

/* Mark each whole line. */
static void mark(bool *seen, const char *text, size_t len)
{
	for (size_t at = 0; at + LINE_BYTES <= len; at += LINE_BYTES) {
		unsigned long i = strtoul(text + at, NULL, 10);

		assert_int_equal(text[at + LINE_BYTES - 1], '\n');
		assert_in_range(i, 0, MANY - 1);
		seen[i] = true;
	}
}

/* kill -9 while it writes: every line has been written, or is still there. */
static void test_killed(void **state)
{
	static bool seen[MANY];
	static char text[2 * PIPE_BYTES];
	struct sq *q = watch_make("q", &many);
	int64_t until = watch_now_ns() + WATCH_PATIENCE;
	size_t len = 0;
	struct outcome o;
	struct run run;
	int end[2];
	ssize_t n;

	(void)state;
	memset(seen, 0, sizeof(seen));
	fill(q, MANY);
	assert_int_equal(pipe2(end, O_CLOEXEC), 0);
	assert_int_equal(fcntl(end[1], F_SETPIPE_SZ, PIPE_BYTES), PIPE_BYTES);
	run = start_to(end[1], "q");
	assert_int_equal(close(end[1]), 0);
	while (watch_stat(q).leased == 0) {
		assert_true(watch_now_ns() < until);
		(void)usleep(1000);
	}
	expect(watch_signal(&run, SIGKILL), -SIGKILL, NULL, NULL);
	expect(sqctl(NULL, "gc", "q"), 0, NULL, NULL);
	while ((n = read(end[0], text + len, sizeof(text) - len)) > 0)
		len += (size_t)n;
	mark(seen, text, len);
	o = sqctl(NULL, "get", "q");
	expect(o, 0, "", NULL);
	mark(seen, o.out, o.out_len);
	for (int i = 0; i < MANY; i++)
		assert_true(seen[i]);
	assert_int_equal(close(end[0]), 0);
	sq_close(q);
}

static void to_full_disk(void)
{
	(void)dup2(open("/dev/full", O_WRONLY | O_CLOEXEC), STDOUT_FILENO);
}

static void test_unwritable(void **state)
{
	struct sq *q = watch_make("q", &many);
	struct run run;
	int end[2];

	(void)state;
	fill(q, 100);
	expect(sqctl_with(&(struct start){.child = to_full_disk}, "collect", "q"), 74, NULL,
		"No space left on device; 0 items had been written, the rest is still in q");
	expect_left(q, 100);
	/* The reader has left: that is noticed before an item is taken. */
	assert_int_equal(pipe2(end, O_CLOEXEC), 0);
	assert_int_equal(close(end[0]), 0);
	run = start_to(end[1], "q");
	assert_int_equal(close(end[1]), 0);
	expect(run_end(&run), 0, NULL, "collected 0 items from q in");
	expect_left(q, 100);
	sq_close(q);
}

static void test_wait(void **state)
{
	struct run run;
	struct sq *q;

	(void)state;
	expect(sqctl(NULL, "collect", "q"), 66, NULL,
		"no such queue: q; make it with `sqctl create q`");
	expect(sqctl(NULL, "collect", "--wait=50ms", "q"), 124, NULL,
		"timed out waiting for somebody to make q");
	run = start_plain("--wait", "q", "-n", "1");
	watch_wait_said(&run, "waiting for q, which is not there yet", 1);
	q = watch_make("q", &many);
	fill(q, 1);
	expect(run_end(&run), 0, "00000\n", "collected 1 item from q in");
	sq_close(q);
}

/* What was in the queue that was removed is taken, and then what is in the next. */
static void test_removed(void **state)
{
	struct sq *q = watch_make("q", &many);
	struct run run = start_plain("q");

	(void)state;
	fill(q, 1);
	assert_int_equal(sq_join(q, WATCH_PATIENCE), 0);
	assert_int_equal(sq_unlink("q"), 0);
	expect(run_end(&run), 66, "00000\n", "q was removed; --wait waits for another");
	sq_close(q);
	q = watch_make("q", &many);
	run = start_plain("q", "--wait", "-n", "5");
	fill(q, 1);
	assert_int_equal(sq_join(q, WATCH_PATIENCE), 0);
	watch_stop(run.pid);
	fill(q, 2);
	assert_int_equal(sq_unlink("q"), 0);
	assert_int_equal(kill(run.pid, SIGCONT), 0);
	watch_wait_said(&run, "waiting for q", 1);
	sq_close(q);
	q = watch_make("q", &many);
	fill(q, 2);
	expect(run_end(&run), 0, "00000\n00000\n00001\n00000\n00001\n", "collected 5 items");
	/* Another took its name at once. */
	run = start_plain("q", "-n", "2");
	fill(q, 1);
	assert_int_equal(sq_join(q, WATCH_PATIENCE), 0);
	watch_stop(run.pid);
	assert_int_equal(sq_unlink("q"), 0);
	sq_close(q);
	q = watch_make("q", &many);
	fill(q, 1);
	assert_int_equal(kill(run.pid, SIGCONT), 0);
	expect(run_end(&run), 0, "00000\n00000\n",
		"q was removed, and there is another of that name");
	sq_close(q);
}

static void test_usage(void **state)
{
	static const char *const cases[][4] = {
		{"-n", "0", "-n '0' must be a whole number from 1"},
		{"--duration", "0", "--duration '0' must be above 0"},
		{"q", "--wait=x", "--wait 'x' must be a span of time"},
		{"q", "-n", "-n needs a value"},
		{"q", "--x", "no such option: --x; see `sqctl help collect`"},
		{"q", "p", "one queue at a time"},
	};
	struct sq *q = watch_make("q", &many);

	(void)state;
	fill(q, 1);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		expect(sqctl(NULL, "collect", cases[i][0], cases[i][1]), 64, NULL, cases[i][2]);
	expect(sqctl(NULL, "collect"), 64, NULL, "the name of a queue is missing");
	expect(sqctl(NULL, "help", "collect"), 0, "--duration SPAN", NULL);
	expect_left(q, 1);
	sq_close(q);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_number, run_clean),
		cmocka_unit_test_teardown(test_lines, run_clean),
		cmocka_unit_test_teardown(test_many, run_clean),
		cmocka_unit_test_teardown(test_signal_before_number, run_clean),
		cmocka_unit_test_teardown(test_duration, run_clean),
		cmocka_unit_test_teardown(test_duration_in_write, run_clean),
		cmocka_unit_test_teardown(test_drained, run_clean),
		cmocka_unit_test_teardown(test_killed, run_clean),
		cmocka_unit_test_teardown(test_unwritable, run_clean),
		cmocka_unit_test_teardown(test_wait, run_clean),
		cmocka_unit_test_teardown(test_removed, run_clean),
		cmocka_unit_test_teardown(test_usage, run_clean),
	};

	run_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
