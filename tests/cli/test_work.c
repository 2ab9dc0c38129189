/* SPDX-License-Identifier: ISC */
#include <errno.h>
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
 * sqctl work: every task is done, whichever process is killed and however it ends; and more than
 * once only if a worker was killed with it in hand.
 */

#define TASKS       100000 /* under kills */
#define FEW         20000
#define SLICE       500 /* of these, to a kill */
#define ROOM_OF_ONE 512 /* results of one slice, and not of two */
#define ROOM        131072

/* A cell that a killed put had claimed is of no use until the ring has come round. */
#define AS_GOOD_AS_FULL (ROOM_OF_ONE - 4)

static const struct sq_config large = {.capacity = ROOM, .participants = 64};
static const struct sq_config small = {.capacity = 4, .participants = 64};

static const struct sq_config slices = {.capacity = 2048, .participants = 64};
static const struct sq_config results_of_one = {.capacity = ROOM_OF_ONE, .participants = 64};
static const struct sq_config medium = {.capacity = 64, .participants = 64};

static struct sq *pq, *cq;

/* The run under way, to be ended when a test fails in the middle. */
static struct run current = {.pid = -1};

static void make(const struct sq_config *tasks, const struct sq_config *results)
{
	pq = watch_make("pq", tasks);
	cq = watch_make("cq", results);
}

static void drop(void)
{
	sq_close(pq);
	sq_close(cq);
	pq = cq = NULL;
}

static int clean(void **state)
{
	if (current.pid > 0) {
		(void)kill(current.pid, SIGKILL);
		(void)run_end(&current);
		current.pid = -1;
	}
	drop();
	return run_clean(state);
}

#define begin_with(how, ...) (current = sqctl_start(how, "work", __VA_ARGS__))
#define begin(...)           begin_with(&(struct start){0}, __VA_ARGS__)

static struct outcome end(void)
{
	struct outcome o = run_end(&current);

	current.pid = -1;
	return o;
}

static struct outcome stop(int signal_number)
{
	assert_int_equal(kill(current.pid, signal_number), 0);
	return end();
}

static void put_number(uint64_t n)
{
	char text[32];

	(void)snprintf(text, sizeof(text), "%llu", (unsigned long long)n);
	watch_put(pq, text);
}

static void put_numbers(uint64_t n)
{
	for (uint64_t i = 0; i < n; i++)
		put_number(i);
}

static void expect_result(const char *want)
{
	char text[256];
	ssize_t len = sq_get(cq, text, sizeof(text), WATCH_PATIENCE);

	assert_int_equal(len, strlen(want));
	assert_memory_equal(text, want, strlen(want));
}

/* How often there is a result of each, to times[]: all right, of 0 to n - 1. How many in all. */
static uint64_t count_results(uint8_t *times, uint64_t n)
{
	char text[128], want[128];
	uint64_t all = 0;
	ssize_t len;

	while ((len = sq_get(cq, text, sizeof(text) - 1, SQ_NOWAIT)) >= 0) {
		unsigned long long v;

		text[len] = '\0';
		v = strtoull(text, NULL, 10);
		(void)snprintf(want, sizeof(want), "%llu * %llu = %llu", v, v, v * v);
		assert_string_equal(text, want);
		assert_true(v < n);
		times[v]++;
		all++;
	}
	assert_int_equal(len, -EAGAIN);
	return all;
}

/* All was settled: nothing is left of so many tasks. */
static void expect_settled(uint64_t tasks)
{
	struct sq_stat st = watch_stat(pq);

	assert_int_equal(st.depth, 0);
	assert_int_equal(st.leased, 0);
	assert_int_equal(st.took, tasks);
}

static void test_squares(void **state)
{
	static uint8_t times[1000];
	struct outcome o;

	(void)state;
	make(NULL, NULL);
	begin("pq", "cq");
	put_number(7);
	expect_result("7 * 7 = 49");
	put_number(0);
	expect_result("0 * 0 = 0");
	put_number(UINT64_MAX);
	expect_result("18446744073709551615 * 18446744073709551615 = "
		      "340282366920938463426481119284349108225");
	watch_wait_children(&current, "sq-worker", 1);
	o = stop(SIGTERM);
	expect(o, 0, NULL, "ending: tasks in hand are finished; once more to end at once");
	expect(o, 0, NULL, "did 3 items of pq in");
	expect_settled(3);
	begin("-j4", "pq", "cq");
	watch_wait_children(&current, "sq-worker", 4);
	put_numbers(1000);
	watch_wait_put(cq, 1003);
	assert_int_equal(sq_join(pq, WATCH_PATIENCE), 0);
	expect(stop(SIGINT), 0, NULL, "did 1000 items of pq in");
	memset(times, 0, sizeof(times));
	assert_int_equal(count_results(times, 1000), 1000);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(times[i], 1);
	begin("pq", "cq", "--jobs", "3");
	watch_wait_children(&current, "sq-worker", 3);
	expect(stop(SIGHUP), 0, NULL, "did 0 items");
}

/* Take results, counting each, until no task is left. How many. */
static uint64_t take_results(uint8_t *times, uint64_t n)
{
	int64_t until = watch_now_ns() + WATCH_PATIENCE;
	uint64_t all = 0;
	struct sq_stat st;

	do {
		all += count_results(times, n);
		st = watch_stat(pq);
		assert_true(watch_now_ns() < until);
	} while (st.depth + st.leased > 0);
	return all + count_results(times, n);
}

/*
 * kill -9 of workers, now in the middle of work, now with a task in hand for which there is no room:
 * each task is done once at least, and again only for a kill.
 */
static void test_killed(void **state)
{
	static uint8_t times[TASKS];
	struct watch_child all[WATCH_CHILDREN_MAX];
	uint64_t kills = 0, results = 0, again = 0, enough;
	unsigned seed = 1;
	struct sq_stat st;

	(void)state;
	memset(times, 0, sizeof(times));
	make(&slices, &results_of_one);
	begin("pq", "cq", "-j4");
	watch_wait_children(&current, "sq-worker", 4);
	for (uint64_t put = 0; put < TASKS; put += SLICE) {
		bool full = put / SLICE % 2 == 1;
		int64_t until = watch_now_ns() + WATCH_PATIENCE;
		int n = watch_children(&current, all, "sq-worker");

		enough = put + 1 + (uint64_t)rand_r(&seed) % (SLICE / 2);
		for (uint64_t i = put; i < put + SLICE; i++)
			put_number(i);
		do {
			st = watch_stat(pq);
			assert_true(watch_now_ns() < until);
		} while (full ? watch_stat(cq).depth < AS_GOOD_AS_FULL || st.leased < 2
			      : st.took < enough);
		if (n > 0 && kill(all[rand_r(&seed) % n].pid, SIGKILL) == 0)
			kills++;
		if (full)
			results += take_results(times, TASKS);
	}
	results += take_results(times, TASKS);
	expect(stop(SIGTERM), 0, NULL, "was killed by signal 9; another takes its place");
	st = watch_stat(pq);
	expect_settled(TASKS);
	assert_int_equal(watch_stat(cq).put, results);
	for (int i = 0; i < TASKS; i++) {
		assert_true(times[i] > 0);
		again += times[i] - 1u;
	}
	assert_int_equal(results, TASKS + again);
	assert_true(again <= kills);
	print_message("%llu kills, %llu tasks redelivered, %llu done again\n",
		(unsigned long long)kills, (unsigned long long)st.redelivered,
		(unsigned long long)again);
	assert_true(st.redelivered >= 10); /* or it says nothing */
}

/* One that gets nothing done is started again later and later, but is started. */
static void test_killed_idle(void **state)
{
	(void)state;
	make(NULL, NULL);
	begin("pq", "cq");
	for (int i = 1; i <= 4; i++) {
		assert_int_equal(kill(watch_child_named(&current, "sq-worker1"), SIGKILL), 0);
		watch_wait_said(&current, "another takes its place", i);
	}
	assert_int_equal(watch_count(watch_said(&current), "its place\n"), 1);
	assert_int_equal(watch_count(watch_said(&current), "its place in 0.1 s\n"), 1);
	assert_int_equal(watch_count(watch_said(&current), "its place in 0.2 s\n"), 1);
	assert_int_equal(watch_count(watch_said(&current), "its place in 0.4 s\n"), 1);
	put_number(7);
	expect_result("7 * 7 = 49");
	assert_int_equal(sq_join(pq, WATCH_PATIENCE), 0);
	/* While one waits to be started, a request to end is obeyed at once. */
	for (int i = 5; i <= 7; i++) {
		assert_int_equal(kill(watch_child_named(&current, "sq-worker1"), SIGKILL), 0);
		watch_wait_said(&current, "another takes its place", i);
	}
	expect(stop(SIGTERM), 0, NULL, "did 1 item of pq in");
}

static void test_killed_supervisor(void **state)
{
	(void)state;
	make(NULL, NULL);
	begin("pq", "cq", "-j3");
	watch_wait_children(&current, "sq-worker", 3);
	put_number(7);
	expect_result("7 * 7 = 49");
	watch_kill_supervisor(&current, "sq-");
	/* In the middle of work: what they had in hand is delivered again. */
	drop();
	(void)run_clean(state);
	make(&large, &medium);
	put_numbers(FEW);
	begin("pq", "cq", "-j3");
	watch_wait_children(&current, "sq-worker", 3);
	watch_wait_put(cq, 64);
	watch_kill_supervisor(&current, "sq-");
	begin("pq", "cq");
	for (int i = 0; i < FEW; i++)
		(void)watch_get_number(cq);
	assert_int_equal(sq_join(pq, WATCH_PATIENCE), 0);
	expect(stop(SIGTERM), 0, NULL, " of pq in");
	expect_settled(FEW);
	assert_in_range(watch_stat(cq).put, FEW, FEW + 3);
}

static void test_wrong(void **state)
{
	(void)state;
	make(NULL, NULL);
	for (int i = 0; i < 2; i++)
		watch_put(pq, i ? "12x" : "abc\n\033[31m");
	watch_put(pq, "");
	put_number(7);
	begin("pq", "cq");
	expect_result("7 * 7 = 49");
	assert_int_equal(sq_join(pq, WATCH_PATIENCE), 0);
	watch_wait_said(&current, "is no integer from 0 to 18446744073709551615; dropped", 3);
	assert_int_equal(watch_count(watch_said(&current), "the task 'abc??[31m' is no"), 1);
	assert_int_equal(watch_count(watch_said(&current), "the task '' is no"), 1);
	expect(stop(SIGTERM), 0, NULL, "did 1 item of pq in");
	expect_settled(4);
}

/* With dead letters they become some, and are told once. */
static void test_wrong_dead_letter(void **state)
{
	const struct sq_config config = {.max_attempts = 3, .dead_letter = "dead"};
	struct sq *dead = watch_make("dead", NULL);
	char text[16];

	(void)state;
	make(&config, NULL);
	watch_put(pq, "abc");
	put_number(7);
	begin("pq", "cq", "-j2");
	assert_int_equal(sq_get(dead, text, sizeof(text), WATCH_PATIENCE), 3);
	assert_memory_equal(text, "abc", 3);
	expect_result("7 * 7 = 49");
	assert_int_equal(sq_join(pq, WATCH_PATIENCE), 0);
	expect(stop(SIGTERM), 0, NULL, "; to the dead letters, ");
	assert_int_equal(watch_stat(pq).nacked, 3);
	assert_int_equal(watch_stat(pq).dead_letters, 1);
	sq_close(dead);
}

static void lead(void)
{
	(void)setsid();
}

/* In the middle of work. What is in hand is finished: nothing is done twice, nothing half. */
static void end_by(int signal_number, bool group)
{
	static uint8_t times[FEW];
	uint64_t results, rest = 0;
	struct outcome o;

	make(&large, &large);
	put_numbers(FEW);
	begin_with(&(struct start){.child = lead}, "pq", "cq", "-j3");
	watch_wait_put(cq, 1);
	/* As a terminal does it: the workers, who get it too, leave that to the supervisor. */
	assert_int_equal(kill(group ? -current.pid : current.pid, signal_number), 0);
	o = end();
	expect(o, 0, NULL, "ending: tasks in hand are finished");
	assert_null(strstr(o.err, "was killed"));
	memset(times, 0, sizeof(times));
	results = count_results(times, FEW);
	assert_int_equal(watch_stat(pq).leased, 0);
	assert_int_equal(watch_stat(pq).back, 0);
	assert_int_equal(results + watch_stat(pq).depth, FEW);
	while (watch_stat(pq).depth > 0 && rest < FEW) {
		times[watch_get_number(pq)]++;
		rest++;
		if (rest > 100)
			break; /* by sample: to look each time takes long */
	}
	for (int i = 0; i < FEW; i++)
		assert_true(times[i] <= 1);
	drop();
	(void)run_clean(NULL);
}

static void test_stopped(void **state)
{
	(void)state;
	end_by(SIGTERM, false);
	end_by(SIGINT, true);
	end_by(SIGHUP, false);
}

/* No room for the result: it waits; told to end, it gives the task back. */
static void test_full(void **state)
{
	(void)state;
	make(NULL, &small);
	put_numbers(100);
	begin("pq", "cq", "-j2");
	watch_wait_put(cq, 4);
	watch_wait_depth(pq, 94);
	expect(stop(SIGTERM), 0, NULL, "did 4 items of pq in");
	assert_int_equal(watch_stat(cq).put, 4);
	assert_int_equal(watch_stat(pq).depth, 96);
	begin("pq", "cq", "-j2");
	for (int i = 0; i < 100; i++)
		(void)watch_get_number(cq);
	assert_int_equal(sq_join(pq, WATCH_PATIENCE), 0);
	expect(stop(SIGTERM), 0, NULL, "did 96 items of pq in");
	expect_settled(100);
	assert_int_equal(watch_stat(cq).depth, 0);
}

/* A worker that is stopped does not hear the first; the second ends all. */
static void test_stopped_twice(void **state)
{
	int64_t until = watch_now_ns() + WATCH_PATIENCE;

	(void)state;
	make(NULL, &small);
	put_numbers(100);
	begin("pq", "cq");
	watch_wait_put(cq, 4);
	watch_wait_depth(pq, 95);
	watch_stop(watch_child_named(&current, "sq-worker1"));
	assert_int_equal(kill(current.pid, SIGTERM), 0);
	watch_wait_said(&current, "once more to end at once", 1);
	/* Right after the first one it counts as the same request. */
	while (!watch_ended(&current) && watch_now_ns() < until) {
		assert_int_equal(kill(current.pid, SIGTERM), 0);
		(void)usleep(20000);
	}
	expect(end(), 143, NULL, "ended at once; tasks in hand will be delivered again");
	expect(sqctl(NULL, "gc", "pq"), 0, NULL, NULL);
	assert_int_equal(watch_stat(pq).depth, 96);
}

/* A lease that ended while the worker was stopped is another's: no error, and all goes on. */
static void test_late(void **state)
{
	const struct sq_config config = {
		.capacity = 1024, .participants = 64, .lease_time = 20000000};
	struct sq_lease lease;

	(void)state;
	make(&config, &small);
	put_numbers(10);
	begin("pq", "cq");
	watch_wait_put(cq, 4);
	/* It holds the fifth, and waits for room. */
	watch_wait_depth(pq, 5);
	watch_stop(watch_child_named(&current, "sq-worker1"));
	do {
		assert_int_equal(sq_lease(pq, &lease, WATCH_PATIENCE), 0);
		(void)sq_ack(pq, &lease); /* ours may have ended, too */
	} while (lease.attempts == 1);
	put_number(77);
	assert_int_equal(kill(watch_child_named(&current, "sq-worker1"), SIGCONT), 0);
	/* It has let go of the one, without a result, and holds the other. */
	watch_wait_depth(pq, 0);
	while (watch_get_number(cq) != 77)
		;
	assert_int_equal(sq_join(pq, WATCH_PATIENCE), 0);
	expect(stop(SIGTERM), 0, NULL, " of pq in");
	assert_int_equal(watch_stat(pq).depth, 0);
}

static void test_shut_down(void **state)
{
	struct outcome o;

	(void)state;
	make(NULL, NULL);
	put_numbers(10);
	begin("pq", "cq", "-j3");
	assert_int_equal(sq_shutdown(pq, false), 0);
	o = end();
	expect(o, 3, NULL, "pq is shut down and drained: no more will come");
	assert_int_equal(watch_count(o.err, "shut down"), 1);
	assert_int_equal(watch_stat(cq).put, 10);
	expect_settled(10);
	drop();
	(void)run_clean(state);
	make(NULL, NULL);
	begin("pq", "cq", "-j3");
	assert_int_equal(sq_shutdown(cq, false), 0);
	put_numbers(10);
	o = end();
	expect(o, 3, NULL, "cq is shut down; make another to go on");
	assert_int_equal(watch_count(o.err, "shut down"), 1);
	assert_int_equal(watch_stat(pq).depth, 10);
	assert_int_equal(watch_stat(pq).leased, 0);
}

static void test_too_long(void **state)
{
	const struct sq_config config = {.max_message = 12, .small_message = 12};

	(void)state;
	make(NULL, &config);
	put_number(7);
	put_number(123456789);
	begin("pq", "cq");
	expect(end(), 64, NULL,
		"a result is longer than cq allows; make it with a larger --max-message");
	assert_int_equal(watch_stat(pq).depth, 1);
	expect_result("7 * 7 = 49");
}

static void test_wait(void **state)
{
	(void)state;
	expect(sqctl(NULL, "work", "pq", "cq"), 66, NULL,
		"no such queue: pq; make it with `sqctl create pq`");
	pq = watch_make("pq", NULL);
	expect(sqctl(NULL, "work", "pq", "cq"), 66, NULL, "make it with `sqctl create cq`");
	expect(sqctl(NULL, "work", "--wait=50ms", "pq", "cq"), 124, NULL,
		"timed out waiting for somebody to make cq");
	assert_int_equal(sq_unlink("pq"), 0);
	drop();
	begin("pq", "cq", "--wait");
	watch_wait_said(&current, "waiting for pq", 1);
	expect(stop(SIGTERM), 0, NULL, "did 0 items of pq in");
	begin("--wait", "pq", "cq");
	watch_wait_said(&current, "waiting for pq", 1);
	pq = watch_make("pq", NULL);
	watch_wait_said(&current, "waiting for cq", 1);
	cq = watch_make("cq", NULL);
	put_number(7);
	expect_result("7 * 7 = 49");
	expect(stop(SIGTERM), 0, NULL, "did 1 item");
}

/* A bridge, or somebody, makes the queues anew: the workers go on with the new ones. */
static void test_removed(void **state)
{
	(void)state;
	make(NULL, NULL);
	begin("pq", "cq", "-j2");
	put_number(7);
	expect_result("7 * 7 = 49");
	watch_stop(current.pid);
	assert_int_equal(sq_unlink("cq"), 0);
	sq_close(cq);
	cq = watch_make("cq", NULL);
	assert_int_equal(kill(current.pid, SIGCONT), 0);
	watch_wait_said(&current, "cq was removed, and there is another of that name", 1);
	/* Those that had the old one have ended by then. */
	watch_wait_participants(cq, 4);
	put_number(8);
	expect_result("8 * 8 = 64");
	assert_int_equal(sq_unlink("pq"), 0);
	expect(end(), 66, NULL, "pq was removed; --wait waits for another");
	sq_close(pq);
	pq = watch_make("pq", NULL);
	begin("pq", "cq", "--wait");
	watch_wait_children(&current, "sq-worker", 1);
	assert_int_equal(sq_unlink("pq"), 0);
	watch_wait_said(&current, "waiting for pq", 1);
	sq_close(pq);
	pq = watch_make("pq", NULL);
	put_number(9);
	expect_result("9 * 9 = 81");
	assert_int_equal(sq_join(pq, WATCH_PATIENCE), 0);
	expect(stop(SIGTERM), 0, NULL, "did 1 item of pq in");
}

/* Several terminals: all three at once, some leave and some join, nobody is killed. */
static void test_together(void **state)
{
	struct run producer[2], worker[3], collector;
	struct outcome o;
	uint64_t lines = 0;

	(void)state;
	make(&medium, &medium);
	collector = sqctl_start(&(struct start){0}, "collect", "cq", "-n", "20001");
	worker[0] = sqctl_start(&(struct start){0}, "work", "pq", "cq", "-j2");
	producer[0] = sqctl_start(&(struct start){0}, "produce", "pq", "--tasks", "10000");
	watch_wait_put(cq, 100);
	worker[1] = sqctl_start(&(struct start){0}, "work", "pq", "cq");
	watch_wait_put(cq, 1000);
	expect(watch_signal(&worker[0], SIGTERM), 0, NULL, " of pq in");
	producer[1] = sqctl_start(&(struct start){0}, "produce", "pq", "--tasks", "10000");
	worker[2] = sqctl_start(&(struct start){0}, "work", "pq", "cq", "-j3");
	expect(run_end(&producer[0]), 0, NULL, "put 10000 items");
	expect(watch_signal(&worker[1], SIGINT), 0, NULL, " of pq in");
	expect(run_end(&producer[1]), 0, NULL, "put 10000 items");
	assert_int_equal(sq_join(pq, WATCH_PATIENCE), 0);
	expect_settled(20000);
	assert_int_equal(watch_stat(cq).put, 20000);
	put_number(7);
	o = run_end(&collector);
	expect(o, 0, "", "collected 20001 items from cq in");
	for (const char *at = o.out; (at = strchr(at, '\n')) != NULL; at++)
		lines++;
	assert_int_equal(lines, 20001);
	assert_non_null(strstr(o.out, "7 * 7 = 49\n"));
	expect(watch_signal(&worker[2], SIGTERM), 0, NULL, " of pq in");
}

static void test_usage(void **state)
{
	(void)state;
	make(NULL, NULL);
	put_number(7);
	expect(sqctl(NULL, "work"), 64, NULL, "two queues: the one that tasks come from");
	expect(sqctl(NULL, "work", "pq"), 64, NULL, "two queues");
	expect(sqctl(NULL, "work", "pq", "cq", "x"), 64, NULL, "two queues");
	expect(sqctl(NULL, "work", "pq", "pq"), 64, NULL, "results cannot go where the tasks");
	expect(sqctl(NULL, "work", "pq", "c!"), 64, NULL, "'c!' is no queue name");
	expect(sqctl(NULL, "work", "-j0", "pq", "cq"), 64, NULL,
		"-j '0' must be a whole number from 1 to 1024");
	expect(sqctl(NULL, "work", "-j", "1025", "pq", "cq"), 64, NULL, "-j '1025' must be");
	expect(sqctl(NULL, "work", "pq", "cq", "-j"), 64, NULL, "-j needs a value");
	expect(sqctl(NULL, "work", "--wait=x", "pq", "cq"), 64, NULL, "--wait 'x' must be a span");
	expect(sqctl(NULL, "work", "-x", "pq", "cq"), 64, NULL,
		"no such option: -x; see `sqctl help work`");
	expect(sqctl(NULL, "help", "work"), 0, "-j, --jobs N", NULL);
	assert_int_equal(watch_stat(pq).depth, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_squares, clean),
		cmocka_unit_test_teardown(test_killed, clean),
		cmocka_unit_test_teardown(test_killed_idle, clean),
		cmocka_unit_test_teardown(test_killed_supervisor, clean),
		cmocka_unit_test_teardown(test_wrong, clean),
		cmocka_unit_test_teardown(test_wrong_dead_letter, clean),
		cmocka_unit_test_teardown(test_stopped, clean),
		cmocka_unit_test_teardown(test_full, clean),
		cmocka_unit_test_teardown(test_stopped_twice, clean),
		cmocka_unit_test_teardown(test_late, clean),
		cmocka_unit_test_teardown(test_shut_down, clean),
		cmocka_unit_test_teardown(test_too_long, clean),
		cmocka_unit_test_teardown(test_wait, clean),
		cmocka_unit_test_teardown(test_removed, clean),
		cmocka_unit_test_teardown(test_together, clean),
		cmocka_unit_test_teardown(test_usage, clean),
	};

	run_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
