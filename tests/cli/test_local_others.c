/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "local_run.h"

/*
 * sqctl local, while other processes use its queues: what they take is missed, what they put is
 * counted.
 */

/* Another process takes a task away: then it is not done, and the proof must fail. */
static void test_stolen_task(void **state)
{
	struct outcome o;
	pid_t worker;

	(void)state;
	begin("--prefix", prefix(), "--rate", "100", "--workers", "1", "--duration", LONG);
	wait_started();
	worker = stop_child("sq-worker1");
	expect(sqctl(NULL, "get", "-n", "1", "--timeout", "20s", queue("pq")), 0, "\n", NULL);
	assert_int_equal(kill(worker, SIGCONT), 0);
	o = interrupted();
	expect(o, 1, "", "  NOT TRUE: every task was done once, or is named above\n");
	expect(o, 1, "", "proof FAILED");
	assert_null(strstr(o.err, "proof: "));
	expect_json(
		"{\"proof\":\"failed\",\"not_true\":[\"every task was done once, or is named above\",");
	assert_int_equal(number("lost"), 1);
	assert_int_equal(number("duplicated"), 0);
	assert_int_equal(number("collected"), number("made") - 1);
	assert_int_equal(left(), 0);
}

static void test_stolen_result(void **state)
{
	pid_t collector;
	struct outcome o;

	(void)state;
	begin("--prefix", prefix(), "--rate", "100", "--duration", LONG);
	wait_started();
	collector = stop_child("sq-collector1");
	expect(sqctl(NULL, "get", "-n", "1", "--timeout", "20s", queue("cq")), 0, " = ", NULL);
	assert_int_equal(kill(collector, SIGCONT), 0);
	o = interrupted();
	expect(o, 1, "", "  NOT TRUE: every result put was collected\n");
	expect_json("{\"proof\":\"failed\",\"not_true\":[\"every result put was collected\",");
	assert_int_equal(number("lost"), 1);
	assert_int_equal(left(), 0);
}

/* A result that another process has put: counted if it is right, refused if it is not. */
static void test_foreign_result(void **state)
{
	struct outcome o;

	(void)state;
	begin("--prefix", prefix(), "--rate", "100", "--duration", LONG);
	wait_started();
	expect(sqctl(NULL, "put", queue("cq"), "3000000 * 3000000 = 9000000000000"), 0, NULL, NULL);
	o = interrupted();
	expect(o, 0, "3000000 * 3000000 = 9000000000000\n", "1  of them were put by others\n");
	assert_int_equal(number("done_by_others"), 1);
	assert_int_equal(number("collected"), number("made") + 1);
	begin("--prefix", prefix(), "--rate", "100", "--duration", LONG);
	wait_started();
	expect(sqctl(NULL, "put", queue("cq"), "3 * 3 = 10", "07 * 07 = 49"), 0, NULL, NULL);
	o = interrupted();
	expect(o, 1, "", "  NOT TRUE: every result is right\n");
	expect(o, 1, "", "a wrong result: '3 * 3 = 10'");
	expect(o, 1, "", "a wrong result: '07 * 07 = 49'");
	expect(o, 1, "", "of them wrong: 2\n");
	expect_json("{\"proof\":\"failed\",\"not_true\":[\"every result is right\"],");
	assert_int_equal(number("wrong"), 2);
	assert_int_equal(left(), 0);
}

static void test_foreign_task(void **state)
{
	struct outcome o;
	struct results r;

	(void)state;
	begin("--prefix", prefix(), "--rate", "100", "--duration", LONG);
	wait_started();
	expect(sqctl(NULL, "put", queue("pq"), "7", "1000001"), 0, NULL, NULL);
	o = interrupted();
	expect(o, 0, "7 * 7 = 49\n", "\n                      2  more were put by others\n");
	expect(o, 0, "1000001 * 1000001 = 1000002000001\n", "proof: nothing lost");
	r = results_of(o.out, o.out_len);
	assert_int_equal(number("made_by_others"), 2);
	assert_int_equal(r.count, number("made") + 2);
	assert_int_equal(r.count, number("done"));
	assert_int_equal(number("lost"), 0);
	assert_int_equal(number("duplicated"), 0);
	assert_int_equal(left(), 0);
	drop(&r);
}

/* Its result is longer than any of our own tasks'. */
static void test_foreign_large(void **state)
{
	(void)state;
	begin("--prefix", prefix(), "--rate", "100", "--duration", LONG);
	wait_started();
	expect(sqctl(NULL, "put", queue("pq"), "18446744073709551615"), 0, NULL, NULL);
	expect(interrupted(), 0,
		"18446744073709551615 * 18446744073709551615 = 340282366920938463426481119284349108225\n",
		"proof: nothing lost");
	assert_int_equal(left(), 0);
}

static void test_foreign_wrong(void **state)
{
	struct outcome o;
	struct results r;

	(void)state;
	begin("--prefix", prefix(), "--rate", "100", "--duration", LONG);
	wait_started();
	expect(sqctl(NULL, "put", queue("pq"), "--", "abc", "-1", "18446744073709551616", "", " 7",
		       "1.5", "7\n"),
		0, NULL, NULL);
	o = interrupted();
	expect(o, 0, "", "the task 'abc' is no integer from 0 to 18446744073709551615; dropped");
	expect(o, 0, "", "the task '-1' is no integer");
	expect(o, 0, "", "the task '18446744073709551616' is no integer");
	expect(o, 0, "", "the task '' is no integer");
	expect(o, 0, "", "the task ' 7' is no integer");
	expect(o, 0, "", "the task '1.5' is no integer");
	expect(o, 0, "", "the task '7?' is no integer"); /* nothing that a terminal obeys */
	assert_int_equal(number("refused"), 7);
	assert_int_equal(number("lost"), 0);
	assert_int_equal(number("duplicated"), 0);
	r = results_of(o.out, o.out_len);
	assert_int_equal(r.count, number("made"));
	assert_int_equal(left(), 0);
	drop(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_stolen_task, local_clean),
		cmocka_unit_test_teardown(test_stolen_result, local_clean),
		cmocka_unit_test_teardown(test_foreign_result, local_clean),
		cmocka_unit_test_teardown(test_foreign_task, local_clean),
		cmocka_unit_test_teardown(test_foreign_large, local_clean),
		cmocka_unit_test_teardown(test_foreign_wrong, local_clean),
	};

	local_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
