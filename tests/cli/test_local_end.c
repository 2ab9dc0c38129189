/* SPDX-License-Identifier: ISC */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#include "local_run.h"
#include "sq.h"

/* sqctl local: however it ends, what was made is done and written, or it is said why not. */

/* As a terminal does it: all of them get the signal. */
static void lead(void)
{
	(void)setsid();
}

static void end_by(int sig, bool all)
{
	struct outcome o;
	struct results r;

	begin_with(&(struct start){.child = lead}, "--rate", "1000", "--duration", LONG);
	wait_started();
	(void)child_named("sq-collector1");
	assert_int_equal(kill(current.pid, sig), 0);
	/* As timeout(1) does it: two signals, one request. */
	if (all)
		assert_int_equal(kill(-current.pid, sig), 0);
	o = end();
	expect(o, 0, "", "ending: what was made is still done; once more to end at once");
	r = expect_clean(o);
	drop(&r);
}

static void test_interrupted(void **state)
{
	(void)state;
	end_by(SIGINT, false);
	end_by(SIGINT, true);
	end_by(SIGTERM, false);
	end_by(SIGHUP, true);
}

static void test_terminated(void **state)
{
	(void)state;
	end_by(SIGTERM, true);
}

/* With --tasks a run that was cut short did not do what it was asked for. Its proof is told all the same. */
static void test_cut_short(void **state)
{
	static const int signals[] = {SIGINT, SIGTERM};
	struct outcome o;

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		begin("--rate", "1000", "--tasks", "1000000");
		wait_started();
		assert_int_equal(kill(current.pid, signals[i]), 0);
		o = end();
		expect(o, -signals[i], "", " of 1000000 items");
		expect(o, -signals[i], "", "proof: nothing lost, nothing duplicated\n");
		expect_json("{\"proof\":\"holds\",");
		assert_int_equal(left(), 0);
	}
	/* The object on standard output is there before the end. */
	current = sqctl_start(
		&(struct start){0}, "local", "--json", "--rate", "1000", "--tasks", "1000000");
	wait_started();
	assert_int_equal(kill(current.pid, SIGTERM), 0);
	expect(end(), -SIGTERM, "{\"proof\":\"holds\",", " of 1000000 items");
}

/* A full pipe: a process that writes to it waits. */
static void full_pipe(int fd[2])
{
	char page[4096] = {0};
	int size;

	assert_int_equal(pipe2(fd, O_CLOEXEC), 0);
	size = fcntl(fd[1], F_SETPIPE_SZ, (int)sizeof(page));
	assert_true(size > 0);
	for (int n = 0; n < size; n += (int)sizeof(page))
		assert_int_equal(write(fd[1], page, sizeof(page)), sizeof(page));
}

/* Until there is a result, which the collector then has to write. */
static void wait_result(void)
{
	struct sq_stat st = {0};
	struct sq *q;

	assert_int_equal(sq_open(&q, queue("cq")), 0);
	for (int64_t until = watch_now_ns() + WATCH_PATIENCE; st.put == 0;) {
		assert_true(watch_now_ns() < until);
		assert_int_equal(sq_stat(q, &st), 0);
	}
	sq_close(q);
}

/* The results are not read, so it cannot be done before the second signal comes. */
static void end_twice(int sig)
{
	int64_t until = watch_now_ns() + WATCH_PATIENCE;
	int fd[2];

	full_pipe(fd);
	begin_with(&(struct start){.out = fd[1]}, "--prefix", prefix(), "--duration", LONG);
	assert_int_equal(close(fd[1]), 0);
	wait_started();
	wait_result();
	assert_int_equal(kill(current.pid, sig), 0);
	wait_said("once more to end at once", 1);
	/*
	 * Right after the first one it counts as the same request, of which all processes are told.
	 */
	while (!ended()) {
		assert_int_equal(kill(current.pid, sig), 0);
		assert_true(watch_now_ns() < until);
		(void)usleep(20000);
	}
	expect_no_proof(end(), 128 + sig, "ended at once; there is no proof");
	assert_int_equal(close(fd[0]), 0);
}

static void test_interrupted_twice(void **state)
{
	(void)state;
	end_twice(SIGINT);
	end_twice(SIGTERM);
}

/* `| head -1` */
static void test_reader_leaves(void **state)
{
	char line[128], c = 0;
	struct outcome o;
	size_t len = 0;
	int fd[2];

	(void)state;
	assert_int_equal(pipe2(fd, O_CLOEXEC), 0);
	begin_with(&(struct start){.out = fd[1]}, "--duration", LONG);
	assert_int_equal(close(fd[1]), 0);
	while (len < sizeof(line) && read(fd[0], &c, 1) == 1 && c != '\n')
		line[len++] = c;
	(void)check_line(line, len);
	assert_int_equal(close(fd[0]), 0);
	o = end();
	expect(o, 0, NULL, "proof: nothing lost, nothing duplicated\n");
	assert_true(number("made") > 0);
	assert_int_equal(number("collected"), number("made"));
	assert_int_equal(left(), 0);
}

static void to_full_disk(void)
{
	(void)dup2(open("/dev/full", O_WRONLY | O_CLOEXEC), STDOUT_FILENO);
}

static void close_output(void)
{
	(void)close(STDOUT_FILENO);
}

static void test_unwritable(void **state)
{
	struct outcome o;

	(void)state;
	o = local_with(&(struct start){.child = to_full_disk}, "--duration", LONG);
	expect(o, 74, NULL, "cannot write the results: No space left on device; 0 ");
	expect(o, 74, NULL, "proof: nothing lost");
	expect_json(",\"written\":0,\"write_error\":\"No space left on device\",");
	o = local_with(&(struct start){.child = close_output}, "--tasks", "10");
	expect(o, 74, NULL, "cannot write the results: ");
	assert_int_equal(left(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_interrupted, local_clean),
		cmocka_unit_test_teardown(test_terminated, local_clean),
		cmocka_unit_test_teardown(test_cut_short, local_clean),
		cmocka_unit_test_teardown(test_interrupted_twice, local_clean),
		cmocka_unit_test_teardown(test_reader_leaves, local_clean),
		cmocka_unit_test_teardown(test_unwritable, local_clean),
	};

	local_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
