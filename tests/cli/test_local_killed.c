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
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "local_run.h"
#include "sq.h"

#define SEEDS     2
#define KILLS_MAX 60 /* of a run: then it is left in peace */
#define STEPS_MAX 5000000

/*
 * sqctl local, and kill -9: every task is accounted for whoever is killed, and what was done again is
 * named.
 */

/* What killing led to, over several runs. */
struct killings {
	uint64_t kills, restarts, again, redelivered;
};

/*
 * The tasks named as done more than once, as often as they were done too often. Each has its line
 * for people too.
 */
static uint64_t add_named(struct results *r, const char *err)
{
	static const char mark[] = "{\"task\":";
	const char *list = strstr(json(), ",\"done_again\":["), *end;
	uint64_t more = 0;

	assert_non_null(list);
	end = strchr(list, ']');
	assert_non_null(end);
	for (const char *at = list; (at = strstr(at, mark)) != NULL && at < end; at++) {
		unsigned long long times, n, id;
		char line[128];

		assert_int_equal(
			sscanf(at, "{\"task\":%llu,\"n\":%llu,\"times\":%llu}", &id, &n, &times),
			3);
		assert_true(times > 1);
		(void)snprintf(line, sizeof(line),
			"done %llu times: %llu (task %llu), its worker was killed between put and ack\n",
			times, n, id);
		assert_non_null(strstr(err, line));
		for (; times > 1; times--, more++)
			add(r, n);
	}
	return more;
}

/* How many results the first worker has put. */
static uint64_t put_by_first(struct sq *cq)
{
	uint64_t n = 0;
	int r = sq_count_read(cq, 1, &n);

	assert_true(r == 0 || r == -ENOENT);
	return n;
}

/* One instruction of it. */
static void step(pid_t pid)
{
	int status;

	assert_int_equal(ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL), 0);
	assert_int_equal(waitpid(pid, &status, __WALL), pid);
	assert_true(WIFSTOPPED(status));
}

/*
 * Kill the worker at the instruction by which a result of its counts as put: its task is not acked
 * then, and is done again. False: this process may not trace another, as under an emulator.
 */
static bool kill_between(void)
{
	pid_t pid = child_named("sq-worker1");
	uint64_t before;
	struct sq *cq;
	int status;

	if (ptrace(PTRACE_ATTACH, pid, NULL, NULL) < 0)
		return false;
	assert_int_equal(waitpid(pid, &status, __WALL), pid);
	assert_true(WIFSTOPPED(status));
	assert_int_equal(sq_open(&cq, queue("cq")), 0);
	before = put_by_first(cq);
	for (int i = 0; put_by_first(cq) == before; i++) {
		assert_true(i < STEPS_MAX);
		step(pid);
	}
	sq_close(cq);
	assert_int_equal(kill(pid, SIGKILL), 0);
	/* First we are told, then its parent is. */
	assert_int_equal(waitpid(pid, &status, __WALL), pid);
	assert_true(WIFSIGNALED(status));
	wait_said("goes on in its place", 1);
	return true;
}

/* Kill producers and workers at random until they have all done their part. */
static uint64_t kill_around(unsigned seed)
{
	int said_before = watch_count(said(), "goes on in its place");
	struct watch_child all[WATCH_CHILDREN_MAX];
	uint64_t kills = 0;
	int n;

	while (kills < KILLS_MAX && !ended()) {
		/* No state is waited for: any instruction should be hit. */
		(void)usleep((useconds_t)(rand_r(&seed) % 4000));
		n = children(all, "sq-producer");
		n += n < WATCH_CHILDREN_MAX / 2 ? children(all + n, "sq-worker") : 0;
		/* They have not begun, or it is all done. */
		if (n == 0)
			continue;
		n = rand_r(&seed) % n;
		kills += kill(all[n].pid, SIGKILL) == 0;
		/* So that not all kills hit a process that has just begun. */
		for (int64_t until = watch_now_ns() + SECOND / 20;
			watch_count(said(), "goes on in its place") < said_before + (int)kills &&
			!ended() && watch_now_ns() < until;)
			(void)usleep(200);
	}
	return kills;
}

static void kill_in_run(
	struct killings *sum, const struct results *want_once, const char *workers, unsigned seed)
{
	uint64_t kills, more, restarts;
	struct results want = {0}, got;
	struct outcome o;
	bool between;

	print_message("seed %u, workers %s\n", seed, workers);
	begin("--tasks", "300001", "--producers", "2", "--workers", workers, "--capacity", "512",
		"--seed", "7", "--prefix", prefix());
	wait_started();
	/* With other workers all tasks may be done before this one has another. */
	between = strcmp(workers, "1") == 0 && kill_between();
	kills = between + kill_around(seed);
	o = end();
	expect(o, 0, "", "proof: nothing lost");
	expect_json("{\"proof\":\"holds\",\"not_true\":[],");
	for (size_t i = 0; i < want_once->count; i++)
		add(&want, want_once->n[i]);
	more = add_named(&want, o.err);
	got = results_of(o.out, o.out_len);
	sort(&want);
	same(&want, &got);
	assert_int_equal(number("made"), want_once->count);
	assert_int_equal(number("done"), got.count);
	assert_int_equal(number("collected"), got.count);
	assert_int_equal(number("lost"), 0);
	assert_int_equal(number("duplicated"), more);
	expect_sums(want_once->sum, got.sum);
	assert_null(strstr(o.err, "NOT TRUE"));
	assert_true((strstr(o.err, "nothing duplicated\n") != NULL) == (more == 0));
	assert_int_equal(left(), 0);
	restarts = number("producer_restarts") + number("worker_restarts");
	assert_int_equal(watch_count(o.err, "was killed by signal 9; pid"), restarts);
	assert_true(restarts <= kills);
	/* Otherwise the moment between put and ack was not hit, and nothing was shown about it. */
	assert_true(more > 0 || !between);
	assert_true(number("redelivered") > 0 || !between);
	sum->again += more;
	sum->kills += kills;
	sum->restarts += restarts;
	sum->redelivered += number("redelivered");
	drop(&want);
	drop(&got);
}

/*
 * kill -9 of producers and workers: the results are those of a run in peace, and besides them
 * exactly the ones that are named.
 */
static void test_killed(void **state)
{
	struct killings sum = {0};
	struct results once;

	(void)state;
	once = expect_clean(local("--tasks", "300001", "--producers", "2", "--seed", "7"));
	for (unsigned seed = 1; seed <= SEEDS; seed++) {
		kill_in_run(&sum, &once, "1", seed);
		kill_in_run(&sum, &once, "3", seed + 100);
	}
	print_message("%llu kills, %llu restarts, %llu tasks redelivered, %llu done again\n",
		(unsigned long long)sum.kills, (unsigned long long)sum.restarts,
		(unsigned long long)sum.redelivered, (unsigned long long)sum.again);
	assert_true(sum.redelivered >= sum.again);
	drop(&once);
}

/* Kills of a process that has nothing to do count like any others, however many they are. */
static void test_killed_idle(void **state)
{
	(void)state;
	begin("--producers", "1", "--workers", "1", "--rate", "1/1h", "--duration", LONG);
	wait_started();
	for (int i = 1; i <= 30; i++) {
		assert_int_equal(kill(child_named("sq-worker1"), SIGKILL), 0);
		wait_said("goes on in its place", i);
	}
	assert_int_equal(kill(child_named("sq-producer1"), SIGKILL), 0);
	wait_said("goes on in its place", 31);
	expect(interrupted(), 0, "", " by 1 worker, 30 restarts, ");
	expect_json(",\"producer_restarts\":1,\"worker_restarts\":30,");
	assert_int_equal(left(), 0);
}

static void test_killed_collector(void **state)
{
	char named[128];
	pid_t pid;

	(void)state;
	begin("--rate", "1000", "--duration", LONG);
	wait_started();
	pid = child_named("sq-collector1");
	assert_int_equal(kill(pid, SIGKILL), 0);
	(void)snprintf(named, sizeof(named),
		"the collector (pid %d) was killed by signal 9, and what it had in hand is lost",
		(int)pid);
	expect_no_proof(end(), 1, named);
}

/* The next run removes what a killed one left, and nothing that is in use. */
static void kill_supervisor(const char *const *words)
{
	current = run_start(&(struct start){0}, words);
	expect_crew(2, 3);
	assert_int_equal(left(), 2);
	watch_kill_supervisor(&current, "sq-");
	assert_int_equal(left(), 2);
}

#define kill_supervisor(...)                                                                       \
	kill_supervisor((const char *const[]){"local", "--workers", "3", __VA_ARGS__, NULL})

static void test_killed_supervisor(void **state)
{
	struct results r;

	(void)state;
	kill_supervisor("--rate", "1000", "--duration", LONG);
	r = expect_clean(local("--tasks", "10"));
	drop(&r);
	kill_supervisor("--duration", LONG); /* at full speed */
	r = expect_clean(local("--tasks", "10"));
	drop(&r);
	kill_supervisor("--rate", "1000", "--duration", LONG, "--prefix", prefix());
	r = expect_clean(local("--tasks", "10", "--prefix", prefix()));
	drop(&r);
	/* A run beside it has queues in use. */
	begin("--rate", "1000", "--duration", LONG);
	wait_started();
	expect(sqctl(NULL, "local", "--tasks", "10"), 0, "", "proof: nothing lost");
	assert_int_equal(left(), 2);
	r = expect_clean(interrupted());
	drop(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_killed, local_clean),
		cmocka_unit_test_teardown(test_killed_idle, local_clean),
		cmocka_unit_test_teardown(test_killed_collector, local_clean),
		cmocka_unit_test_teardown(test_killed_supervisor, local_clean),
	};

	local_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
