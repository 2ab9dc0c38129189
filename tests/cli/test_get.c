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
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "run.h"
#include "sq.h"

/* sqctl get: what was written has left the queue, what was not is still in it, however it ends. */

#define SECOND     INT64_C(1000000000)
#define PIPE_BYTES 4096
#define MANY       20000
#define LINE_BYTES 6 /* of the items of fill(), newline included */

static struct sq *make_with(const struct sq_config *config)
{
	struct sq *q;

	assert_int_equal(sq_create("q", config), 0);
	assert_int_equal(sq_open(&q, "q"), 0);
	return q;
}

static struct sq *make(void)
{
	const struct sq_config config = {.capacity = MANY, .participants = 8};

	return make_with(&config);
}

static void put(struct sq *q, const char *item)
{
	assert_int_equal(sq_put(q, item, strlen(item), SQ_NOWAIT), 0);
}

/* 00000, 00001 and so on. */
static void fill(struct sq *q, int n)
{
	char item[16];

	for (int i = 0; i < n; i++) {
		(void)snprintf(item, sizeof(item), "%05d", i);
		put(q, item);
	}
}

static uint64_t depth(struct sq *q)
{
	struct sq_stat st;

	assert_int_equal(sq_stat(q, &st), 0);
	assert_int_equal(st.leased, 0);
	return st.depth;
}

static int64_t now_ns(void)
{
	struct timespec ts;

	assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &ts), 0);
	return (int64_t)ts.tv_sec * SECOND + ts.tv_nsec;
}

/* Exactly this and nothing else. */
static void expect_bytes(struct outcome o, int code, const char *out, size_t len, const char *err)
{
	expect(o, code, len ? "" : NULL, err);
	assert_int_equal(o.out_len, len);
	assert_memory_equal(o.out, out, len);
}

static void expect_text(struct outcome o, int code, const char *out, const char *err)
{
	expect_bytes(o, code, out, strlen(out), err);
}

static void test_all(void **state)
{
	struct sq *q = make();

	(void)state;
	put(q, "one");
	put(q, "");
	assert_int_equal(sq_put(q, "a\0b\n\xff", 5, SQ_NOWAIT), 0);
	expect_bytes(sqctl(NULL, "get", "q"), 0, "one\n\na\0b\n\xff\n", 11, NULL);
	assert_int_equal(depth(q), 0);
	expect_text(sqctl(NULL, "get", "q"), 1, "",
		"q is empty; wait with `--timeout 10s` or `--follow`");
	put(q, "x\ny");
	put(q, "");
	expect_bytes(sqctl(NULL, "get", "-0", "q"), 0, "x\ny\0\0", 5, NULL);
	sq_close(q);
}

static void test_number(void **state)
{
	struct sq *q = make();

	(void)state;
	fill(q, 5);
	expect_text(sqctl(NULL, "get", "-n", "2", "q"), 0, "00000\n00001\n", NULL);
	assert_int_equal(depth(q), 3);
	expect_text(sqctl(NULL, "get", "-n", "9", "q"), 0, "00002\n00003\n00004\n", NULL);
	expect_text(sqctl(NULL, "get", "-n", "1", "q"), 1, "", "q is empty");
	fill(q, 2000);
	/* Ends in the middle of a batch, and on the edge of one. */
	expect(sqctl(NULL, "get", "-n", "700", "q"), 0, "\n00699\n", NULL);
	assert_int_equal(depth(q), 1300);
	expect(sqctl(NULL, "get", "-n", "512", "q"), 0, "\n01211\n", NULL);
	assert_int_equal(depth(q), 788);
	sq_close(q);
}

static void test_many(void **state)
{
	struct sq *q = make();
	struct outcome o;
	char item[16];

	(void)state;
	fill(q, MANY);
	o = sqctl(NULL, "get", "q");
	expect(o, 0, "", NULL);
	assert_int_equal(o.out_len, MANY * LINE_BYTES);
	for (int i = 0; i < MANY; i++) {
		(void)snprintf(item, sizeof(item), "%05d\n", i);
		assert_memory_equal(o.out + (size_t)i * LINE_BYTES, item, LINE_BYTES);
	}
	assert_int_equal(depth(q), 0);
	sq_close(q);
}

/* Items on either side of the output buffer's size, mixed with small ones. */
static void test_long(void **state)
{
	static const size_t lengths[] = {
		1, 65534, 1, 65535, 65536, 65537, 2, 0, 1 << 20, 3, 30000, 40000, 65535};
	const size_t n = sizeof(lengths) / sizeof(lengths[0]);
	const struct sq_config config = {.capacity = MANY, .max_message = 1 << 20};
	char *item = malloc(1 << 20);
	struct sq *q = make_with(&config);
	struct outcome o;
	const char *at;

	(void)state;
	assert_non_null(item);
	for (size_t i = 0; i < n; i++) {
		memset(item, 'a' + (int)i, lengths[i]);
		assert_int_equal(sq_put(q, item, lengths[i], SQ_NOWAIT), 0);
	}
	o = sqctl(NULL, "get", "q");
	expect(o, 0, "", NULL);
	at = o.out;
	for (size_t i = 0; i < n; i++) {
		memset(item, 'a' + (int)i, lengths[i]);
		assert_true((size_t)(at - o.out) + lengths[i] + 1 <= o.out_len);
		assert_memory_equal(at, item, lengths[i]);
		assert_int_equal(at[lengths[i]], '\n');
		at += lengths[i] + 1;
	}
	assert_int_equal(at - o.out, o.out_len);
	assert_int_equal(depth(q), 0);
	free(item);
	sq_close(q);
}

static void test_timeout(void **state)
{
	struct sq *q = make();
	int64_t from = now_ns();
	struct run run;

	(void)state;
	expect_text(sqctl(NULL, "get", "--timeout", "150ms", "q"), 124, "",
		"timed out waiting for q: 0 items came");
	assert_true(now_ns() - from >= 150000000);
	fill(q, 2);
	expect_text(sqctl(NULL, "get", "--timeout", "10ms", "q"), 0, "00000\n00001\n", NULL);
	fill(q, 2);
	expect_text(sqctl(NULL, "get", "-n", "3", "--timeout", "10ms", "q"), 124, "00000\n00001\n",
		"2 items came");
	expect_text(sqctl(NULL, "get", "--timeout", "0", "q"), 1, "", "q is empty");
	/* What comes meanwhile is taken, and it ends at the number. */
	run = sqctl_start(&(struct start){0}, "get", "-q", "-n", "2", "--timeout", "20s", "q");
	fill(q, 3);
	expect_text(run_end(&run), 0, "00000\n00001\n", NULL);
	assert_int_equal(depth(q), 1);
	sq_close(q);
}

/* A `get` with a pipe for its output, of which we have the other end. */
static struct run start_piped(int *ret_end, size_t bytes, const char *const *words)
{
	struct run run;
	int end[2];

	assert_int_equal(pipe2(end, O_CLOEXEC), 0);
	if (bytes)
		assert_int_equal(fcntl(end[1], F_SETPIPE_SZ, (int)bytes), bytes);
	run = run_start(&(struct start){.out = end[1]}, words);
	assert_int_equal(close(end[1]), 0);
	*ret_end = end[0];
	return run;
}

#define start_piped(end, bytes, ...)                                                               \
	start_piped(end, bytes, (const char *const[]){__VA_ARGS__, NULL})

static void read_line(int fd, const char *want)
{
	char got[64];

	/* All of it was written at once. */
	assert_int_equal(read(fd, got, sizeof(got)), (ssize_t)strlen(want));
	assert_memory_equal(got, want, strlen(want));
}

static void test_follow(void **state)
{
	struct sq *q = make();
	struct run run;
	int fd;

	(void)state;
	run = start_piped(&fd, 0, "get", "--follow", "-q", "q");
	put(q, "one");
	read_line(fd, "one\n");
	put(q, "two");
	read_line(fd, "two\n");
	assert_int_equal(sq_join(q, 60 * SECOND), 0);
	assert_int_equal(kill(run.pid, SIGTERM), 0);
	expect(run_end(&run), 0, NULL, NULL);
	put(q, "three");
	assert_int_equal(depth(q), 1);
	assert_int_equal(close(fd), 0);
	/* With a number it ends there. */
	run = start_piped(&fd, 0, "get", "--follow", "-q", "-n", "2", "q");
	read_line(fd, "three\n");
	put(q, "four");
	put(q, "five");
	read_line(fd, "four\n");
	expect(run_end(&run), 0, NULL, NULL);
	assert_int_equal(depth(q), 1);
	assert_int_equal(close(fd), 0);
	sq_close(q);
}

static void test_interrupted(void **state)
{
	struct sq *q = make();
	struct run run;
	int fd;

	(void)state;
	put(q, "one");
	run = start_piped(&fd, 0, "get", "--timeout", "50s", "q");
	read_line(fd, "one\n");
	assert_int_equal(kill(run.pid, SIGINT), 0);
	/* Its parent can tell by which signal it ended. */
	expect(run_end(&run), -SIGINT, NULL, "ended by signal 2");
	assert_int_equal(depth(q), 0);
	assert_int_equal(close(fd), 0);
	sq_close(q);
}

static void test_drained(void **state)
{
	struct sq *q = make();
	struct run run;
	int fd;

	(void)state;
	run = start_piped(&fd, 0, "get", "--follow", "q");
	put(q, "one");
	read_line(fd, "one\n");
	assert_int_equal(sq_shutdown(q, false), 0);
	expect(run_end(&run), 3, NULL, "q is shut down and drained");
	assert_int_equal(close(fd), 0);
	expect_text(sqctl(NULL, "get", "q"), 3, "", "q is shut down and drained");
	expect_text(
		sqctl(NULL, "get", "--timeout", "10s", "q"), 3, "", "q is shut down and drained");
	sq_close(q);
}

static void test_draining(void **state)
{
	struct sq *q = make();

	(void)state;
	fill(q, 3);
	assert_int_equal(sq_shutdown(q, false), 0);
	expect_text(sqctl(NULL, "get", "-n", "1", "q"), 0, "00000\n", NULL);
	expect_text(sqctl(NULL, "get", "q"), 3, "00001\n00002\n", "no more will come");
	sq_close(q);
}

static void to_full_disk(void)
{
	(void)dup2(open("/dev/full", O_WRONLY | O_CLOEXEC), STDOUT_FILENO);
}

static void close_output(void)
{
	(void)close(STDOUT_FILENO);
}

static void close_all(void)
{
	(void)close(STDIN_FILENO);
	(void)close(STDOUT_FILENO);
	(void)close(STDERR_FILENO);
}

static void test_unwritable(void **state)
{
	struct sq *q = make();

	(void)state;
	fill(q, 1000);
	expect(sqctl_with(&(struct start){.child = to_full_disk}, "get", "q"), 74, NULL,
		"No space left on device");
	assert_int_equal(depth(q), 1000);
	/* The queue must not be what is written to. */
	expect(sqctl_with(&(struct start){.child = close_output}, "get", "q"), 74, NULL,
		"cannot write: Bad file descriptor; 0 items had been written, the rest is still in q: "
		"see what standard output is, and go on");
	expect(sqctl_with(&(struct start){.child = close_all}, "get", "q"), 74, NULL, NULL);
	expect(sqctl_with(&(struct start){.child = close_output}, "ls"), 74, NULL, "cannot write");
	assert_int_equal(depth(q), 1000);
	assert_null(sq_check("q"));
	expect(sqctl(NULL, "get", "q"), 0, "00999\n", NULL);
	sq_close(q);
}

/* There is no reader: that is no error, and nothing is taken. */
static void test_reader_gone(void **state)
{
	struct sq *q = make();
	struct run run;
	int fd;

	(void)state;
	run = start_piped(&fd, 0, "get", "--follow", "-q", "q");
	put(q, "one");
	read_line(fd, "one\n");
	assert_int_equal(close(fd), 0);
	/* Noticed while there is nothing to write. */
	expect(run_end(&run), 0, NULL, NULL);
	put(q, "two");
	assert_int_equal(depth(q), 1);
	sq_close(q);
}

/* Mark each whole line: it must not have been seen. Returns the bytes behind the last newline. */
static size_t mark(bool *seen, const char *text, size_t len)
{
	char item[LINE_BYTES] = {0};
	size_t at = 0;

	for (; at + LINE_BYTES <= len; at += LINE_BYTES) {
		int i;

		memcpy(item, text + at, LINE_BYTES - 1);
		assert_int_equal(text[at + LINE_BYTES - 1], '\n');
		i = atoi(item);
		assert_in_range(i, 0, MANY - 1);
		assert_false(seen[i]);
		seen[i] = true;
	}
	return len - at;
}

static void mark_rest(bool *seen, struct sq *q)
{
	char item[LINE_BYTES];
	ssize_t len;

	while ((len = sq_get(q, item, sizeof(item), SQ_NOWAIT)) >= 0) {
		assert_int_equal(len, LINE_BYTES - 1);
		item[len] = '\n';
		assert_int_equal(mark(seen, item, LINE_BYTES), 0);
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

static size_t read_whole(int fd, char *to, size_t len)
{
	size_t at = 0;
	ssize_t n;

	while (at < len && (n = read(fd, to + at, len - at)) != 0) {
		assert_true(n > 0);
		at += (size_t)n;
	}
	return at;
}

/*
 * The reader leaves in the middle: what the pipe had taken is gone with it, and no more than that.
 */
static void test_reader_leaves(void **state)
{
	static bool seen[MANY];
	struct sq *q = make();
	char text[30000];
	struct run run;
	int fd, lost;

	(void)state;
	memset(seen, 0, sizeof(seen));
	fill(q, MANY);
	run = start_piped(&fd, PIPE_BYTES, "get", "q");
	assert_int_equal(read_whole(fd, text, sizeof(text)), sizeof(text));
	assert_int_equal(close(fd), 0);
	expect(run_end(&run), 0, NULL, NULL);
	assert_int_equal(mark(seen, text, sizeof(text)), 0);
	mark_rest(seen, q);
	lost = missing(seen);
	assert_in_range(lost, 0, PIPE_BYTES / LINE_BYTES);
	sq_close(q);
}

/* Items that have left the queue or are about to. */
static uint64_t gone(struct sq *q)
{
	struct sq_stat st;

	assert_int_equal(sq_stat(q, &st), 0);
	return st.took + st.leased;
}

/* A slow reader has what it has read, and one more lies ready: the rest is there for others. */
static void test_share(void **state)
{
	struct sq *q = make();
	struct run run;
	char line[16];
	int fd;

	(void)state;
	fill(q, 100);
	run = start_piped(&fd, 0, "get", "--follow", "q");
	for (uint64_t i = 0; i < 20; i++) {
		int64_t until = now_ns() + 60 * SECOND;

		while (gone(q) < i + 1)
			assert_true(now_ns() < until);
		/* As long as somebody may need for it: no more come meanwhile. */
		(void)usleep(20000);
		assert_int_equal(gone(q), i + 1);
		(void)snprintf(line, sizeof(line), "%05d\n", (int)i);
		read_line(fd, line);
	}
	assert_int_equal(kill(run.pid, SIGTERM), 0);
	expect(run_end(&run), 0, NULL, NULL);
	assert_int_equal(close(fd), 0);
	sq_close(q);
}

/* A fast one gets more and more at once, whatever their length. */
static void test_share_fast(void **state)
{
	static bool seen[MANY];
	static char text[MANY * LINE_BYTES + (1 << 17)];
	struct sq *q = make();
	struct run run;
	int fd;

	(void)state;
	memset(seen, 0, sizeof(seen));
	fill(q, MANY - 1);
	memset(text, 'x', 1 << 17);
	assert_int_equal(sq_put(q, text, 1 << 17, SQ_NOWAIT), 0);
	run = start_piped(&fd, 0, "get", "--follow", "-n", "20000", "q");
	assert_int_equal(
		read_whole(fd, text, sizeof(text)), (MANY - 1) * LINE_BYTES + (1 << 17) + 1);
	assert_int_equal(mark(seen, text, (MANY - 1) * LINE_BYTES), 0);
	assert_int_equal(missing(seen), 1);
	expect(run_end(&run), 0, NULL, NULL);
	assert_int_equal(close(fd), 0);
	sq_close(q);
}

/* With a number it is not done before that. */
static void test_follow_interrupted(void **state)
{
	struct sq *q = make();
	struct run run;
	int fd;

	(void)state;
	run = start_piped(&fd, 0, "get", "--follow", "-n", "2", "q");
	put(q, "one");
	read_line(fd, "one\n");
	assert_int_equal(kill(run.pid, SIGINT), 0);
	expect(run_end(&run), -SIGINT, NULL, "ended by signal 2: 1 item came");
	assert_int_equal(close(fd), 0);
	sq_close(q);
}

/* What was there fills the pipe to its end, and nobody has read any of it: that is all the same done. */
static void test_pipe_just_full(void **state)
{
	struct sq *q = make();
	struct run run;
	int fd;

	(void)state;
	for (int i = 0; i < PIPE_BYTES / 8; i++)
		put(q, "1234567");
	run = start_piped(&fd, PIPE_BYTES, "get", "q");
	expect(run_end(&run), 0, NULL, NULL);
	assert_int_equal(depth(q), 0);
	assert_int_equal(close(fd), 0);
	sq_close(q);
}

/* Wait until it sits in write(), with leases in hand. */
static void wait_for_leases(struct sq *q)
{
	int64_t until = now_ns() + 60 * SECOND;
	uint64_t before = 0, same = 0;
	struct sq_stat st;

	/* Blocked is: it holds some, and nothing has left for a while. */
	while (same < 20) {
		assert_int_equal(sq_stat(q, &st), 0);
		assert_true(now_ns() < until);
		same = st.leased > 0 && st.took == before ? same + 1 : 0;
		before = st.took;
		(void)usleep(1000);
	}
}

/* Asked to end while its output is stuck: all that was not written whole is still there. */
static void test_terminated_in_write(void **state)
{
	static bool seen[MANY];
	static char text[MANY * LINE_BYTES];
	struct sq *q = make();
	struct run run;
	size_t len;
	int fd;

	(void)state;
	memset(seen, 0, sizeof(seen));
	fill(q, MANY);
	run = start_piped(&fd, PIPE_BYTES, "get", "q");
	wait_for_leases(q);
	assert_int_equal(kill(run.pid, SIGTERM), 0);
	expect(run_end(&run), -SIGTERM, NULL, "ended by signal 15: ");
	len = read_whole(fd, text, sizeof(text));
	assert_true(len >= PIPE_BYTES / 2);
	(void)mark(seen, text, len); /* what is behind the last newline comes again, whole */
	mark_rest(seen, q);
	assert_int_equal(missing(seen), 0);
	assert_int_equal(close(fd), 0);
	sq_close(q);
}

/* kill -9: what was written but not acknowledged comes twice; nothing is lost. */
static void test_killed_in_write(void **state)
{
	static bool seen[MANY], again[MANY];
	static char text[MANY * LINE_BYTES];
	struct sq *q = make();
	struct run run;
	size_t len;
	int fd;

	(void)state;
	memset(seen, 0, sizeof(seen));
	memset(again, 0, sizeof(again));
	fill(q, MANY);
	run = start_piped(&fd, PIPE_BYTES, "get", "q");
	wait_for_leases(q);
	assert_int_equal(kill(run.pid, SIGKILL), 0);
	expect(run_end(&run), -SIGKILL, NULL, NULL);
	expect(sqctl(NULL, "gc", "q"), 0, NULL, NULL);
	len = read_whole(fd, text, sizeof(text));
	(void)mark(seen, text, len);
	mark_rest(again, q);
	for (int i = 0; i < MANY; i++)
		seen[i] = seen[i] || again[i];
	assert_int_equal(missing(seen), 0);
	assert_int_equal(close(fd), 0);
	sq_close(q);
}

/* Leases that ended while we were stuck: others got the items too, and that is said. */
static void test_late(void **state)
{
	const struct sq_config config = {
		.capacity = MANY, .participants = 8, .lease_time = 20000000};
	static char text[MANY * LINE_BYTES];
	struct sq *q = make_with(&config);
	struct sq_lease lease;
	struct run run;
	int fd;

	(void)state;
	/*
	 * So many that the pipe cannot take them, and so few that none is left to be leased for the
	 * first time.
	 */
	fill(q, 1000);
	run = start_piped(&fd, PIPE_BYTES, "get", "-n", "1000", "q");
	wait_for_leases(q);
	assert_int_equal(sq_lease(q, &lease, 60 * SECOND), 0);
	assert_true(lease.attempts > 1);
	assert_true(read_whole(fd, text, sizeof(text)) > 0);
	expect(run_end(&run), 0, NULL, "written after the lease had ended");
	assert_int_equal(close(fd), 0);
	sq_close(q);
}

static void test_usage(void **state)
{
	struct sq *q = make();

	(void)state;
	fill(q, 1);
	expect(sqctl(NULL, "get"), 64, NULL, "the name of a queue is missing");
	expect(sqctl(NULL, "get", "q", "p"), 64, NULL, "one queue at a time");
	expect(sqctl(NULL, "get", "-n", "0", "q"), 64, NULL,
		"-n '0' must be a whole number from 1 to");
	expect(sqctl(NULL, "get", "-n", "x", "q"), 64, NULL, "-n 'x' must be a whole number");
	expect(sqctl(NULL, "get", "-n"), 64, NULL, "-n needs a value");
	expect(sqctl(NULL, "get", "--timeout", "1y", "q"), 64, NULL,
		"--timeout '1y' must be a span of time");
	expect(sqctl(NULL, "get", "--timeout", "1s", "--follow", "q"), 64, NULL,
		"--follow waits for ever");
	expect(sqctl(NULL, "get", "-x", "q"), 64, NULL, "no such option: -x; see `sqctl help get`");
	expect(sqctl(NULL, "get", "nope"), 66, NULL,
		"no such queue: nope; make it with `sqctl create nope`");
	assert_int_equal(depth(q), 1);
	sq_close(q);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_all, run_clean),
		cmocka_unit_test_teardown(test_number, run_clean),
		cmocka_unit_test_teardown(test_many, run_clean),
		cmocka_unit_test_teardown(test_long, run_clean),
		cmocka_unit_test_teardown(test_timeout, run_clean),
		cmocka_unit_test_teardown(test_follow, run_clean),
		cmocka_unit_test_teardown(test_interrupted, run_clean),
		cmocka_unit_test_teardown(test_drained, run_clean),
		cmocka_unit_test_teardown(test_draining, run_clean),
		cmocka_unit_test_teardown(test_unwritable, run_clean),
		cmocka_unit_test_teardown(test_reader_gone, run_clean),
		cmocka_unit_test_teardown(test_reader_leaves, run_clean),
		cmocka_unit_test_teardown(test_terminated_in_write, run_clean),
		cmocka_unit_test_teardown(test_killed_in_write, run_clean),
		cmocka_unit_test_teardown(test_late, run_clean),
		cmocka_unit_test_teardown(test_pipe_just_full, run_clean),
		cmocka_unit_test_teardown(test_share, run_clean),
		cmocka_unit_test_teardown(test_share_fast, run_clean),
		cmocka_unit_test_teardown(test_follow_interrupted, run_clean),
		cmocka_unit_test_teardown(test_usage, run_clean),
	};

	run_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
