/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "run.h"
#include "sq.h"

/*
 * sqctl put: every item goes in once and in order, or it is told which was the first that did not.
 */

#define SECOND INT64_C(1000000000)

static struct sq *open_queue(const char *queue)
{
	struct sq *q;

	assert_int_equal(sq_open(&q, queue), 0);
	return q;
}

static void make(const char *queue, uint64_t capacity, uint64_t max_message)
{
	const struct sq_config config = {
		.capacity = capacity, .max_message = max_message, .participants = 8};

	assert_int_equal(sq_create(queue, &config), 0);
}

/* The next item is this, and it is there already. */
static void next_is(struct sq *q, const void *want, size_t len)
{
	static char got[1 << 21];

	assert_int_equal(sq_get(q, got, sizeof(got), SQ_NOWAIT), (ssize_t)len);
	assert_memory_equal(got, want, len);
}

static void nothing_left(struct sq *q)
{
	char c;

	assert_int_equal(sq_get(q, &c, sizeof(c), SQ_NOWAIT), -EAGAIN);
}

static void test_arguments(void **state)
{
	struct sq *q;

	(void)state;
	make("q", 16, 0);
	expect(sqctl("not read", "put", "q", "one", "", "two words", "--", "-1", "--null"), 0, NULL,
		NULL);
	q = open_queue("q");
	next_is(q, "one", 3);
	next_is(q, "", 0);
	next_is(q, "two words", 9);
	next_is(q, "-1", 2);
	next_is(q, "--null", 6);
	nothing_left(q);
	sq_close(q);
}

static void test_lines(void **state)
{
	static const char bytes[] = "a\0b\xff\n\n\r\nlast";
	struct start how = {.input = bytes, .input_len = sizeof(bytes) - 1};
	struct sq *q;

	(void)state;
	make("q", 16, 0);
	expect(sqctl_with(&how, "put", "q"), 0, NULL, NULL);
	q = open_queue("q");
	next_is(q, "a\0b\xff", 4);
	next_is(q, "", 0);
	next_is(q, "\r", 1);
	next_is(q, "last", 4); /* though no newline ended it */
	nothing_left(q);
	/* With one, there is no empty item behind it. And nothing is no item. */
	expect(sqctl("last\n", "put", "q"), 0, NULL, NULL);
	expect(sqctl(NULL, "put", "q"), 0, NULL, NULL);
	next_is(q, "last", 4);
	nothing_left(q);
	sq_close(q);
}

static void test_null(void **state)
{
	static const char bytes[] = "a\nb\0\0c";
	struct start how = {.input = bytes, .input_len = sizeof(bytes) - 1};
	struct sq *q;

	(void)state;
	make("q", 16, 0);
	expect(sqctl_with(&how, "put", "-0", "q"), 0, NULL, NULL);
	q = open_queue("q");
	next_is(q, "a\nb", 3);
	next_is(q, "", 0);
	next_is(q, "c", 1);
	nothing_left(q);
	sq_close(q);
}

/*
 * More lines than a batch, more bytes than a buffer, and lines across every border between reads.
 */
static void test_many(void **state)
{
	const size_t n = 200000;
	char *text = malloc(n * 8), line[16], *at = text;
	struct start how;
	struct sq *q;

	(void)state;
	assert_non_null(text);
	make("q", n, 0);
	for (size_t i = 0; i < n; i++)
		at += sprintf(at, "%zu\n", i);
	how = (struct start){.input = text, .input_len = (size_t)(at - text)};
	expect(sqctl_with(&how, "put", "q"), 0, NULL, NULL);
	free(text);
	q = open_queue("q");
	for (size_t i = 0; i < n; i++)
		next_is(q, line, (size_t)sprintf(line, "%zu", i));
	nothing_left(q);
	sq_close(q);
}

/* Lengths on either side of the buffers' sizes, to the queue's own limit. */
static void test_long_lines(void **state)
{
	static const size_t lengths[] = {
		262142, 262143, 262144, 262145, 1, 524287, 524288, 524289, 1048575, 1048576, 0, 1};
	const size_t n = sizeof(lengths) / sizeof(lengths[0]);
	char *text = malloc(8 << 20), *at = text, *want = malloc(1 << 20);
	struct start how;
	struct sq *q;

	(void)state;
	assert_non_null(text);
	assert_non_null(want);
	make("q", 16, 1 << 20);
	for (size_t i = 0; i < n; i++) {
		memset(at, 'a' + (int)i, lengths[i]);
		at[lengths[i]] = '\n';
		at += lengths[i] + 1;
	}
	how = (struct start){.input = text, .input_len = (size_t)(at - text)};
	expect(sqctl_with(&how, "put", "q"), 0, NULL, NULL);
	q = open_queue("q");
	for (size_t i = 0; i < n; i++) {
		memset(want, 'a' + (int)i, lengths[i]);
		next_is(q, want, lengths[i]);
	}
	nothing_left(q);
	sq_close(q);
	free(text);
	free(want);
}

static void too_long_on_input(uint64_t max)
{
	size_t len = max + 1;
	char *text = malloc(len + 32), said[64];
	struct sq *q;

	assert_non_null(text);
	make("long", 16, max);
	memcpy(text, "1\n2\n", 4);
	memset(text + 4, 'x', len);
	memcpy(text + 4 + len, "\n4\n", 4);
	(void)snprintf(said, sizeof(said), "item 3 is longer than long allows, which is %llu bytes",
		(unsigned long long)max);
	expect(sqctl(text, "put", "long"), 64, NULL, said);
	expect(sqctl(text, "put", "long"), 64, NULL,
		"2 items went in; item 3 and what follows did not");
	q = open_queue("long");
	for (int i = 0; i < 2; i++) {
		next_is(q, "1", 1);
		next_is(q, "2", 1);
	}
	nothing_left(q);
	sq_close(q);
	assert_int_equal(sq_unlink("long"), 0);
	free(text);
}

static void test_too_long(void **state)
{
	(void)state;
	too_long_on_input(3);
	too_long_on_input(100);
	too_long_on_input(262143); /* one more fills the buffer */
	too_long_on_input(262144);
	too_long_on_input(1 << 20);
	too_long_on_input((1 << 20) + 1);
}

/* All arguments can be looked at before the first goes in. */
static void test_too_long_argument(void **state)
{
	struct sq *q;

	(void)state;
	make("q", 16, 4);
	expect(sqctl(NULL, "put", "q", "1", "12345", "2"), 64, NULL,
		"item 2 is longer than q allows, which is 4 bytes");
	q = open_queue("q");
	nothing_left(q);
	expect(sqctl(NULL, "put", "q", "1", "1234", "2"), 0, NULL, NULL);
	sq_close(q);
}

static void test_full(void **state)
{
	struct sq *q;

	(void)state;
	make("q", 2, 0);
	expect(sqctl(NULL, "put", "--timeout", "0", "q", "1", "2", "3", "4"), 75, NULL,
		"q is full");
	expect(sqctl(NULL, "put", "--timeout", "0", "q", "1"), 75, NULL, "nothing went in");
	q = open_queue("q");
	next_is(q, "1", 1);
	expect(sqctl(NULL, "put", "--timeout", "0", "q", "5", "6"), 75, NULL,
		"1 item went in; item 2 and what follows did not");
	next_is(q, "2", 1);
	next_is(q, "5", 1);
	nothing_left(q);
	sq_close(q);
}

/* A file is left at the first line that did not go in, so that another put can go on. */
static void test_full_file_goes_on(void **state)
{
	struct start how = {0};
	struct sq *q;
	FILE *f = tmpfile();

	(void)state;
	assert_non_null(f);
	make("q", 2, 0);
	assert_true(fputs("1\n22\n333\n\n5", f) >= 0);
	assert_int_equal(fflush(f), 0);
	rewind(f);
	how.in = fileno(f);
	q = open_queue("q");
	expect(sqctl_with(&how, "put", "--timeout", "0", "q"), 75, NULL,
		"2 items went in; item 3 and");
	next_is(q, "1", 1);
	next_is(q, "22", 2);
	expect(sqctl_with(&how, "put", "--timeout", "0", "q"), 75, NULL,
		"2 items went in; item 3 and");
	next_is(q, "333", 3);
	next_is(q, "", 0);
	expect(sqctl_with(&how, "put", "--timeout", "0", "q"), 0, NULL, NULL);
	next_is(q, "5", 1);
	nothing_left(q);
	sq_close(q);
	assert_int_equal(fclose(f), 0);
}

static int64_t now_ns(void)
{
	struct timespec ts;

	assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &ts), 0);
	return (int64_t)ts.tv_sec * SECOND + ts.tv_nsec;
}

static void test_timeout(void **state)
{
	int64_t from;

	(void)state;
	make("q", 2, 0);
	from = now_ns();
	expect(sqctl("1\n2\n3\n4\n", "put", "--timeout", "150ms", "q"), 124, NULL,
		"timed out waiting for room in q");
	assert_true(now_ns() - from >= 150000000);
	expect(sqctl("1\n", "put", "--timeout", "1ms", "q"), 124, NULL, "nothing went in");
}

/* Without a timeout it waits for room, for as long as it takes. */
static void test_waits(void **state)
{
	char line[16], got[16];
	struct run run;
	struct sq *q;

	(void)state;
	make("q", 2, 0);
	q = open_queue("q");
	run = sqctl_start(
		&(struct start){.input = "0\n1\n2\n3\n4\n5\n6\n7\n8\n9\n"}, "put", "-q", "q");
	for (int i = 0; i < 10; i++) {
		int len = sprintf(line, "%d", i);

		assert_int_equal(sq_get(q, got, sizeof(got), 60 * SECOND), len);
		assert_memory_equal(got, line, (size_t)len);
	}
	expect(run_end(&run), 0, NULL, NULL);
	nothing_left(q);
	sq_close(q);
}

/* A slow writer's lines go in as they come; half a line waits for its other half. */
static void test_interactive(void **state)
{
	char got[16];
	struct run run;
	struct sq *q;
	int end[2];

	(void)state;
	make("q", 16, 0);
	q = open_queue("q");
	assert_int_equal(pipe2(end, O_CLOEXEC), 0);
	run = sqctl_start(&(struct start){.in = end[0]}, "put", "q");
	assert_int_equal(write(end[1], "a\nb\nha", 6), 6);
	assert_int_equal(sq_get(q, got, sizeof(got), 60 * SECOND), 1);
	assert_int_equal(sq_get(q, got, sizeof(got), 60 * SECOND), 1);
	assert_int_equal(*got, 'b');
	assert_int_equal(sq_get(q, got, sizeof(got), SECOND / 20), -ETIMEDOUT);
	assert_int_equal(write(end[1], "lf\n", 3), 3);
	assert_int_equal(sq_get(q, got, sizeof(got), 60 * SECOND), 4);
	assert_memory_equal(got, "half", 4);
	assert_int_equal(write(end[1], "end", 3), 3);
	assert_int_equal(close(end[1]), 0);
	assert_int_equal(close(end[0]), 0);
	expect(run_end(&run), 0, NULL, NULL);
	next_is(q, "end", 3);
	nothing_left(q);
	sq_close(q);
}

static void wait_for_depth(struct sq *q, uint64_t depth)
{
	struct sq_stat st;
	int64_t until = now_ns() + 60 * SECOND;

	do {
		assert_int_equal(sq_stat(q, &st), 0);
		assert_true(now_ns() < until);
	} while (st.depth != depth);
}

static void test_interrupted_when_full(void **state)
{
	struct run run;
	struct sq *q;

	(void)state;
	make("q", 2, 0);
	q = open_queue("q");
	run = sqctl_start(&(struct start){.input = "1\n2\n3\n4\n"}, "put", "q");
	wait_for_depth(q, 2);
	assert_int_equal(kill(run.pid, SIGTERM), 0);
	expect(run_end(&run), -SIGTERM, NULL, "2 items went in; item 3 and what follows did not");
	next_is(q, "1", 1);
	next_is(q, "2", 1);
	nothing_left(q);
	sq_close(q);
}

static void test_interrupted_when_reading(void **state)
{
	struct run run;
	struct sq *q;
	int end[2];

	(void)state;
	make("q", 16, 0);
	q = open_queue("q");
	assert_int_equal(pipe2(end, O_CLOEXEC), 0);
	run = sqctl_start(&(struct start){.in = end[0]}, "put", "q");
	assert_int_equal(write(end[1], "1\nhalf", 6), 6);
	wait_for_depth(q, 1);
	assert_int_equal(kill(run.pid, SIGINT), 0);
	expect(run_end(&run), -SIGINT, NULL, "1 item went in; item 2 and what follows did not");
	next_is(q, "1", 1);
	nothing_left(q); /* half an item is none */
	assert_int_equal(close(end[0]), 0);
	assert_int_equal(close(end[1]), 0);
	sq_close(q);
}

static void test_shut_down(void **state)
{
	struct sq *q;

	(void)state;
	make("q", 16, 0);
	q = open_queue("q");
	assert_int_equal(sq_shutdown(q, false), 0);
	expect(sqctl(NULL, "put", "q", "1"), 3, NULL, "q is shut down");
	expect(sqctl("1\n", "put", "q"), 3, NULL, "nothing went in");
	assert_int_equal(sq_get(q, NULL, 0, SQ_NOWAIT), -EPIPE);
	sq_close(q);
}

static void close_input(void)
{
	(void)close(STDIN_FILENO);
}

static void read_directory(void)
{
	(void)dup2(open("/", O_RDONLY | O_CLOEXEC), STDIN_FILENO);
}

static void test_unreadable_input(void **state)
{
	struct sq *q;

	(void)state;
	make("q", 16, 0);
	expect(sqctl_with(&(struct start){.child = close_input}, "put", "q"), 74, NULL,
		"cannot read items");
	expect(sqctl_with(&(struct start){.child = read_directory}, "put", "q"), 74, NULL,
		"Is a directory");
	expect(sqctl_with(&(struct start){.child = close_input}, "put", "q", "1"), 0, NULL, NULL);
	q = open_queue("q");
	next_is(q, "1", 1);
	nothing_left(q);
	sq_close(q);
}

static void test_no_place(void **state)
{
	const struct sq_config config = {.participants = 1};
	struct sq *q;

	(void)state;
	assert_int_equal(sq_create("q", &config), 0);
	q = open_queue("q");
	/* Not 75: to make room by taking messages out would not help, nor be possible. */
	expect(sqctl(NULL, "put", "q", "1"), 69, NULL, "as many participants as it has room for");
	expect(sqctl(NULL, "get", "q"), 69, NULL, "as many participants as it has room for");
	nothing_left(q);
	sq_close(q);
}

static void test_usage(void **state)
{
	struct sq *q;

	(void)state;
	make("q", 16, 0);
	expect(sqctl(NULL, "put"), 64, NULL, "the name of a queue is missing");
	expect(sqctl("1\n", "put", "--timeout", "soon", "q"), 64, NULL,
		"'soon' must be a span of time");
	expect(sqctl("1\n", "put", "--timeout", "-1", "q"), 64, NULL,
		"'-1' must be a span of time");
	expect(sqctl("1\n", "put", "q", "--timeout"), 64, NULL, "--timeout needs a value");
	expect(sqctl("1\n", "put", "q", "--nul=1"), 64, NULL,
		"--nul=1: this option takes no value");
	expect(sqctl("1\n", "put", "q", "--bogus"), 64, NULL, "no such option: --bogus");
	expect(sqctl("1\n", "put", "q", "-7"), 64, NULL, "no such option: -7");
	expect(sqctl("1\n", "put", "no name", "1"), 64, NULL, "'no name' is no queue name");
	expect(sqctl("1\n", "put", "nope"), 66, NULL, "`sqctl create nope`");
	q = open_queue("q");
	nothing_left(q);
	sq_close(q);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_arguments, run_clean),
		cmocka_unit_test_teardown(test_lines, run_clean),
		cmocka_unit_test_teardown(test_null, run_clean),
		cmocka_unit_test_teardown(test_many, run_clean),
		cmocka_unit_test_teardown(test_long_lines, run_clean),
		cmocka_unit_test_teardown(test_too_long, run_clean),
		cmocka_unit_test_teardown(test_too_long_argument, run_clean),
		cmocka_unit_test_teardown(test_full, run_clean),
		cmocka_unit_test_teardown(test_full_file_goes_on, run_clean),
		cmocka_unit_test_teardown(test_timeout, run_clean),
		cmocka_unit_test_teardown(test_waits, run_clean),
		cmocka_unit_test_teardown(test_interactive, run_clean),
		cmocka_unit_test_teardown(test_interrupted_when_full, run_clean),
		cmocka_unit_test_teardown(test_interrupted_when_reading, run_clean),
		cmocka_unit_test_teardown(test_shut_down, run_clean),
		cmocka_unit_test_teardown(test_unreadable_input, run_clean),
		cmocka_unit_test_teardown(test_no_place, run_clean),
		cmocka_unit_test_teardown(test_usage, run_clean),
	};

	run_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
