/* SPDX-License-Identifier: ISC */
#include "fixture.h"

#include <malloc.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/*
 * What sq.h says in its general part, where no test of a single file says it: messages of unknown
 * size, and what becomes of handles, leases and reserved memory when the queue is removed, shut
 * down, or left.
 */

#define LONG_MESSAGE ((size_t)300)
#define HUGE_MESSAGE ((size_t)8 << 20)
#define HOUR         (3600 * 1000 * MS)

static const struct sq_config plain = {
	.capacity = 8, .participants = 8, .max_message = 4096, .block_memory = 32768};

static struct sq_config with(int64_t lease_time, uint32_t max_attempts)
{
	struct sq_config config = plain;

	config.lease_time = lease_time;
	config.max_attempts = max_attempts;
	config.dead_letter = max_attempts ? "letters" : NULL;
	return config;
}

/* The recipe of sq.h, "Messages of unknown size", for the message of this size and seed. */
static void get_of_unknown_size(struct sq *q, size_t right, unsigned seed)
{
	struct sq_lease m;
	size_t len = 0;
	void *buf;

	assert_int_equal(sq_lease(q, &m, SQ_NOWAIT), 0);
	buf = malloc(m.len ? m.len : 1);
	assert_non_null(buf);
	memcpy(buf, m.data, m.len);
	len = m.len;
	assert_int_equal(sq_ack(q, &m), 0);
	assert_int_equal(len, right);
	fx_check(buf, len, seed);
	free(buf);
}

static void test_unknown_size(void **state)
{
	static const size_t sizes[] = {0, 9, 48, LONG_MESSAGE, 4096};
	const struct sq_config configs[] = {with(0, 0), with(HOUR, 0), with(0, 3), with(HOUR, 3)};
	char buf[8], *large;

	for (unsigned c = 0; c < sizeof(configs) / sizeof(configs[0]); c++) {
		struct sq *q = fx_make("a", &configs[c]);
		struct sq_lease m;

		for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
			fx_put_large(q, sizes[i], i);
			fx_put(q, 7);
			if (sizes[i] > sizeof(buf)) /* it was left where it is */
				assert_int_equal(sq_get(q, buf, sizeof(buf), SQ_NOWAIT), -EMSGSIZE);
			get_of_unknown_size(q, sizes[i], i);
			fx_get(q, 7);
		}
		assert_int_equal(fx_stat(q).redelivered, 0);

		/* The size only: it is delivered again, and counts where no attempts are counted out. */
		fx_put_large(q, LONG_MESSAGE, 1);
		assert_int_equal(sq_get(q, buf, sizeof(buf), SQ_NOWAIT), -EMSGSIZE);
		assert_int_equal(sq_lease(q, &m, SQ_NOWAIT), 0);
		assert_int_equal(m.len, LONG_MESSAGE);
		assert_int_equal(sq_return(q, &m), 0);
		assert_int_equal(sq_lease(q, &m, SQ_NOWAIT), 0);
		assert_int_equal(m.attempts, configs[c].max_attempts ? 1 : 2);
		assert_int_equal(sq_return(q, &m), 0);
		assert_int_equal(fx_stat(q).redelivered, 1);

		/* What always suffices. */
		large = malloc(fx_stat(q).max_message);
		assert_non_null(large);
		assert_int_equal(sq_get(q, large, fx_stat(q).max_message, SQ_NOWAIT), LONG_MESSAGE);
		fx_check(large, LONG_MESSAGE, 1);
		free(large);
		fx_end(NULL);
	}
}

/* How a queue ends under those who use it. */
enum end { REMOVED, DRAINING, AT_ONCE };

static void end_queue(struct sq *h, enum end end)
{
	if (end == REMOVED)
		assert_int_equal(sq_unlink("a"), 0);
	else
		assert_int_equal(sq_shutdown(h, end == AT_ONCE), 0);
}

/* A lease, of one who has it when the queue ends: read, touched, given back, taken, acked. */
static void lease_outlives(enum end end, int64_t lease_time, size_t len)
{
	const struct sq_config config = with(lease_time, 0);
	struct sq *h = fx_make("a", &config), *other = fx_open("a");
	int closed = end == REMOVED ? -EIDRM : -EPIPE;
	struct sq_lease first, second, third;

	fx_put_large(h, len, 1);
	fx_put_large(h, len, 2);
	assert_int_equal(sq_lease(h, &first, SQ_NOWAIT), 0);
	assert_int_equal(sq_lease(h, &second, SQ_NOWAIT), 0);
	end_queue(other, end);
	fx_check(first.data, first.len, 1);
	fx_check(second.data, second.len, 2);
	assert_int_equal(sq_touch(h, &first), 0);
	assert_int_equal(sq_ack(h, &first), 0);
	/* Its holder is told that there is nothing, though it could give something back. */
	assert_int_equal(sq_lease(h, &third, SQ_FOREVER), closed);
	assert_int_equal(sq_nack(h, &second), 0);
	if (end == AT_ONCE) {
		assert_int_equal(sq_lease(other, &third, SQ_FOREVER), closed);
		assert_int_equal(fx_stat(h).depth, 1);
		assert_int_equal(sq_find(other, second.id), SQ_WAITING);
		assert_int_equal(sq_lease_id(other, second.id, &third), 0);
	} else {
		assert_int_equal(sq_lease(other, &third, SQ_NOWAIT), 0);
	}
	assert_int_equal(third.id, second.id);
	assert_int_equal(third.attempts, 2);
	fx_check(third.data, third.len, 2);
	/* The holder of the last lease is told the end. */
	assert_int_equal(sq_return(other, &third), 0);
	if (end != AT_ONCE) {
		assert_int_equal(sq_lease(h, &third, SQ_NOWAIT), 0);
		assert_int_equal(sq_ack(h, &third), 0);
		assert_int_equal(sq_join(h, SQ_NOWAIT), 0);
	} else {
		assert_int_equal(sq_join(h, SQ_FOREVER), closed);
	}
	assert_int_equal(sq_lease(h, &third, SQ_FOREVER), closed);
	fx_end(NULL);
}

static void test_lease_when_the_queue_ends(void **state)
{
	for (enum end end = REMOVED; end <= AT_ONCE; end++)
		for (int i = 0; i < 4; i++)
			lease_outlives(end, i % 2 ? HOUR : 0, i < 2 ? 8 : LONG_MESSAGE);
}

/* Reserved memory stays the caller's, cannot be committed, and goes back whole. */
static void reservation_outlives(enum end end, size_t len)
{
	struct sq *h = fx_make("a", &plain), *other = fx_open("a");
	int closed = end == REMOVED ? -EIDRM : -EPIPE;
	void *at, *again;

	assert_int_equal(sq_reserve(h, len, &at), 0);
	end_queue(other, end);
	fx_fill(at, len, 3);
	assert_int_equal(sq_commit(h, len, SQ_FOREVER), closed);
	assert_int_equal(sq_commit(h, len, SQ_NOWAIT), closed);
	fx_check(at, len, 3);
	assert_int_equal(sq_reserve(h, len, &again), -EBUSY);
	sq_abort(h);
	assert_int_equal(sq_reserve(h, len, &again), closed);
	assert_int_equal(sq_commit(h, 0, SQ_NOWAIT), -EINVAL);
	assert_int_equal(fx_stat(other).blocks_free, fx_stat(other).blocks);
	assert_int_equal(fx_stat(other).put, 0);
	fx_end(NULL);
}

static void test_reservation_when_the_queue_ends(void **state)
{
	for (enum end end = REMOVED; end <= AT_ONCE; end++) {
		reservation_outlives(end, 8);
		reservation_outlives(end, LONG_MESSAGE);
	}
}

/* A queue that was shut down, and is removed then, says that it was shut down. */
static void test_shut_down_and_removed(void **state)
{
	struct sq *h = fx_make("a", &plain);
	struct sq_lease lease;
	void *at;

	fx_put(h, 1);
	lease = fx_lease(h, 1);
	assert_int_equal(sq_shutdown(h, false), 0);
	assert_int_equal(sq_join(h, SQ_NOWAIT), -EAGAIN);
	assert_int_equal(sq_unlink("a"), 0);
	assert_int_equal(sq_join(h, SQ_FOREVER), -EPIPE);
	assert_int_equal(sq_put(h, "x", 1, SQ_FOREVER), -EPIPE);
	assert_int_equal(sq_reserve(h, 1, &at), -EPIPE);
	assert_int_equal(sq_ack(h, &lease), 0);
	assert_int_equal(sq_get(h, NULL, 0, SQ_FOREVER), -EPIPE);
	assert_int_equal(sq_join(h, SQ_FOREVER), 0);
}

/* One's own leases are waited for, too. */
static void test_join_waits_for_own_leases(void **state)
{
	struct sq *h = fx_make("a", &plain);
	struct sq_lease lease;

	fx_put(h, 1);
	lease = fx_lease(h, 1);
	assert_int_equal(sq_join(h, SQ_NOWAIT), -EAGAIN);
	assert_int_equal(sq_join(h, MS), -ETIMEDOUT);
	assert_int_equal(sq_ack(h, &lease), 0);
	assert_int_equal(sq_join(h, SQ_FOREVER), 0);
}

static void test_close_gives_all_back(void **state)
{
	struct sq *h = fx_make("a", &plain), *other = fx_open("a");
	struct sq_lease lease;
	void *at;

	fx_put(h, 1);
	(void)fx_lease(h, 1);
	assert_int_equal(sq_reserve(h, LONG_MESSAGE, &at), 0);
	assert_int_equal(fx_stat(other).blocks_free, fx_stat(other).blocks - 1);
	fx_close(h);
	lease = fx_lease(other, 1);
	assert_int_equal(lease.attempts, 2);
	assert_int_equal(fx_stat(other).blocks_free, fx_stat(other).blocks);
	assert_int_equal(fx_stat(other).put, 1);
}

/*
 * What is a copy in the handle's memory is the child's own in a child: it reads what was there, and
 * nothing that it does reaches the parent or the queue.
 */
static void test_copies_in_a_child(void **state)
{
	const struct sq_config timed = with(HOUR, 0);
	struct sq *h = fx_make("a", &timed);
	struct sq_lease lease;
	pid_t pid;
	void *at;

	fx_put_large(h, LONG_MESSAGE, 1);
	assert_int_equal(sq_lease(h, &lease, SQ_NOWAIT), 0);
	assert_int_equal(sq_reserve(h, 8, &at), 0);
	fx_fill(at, 8, 2);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		unsigned char right[LONG_MESSAGE];

		fx_fill(right, sizeof(right), 1);
		CHILD_CHECK(memcmp(lease.data, right, sizeof(right)) == 0);
		memset(at, 0xee, 8);
		CHILD_CHECK(sq_commit(h, 8, SQ_NOWAIT) == -EBADF);
		CHILD_CHECK(sq_ack(h, &lease) == -EBADF);
		sq_close(h);
		_exit(0);
	}
	assert_false(fx_was_killed(pid));
	assert_int_equal(sq_commit(h, 8, SQ_NOWAIT), 0);
	fx_check(lease.data, lease.len, 1);
	assert_int_equal(sq_ack(h, &lease), 0);
	fx_get_large(h, 8, 2);
}

/* The keys are one kind, and a durable participant holds its own until it is closed. */
static void test_key_of_a_durable_participant(void **state)
{
	struct sq *h = fx_make("a", &plain), *durable, *again;
	uint64_t n = 9;

	assert_int_equal(sq_open_durable(&durable, "a", 5, HOUR), 0);
	assert_int_equal(sq_count_bind(h, 5, &n), -EBUSY);
	assert_int_equal(sq_count_bind(durable, 5, &n), -EBUSY);
	assert_int_equal(sq_retire(durable), 0);
	assert_int_equal(sq_retire(durable), 0);
	assert_int_equal(sq_count_bind(h, 5, &n), -EBUSY);
	assert_int_equal(n, 9);
	assert_int_equal(sq_count_read(h, 5, &n), 0);
	assert_int_equal(n, 0);
	assert_int_equal(sq_count_read(h, 6, &n), -ENOENT);
	sq_close(durable);
	assert_int_equal(sq_count_bind(h, 5, &n), 0);
	assert_int_equal(sq_count_bind(h, 5, &n), -EBUSY);
	assert_int_equal(sq_count_bind(h, 6, &n), -EBUSY);
	assert_int_equal(sq_open_durable(&again, "a", 5, HOUR), -EBUSY);
	assert_int_equal(sq_retire(h), 0);
	assert_int_equal(sq_durable_run(h, &n), -ENOENT);
}

/* A sanitizer's allocator ends the process instead. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif

#ifndef SANITIZED
static void lease_without_memory(struct sq *h, void *arg)
{
	static const struct rlimit none = {1, 1};
	struct sq_lease lease;

	(void)malloc_trim(0); /* what the parent has freed */
	CHILD_CHECK(setrlimit(RLIMIT_AS, &none) == 0);
	CHILD_CHECK(sq_lease(h, &lease, SQ_NOWAIT) == -ENOMEM);
	CHILD_CHECK(sq_lease(h, &lease, SQ_FOREVER) == -ENOMEM);
}

/* A process that had no memory for its copy has failed twice to lease a message. It stays for others. */
static void lease_after_no_memory(uint32_t max_attempts, uint32_t attempts)
{
	struct sq_config timed = with(HOUR, max_attempts);
	struct sq_lease lease;
	struct sq *h;

	timed.max_message = HUGE_MESSAGE;
	timed.block_memory = HUGE_MESSAGE;
	h = fx_make("a", &timed);
	fx_put_large(h, HUGE_MESSAGE, 1);
	fx_kill("a", lease_without_memory, NULL);
	assert_int_equal(sq_lease(h, &lease, SQ_NOWAIT), 0);
	assert_int_equal(lease.attempts, attempts);
	fx_check(lease.data, lease.len, 1);
	assert_int_equal(sq_ack(h, &lease), 0);
}

/* It has been leased so often. */
static void test_no_memory_for_a_copy(void **state)
{
	lease_after_no_memory(0, 3);
}

/* Cause: a worker without memory made dead letters of messages that it had never seen. */
static void test_no_memory_is_no_attempt(void **state)
{
	lease_after_no_memory(2, 1);
}
#endif

static const struct CMUnitTest tests[] = {
	TEST(test_unknown_size),
	TEST(test_lease_when_the_queue_ends),
	TEST(test_reservation_when_the_queue_ends),
	TEST(test_shut_down_and_removed),
	TEST(test_join_waits_for_own_leases),
	TEST(test_close_gives_all_back),
	TEST(test_copies_in_a_child),
	TEST(test_key_of_a_durable_participant),
#ifndef SANITIZED
	TEST(test_no_memory_for_a_copy),
	TEST(test_no_memory_is_no_attempt),
#endif
};

FX_MAIN(tests)
