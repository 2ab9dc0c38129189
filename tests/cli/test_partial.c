/* SPDX-License-Identifier: ISC */
#include <errno.h>
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
#include "watch.h"

/*
 * An output that takes a part of what it is given, and then says EAGAIN: what programs that share a
 * terminal or a socket with others make of it. All must come, once, and in order; and what did not
 * go out whole stays in the queue.
 */

#define PIPE_BYTES 4096
#define MANY       5000
/*
 * Of the items of fill(), newline included. A batch is more than the pipe takes, and what it takes of
 * it ends before a newline: that item is not out yet.
 */
#define LINE_BYTES 17
#define LARGE      200000 /* more than is gathered before it is written */
#define TASKS      "20000"
#define LINES      20000

/* The run under way, to be ended when a test fails in the middle. */
static struct run current = {.pid = -1};
static int out = -1;

static int clean(void **state)
{
	if (current.pid > 0) {
		(void)kill(current.pid, SIGKILL);
		(void)run_end(&current);
		current.pid = -1;
	}
	if (out >= 0)
		(void)close(out);
	out = -1;
	return run_clean(state);
}

/* Its output is the other end of `out`, and does not make it wait. */
static void begin_words(const char *const *words)
{
	int end[2];

	assert_int_equal(pipe2(end, O_CLOEXEC), 0);
	assert_int_equal(fcntl(end[1], F_SETPIPE_SZ, PIPE_BYTES), PIPE_BYTES);
	assert_int_equal(fcntl(end[1], F_SETFL, O_NONBLOCK), 0);
	current = run_start(&(struct start){.out = end[1]}, words);
	out = end[0];
	assert_int_equal(close(end[1]), 0);
}

#define begin(...) begin_words((const char *const[]){__VA_ARGS__, NULL})

static struct outcome end(void)
{
	struct outcome o = run_end(&current);

	current.pid = -1;
	return o;
}

/* Up to so many bytes, to the end of the output. Returns how many came. */
static size_t read_whole(char *to, size_t len)
{
	size_t at = 0;
	ssize_t n;

	while (at < len && (n = read(out, to + at, len - at)) != 0) {
		assert_true(n > 0);
		at += (size_t)n;
	}
	return at;
}

static struct sq *make(void)
{
	const struct sq_config config = {.capacity = MANY, .participants = 8};

	return watch_make("q", &config);
}

/* 00000 and so on, and what makes it as long as it is to be. */
static void line_of(char ret[static LINE_BYTES + 1], int i)
{
	(void)snprintf(ret, LINE_BYTES + 1, "%05d-and-others\n", i);
}

static void fill(struct sq *q)
{
	char line[LINE_BYTES + 1];

	for (int i = 0; i < MANY; i++) {
		line_of(line, i);
		assert_int_equal(strlen(line), LINE_BYTES);
		assert_int_equal(sq_put(q, line, LINE_BYTES - 1, SQ_NOWAIT), 0);
	}
}

/* Wait until it has leases in hand, and gets no further: its output takes no more. */
static void wait_until_stuck(struct sq *q)
{
	int64_t until = watch_now_ns() + WATCH_PATIENCE;
	uint64_t before = 0;
	int same = 0;

	while (same < 20) {
		struct sq_stat st = watch_stat(q);

		assert_false(watch_ended(&current));
		assert_true(watch_now_ns() < until);
		same = st.leased > 0 && st.took == before ? same + 1 : 0;
		before = st.took;
		(void)usleep(1000);
	}
}

/* Mark each whole line: it must not have been seen. */
static void mark(bool *seen, const char *text, size_t len)
{
	for (size_t at = 0; at + LINE_BYTES <= len; at += LINE_BYTES) {
		char want[LINE_BYTES + 1];
		int i = atoi(text + at);

		assert_in_range(i, 0, MANY - 1);
		line_of(want, i);
		assert_memory_equal(text + at, want, LINE_BYTES);
		assert_false(seen[i]);
		seen[i] = true;
	}
}

static void mark_rest(bool *seen, struct sq *q)
{
	char line[LINE_BYTES];
	ssize_t len;

	while ((len = sq_get(q, line, sizeof(line), SQ_NOWAIT)) >= 0) {
		assert_int_equal(len, LINE_BYTES - 1);
		line[len] = '\n';
		mark(seen, line, LINE_BYTES);
	}
	assert_int_equal(len, -EAGAIN);
}

static int missing(const bool *seen)
{
	int n = 0;

	for (int i = 0; i < MANY; i++)
		n += !seen[i];
	return n;
}

static void test_get(void **state)
{
	static char text[MANY * LINE_BYTES + 1];
	struct sq *q = make();

	(void)state;
	fill(q);
	begin("get", "q");
	wait_until_stuck(q);
	assert_int_equal(read_whole(text, sizeof(text)), MANY * LINE_BYTES);
	for (int i = 0; i < MANY; i++) {
		char want[LINE_BYTES + 1];

		line_of(want, i);
		assert_memory_equal(text + (size_t)i * LINE_BYTES, want, LINE_BYTES);
	}
	expect(end(), 0, NULL, NULL);
	assert_int_equal(watch_stat(q).depth, 0);
	assert_int_equal(watch_stat(q).acked, MANY);
	sq_close(q);
}

/* Items that are written from where they lie in the queue. */
static void test_get_large(void **state)
{
	static char item[LARGE], text[3 * LARGE];
	static const size_t lengths[] = {65536, LARGE, 1, 70000};
	struct sq *q = make();
	size_t at = 0, len;

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		memset(item, 'a' + (int)i, lengths[i]);
		assert_int_equal(sq_put(q, item, lengths[i], SQ_NOWAIT), 0);
	}
	begin("get", "q");
	wait_until_stuck(q);
	len = read_whole(text, sizeof(text));
	for (size_t i = 0; i < 4; i++) {
		memset(item, 'a' + (int)i, lengths[i]);
		assert_true(at + lengths[i] + 1 <= len);
		assert_memory_equal(text + at, item, lengths[i]);
		assert_int_equal(text[at + lengths[i]], '\n');
		at += lengths[i] + 1;
	}
	assert_int_equal(at, len);
	expect(end(), 0, NULL, NULL);
	assert_int_equal(watch_stat(q).depth, 0);
	sq_close(q);
}

/* Asked to end while the output takes no more: what went out whole is done, all else is there. */
static void test_get_terminated(void **state)
{
	static char text[MANY * LINE_BYTES];
	bool seen[MANY] = {false};
	struct sq *q = make();
	size_t len;

	(void)state;
	fill(q);
	begin("get", "q");
	wait_until_stuck(q);
	assert_int_equal(kill(current.pid, SIGTERM), 0);
	expect(end(), -SIGTERM, NULL, "the output ends with half an item, which is still in q");
	len = read_whole(text, sizeof(text));
	assert_true(len >= PIPE_BYTES / 2);
	/* Also the one of which all but the newline went out: it comes again. */
	assert_int_equal(len % LINE_BYTES, LINE_BYTES - 1);
	mark(seen, text, len);
	mark_rest(seen, q);
	assert_int_equal(missing(seen), 0);
	sq_close(q);
}

static void test_get_large_terminated(void **state)
{
	static char item[LARGE];
	struct sq *q = make();

	(void)state;
	memset(item, 'a', sizeof(item));
	assert_int_equal(sq_put(q, item, sizeof(item), SQ_NOWAIT), 0);
	begin("get", "--follow", "q");
	wait_until_stuck(q);
	assert_int_equal(kill(current.pid, SIGTERM), 0);
	expect(end(), 0, NULL, "the output ends with half an item, which is still in q");
	assert_int_equal(watch_stat(q).depth, 1);
	assert_int_equal(watch_stat(q).leased, 0);
	sq_close(q);
}

/* The reader leaves while the output takes no more: what the pipe had is lost, and no more. */
static void test_get_reader_leaves(void **state)
{
	static char text[PIPE_BYTES];
	bool seen[MANY] = {false};
	struct sq *q = make();

	(void)state;
	fill(q);
	begin("get", "q");
	wait_until_stuck(q);
	assert_int_equal(read_whole(text, 100 * LINE_BYTES), 100 * LINE_BYTES);
	assert_int_equal(close(out), 0);
	out = -1;
	expect(end(), 0, NULL, NULL);
	mark(seen, text, 100 * LINE_BYTES);
	mark_rest(seen, q);
	/* What it read may have made room for as much again. */
	assert_in_range(missing(seen), 0, 2 * PIPE_BYTES / LINE_BYTES);
	sq_close(q);
}

static int by_text(const void *a, const void *b)
{
	const char *const *x = a, *const *y = b;

	return strcmp(*x, *y);
}

/* All lines, in order; the text is taken apart. */
static void sort_lines(char *text, size_t len, const char *ret[static LINES])
{
	size_t n = 0;

	for (char *at = text, *newline; at < text + len; at = newline + 1) {
		newline = memchr(at, '\n', len - (size_t)(at - text));
		assert_non_null(newline);
		*newline = '\0';
		assert_true(n < LINES);
		ret[n++] = at;
	}
	assert_int_equal(n, LINES);
	qsort(ret, n, sizeof(*ret), by_text);
}

/* The collector of `sqctl local`: the same lines as when they go to a file. */
static void test_local(void **state)
{
	/* Under our own prefix: whatever happens, nothing is left. */
	const char *const words[] = {"local", "--tasks", TASKS, "--producers", "2", "--workers",
		"2", "--seed", "7", "--max", "18446744073709551615", "--prefix",
		getenv("SQ_PREFIX"), NULL};
	static const char *to_file[LINES], *to_pipe[LINES];
	static char text[LINES * 100], kept[LINES * 100];
	struct outcome o = run_whole(&(struct start){0}, words);
	size_t len;

	(void)state;
	expect(o, 0, "", "proof: nothing lost, nothing duplicated\n");
	assert_true(o.out_len <= sizeof(kept));
	memcpy(kept, o.out, o.out_len);
	sort_lines(kept, o.out_len, to_file);
	begin_words(words);
	len = read_whole(text, sizeof(text));
	assert_int_equal(len, o.out_len);
	expect(end(), 0, NULL, "proof: nothing lost, nothing duplicated\n");
	sort_lines(text, len, to_pipe);
	for (size_t i = 0; i < LINES; i++)
		assert_string_equal(to_pipe[i], to_file[i]);
}

#define TEST(f) cmocka_unit_test_teardown(f, clean)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_get),
		TEST(test_get_large),
		TEST(test_get_terminated),
		TEST(test_get_large_terminated),
		TEST(test_get_reader_leaves),
		TEST(test_local),
	};

	run_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
