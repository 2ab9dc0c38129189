/* SPDX-License-Identifier: ISC */
#include "fixture.h"

#include <stdlib.h>

/* The public calls: arguments, reservations, many at once, and shutting down. */

static const struct sq_config ring_of_4 = {
	.capacity = 4, .participants = 8, .max_message = 4096, .block_memory = 1};

static void test_arguments(void **state)
{
	struct sq *h = fx_make("a", &ring_of_4);
	struct iovec iov = {.iov_base = &iov, .iov_len = 8};
	uint64_t v;
	void *at;

	assert_int_equal(sq_open(NULL, "a"), -EINVAL);
	assert_int_equal(sq_put(NULL, &v, 8, 0), -EINVAL);
	assert_int_equal(sq_put(h, NULL, 8, 0), -EINVAL);
	assert_int_equal(sq_put(h, &v, 8, -2), -EINVAL);
	assert_int_equal(sq_put(h, &v, 8, INT64_MIN), -EINVAL);
	assert_int_equal(sq_get(NULL, &v, 8, 0), -EINVAL);
	assert_int_equal(sq_get(h, NULL, 8, 0), -EINVAL);
	assert_int_equal(sq_get(h, &v, 8, -2), -EINVAL);
	assert_int_equal(sq_put_many(NULL, &iov, 1, 0), -EINVAL);
	assert_int_equal(sq_put_many(h, NULL, 1, 0), -EINVAL);
	assert_int_equal(sq_put_many(h, &iov, -1, 0), -EINVAL);
	assert_int_equal(sq_put_many(h, &iov, 1, -2), -EINVAL);
	assert_int_equal(sq_put_many(h, NULL, 0, 0), 0);
	assert_int_equal(sq_get_many(NULL, &v, 8, &iov, 1, 0), -EINVAL);
	assert_int_equal(sq_get_many(h, NULL, 8, &iov, 1, 0), -EINVAL);
	assert_int_equal(sq_get_many(h, &v, 8, NULL, 1, 0), -EINVAL);
	assert_int_equal(sq_get_many(h, &v, 8, &iov, -1, 0), -EINVAL);
	assert_int_equal(sq_get_many(h, &v, 8, &iov, 1, -2), -EINVAL);
	assert_int_equal(sq_get_many(h, NULL, 0, NULL, 0, 0), 0);
	assert_int_equal(sq_reserve(NULL, 8, &at), -EINVAL);
	assert_int_equal(sq_reserve(h, 8, NULL), -EINVAL);
	assert_int_equal(sq_commit(NULL, 8, 0), -EINVAL);
	assert_int_equal(sq_commit(h, 8, 0), -EINVAL);
	assert_int_equal(sq_commit(h, 8, -2), -EINVAL);
	assert_int_equal(sq_shutdown(NULL, false), -EINVAL);
	assert_int_equal(sq_recover(NULL), -EINVAL);
	sq_abort(NULL);
	sq_abort(h);
	sq_close(NULL);
	fx_empty(h);
}

static void test_reserve(void **state)
{
	static const size_t sizes[] = {0, 1, 48, 49, 300, 4096};
	struct sq *h = fx_make("a", &ring_of_4);

	for (unsigned i = 0; i < 6; i++)
		for (unsigned less = 0; less <= 1; less++) {
			size_t len = sizes[i] / (1 + less * 7);
			void *at = NULL, *again = h;

			assert_int_equal(sq_reserve(h, sizes[i], &at), 0);
			assert_int_equal((uintptr_t)at % 8, 0);
			fx_fill(at, sizes[i], i);
			assert_int_equal(sq_reserve(h, 1, &again), -EBUSY);
			assert_ptr_equal(again, h);
			/* A reservation is seen by no consumer, and holds up no other call. */
			fx_empty(h);
			fx_put(h, 1);
			fx_get(h, 1);
			assert_int_equal(sq_commit(h, sizes[i] + 1, SQ_NOWAIT), -EMSGSIZE);
			assert_int_equal(sq_commit(h, len, SQ_NOWAIT), 0);
			assert_int_equal(sq_commit(h, len, SQ_NOWAIT), -EINVAL);
			fx_get_large(h, len, i);
			fx_empty(h);
			assert_int_equal(fx_stat(h).blocks_free, 24);
		}
}

static void test_reserve_errors(void **state)
{
	struct sq *h = fx_make("a", &ring_of_4);
	void *at;

	assert_int_equal(sq_reserve(h, 4097, &at), -EMSGSIZE);
	assert_int_equal(sq_reserve(h, SIZE_MAX, &at), -EMSGSIZE);
	for (int i = 0; i < 40; i++) {
		assert_int_equal(sq_reserve(h, i % 2 ? 10 : 4096, &at), 0);
		sq_abort(h);
		sq_abort(h);
		assert_int_equal(sq_commit(h, 1, SQ_NOWAIT), -EINVAL);
	}
	assert_int_equal(fx_stat(h).blocks_free, 24);
	assert_int_equal(sq_reserve(h, 300, &at), 0);
	assert_int_equal(sq_shutdown(h, false), 0);
	assert_int_equal(sq_commit(h, 300, SQ_FOREVER), -EPIPE);
	sq_abort(h);
	assert_int_equal(sq_reserve(h, 300, &at), -EPIPE);
	assert_int_equal(sq_reserve(h, 3, &at), -EPIPE);
	assert_int_equal(fx_stat(h).blocks_free, 24);
}

static void test_failed_commit_keeps_it(void **state)
{
	static const size_t sizes[] = {10, 300}, commits[] = {10, 300, 20};

	for (int i = 0; i < 3; i++) {
		struct sq *h = fx_make("a", &ring_of_4);
		void *at;

		/* The third time a block's message has become small. */
		assert_int_equal(sq_reserve(h, sizes[i > 0], &at), 0);
		fx_fill(at, sizes[i > 0], 7);
		for (uint64_t n = 0; n < 4; n++)
			fx_put(h, n);
		assert_int_equal(sq_commit(h, commits[i], SQ_NOWAIT), -EAGAIN);
		assert_int_equal(sq_commit(h, commits[i], 3 * MS), -ETIMEDOUT);
		fx_check(at, sizes[i > 0], 7);
		fx_get(h, 0);
		assert_int_equal(sq_commit(h, commits[i], SQ_NOWAIT), 0);
		for (uint64_t n = 1; n < 4; n++)
			fx_get(h, n);
		fx_get_large(h, commits[i], 7);
		assert_int_equal(fx_stat(h).blocks_free, 24);
		fx_end(NULL);
	}
}

/* What one reserves and fills is not what another gets, though both are at it. */
static void test_reservations_are_private(void **state)
{
	struct sq *a = fx_make("a", &ring_of_4), *b = fx_open("a");
	void *x, *y;

	assert_int_equal(sq_reserve(a, 1000, &x), 0);
	assert_int_equal(sq_reserve(b, 1000, &y), 0);
	assert_ptr_not_equal(x, y);
	fx_fill(x, 1000, 1);
	fx_fill(y, 1000, 2);
	assert_int_equal(sq_commit(b, 1000, SQ_NOWAIT), 0);
	assert_int_equal(sq_commit(a, 999, SQ_NOWAIT), 0);
	fx_get_large(a, 1000, 2);
	fx_get_large(a, 999, 1);
	assert_int_equal(sq_reserve(b, 1000, &y), 0);
	fx_close(b);
	assert_int_equal(fx_stat(a).blocks_free, 24);
}

static void test_put_many(void **state)
{
	struct sq *h = fx_make("a", &ring_of_4);
	uint64_t v[6] = {0, 1, 2, 3, 4, 5};
	struct iovec iov[6];
	int64_t from;

	for (int i = 0; i < 6; i++)
		iov[i] = (struct iovec){.iov_base = &v[i], .iov_len = 8};
	assert_int_equal(sq_put_many(h, iov, 3, SQ_FOREVER), 3);
	/* As many as there is room for. */
	assert_int_equal(sq_put_many(h, iov + 3, 3, SQ_NOWAIT), 1);
	assert_int_equal(sq_put_many(h, iov + 4, 2, SQ_NOWAIT), -EAGAIN);
	from = sqi_now_ns();
	assert_int_equal(sq_put_many(h, iov + 4, 2, 5 * MS), -ETIMEDOUT);
	assert_true(sqi_now_ns() - from >= 5 * MS);
	fx_get(h, 0);
	assert_int_equal(sq_put_many(h, iov + 4, 2, 5 * MS), 1);
	for (uint64_t i = 1; i < 5; i++)
		fx_get(h, i);
	fx_empty(h);
	/* One that is too large ends it; those before it are in. */
	iov[2].iov_len = 5000;
	assert_int_equal(sq_put_many(h, iov, 6, SQ_FOREVER), 2);
	assert_int_equal(sq_put_many(h, iov + 2, 4, SQ_FOREVER), -EMSGSIZE);
	fx_get(h, 0);
	fx_get(h, 1);
	fx_empty(h);
	assert_int_equal(sq_shutdown(h, false), 0);
	assert_int_equal(sq_put_many(h, iov, 2, SQ_FOREVER), -EPIPE);
}

static void test_get_many(void **state)
{
	struct sq *h = fx_make("a", &ring_of_4);
	unsigned char buf[1000];
	struct iovec got[8];

	assert_int_equal(sq_get_many(h, buf, sizeof(buf), got, 8, SQ_NOWAIT), -EAGAIN);
	assert_int_equal(sq_get_many(h, buf, sizeof(buf), got, 8, 2 * MS), -ETIMEDOUT);
	fx_put_large(h, 10, 1);
	fx_put_large(h, 0, 2);
	fx_put_large(h, 300, 3);
	fx_put_large(h, 700, 4);
	/* The last does not fit behind the others: it stays. */
	assert_int_equal(sq_get_many(h, buf, sizeof(buf), got, 8, SQ_FOREVER), 3);
	assert_ptr_equal(got[0].iov_base, buf);
	assert_ptr_equal(got[1].iov_base, buf + 10);
	assert_ptr_equal(got[2].iov_base, buf + 10);
	assert_int_equal(got[0].iov_len, 10);
	assert_int_equal(got[1].iov_len, 0);
	assert_int_equal(got[2].iov_len, 300);
	fx_check(buf, 10, 1);
	fx_check(buf + 10, 300, 3);
	assert_int_equal(sq_get_many(h, buf, 699, got, 8, SQ_FOREVER), -EMSGSIZE);
	assert_int_equal(sq_get_many(h, buf, 700, got, 8, SQ_FOREVER), 1);
	fx_check(buf, 700, 4);
	/* Not more than asked for, and exactly to the end of the buffer. */
	fx_put_large(h, 40, 5);
	fx_put_large(h, 8, 6);
	fx_put_large(h, 0, 7);
	assert_int_equal(sq_get_many(h, buf, 48, got, 1, SQ_NOWAIT), 1);
	assert_int_equal(sq_get_many(h, buf, 8, got, 8, SQ_NOWAIT), 2);
	fx_put_large(h, 0, 7);
	assert_int_equal(sq_get_many(h, NULL, 0, got, 8, SQ_NOWAIT), 1);
	assert_int_equal(sq_shutdown(h, false), 0);
	assert_int_equal(sq_get_many(h, buf, 8, got, 8, SQ_FOREVER), -EPIPE);
}

/*
 * A damaged message is reported once: not swallowed because others came before it in the same call.
 */
static void test_get_many_reports_damage(void **state)
{
	struct sq *h = fx_make("a", &ring_of_4);
	unsigned char buf[100];
	struct iovec got[8];

	fx_put(h, 1);
	fx_put(h, 2);
	fx_put(h, 3);
	sqi_cell(&h->ring, 1)->meta |= 0xffff;
	assert_int_equal(sq_get_many(h, buf, sizeof(buf), got, 8, SQ_NOWAIT), 1);
	assert_int_equal(sq_get_many(h, buf, sizeof(buf), got, 8, SQ_NOWAIT), -EBADMSG);
	assert_int_equal(sq_get_many(h, buf, sizeof(buf), got, 8, SQ_NOWAIT), 1);
}

static void test_shutdown_drains(void **state)
{
	struct sq *a = fx_make("a", &ring_of_4), *b = fx_open("a");
	struct sq_lease lease, none;
	uint64_t v = 9;

	for (uint64_t i = 0; i < 3; i++)
		fx_put(a, i);
	assert_int_equal(sq_shutdown(b, false), 0);
	assert_int_equal(sq_shutdown(b, false), 0);
	assert_int_equal(sq_put(a, &v, 8, SQ_NOWAIT), -EPIPE);
	assert_int_equal(sq_put(b, &v, 8, SQ_FOREVER), -EPIPE);
	fx_get(a, 0);
	lease = fx_lease(b, 1);
	fx_get(a, 2);
	/* b holds a lease: a waits for it, b does not. */
	assert_int_equal(sq_lease(a, &none, 2 * MS), -ETIMEDOUT);
	assert_int_equal(sq_lease(b, &none, SQ_FOREVER), -EPIPE);
	assert_int_equal(sq_touch(b, &lease), 0);
	assert_int_equal(sq_ack(b, &lease), 0);
	assert_int_equal(sq_lease(a, &none, SQ_FOREVER), -EPIPE);
	assert_int_equal(sq_get(b, &v, 8, SQ_FOREVER), -EPIPE);
	fx_close(a);
	a = fx_open("a");
	assert_int_equal(sq_get(a, &v, 8, SQ_FOREVER), -EPIPE);
	assert_int_equal(sq_put(a, &v, 8, SQ_FOREVER), -EPIPE);
	assert_int_equal(fx_stat(a).put, 3);
}

static void test_shutdown_of_an_empty_one(void **state)
{
	struct sq *a = fx_make("a", &ring_of_4);
	uint64_t v;

	assert_int_equal(sq_shutdown(a, false), 0);
	assert_int_equal(sq_get(a, &v, 8, SQ_FOREVER), -EPIPE);
	assert_int_equal(sq_join(a, SQ_FOREVER), 0);
}

static void test_shutdown_at_once(void **state)
{
	struct sq *a = fx_make("a", &ring_of_4), *b = fx_open("a");
	struct sq_lease lease;
	uint64_t v = 9;

	fx_put(a, 1);
	fx_put(a, 2);
	fx_put(a, 3);
	lease = fx_lease(b, 1);
	assert_int_equal(sq_shutdown(a, true), 0);
	assert_int_equal(sq_put(a, &v, 8, SQ_FOREVER), -EPIPE);
	assert_int_equal(sq_get(a, &v, 8, SQ_FOREVER), -EPIPE);
	assert_int_equal(sq_lease(b, &lease, SQ_FOREVER), -EPIPE);
	/* Acks go on working, and what is there stays. */
	assert_int_equal(sq_ack(b, &lease), 0);
	assert_int_equal(fx_stat(a).depth, 2);
}

static void test_shutdown_when_the_holder_dies(void **state)
{
	struct sq *a = fx_make("a", &ring_of_4), *b = fx_open("a");
	uint64_t v;

	fx_put(a, 1);
	(void)fx_lease(b, 1);
	assert_int_equal(sq_shutdown(a, false), 0);
	fx_die(b);
	assert_int_equal(sq_get(a, &v, 8, FX_SOON), 8);
	assert_int_equal(sq_get(a, &v, 8, SQ_FOREVER), -EPIPE);
}

static void test_closed_word_damaged(void **state)
{
	struct sq *a = fx_make("a", &ring_of_4);
	uint64_t v = 1;

	sqi_store_seq(&a->ring.head->closed, 0xffffffffffffffff);
	assert_int_equal(sq_get(a, &v, 8, SQ_FOREVER), -EPIPE);
	assert_int_equal(sq_put(a, &v, 8, SQ_FOREVER), -EPIPE);
	sqi_store_seq(&a->ring.head->closed, 0xfffffffffffffffc);
	assert_int_equal(sq_get(a, &v, 8, SQ_FOREVER), -EIDRM);
	assert_int_equal(sq_put(a, &v, 8, SQ_FOREVER), -EIDRM);
	sqi_store_seq(&a->ring.head->closed, 0xfffffffffffffffb);
	assert_int_equal(sq_get(a, &v, 8, SQ_FOREVER), -EPIPE);
	assert_int_equal(sq_put(a, &v, 8, SQ_FOREVER), -EPIPE);
	assert_int_equal(sq_shutdown(a, true), 0);
}

static const struct CMUnitTest tests[] = {
	TEST(test_arguments),
	TEST(test_reserve),
	TEST(test_reserve_errors),
	TEST(test_failed_commit_keeps_it),
	TEST(test_reservations_are_private),
	TEST(test_put_many),
	TEST(test_get_many),
	TEST(test_get_many_reports_damage),
	TEST(test_shutdown_drains),
	TEST(test_shutdown_of_an_empty_one),
	TEST(test_shutdown_at_once),
	TEST(test_shutdown_when_the_holder_dies),
	TEST(test_closed_word_damaged),
};

FX_MAIN(tests)
