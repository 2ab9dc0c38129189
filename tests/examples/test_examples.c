/* SPDX-License-Identifier: ISC */
#include "unit/fixture.h"

#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/*
 * The programs of docs/examples do what their heads say, whatever is killed, stopped, removed or
 * full. They are run as they are; their paths are in the environment.
 */

#define TASKS  1000
#define KILLS  12
#define LEASE  (300 * MS) /* a lease time that a stopped worker outlives */
#define LONG   (3600 * 1000 * MS)
#define SHORTS 4 /* bytes: no result is so short */

static const struct sq_config small = {.capacity = 64, .participants = 16};
static const struct sq_config large = {.capacity = 4 * TASKS, .participants = 16};
static const struct sq_config of_one = {.capacity = 2, .participants = 16};

struct program {
	pid_t pid;
	int err; /* what it says */
};

/* It ends with us. */
static struct program start(const char *which, const char *a, const char *b, const char *c)
{
	char path[] = "/tmp/sq-examples-XXXXXX";
	struct program p = {.err = mkstemp(path)};

	assert_true(p.err >= 0);
	assert_int_equal(unlink(path), 0);
	p.pid = fork();
	assert_true(p.pid >= 0);
	if (p.pid == 0) {
		CHILD_CHECK(prctl(PR_SET_PDEATHSIG, SIGKILL) == 0);
		CHILD_CHECK(dup2(p.err, STDERR_FILENO) == STDERR_FILENO);
		(void)execl(getenv(which), which, a, b, c, (char *)NULL);
		_exit(127);
	}
	return p;
}

static struct program start_worker(void)
{
	return start("WORKER", "pq", "cq", NULL);
}

static struct program start_producer(void)
{
	return start("PRODUCER", "pq", "1", "1000");
}

/* It has ended by itself, or does so soon: its exit code. */
static int code_of(const struct program *p)
{
	int status;

	assert_int_equal(waitpid(p->pid, &status, 0), p->pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void says(const struct program *p, const char *word)
{
	char text[4096] = {0};

	assert_true(pread(p->err, text, sizeof(text) - 1, 0) >= 0);
	if (!strstr(text, word))
		fail_msg("\"%s\" does not say \"%s\"", text, word);
}

static void forget(struct program *p)
{
	(void)close(p->err);
	p->pid = 0;
}

static void end_well(struct program *p)
{
	assert_int_equal(kill(p->pid, SIGTERM), 0);
	assert_int_equal(code_of(p), 0);
	forget(p);
}

static void kill_it(struct program *p)
{
	fx_end_child(p->pid);
	forget(p);
}

/* The states that are waited for. */
struct state {
	struct sq *h;
	uint64_t value;
};

static bool is_leased(void *arg)
{
	const struct state *s = arg;

	return fx_stat(s->h).leased == s->value;
}

static bool is_deep(void *arg)
{
	const struct state *s = arg;

	return fx_stat(s->h).depth >= s->value;
}

static bool was_put(void *arg)
{
	const struct state *s = arg;

	return fx_stat(s->h).put >= s->value;
}

static bool are_here(void *arg)
{
	const struct state *s = arg;

	return fx_stat(s->h).participants == s->value;
}

static bool is_overdue(void *arg)
{
	const struct state *s = arg;

	(void)sq_recover(s->h);
	return fx_stat(s->h).overdue >= s->value;
}

static void until(bool (*f)(void *arg), struct sq *h, uint64_t value)
{
	struct state s = {.h = h, .value = value};

	assert_true(fx_soon(f, &s, FX_SOON));
}

static void put_text(struct sq *h, const char *text)
{
	assert_int_equal(sq_put(h, text, strlen(text), SQ_NOWAIT), 0);
}

/* A result, checked: its n. */
static uint64_t result(struct sq *cq)
{
	char text[128] = {0}, right[128];
	uint64_t n;

	assert_true(sq_get(cq, text, sizeof(text) - 1, FX_SOON) > 0);
	n = strtoull(text, NULL, 10);
	(void)snprintf(right, sizeof(right), "%" PRIu64 " * %" PRIu64 " = %" PRIu64, n, n, n * n);
	assert_string_equal(text, right);
	return n;
}

/* Take results until each n below TASKS was there. How many there were beyond that. */
static unsigned collect(struct sq *cq, struct sq *pq)
{
	static unsigned seen[TASKS];
	unsigned kinds = 0, more = 0;

	memset(seen, 0, sizeof(seen));
	while (kinds < TASKS) {
		uint64_t n = result(cq);

		assert_in_range(n, 0, TASKS - 1);
		kinds += seen[n] == 0;
		more += seen[n]++ > 0;
	}
	assert_int_equal(sq_join(pq, FX_SOON), 0);
	for (more += (unsigned)fx_stat(cq).depth; fx_stat(cq).depth > 0;)
		(void)result(cq);
	return more;
}

/*
 * Nobody takes results, so both workers stand before a full queue with a task in hand, and the
 * producer before the other. One worker and the producer are killed there, where it is known what
 * they have done: so all is there exactly once. The workers come before the queues do.
 */
static void test_killed_with_a_task_in_hand(void **state)
{
	struct program a = start_worker(), b = start_worker(), p;
	struct sq *cq = fx_make("cq", &small), *pq = fx_make("pq", &small);

	until(are_here, pq, 3);
	p = start_producer();
	until(is_leased, pq, 2);
	until(is_deep, cq, small.capacity);
	/*
	 * Two cells hold the leased tasks. Two more may be free and of no use before the next lap: the
	 * producer went round them while a worker was slow.
	 */
	until(is_deep, pq, small.capacity - 4);
	kill_it(&a);
	kill_it(&p);
	p = start_producer();
	assert_int_equal(collect(cq, pq), 0);
	assert_int_equal(code_of(&p), 0);
	forget(&p);
	assert_int_equal(fx_stat(pq).put, TASKS);
	assert_int_equal(fx_stat(pq).reclaimed, 1);
	assert_int_equal(fx_stat(cq).put, TASKS);
	end_well(&b);
}

/* At any moment: each death may make one result come twice, and loses none. */
static void test_killed_at_any_moment(void **state)
{
	struct sq *pq = fx_make("pq", &small), *cq = fx_make("cq", &large);
	struct program w[2] = {start_worker(), start_worker()}, p = start_producer();
	bool is_done = false;
	unsigned more;

	for (unsigned i = 0; i < KILLS; i++) {
		until(was_put, cq, i * (TASKS / 2 / KILLS));
		kill_it(&w[i % 2]);
		w[i % 2] = start_worker();
		/* It may have done all by now. */
		if (i % 4 == 1 && !is_done) {
			assert_int_equal(kill(p.pid, SIGKILL), 0);
			is_done = !fx_was_killed(p.pid);
			forget(&p);
			if (!is_done)
				p = start_producer();
		}
	}
	more = collect(cq, pq);
	assert_in_range(more, 0, KILLS);
	assert_in_range(more, 0, fx_stat(pq).reclaimed);
	assert_int_equal(fx_stat(pq).put, TASKS);
	until(are_here, cq, 3); /* who has opened it hears signals */
	end_well(&w[0]);
	end_well(&w[1]);
	if (!is_done) {
		assert_int_equal(code_of(&p), 0);
		forget(&p);
	}
}

static void test_shut_down(void **state)
{
	struct sq *pq = fx_make("pq", &large), *cq = fx_make("cq", &large);
	struct program a, b;

	for (uint64_t i = 0; i < TASKS; i++) {
		char text[24];

		(void)snprintf(text, sizeof(text), "%" PRIu64, i);
		put_text(pq, text);
	}
	assert_int_equal(sq_shutdown(pq, false), 0);
	a = start_worker();
	b = start_worker();
	assert_int_equal(code_of(&a), 0);
	assert_int_equal(code_of(&b), 0);
	assert_int_equal(collect(cq, pq), 0);
	forget(&a);
	forget(&b);
}

static void test_tasks_removed(void **state)
{
	struct sq *pq = fx_make("pq", &small), *cq = fx_make("cq", &small);
	struct program a = start_worker();

	until(are_here, pq, 2);
	until(are_here, cq, 2);
	assert_int_equal(sq_unlink("pq"), 0);
	assert_int_equal(code_of(&a), 1);
	says(&a, "pq: the queue has been removed");
	forget(&a);
}

/* A result that nobody wants: the task stays. */
static void unwanted(struct sq *pq, const char *word)
{
	struct program a = start_worker();

	put_text(pq, "7");
	assert_int_equal(code_of(&a), 1);
	says(&a, word);
	assert_int_equal(fx_stat(pq).depth, 1);
	assert_int_equal(fx_stat(pq).returned, 1);
	forget(&a);
	fx_end(NULL);
}

static void test_results_unwanted(void **state)
{
	const struct sq_config shorts = {.capacity = 4, .max_message = SHORTS, .participants = 16};
	struct sq *pq = fx_make("pq", &small), *cq = fx_make("cq", &small);

	assert_int_equal(sq_shutdown(cq, false), 0);
	unwanted(pq, "cq: the queue is shut down");

	pq = fx_make("pq", &small);
	(void)fx_make("cq", &shorts);
	unwanted(pq, "cq: the message is too large");
}

static void fill(struct sq *h)
{
	for (uint64_t i = 0; i < of_one.capacity; i++)
		put_text(h, "full");
}

/* Asked to end while there is no room for the result: the task is given back, as not tried. */
static void test_asked_to_end_while_full(void **state)
{
	struct sq *pq = fx_make("pq", &small), *cq = fx_make("cq", &of_one);
	struct program a;

	fill(cq);
	put_text(pq, "7");
	a = start_worker();
	until(is_leased, pq, 1);
	end_well(&a);
	assert_int_equal(fx_stat(pq).depth, 1);
	assert_int_equal(fx_stat(pq).returned, 1);
}

/* Waiting for a queue that nobody makes, it can be ended all the same. */
static void test_asked_to_end_before_it_begins(void **state)
{
	struct sq *pq = fx_make("pq", &small);
	struct program a = start_worker();

	until(are_here, pq, 2);
	end_well(&a);
}

/* A worker whose lease is over does not put the result: another has the task. */
static void test_stopped_for_too_long(void **state)
{
	struct sq_config timed = small;
	struct sq *pq, *cq = fx_make("cq", &of_one);
	struct program a;
	char text[8];

	timed.lease_time = LEASE;
	pq = fx_make("pq", &timed);
	fill(cq);
	put_text(pq, "7");
	a = start_worker();
	until(is_leased, pq, 1);
	assert_int_equal(kill(a.pid, SIGSTOP), 0);
	until(is_overdue, pq, 1);
	assert_int_equal(sq_get(pq, text, sizeof(text), FX_SOON), 1);
	assert_int_equal(kill(a.pid, SIGCONT), 0);
	put_text(pq, "8");
	/* It has the next task, so it has found out. */
	until(is_leased, pq, 1);
	for (uint64_t i = 0; i < of_one.capacity; i++)
		assert_int_equal(sq_get(cq, text, sizeof(text), SQ_NOWAIT), 4);
	assert_int_equal(result(cq), 8);
	assert_int_equal(sq_join(pq, FX_SOON), 0);
	while (fx_stat(cq).depth > 0) /* on a machine that is so slow it may be there twice */
		assert_int_equal(result(cq), 8);
	end_well(&a);
}

static void test_no_tasks(void **state)
{
	static const char *const bad[] = {"", "seven", "-7", "7 ", "4294967296", "99999999999"};
	struct sq_config strict = small;
	struct sq *pq = fx_make("pq", &small), *cq = fx_make("cq", &small), *letters;
	struct program a = start_worker();

	/* Without dead letters they are dropped, */
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		put_text(pq, bad[i]);
	put_text(pq, "4294967295");
	assert_int_equal(result(cq), UINT32_MAX);
	assert_int_equal(sq_join(pq, FX_SOON), 0);
	says(&a, "no task");
	end_well(&a);
	assert_int_equal(sq_unlink("pq"), 0);

	/* and with them they go there. */
	strict.max_attempts = 3;
	strict.dead_letter = "letters";
	letters = fx_make("letters", &small);
	pq = fx_make("pq", &strict);
	put_text(pq, "seven");
	put_text(pq, "7");
	a = start_worker();
	assert_int_equal(result(cq), 7);
	until(is_deep, letters, 1);
	assert_int_equal(fx_stat(pq).dead_letters, 1);
	end_well(&a);
}

/* What was damaged is said, and the others are done. */
static void test_damaged(void **state)
{
	struct sq *pq = fx_make("pq", &small), *cq = fx_make("cq", &small);
	struct program a;

	put_text(pq, "6");
	put_text(pq, "7");
	sqi_cell(&pq->ring, 0)->meta |= 0xffff;
	a = start_worker();
	assert_int_equal(result(cq), 7);
	assert_int_equal(fx_stat(pq).damaged, 1);
	says(&a, "pq: the queue's memory has been damaged");
	end_well(&a);
}

/* All of it damaged: a worker says so and ends. */
static void test_ruined(void **state)
{
	struct sq *pq = fx_make("pq", &small), *cq = fx_make("cq", &small);
	struct program a = start_worker();

	until(are_here, pq, 2);
	until(are_here, cq, 2);
	for (uint64_t i = 0; i < small.capacity; i++)
		fx_set(pq, i, fx_word(pq, i) | 0xf);
	assert_int_equal(code_of(&a), 1);
	says(&a, "pq: the queue's memory has been damaged");
	forget(&a);
}

/* The key's holder is alive: the second is told so, and changes nothing. */
static void test_two_producers_of_one_key(void **state)
{
	struct sq *pq = fx_make("pq", &small);
	struct program p = start_producer(), q;

	until(is_deep, pq, small.capacity);
	q = start_producer();
	assert_int_equal(code_of(&q), 1);
	says(&q, "pq: in use");
	forget(&q);
	assert_int_equal(sq_shutdown(pq, true), 0);
	assert_int_equal(code_of(&p), 1);
	says(&p, "pq: the queue is shut down");
	assert_int_equal(fx_stat(pq).put, small.capacity);
	forget(&p);
}

static const struct CMUnitTest tests[] = {
	TEST(test_killed_with_a_task_in_hand),
	TEST(test_killed_at_any_moment),
	TEST(test_shut_down),
	TEST(test_tasks_removed),
	TEST(test_results_unwanted),
	TEST(test_asked_to_end_while_full),
	TEST(test_asked_to_end_before_it_begins),
	TEST(test_stopped_for_too_long),
	TEST(test_no_tasks),
	TEST(test_damaged),
	TEST(test_ruined),
	TEST(test_two_producers_of_one_key),
};

FX_MAIN(tests)
