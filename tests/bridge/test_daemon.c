/* SPDX-License-Identifier: ISC */
#include <signal.h>
#include <sys/wait.h>

#include "daemons.h"
#include "sq.h"

/*
 * Real daemons carry tasks and results: whatever is killed, every task is done and comes back once.
 */

#define SIZE 64

static void make_queues(uint64_t capacity)
{
	struct sq_config config = {.capacity = capacity};

	assert_int_equal(sq_create(hub_queue("pq"), &config), 0);
	assert_int_equal(sq_create(hub_queue("cq"), &config), 0);
}

static uint64_t leased(const char *name)
{
	struct sq_stat st;
	struct sq *q;

	assert_int_equal(sq_open(&q, name), 0);
	assert_int_equal(sq_stat(q, &st), 0);
	sq_close(q);
	return st.leased;
}

static uint64_t depth(const char *name)
{
	struct sq_stat st;
	struct sq *q;

	assert_int_equal(sq_open(&q, name), 0);
	assert_int_equal(sq_stat(q, &st), 0);
	sq_close(q);
	return st.depth;
}

static void wait_settled(void)
{
	for (int64_t end = clock_ms() + WAIT_S * 1000; leased(hub_queue("pq")) > 0; nap_ms(5))
		assert_true(clock_ms() < end);
}

static void tasks_there_and_results_back(void **state)
{
	struct daemon_run hub = {0}, leaf = {0};
	pid_t producer, workers[2];
	int status;

	make_queues(1024);
	hub_start_with(&hub, WORDS(NULL));
	leaf_start_with(&leaf, WORDS(NULL));
	workers[0] = worker_start();
	workers[1] = worker_start();
	producer = producer_start(0, 9999, SIZE);
	collect(10000, SIZE);
	assert_int_equal(waitpid(producer, &status, 0), producer);
	assert_int_equal(status, 0);
	wait_settled();
	/* Idle: both leave at once, with nothing under way. */
	assert_int_equal(daemon_stop(&leaf, SIGTERM), 0);
	free(expect_line(&hub, "event=link_down"));
	assert_int_equal(daemon_stop(&hub, SIGTERM), 0);
	worker_stop(workers[0]);
	worker_stop(workers[1]);
	assert_int_equal(depth(hub_queue("pq")), 0);
	assert_int_equal(count_lines(&hub, "level=error"), 0);
	assert_int_equal(count_lines(&leaf, "level=error"), 0);
}

/* kill -9 of one of them, again and again, while the work goes on. */
static void killed(bool kill_hub, unsigned times)
{
	struct daemon_run hub = {0}, leaf = {0};
	pid_t producer, workers[2];
	int status;

	make_queues(1024);
	hub_start_with(&hub, WORDS(NULL));
	leaf_start_with(&leaf, WORDS(NULL));
	workers[0] = worker_start();
	workers[1] = worker_start();
	producer = producer_start(0, 19999, SIZE);
	for (unsigned i = 0; i < times; i++) {
		free(expect_line(&leaf, "event=link_up"));
		nap_ms(20 + 13 * i);
		if (kill_hub) {
			assert_int_equal(daemon_stop(&hub, SIGKILL), -SIGKILL);
			hub_start_with(&hub, WORDS(NULL));
		} else {
			assert_int_equal(daemon_stop(&leaf, SIGKILL), -SIGKILL);
			leaf_start_with(&leaf, WORDS(NULL));
		}
	}
	collect(20000, SIZE);
	assert_int_equal(waitpid(producer, &status, 0), producer);
	assert_int_equal(status, 0);
	wait_settled();
	assert_int_equal(daemon_stop(&leaf, SIGTERM), 0);
	assert_int_equal(daemon_stop(&hub, SIGTERM), 0);
	worker_stop(workers[0]);
	worker_stop(workers[1]);
	assert_int_equal(count_lines(&hub, "given_up"), 0);
}

static void a_hub_that_is_killed_loses_and_doubles_nothing(void **state)
{
	killed(true, 5);
}

static void a_leaf_that_is_killed_loses_and_doubles_nothing(void **state)
{
	killed(false, 5);
}

static void a_leaf_that_starts_first_waits_for_its_hub(void **state)
{
	struct daemon_run hub = {0}, leaf = {0};
	pid_t worker, producer;

	make_queues(64);
	/* The port is known, and no daemon listens there. */
	hub_start_with(&hub, WORDS(NULL));
	assert_int_equal(daemon_stop(&hub, SIGTERM), 0);
	leaf_start_with(&leaf, WORDS(NULL));
	free(expect_line(&leaf, "event=not_connected"));
	free(expect_line(&leaf, "event=not_connected"));
	hub_start_with(&hub, WORDS(NULL));
	free(expect_line(&leaf, "event=link_up"));
	worker = worker_start();
	producer = producer_start(0, 99, SIZE);
	collect(100, SIZE);
	assert_int_equal(waitpid(producer, NULL, 0), producer);
	worker_stop(worker);
	assert_int_equal(daemon_stop(&leaf, SIGTERM), 0);
	assert_int_equal(daemon_stop(&hub, SIGTERM), 0);
}

static void large_messages_go_both_ways(void **state)
{
	struct daemon_run hub = {0}, leaf = {0};
	pid_t worker, producer;

	make_queues(64);
	hub_start_with(&hub, WORDS(NULL));
	leaf_start_with(&leaf, WORDS(NULL));
	worker = worker_start();
	producer = producer_start(0, 19, 1 << 20);
	collect(20, 1 << 20);
	assert_int_equal(waitpid(producer, NULL, 0), producer);
	worker_stop(worker);
	assert_int_equal(daemon_stop(&leaf, SIGTERM), 0);
	assert_int_equal(daemon_stop(&hub, SIGTERM), 0);
}

/* A worker of the leaf's, in this process. */
struct worker {
	struct sq *pq, *cq;
	struct sq_lease task;
};

/* Both daemons run, there are n tasks, and it has one of them in hand. */
static void take_one_of(
	struct worker *ret, struct daemon_run *hub, struct daemon_run *leaf, uint32_t n)
{
	pid_t producer;

	make_queues(1024);
	hub_start_with(hub, WORDS(NULL));
	leaf_start_with(leaf, WORDS(NULL));
	producer = producer_start(0, n - 1, SIZE);
	assert_int_equal(waitpid(producer, NULL, 0), producer);
	free(expect_line(hub, "event=stream_open"));
	while (sq_open(&ret->pq, leaf_queue("pq")) < 0)
		nap_ms(5);
	while (sq_open(&ret->cq, leaf_queue("cq")) < 0)
		nap_ms(5);
	assert_int_equal(sq_lease(ret->pq, &ret->task, (int64_t)WAIT_S * 1000000000), 0);
}

static void do_it(struct worker *w)
{
	assert_int_equal(sq_put(w->cq, w->task.data, w->task.len, SQ_FOREVER), 0);
	assert_int_equal(sq_ack(w->pq, &w->task), 0);
}

static void leave(struct worker *w)
{
	sq_close(w->pq);
	sq_close(w->cq);
}

/* What no worker has begun goes back; what one has is waited for. */
static void a_leaf_that_drains_leaves_nothing_in_flight(void **state)
{
	struct daemon_run hub = {0}, leaf = {0};
	struct worker w;

	take_one_of(&w, &hub, &leaf, 100);
	assert_int_equal(kill(leaf.pid, SIGTERM), 0);
	free(expect_line(&leaf, "event=draining"));
	nap_ms(200);
	assert_int_equal(waitpid(leaf.pid, NULL, WNOHANG), 0); /* it waits for the worker */
	do_it(&w);
	assert_int_equal(daemon_code(&leaf), 0);
	assert_int_equal(leased(hub_queue("pq")), 0);
	assert_int_equal(depth(hub_queue("pq")), 99);
	assert_int_equal(depth(leaf_queue("pq")), 0);
	assert_int_equal(depth(hub_queue("cq")), 1);
	assert_int_equal(count_lines(&leaf, "drain_timeout"), 0);
	assert_int_equal(daemon_stop(&hub, SIGTERM), 0);
	leave(&w);
}

/*
 * The hub goes while the leaf drains, and comes back: what a worker has in hand still comes to its
 * end.
 */
static void a_leaf_that_drains_waits_for_its_hub(void **state)
{
	struct daemon_run hub = {0}, leaf = {0};
	struct worker w;

	take_one_of(&w, &hub, &leaf, 1);
	assert_int_equal(kill(leaf.pid, SIGTERM), 0);
	free(expect_line(&leaf, "event=draining"));
	assert_int_equal(daemon_stop(&hub, SIGKILL), -SIGKILL);
	free(expect_line(&leaf, "event=link_down"));
	free(expect_line(&leaf, "event=not_connected"));
	do_it(&w);
	hub_start_with(&hub, WORDS(NULL));
	assert_int_equal(daemon_code(&leaf), 0);
	assert_int_equal(count_lines(&leaf, "drain_timeout"), 0);
	assert_int_equal(leased(hub_queue("pq")), 0);
	assert_int_equal(depth(hub_queue("pq")), 0);
	assert_int_equal(depth(hub_queue("cq")), 1);
	assert_int_equal(daemon_stop(&hub, SIGTERM), 0);
	leave(&w);
}

/* A hub that drains takes the results of what is under way. */
static void a_hub_that_drains_waits_for_results(void **state)
{
	struct daemon_run hub = {0}, leaf = {0};
	struct worker w;

	take_one_of(&w, &hub, &leaf, 1);
	assert_int_equal(kill(hub.pid, SIGTERM), 0);
	free(expect_line(&leaf, "event=peer_drains"));
	do_it(&w);
	assert_int_equal(daemon_code(&hub), 0);
	assert_int_equal(count_lines(&hub, "drain_timeout"), 0);
	assert_int_equal(leased(hub_queue("pq")), 0);
	assert_int_equal(depth(hub_queue("cq")), 1);
	assert_int_equal(daemon_stop(&leaf, SIGTERM), 0);
	leave(&w);
}

/* A leaf's tasks go to others: after the time for it, or as soon as its key is removed. */
static void what_a_leaf_had_that_stays_away_is_given_back(void **state)
{
	struct daemon_run hub = {0}, leaf = {0};
	struct sq_lease task;
	pid_t producer;
	struct sq *pq;
	char *line;

	make_queues(1024);
	hub_start_with(&hub, WORDS("--redeliver-after", "1h"));
	leaf_start_with(&leaf, WORDS(NULL));
	producer = producer_start(0, 0, SIZE);
	assert_int_equal(waitpid(producer, NULL, 0), producer);
	while (sq_open(&pq, leaf_queue("pq")) < 0)
		nap_ms(5);
	assert_int_equal(sq_lease(pq, &task, (int64_t)WAIT_S * 1000000000), 0);
	assert_int_equal(daemon_stop(&leaf, SIGKILL), -SIGKILL);
	/* The hub's restart does not end the time at once, */
	assert_int_equal(daemon_stop(&hub, SIGKILL), -SIGKILL);
	hub_start_with(&hub, WORDS("--redeliver-after", "1h"));
	nap_ms(500);
	assert_int_equal(leased(hub_queue("pq")), 1);
	/* nor does it begin anew for ever. */
	assert_int_equal(daemon_stop(&hub, SIGKILL), -SIGKILL);
	hub_start_with(&hub, WORDS("--redeliver-after", "1s"));
	line = expect_line(&hub, "event=given_up");
	assert_true(ms_between(hub.listened_ms, moment_of(line)) >= 990);
	free(line);
	wait_settled();
	assert_int_equal(depth(hub_queue("pq")), 1);
	assert_int_equal(daemon_stop(&hub, SIGTERM), 0);
	sq_close(pq);
}

/* A hub's bridge that does not come back keeps no tasks; and when it does, those are not the leaf's. */
static void a_hub_that_stays_away_keeps_nothing(void **state)
{
	struct daemon_run hub = {0}, leaf = {0};
	struct sq_lease task, again;
	struct sq *pq, *hubs;
	pid_t producer;

	make_queues(1024);
	hub_start_with(&hub, WORDS("--redeliver-after", "1s"));
	leaf_start_with(&leaf, WORDS(NULL));
	producer = producer_start(0, 0, SIZE);
	assert_int_equal(waitpid(producer, NULL, 0), producer);
	while (sq_open(&pq, leaf_queue("pq")) < 0)
		nap_ms(5);
	assert_int_equal(sq_lease(pq, &task, (int64_t)WAIT_S * 1000000000), 0);
	assert_int_equal(daemon_stop(&hub, SIGKILL), -SIGKILL);
	assert_int_equal(sq_open(&hubs, hub_queue("pq")), 0);
	assert_int_equal(sq_lease(hubs, &again, (int64_t)WAIT_S * 1000000000), 0);

	hub_start_with(&hub, WORDS("--redeliver-after", "1s"));
	free(expect_line(&hub, "event=epoch_stale"));
	assert_int_equal(sq_ack(pq, &task), 0);
	assert_int_equal(daemon_stop(&leaf, SIGTERM), 0);
	assert_int_equal(sq_ack(hubs, &again), 0); /* the worker that had the task */
	assert_int_equal(depth(hub_queue("pq")), 0);
	assert_int_equal(leased(hub_queue("pq")), 0);
	assert_int_equal(daemon_stop(&hub, SIGTERM), 0);
	sq_close(hubs);
	sq_close(pq);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		DAEMON_TEST(tasks_there_and_results_back),
		DAEMON_TEST(a_hub_that_is_killed_loses_and_doubles_nothing),
		DAEMON_TEST(a_leaf_that_is_killed_loses_and_doubles_nothing),
		DAEMON_TEST(a_leaf_that_starts_first_waits_for_its_hub),
		DAEMON_TEST(large_messages_go_both_ways),
		DAEMON_TEST(a_leaf_that_drains_leaves_nothing_in_flight),
		DAEMON_TEST(a_hub_that_drains_waits_for_results),
		DAEMON_TEST(a_leaf_that_drains_waits_for_its_hub),
		DAEMON_TEST(a_hub_that_stays_away_keeps_nothing),
		DAEMON_TEST(what_a_leaf_had_that_stays_away_is_given_back),
	};

	return cmocka_run_group_tests_name("daemon", tests, NULL, NULL);
}
