/* SPDX-License-Identifier: ISC */
#include "fixture.h"

/* Leases: which handle holds what, and that a settled lease stays settled. */

static const struct sq_config ring_of_4 = {
	.capacity = 4, .participants = 8, .max_message = 4096, .block_memory = 32768};

static void stale(struct sq *h, const struct sq_lease *lease)
{
	assert_int_equal(sq_ack(h, lease), -ESTALE);
	assert_int_equal(sq_nack(h, lease), -ESTALE);
	assert_int_equal(sq_touch(h, lease), -ESTALE);
}

static void test_read_in_place(void **state)
{
	static const size_t sizes[] = {0, 1, 8, 48, 49, 256, 257, 4096};
	struct sq *h = fx_make("a", &ring_of_4);
	struct sq_lease lease;

	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		const unsigned char *at;

		fx_put_large(h, sizes[i], i);
		assert_int_equal(sq_lease(h, &lease, SQ_NOWAIT), 0);
		assert_int_equal(lease.len, sizes[i]);
		assert_int_equal(lease.attempts, 1);
		assert_int_equal(lease.id, i);
		assert_int_equal((uintptr_t)lease.data % 8, 0);
		at = lease.data;
		assert_true(at >= h->ring.base && at + lease.len <= h->ring.base + h->ring.g.total);
		fx_check(lease.data, lease.len, i);
		assert_int_equal(sq_touch(h, &lease), 0);
		assert_int_equal(sq_ack(h, &lease), 0);
	}
	assert_int_equal(fx_stat(h).blocks, fx_stat(h).blocks_free);
}

static void test_settled_is_stale(void **state)
{
	static const size_t sizes[] = {8, 300};
	struct sq *h = fx_make("a", &ring_of_4);

	for (unsigned i = 0; i < 2; i++) {
		struct sq_lease first, second;

		fx_put_large(h, sizes[i], 1);
		assert_int_equal(sq_lease(h, &first, SQ_NOWAIT), 0);
		assert_int_equal(sq_nack(h, &first), 0);
		stale(h, &first);
		assert_int_equal(sq_lease(h, &second, SQ_NOWAIT), 0);
		assert_int_equal(second.id, first.id);
		assert_int_equal(second.attempts, 2);
		/* The same handle, the same message, but not the same lease. */
		stale(h, &first);
		assert_int_equal(sq_ack(h, &second), 0);
		stale(h, &second);
		stale(h, &first);
		/* Nor do they reach any message that comes into that cell later. */
		for (unsigned k = 0; k < 20; k++) {
			struct sq_lease lease;

			fx_put_large(h, sizes[i], k);
			assert_int_equal(sq_lease(h, &lease, SQ_NOWAIT), 0);
			stale(h, &first);
			stale(h, &second);
			fx_check(lease.data, lease.len, k);
			assert_int_equal(sq_ack(h, &lease), 0);
		}
	}
}

static void test_of_another(void **state)
{
	struct sq *a = fx_make("a", &ring_of_4), *b = fx_open("a");
	struct sq_lease lease;

	fx_put(a, 1);
	lease = fx_lease(a, 1);
	assert_int_equal(sq_ack(b, &lease), -EINVAL);
	assert_int_equal(sq_nack(b, &lease), -EINVAL);
	assert_int_equal(sq_touch(b, &lease), -EINVAL);
	assert_int_equal(sq_touch(a, &lease), 0);
	assert_int_equal(sq_ack(a, &lease), 0);
}

/* Cause: a lease of one queue settled a message of another, in the same cell under the same id. */
static void test_of_another_queue(void **state)
{
	const struct sq_config timed = {.capacity = 4, .lease_time = 3600 * 1000 * MS};
	struct sq *queues[] = {fx_make("a", &ring_of_4), fx_make("b", &ring_of_4),
		fx_make("c", &timed), fx_make("d", &timed)};
	struct sq_lease leases[4];

	for (int i = 0; i < 4; i++) {
		fx_put(queues[i], 1);
		leases[i] = fx_lease(queues[i], 1);
	}
	for (int i = 0; i < 4; i++)
		for (int k = 0; k < 4; k++)
			if (i != k) {
				assert_int_equal(sq_ack(queues[i], &leases[k]), -EINVAL);
				assert_int_equal(sq_nack(queues[i], &leases[k]), -EINVAL);
				assert_int_equal(sq_touch(queues[i], &leases[k]), -EINVAL);
			}
	for (int i = 0; i < 4; i++)
		assert_int_equal(sq_ack(queues[i], &leases[i]), 0);
}

static void test_forged(void **state)
{
	struct sq *h = fx_make("a", &ring_of_4);
	struct sq_lease lease, bad;

	fx_put(h, 1);
	lease = fx_lease(h, 1);
	bad = lease;
	bad.id++;
	stale(h, &bad);
	bad = lease;
	bad.id += 4;
	stale(h, &bad);
	bad = lease;
	bad.id = UINT64_MAX;
	stale(h, &bad);
	bad = lease;
	bad.handle++; /* another lease of this handle */
	stale(h, &bad);
	bad = lease;
	bad.handle += 254;
	stale(h, &bad);
	assert_int_equal(sq_ack(h, &lease), 0);
}

/* A message that is worked on for an hour: the ring flows round it. */
static void test_ring_flows_round_leases(void **state)
{
	static const size_t sizes[] = {8, 300};

	for (unsigned n = 1; n <= 3; n++)
		for (unsigned s = 0; s < 2; s++) {
			struct sq *a = fx_make("a", &ring_of_4), *b = fx_open("a");
			struct sq_lease held[3];

			for (unsigned i = 0; i < n; i++)
				fx_put_large(a, sizes[s], i);
			for (unsigned i = 0; i < n; i++)
				assert_int_equal(sq_lease(b, &held[i], SQ_NOWAIT), 0);
			for (uint64_t i = 0; i < 1000; i++) {
				fx_put(i % 2 ? a : b, i);
				fx_get(i % 3 ? b : a, i);
			}
			fx_empty(a);
			for (unsigned i = 0; i < n; i++) {
				fx_check(held[i].data, sizes[s], i);
				assert_int_equal(sq_touch(b, &held[i]), 0);
				assert_int_equal(sq_ack(b, &held[i]), 0);
			}
			fx_end(NULL);
		}
}

static void test_all_cells_leased_is_full(void **state)
{
	struct sq *a = fx_make("a", &ring_of_4), *b = fx_open("a");
	struct sq_lease held[4];
	uint64_t v = 4;

	for (uint64_t i = 0; i < 4; i++)
		fx_put(a, i);
	for (uint64_t i = 0; i < 4; i++)
		held[i] = fx_lease(a, i);
	for (int i = 0; i < 100; i++) {
		assert_int_equal(sq_put(a, &v, 8, SQ_NOWAIT), -EAGAIN);
		assert_int_equal(sq_put(b, &v, 8, SQ_NOWAIT), -EAGAIN);
		fx_empty(b);
	}
	assert_int_equal(sq_ack(a, &held[2]), 0);
	/* One free cell: one message at a time. */
	for (uint64_t i = 0; i < 100; i++) {
		while (sq_put(b, &i, 8, SQ_NOWAIT) == -EAGAIN)
			;
		fx_get(a, i);
	}
	assert_int_equal(sq_ack(a, &held[0]), 0);
	assert_int_equal(sq_ack(a, &held[1]), 0);
	assert_int_equal(sq_ack(a, &held[3]), 0);
	for (uint64_t i = 0; i < 100; i++) {
		fx_put(a, i);
		fx_get(b, i);
	}
}

/* Cause: a producer that found the ring full had skipped the leased cells in vain. */
static void test_nobody_skips_in_vain(void **state)
{
	struct sq *a = fx_make("a", &(struct sq_config){.capacity = 2, .max_message = 48});
	struct sq_lease lease;
	uint64_t v = 3;

	for (int i = 0; i < 50; i++) {
		fx_put(a, 1);
		fx_put(a, 2);
		lease = fx_lease(a, 1);
		for (int k = 0; k < 5; k++)
			assert_int_equal(sq_put(a, &v, 8, SQ_NOWAIT), -EAGAIN);
		assert_int_equal(sq_ack(a, &lease), 0);
		fx_put(a, 3);
		fx_get(a, 2);
		fx_get(a, 3);
	}
}

static void test_attempts_count(void **state)
{
	struct sq *h = fx_make("a", &ring_of_4);
	struct sq_lease lease, before = {0};

	fx_put(h, 1);
	for (uint32_t i = 1; i <= 1000; i++) {
		lease = fx_lease(h, 1);
		if (i <= 255)
			assert_int_equal(lease.attempts, i);
		else
			assert_in_range(lease.attempts, 128, 255);
		assert_int_equal(lease.id, 0);
		if (i > 1)
			stale(h, &before);
		assert_int_equal(sq_nack(h, &lease), 0);
		before = lease;
	}
	fx_get(h, 1);
	assert_int_equal(fx_stat(h).nacked, 1000);
}

static void test_redelivered_in_the_order_of_return(void **state)
{
	struct sq *h = fx_make("a", &(struct sq_config){.capacity = 128, .max_message = 48});
	struct sq_lease held[128];

	for (uint64_t i = 0; i < 128; i++)
		fx_put(h, i);
	for (uint64_t i = 0; i < 128; i++)
		held[i] = fx_lease(h, i);
	for (int i = 127; i >= 0; i--)
		assert_int_equal(sq_nack(h, &held[i]), 0);
	for (uint64_t i = 0; i < 128; i++) {
		struct sq_lease lease = fx_lease(h, 127 - i);

		assert_int_equal(lease.attempts, 2);
		assert_int_equal(sq_ack(h, &lease), 0);
	}
	fx_empty(h);
}

/* A handle that has nothing of its own to look for still sees at once what another gave back. */
static void test_nack_is_seen_by_all(void **state)
{
	struct sq *a = fx_make("a", &ring_of_4), *b = fx_open("a");

	for (uint64_t i = 0; i < 50; i++) {
		struct sq_lease lease;

		fx_put(a, i);
		lease = fx_lease(a, i);
		fx_empty(b);
		assert_int_equal(sq_nack(a, &lease), 0);
		lease = fx_lease(b, i);
		assert_int_equal(lease.attempts, 2);
		assert_int_equal(sq_ack(b, &lease), 0);
		fx_empty(a);
	}
}

static void test_at_the_wrap(void **state)
{
	struct sq *h = fx_make("a", &ring_of_4);

	fx_start_at(h, (((uint64_t)1 << SQI_TURN_BITS) - 2) << h->ring.shift);
	for (uint64_t i = 0; i < 40; i++) {
		struct sq_lease lease;

		fx_put(h, i);
		lease = fx_lease(h, i);
		assert_int_equal(sq_nack(h, &lease), 0);
		stale(h, &lease);
		lease = fx_lease(h, i);
		assert_int_equal(sq_touch(h, &lease), 0);
		assert_int_equal(sq_ack(h, &lease), 0);
	}
	fx_empty(h);
}

static void test_damaged(void **state)
{
	struct sq *h = fx_make("a", &ring_of_4);
	struct sq_lease lease = {.len = 55};

	fx_put(h, 1);
	fx_put(h, 2);
	sqi_cell(&h->ring, 0)->meta |= 0xffff;
	assert_int_equal(sq_lease(h, &lease, SQ_NOWAIT), -EBADMSG);
	assert_int_equal(lease.len, 55);
	assert_int_equal(fx_stat(h).damaged, 1);
	lease = fx_lease(h, 2);
	/* Damaged under the lease: it is not acked as another's. */
	sqi_cell(&h->ring, 1)->meta += (uint64_t)5 << SQI_TURN_SHIFT;
	stale(h, &lease);
}

static void test_arguments(void **state)
{
	struct sq *h = fx_make("a", &ring_of_4);
	struct sq_lease lease;

	assert_int_equal(sq_lease(NULL, &lease, 0), -EINVAL);
	assert_int_equal(sq_lease(h, NULL, 0), -EINVAL);
	assert_int_equal(sq_lease(h, &lease, -2), -EINVAL);
	assert_int_equal(sq_ack(NULL, &lease), -EINVAL);
	assert_int_equal(sq_ack(h, NULL), -EINVAL);
	assert_int_equal(sq_nack(h, NULL), -EINVAL);
	assert_int_equal(sq_nack(NULL, &lease), -EINVAL);
	assert_int_equal(sq_touch(h, NULL), -EINVAL);
	assert_int_equal(sq_touch(NULL, &lease), -EINVAL);
}

static const struct CMUnitTest tests[] = {
	TEST(test_read_in_place),
	TEST(test_settled_is_stale),
	TEST(test_of_another),
	TEST(test_of_another_queue),
	TEST(test_forged),
	TEST(test_ring_flows_round_leases),
	TEST(test_all_cells_leased_is_full),
	TEST(test_nobody_skips_in_vain),
	TEST(test_attempts_count),
	TEST(test_redelivered_in_the_order_of_return),
	TEST(test_nack_is_seen_by_all),
	TEST(test_at_the_wrap),
	TEST(test_damaged),
	TEST(test_arguments),
};

FX_MAIN(tests)
