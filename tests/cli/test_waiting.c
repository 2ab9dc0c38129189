/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "run.h"
#include "sq.h"
#include "watch.h"

/* Whoever waits for more than a second says so, once; or not at all, if that is not wanted. */

#define FULL_SAID  "pq is full, waiting for room\n"
#define EMPTY_SAID "pq is empty, waiting\n"
#define PAST       "1500ms" /* longer than that second */
#define PAST_US    1500000
#define LONG       "300s"

#define RUNS_MAX 4

/* The runs under way, to be ended when a test fails in the middle. */
static struct run current[RUNS_MAX];
static int runs;
static struct sq *pq, *cq;

static int clean(void **state)
{
	for (; runs > 0; runs--) {
		if (current[runs - 1].pid <= 0)
			continue; /* its end has been seen */
		(void)kill(current[runs - 1].pid, SIGKILL);
		(void)run_end(&current[runs - 1]);
	}
	sq_close(pq);
	sq_close(cq);
	pq = cq = NULL;
	return run_clean(state);
}

#define begin(...) (current[runs++] = sqctl_start(&(struct start){0}, __VA_ARGS__))

/* All of them wait on, and then end by a signal. Said once by the whole of each. */
static void expect_said(const char *said)
{
	for (int i = 0; i < runs; i++)
		watch_wait_said(&current[i], said, 1);
	(void)usleep(PAST_US);
	while (runs > 0) {
		struct outcome o = watch_signal(&current[--runs], SIGTERM);

		assert_int_equal(watch_count(o.err, "waiting"), 1);
	}
}

static const struct sq_config small = {.capacity = 4, .participants = 16};

static void fill(struct sq *q)
{
	while (sq_put(q, "7", 1, SQ_NOWAIT) == 0)
		;
}

static void test_empty(void **state)
{
	(void)state;
	pq = watch_make("pq", &small);
	cq = watch_make("cq", &small);
	begin("get", "--follow", "pq");
	begin("get", "--timeout", LONG, "pq");
	begin("collect", "pq");
	begin("work", "-j3", "pq", "cq");
	expect_said(EMPTY_SAID);
}

static void test_full(void **state)
{
	(void)state;
	pq = watch_make("pq", &small);
	cq = watch_make("cq", NULL);
	fill(pq);
	for (int i = 0; i < 8; i++)
		watch_put(cq, "7");
	begin("put", "pq", "1");
	begin("put", "--timeout", LONG, "pq", "1");
	begin("produce", "pq");
	/* Here it is the one for results. */
	begin("work", "-j3", "cq", "pq");
	expect_said(FULL_SAID);
}

static void test_not_long(void **state)
{
	(void)state;
	pq = watch_make("pq", &small);
	assert_null(strstr(sqctl(NULL, "get", "--timeout", "10ms", "pq").err, "waiting\n"));
	assert_null(strstr(sqctl(NULL, "collect", "--duration", "10ms", "pq").err, "waiting\n"));
	fill(pq);
	assert_null(strstr(sqctl(NULL, "put", "--timeout", "10ms", "pq", "1").err, FULL_SAID));
	assert_null(strstr(sqctl(NULL, "produce", "--duration", "10ms", "pq").err, FULL_SAID));
}

/* In the order of their beginning: of a time-out, this is said; of anything else, nothing. */
static void expect_quiet(const char *const *timed_out)
{
	for (int i = 0; i < runs; i++) {
		struct outcome o = run_end(&current[i]);

		current[i].pid = 0;
		expect(o, timed_out[i] ? 124 : 0, NULL, timed_out[i]);
		assert_null(strstr(o.err, "waiting\n"));
		assert_null(strstr(o.err, FULL_SAID));
		assert_null(strstr(o.err, "not there yet"));
	}
	runs = 0;
}

/* What is wrong is said all the same. */
static void test_quiet(void **state)
{
	struct outcome o;

	(void)state;
	pq = watch_make("pq", &small);
	cq = watch_make("cq", &small);
	begin("collect", "--wait=" PAST, "-q", "none");
	begin("collect", "-q", "--duration", PAST, "pq");
	begin("get", "--quiet", "--timeout", PAST, "pq");
	expect_quiet((const char *const[]){"timed out waiting for somebody to make none", NULL,
		"timed out waiting for pq: 0 items came"});
	begin("work", "-q", "-j2", "pq", "cq");
	watch_wait_children(&current[0], "sq-worker", 2);
	(void)usleep(PAST_US);
	assert_string_equal(watch_said(&current[0]), "");
	o = watch_signal(&current[--runs], SIGTERM);
	assert_int_equal(o.code, 0);
	assert_null(strstr(o.err, "did "));
	fill(pq);
	begin("produce", "-q", "--duration", PAST, "pq");
	begin("put", "-q", "--timeout", PAST, "pq", "1");
	expect_quiet((const char *const[]){NULL, "timed out waiting for room in pq"});
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_empty, clean),
		cmocka_unit_test_teardown(test_full, clean),
		cmocka_unit_test_teardown(test_not_long, clean),
		cmocka_unit_test_teardown(test_quiet, clean),
	};

	run_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
