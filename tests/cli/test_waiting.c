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

/* The run under way, to be ended when a test fails in the middle. */
static struct run current = {.pid = -1};
static struct sq *pq, *cq;

static int clean(void **state)
{
	if (current.pid > 0) {
		(void)kill(current.pid, SIGKILL);
		(void)run_end(&current);
		current.pid = -1;
	}
	sq_close(pq);
	sq_close(cq);
	pq = cq = NULL;
	return run_clean(state);
}

/* It waits on, and then ends by a signal. Said once by the whole of it. */
static void expect_said(const char *said, const char *const *words)
{
	struct outcome o;

	current = run_start(&(struct start){0}, words);
	watch_wait_said(&current, said, 1);
	(void)usleep(PAST_US);
	assert_int_equal(kill(current.pid, SIGTERM), 0);
	o = run_end(&current);
	current.pid = -1;
	assert_int_equal(watch_count(o.err, "waiting"), 1);
}

#define expect_said(said, ...) expect_said(said, (const char *const[]){__VA_ARGS__, NULL})

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
	expect_said(EMPTY_SAID, "get", "--follow", "pq");
	expect_said(EMPTY_SAID, "get", "--timeout", LONG, "pq");
	expect_said(EMPTY_SAID, "collect", "pq");
	expect_said(EMPTY_SAID, "work", "-j3", "pq", "cq");
}

static void test_full(void **state)
{
	(void)state;
	pq = watch_make("pq", &small);
	cq = watch_make("cq", NULL);
	fill(pq);
	expect_said(FULL_SAID, "put", "pq", "1");
	expect_said(FULL_SAID, "put", "--timeout", LONG, "pq", "1");
	expect_said(FULL_SAID, "produce", "pq");
	/* Here it is the one for results. */
	for (int i = 0; i < 8; i++)
		watch_put(cq, "7");
	expect_said(FULL_SAID, "work", "-j3", "cq", "pq");
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

/* What is wrong is said all the same. */
static void test_quiet(void **state)
{
	struct outcome o;

	(void)state;
	o = sqctl(NULL, "collect", "--wait=" PAST, "-q", "pq");
	expect(o, 124, NULL, "timed out waiting for somebody to make pq");
	assert_null(strstr(o.err, "not there yet"));
	pq = watch_make("pq", &small);
	cq = watch_make("cq", &small);
	expect(sqctl(NULL, "collect", "-q", "--duration", PAST, "pq"), 0, NULL, NULL);
	o = sqctl(NULL, "get", "--quiet", "--timeout", PAST, "pq");
	expect(o, 124, NULL, "timed out waiting for pq: 0 items came");
	assert_null(strstr(o.err, EMPTY_SAID));
	current = sqctl_start(&(struct start){0}, "work", "-q", "-j2", "pq", "cq");
	watch_wait_children(&current, "sq-worker", 2);
	(void)usleep(PAST_US);
	assert_string_equal(watch_said(&current), "");
	o = watch_signal(&current, SIGTERM);
	current.pid = -1;
	assert_int_equal(o.code, 0);
	assert_null(strstr(o.err, "did "));
	fill(pq);
	expect(sqctl(NULL, "produce", "-q", "--duration", PAST, "pq"), 0, NULL, NULL);
	o = sqctl(NULL, "put", "-q", "--timeout", PAST, "pq", "1");
	expect(o, 124, NULL, "timed out waiting for room in pq");
	assert_null(strstr(o.err, FULL_SAID));
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
