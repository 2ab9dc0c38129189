/* SPDX-License-Identifier: ISC */
#include "fixture.h"

/*
 * Counts of puts that outlive their participant: across closing, death, and a death inside
 * sq_put().
 */

static const struct sq_config four = {
	.capacity = 64, .participants = 4, .max_message = 4096, .block_memory = 1};

static uint64_t bound(struct sq *h, uint64_t key)
{
	uint64_t count = ~(uint64_t)0;

	assert_int_equal(sq_count_read(h, key, &count), 0);
	return count;
}

static uint64_t bind(struct sq *h, uint64_t key)
{
	uint64_t count = ~(uint64_t)0;

	assert_int_equal(sq_count_bind(h, key, &count), 0);
	return count;
}

static void test_counts(void **state)
{
	struct sq *a = fx_make("a", &four), *b = fx_open("a");
	uint64_t count = 55;
	void *at;

	assert_int_equal(sq_count_read(b, 7, &count), -ENOENT);
	assert_int_equal(count, 55);
	/* What was put before does not count. */
	fx_put(a, 0);
	assert_int_equal(bind(a, 7), 0);
	assert_int_equal(bound(b, 7), 0);
	for (uint64_t i = 1; i <= 5; i++) {
		fx_put(a, i);
		assert_int_equal(bound(b, 7), i);
	}
	fx_put(b, 1);
	fx_put_large(a, 300, 1);
	assert_int_equal(sq_reserve(a, 300, &at), 0);
	assert_int_equal(sq_commit(a, 300, SQ_NOWAIT), 0);
	assert_int_equal(bound(b, 7), 7);
	assert_int_equal(bound(a, 7), 7);
	/* Neither do those that failed, or were only taken. */
	assert_int_equal(sq_put(a, &count, 5000, SQ_NOWAIT), -EMSGSIZE);
	fx_get(a, 0);
	assert_int_equal(bound(b, 7), 7);
}

static void test_over_handles(void **state)
{
	struct sq *a = fx_make("a", &four), *b;
	uint64_t total = 0;

	for (uint64_t i = 0; i < 10; i++) {
		b = fx_open("a");
		assert_int_equal(bind(b, 7), total);
		for (uint64_t n = 0; n < i; n++, total++)
			fx_put(b, n);
		assert_int_equal(bound(a, 7), total);
		if (i % 2)
			fx_close(b);
		else
			fx_die(b);
		assert_int_equal(bound(a, 7), total);
		for (uint64_t n = 0; n < i; n++)
			fx_get(a, n);
	}
}

static void put_three(struct sq *h, void *arg)
{
	uint64_t count, v = 0;

	CHILD_CHECK(sq_count_bind(h, 7, &count) == 0);
	CHILD_CHECK(count == *(uint64_t *)arg);
	for (int i = 0; i < 3; i++)
		CHILD_CHECK(sq_put(h, &v, 8, SQ_NOWAIT) == 0);
}

static void test_killed(void **state)
{
	struct sq *a = fx_make("a", &four);

	for (uint64_t i = 0; i < 4; i++) {
		uint64_t so_far = 3 * i;

		fx_kill("a", put_three, &so_far);
	}
	assert_int_equal(bound(a, 7), 12);
	assert_int_equal(fx_stat(a).put, 12);
	assert_int_equal(bind(a, 7), 12);
}

static void test_busy(void **state)
{
	struct sq *a = fx_make("a", &four), *b = fx_open("a");
	uint64_t count = 55;

	assert_int_equal(bind(a, 7), 0);
	assert_int_equal(sq_count_bind(b, 7, &count), -EBUSY);
	assert_int_equal(sq_count_bind(a, 8, &count), -EBUSY);
	assert_int_equal(sq_count_bind(a, 7, &count), -EBUSY);
	assert_int_equal(count, 55);
	/* That did not bind b to anything. */
	assert_int_equal(bind(b, 8), 0);
	fx_put(b, 1);
	fx_close(a);
	a = fx_open("a");
	assert_int_equal(sq_count_bind(a, 8, &count), -EBUSY);
	assert_int_equal(bind(a, 7), 0);
	assert_int_equal(bound(a, 8), 1);
}

static void test_as_many_keys_as_participants(void **state)
{
	struct sq *a = fx_make("a", &four), *b;
	uint64_t count;

	for (uint64_t key = 1; key <= 4; key++) {
		b = fx_open("a");
		assert_int_equal(bind(b, key << 40), 0);
		fx_put(b, key);
		fx_close(b);
	}
	b = fx_open("a");
	assert_int_equal(sq_count_bind(b, 5, &count), -ENOSPC);
	assert_int_equal(sq_count_read(b, 5, &count), -ENOENT);
	for (uint64_t key = 1; key <= 4; key++)
		assert_int_equal(bound(a, key << 40), 1);
	assert_int_equal(bind(b, (uint64_t)4 << 40), 1);
}

static void test_arguments(void **state)
{
	struct sq *a = fx_make("a", &four);
	uint64_t count;

	assert_int_equal(sq_count_bind(NULL, 1, &count), -EINVAL);
	assert_int_equal(sq_count_bind(a, 0, &count), -EINVAL);
	assert_int_equal(sq_count_bind(a, 1, NULL), -EINVAL);
	assert_int_equal(sq_count_read(NULL, 1, &count), -EINVAL);
	assert_int_equal(sq_count_read(a, 0, &count), -EINVAL);
	assert_int_equal(sq_count_read(a, 1, NULL), -EINVAL);
}

/* Killed between the steps of sq_count_bind() itself. */
static void test_died_while_binding(void **state)
{
	struct sq *a = fx_make("a", &four), *b;

	b = fx_open("a");
	assert_int_equal(bind(b, 7), 0);
	fx_put(b, 1);
	fx_close(b);
	for (int step = 0; step < 3; step++) {
		b = fx_open("a");
		fx_put(b, 2);
		/* The entry is its own, and the slot does not say so yet. */
		assert_true(sqi_cas(&sqi_count_entry(&b->ring, 0)->holder, 0, b->member.id));
		if (step > 0)
			sqi_store_release(&b->ring.slot->count_before, 1);
		if (step > 1)
			sqi_store_release(&b->ring.slot->puts_before, b->member.puts);
		fx_die(b);
		assert_int_equal(bound(a, 7), 1);
		b = fx_open("a");
		assert_int_equal(bind(b, 7), 1);
		fx_close(b);
	}
	/* Or it died before it had a slot. */
	sqi_store_seq(&sqi_count_entry(&a->ring, 0)->holder, 0x123456);
	assert_int_equal(bound(a, 7), 1);
	sqi_store_seq(&sqi_count_entry(&a->ring, 0)->holder, 0x123456);
	assert_int_equal(bind(a, 7), 1);
}

/* The entry was folded, and the recoverer killed before it could say so: not twice. */
static void test_folded_twice(void **state)
{
	struct sq *a = fx_make("a", &four), *b = fx_open("a");
	struct sqi_slot *slot = b->ring.slot;
	uint64_t id = b->member.id;

	assert_int_equal(bind(b, 7), 0);
	for (uint64_t i = 0; i < 5; i++)
		fx_put(b, i);
	fx_die(b);
	for (int i = 0; i < 3; i++) {
		sqi_count_fold(&a->ring, slot, id);
		assert_int_equal(sqi_count_entry(&a->ring, 0)->count, 5);
		assert_int_equal(sqi_count_entry(&a->ring, 0)->holder, 0);
		sqi_store_seq(&sqi_count_entry(&a->ring, 0)->holder, id);
	}
	assert_int_equal(bound(a, 7), 5);
}

static const struct CMUnitTest tests[] = {
	TEST(test_counts),
	TEST(test_over_handles),
	TEST(test_killed),
	TEST(test_busy),
	TEST(test_as_many_keys_as_participants),
	TEST(test_arguments),
	TEST(test_died_while_binding),
	TEST(test_folded_twice),
};

FX_MAIN(tests)
