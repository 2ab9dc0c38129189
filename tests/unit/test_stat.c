/* SPDX-License-Identifier: ISC */
#include "fixture.h"

#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

/* Numbers after a known history, waiting for old messages to go, and queues that are done with. */

/* Programs that were built with these numbers meet libraries that were not. */
_Static_assert(SQ_OPEN == 0 && SQ_DRAINING == 1 && SQ_SHUT == 2, "as ever");

static const struct sq_config ring_of_8 = {
	.capacity = 8, .participants = 8, .max_message = 4096, .block_memory = 1};

static void put_two_lease_one(struct sq *h, void *arg)
{
	struct sq_lease lease;
	uint64_t v = 100;

	CHILD_CHECK(sq_put(h, &v, 8, SQ_NOWAIT) == 0);
	CHILD_CHECK(sq_put(h, &v, 8, SQ_NOWAIT) == 0);
	CHILD_CHECK(sq_lease(h, &lease, SQ_NOWAIT) == 0);
}

static void test_history(void **state)
{
	struct sq *a = fx_make("a", &ring_of_8), *b = fx_open("a");
	struct sq_lease lease;
	struct sq_stat st = fx_stat(a);

	assert_int_equal(st.capacity, 8);
	assert_int_equal(st.max_message, 4096);
	assert_int_equal(st.small_message, 48);
	assert_int_equal(st.participants_max, 8);
	assert_int_equal(st.bytes, a->ring.g.total);
	assert_int_equal(st.lease_time, 0);
	assert_int_equal(st.participants, 2);
	assert_int_equal(st.blocks, 24);
	assert_int_equal(st.blocks_free, 24);
	assert_int_equal(st.put | st.took | st.depth | st.leased | st.back | st.got, 0);
	fx_put(a, 1);
	fx_put_large(b, 300, 2);
	fx_put(a, 3);
	fx_get(b, 1);
	assert_int_equal(sq_lease(a, &lease, SQ_NOWAIT), 0);
	assert_int_equal(sq_nack(a, &lease), 0);
	assert_int_equal(sq_lease(b, &lease, SQ_NOWAIT), 0);
	assert_int_equal(sq_ack(b, &lease), 0);
	/* One leased and put in the hands of someone who is killed. */
	fx_kill("a", put_two_lease_one, NULL);
	st = fx_stat(a);
	assert_int_equal(st.participants, 2);
	assert_int_equal(st.put, 5);
	assert_int_equal(st.leased, 1);
	assert_int_equal(sq_recover(a), 1);
	fx_close(b);
	st = fx_stat(a);
	assert_int_equal(st.participants, 1);
	assert_int_equal(st.put, 5);
	assert_int_equal(st.got, 1);
	assert_int_equal(st.acked, 1);
	assert_int_equal(st.nacked, 1);
	assert_int_equal(st.redelivered, 1);
	assert_int_equal(st.reclaimed, 1);
	assert_int_equal(st.depth, 3);
	assert_int_equal(st.back, 1);
	assert_int_equal(st.leased, 0);
	assert_int_equal(st.took, 2);
	assert_int_equal(st.overdue | st.revoked | st.dead_letters | st.damaged, 0);
	assert_int_equal(st.closed, SQ_OPEN);
	fx_get(a, 3);
	fx_get(a, 100);
	fx_get(a, 100);
	st = fx_stat(a);
	assert_int_equal(st.redelivered, 2);
	assert_int_equal(st.took, 5);
	assert_int_equal(sq_shutdown(a, false), 0);
	assert_int_equal(fx_stat(a).closed, SQ_DRAINING);
	assert_int_equal(sq_shutdown(a, true), 0);
	assert_int_equal(fx_stat(a).closed, SQ_SHUT);
	/* There is no way back. */
	assert_int_equal(sq_shutdown(a, false), 0);
	assert_int_equal(fx_stat(a).closed, SQ_SHUT);
}

static void test_config_is_told(void **state)
{
	struct sq *a = fx_make("a", &(struct sq_config){.capacity = 5,
					    .max_message = 100,
					    .small_message = 20,
					    .participants = 3,
					    .max_attempts = 9,
					    .dead_letter = "other.d",
					    .lease_time = 1500000,
					    .flags = SQ_EPHEMERAL});
	struct sq_stat st = fx_stat(a);

	assert_int_equal(st.capacity, 8);
	assert_int_equal(st.max_message, 100);
	assert_int_equal(st.small_message, 48);
	assert_int_equal(st.participants_max, 3);
	assert_int_equal(st.max_attempts, 9);
	assert_string_equal(st.dead_letter, "other.d");
	assert_int_equal(st.lease_time, 1500000);
	assert_int_equal(st.flags, SQ_EPHEMERAL);
	assert_int_equal(sq_stat(a, NULL), -EINVAL);
	assert_int_equal(sq_stat(NULL, &st), -EINVAL);
}

static void test_join(void **state)
{
	struct sq *a = fx_make("a", &ring_of_8), *b = fx_open("a");
	int64_t from, took;
	struct sq_lease lease;

	assert_int_equal(sq_join(a, SQ_NOWAIT), 0);
	assert_int_equal(sq_join(a, SQ_FOREVER), 0);
	fx_put(a, 1);
	assert_int_equal(sq_join(b, SQ_NOWAIT), -EAGAIN);
	from = sqi_now_ns();
	assert_int_equal(sq_join(b, 20 * MS), -ETIMEDOUT); /* that it is not late: test_wait.c */
	took = sqi_now_ns() - from;
	assert_true(took >= 20 * MS);
	/* Leased, or given back, is not done. */
	lease = fx_lease(a, 1);
	assert_int_equal(sq_join(b, SQ_NOWAIT), -EAGAIN);
	assert_int_equal(sq_nack(a, &lease), 0);
	assert_int_equal(sq_join(b, SQ_NOWAIT), -EAGAIN);
	lease = fx_lease(a, 1);
	assert_int_equal(sq_ack(a, &lease), 0);
	assert_int_equal(sq_join(b, SQ_NOWAIT), 0);
	assert_int_equal(sq_join(NULL, 0), -EINVAL);
	assert_int_equal(sq_join(a, -2), -EINVAL);
}

static void *join(void *arg)
{
	return sq_join(arg, SQ_FOREVER) == 0 ? NULL : arg;
}

static void test_join_waits_for_the_old_only(void **state)
{
	struct sq *a = fx_make("a", &ring_of_8), *joiner = fx_open("a");
	struct sq_lease lease;
	pthread_t thread;
	uint64_t tail;
	void *failed;

	for (uint64_t n = 0; n < 30; n++) {
		fx_put(a, n);
		lease = fx_lease(a, n);
		assert_int_equal(sqi_tail(&joiner->ring, &tail), 0);
		/* Exactly where the next will go. */
		assert_int_equal(fx_state(a, tail), SQI_FREE);
		assert_int_equal(a->ring.tail, tail);
		assert_int_equal(sq_ack(a, &lease), 0);
	}
	fx_put(a, 1);
	lease = fx_lease(a, 1);
	assert_int_equal(pthread_create(&thread, NULL, join, joiner), 0);
	fx_nap(MS);
	assert_int_equal(sq_ack(a, &lease), 0);
	assert_int_equal(pthread_join(thread, &failed), 0);
	assert_null(failed);
}

/* The holder of the last of the old messages died: the join itself finds out. */
static void test_join_finds_the_dead(void **state)
{
	struct sq *a = fx_make("a", &ring_of_8), *b = fx_open("a");

	fx_put(a, 1);
	(void)fx_lease(b, 1);
	fx_die(b);
	assert_int_equal(sq_join(a, 100 * MS), -ETIMEDOUT);
	fx_get(a, 1);
	assert_int_equal(sq_join(a, SQ_NOWAIT), 0);
}

static void test_gc(void **state)
{
	struct sq *a = fx_make("a", &ring_of_8), *b = fx_open("a");

	assert_int_equal(sq_gc("none"), -ENOENT);
	fx_put(a, 1);
	(void)fx_lease(b, 1);
	fx_die(b);
	/* Not ephemeral: recovered, and that is all. */
	assert_int_equal(sq_gc("a"), 0);
	assert_int_equal(fx_stat(a).reclaimed, 1);
	fx_close(a);
	assert_int_equal(sq_gc("a"), 0);
	fx_get(fx_open("a"), 1);
}

/*
 * Cause: somebody who may use a queue but not remove its file decided that it goes: nobody could open
 * it any more, or make another of its name.
 */
static void test_gc_by_another_user(void **state)
{
	struct sq_config c = ring_of_8;
	int status;
	pid_t pid;

	if (geteuid() != 0)
		skip(); /* only root can be another user */
	c.flags = SQ_EPHEMERAL;
	c.mode = 0666;
	assert_int_equal(sq_create("e", &c), 0);
	fx_put(fx_open("e"), 1);
	fx_get(fx_open("e"), 1);
	fx_close_all();
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		CHILD_CHECK(setgid(65534) == 0 && setuid(65534) == 0);
		_exit(sq_gc("e") == 0 ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	fx_empty(fx_open("e"));
	fx_close_all();
	assert_int_equal(sq_gc("e"), 1);
}

static void test_gc_of_ephemeral(void **state)
{
	struct sq_config c = ring_of_8;
	struct sq *a;

	c.flags = SQ_EPHEMERAL;
	assert_int_equal(sq_create("e", &c), 0);
	/* No participant has come yet; and looking, however often, does not count. */
	for (int i = 0; i < 5; i++)
		assert_int_equal(sq_gc("e"), 0);
	fx_close(fx_open("e"));
	assert_int_equal(sq_gc("e"), 0);
	a = fx_open("e");
	fx_empty(a);
	assert_int_equal(sq_gc("e"), 0);
	fx_close(a);
	assert_int_equal(sq_gc("e"), 1);
	assert_int_equal(sq_gc("e"), -ENOENT);
	/* Its last one may have died. */
	a = fx_make("e", &c);
	fx_put(a, 1);
	assert_int_equal(sq_gc("e"), 0);
	fx_die(a);
	assert_int_equal(sq_gc("e"), 1);
	/* No participant ever came, and a minute went by. */
	a = fx_make("e", &c);
	a->ring.head->created_s -= 100;
	fx_die(a);
	assert_int_equal(sq_gc("e"), 1);
}

static const struct CMUnitTest tests[] = {
	TEST(test_history),
	TEST(test_config_is_told),
	TEST(test_join),
	TEST(test_join_waits_for_the_old_only),
	TEST(test_join_finds_the_dead),
	TEST(test_gc),
	TEST(test_gc_by_another_user),
	TEST(test_gc_of_ephemeral),
};

FX_MAIN(tests)
