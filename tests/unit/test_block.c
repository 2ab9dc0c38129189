/* SPDX-License-Identifier: ISC */
#include "fixture.h"

/*
 * Blocks: which participant has which, that a reference of another generation means nothing, and
 * what the dead leave.
 */

#define OWNER_SHIFT 4

/* 8 blocks each of 256, 1024 and 4096 bytes. */
static const struct sq_config few = {
	.capacity = 64, .participants = 8, .max_message = 4096, .block_memory = 1};

static void test_classes(void **state)
{
	static const struct {
		size_t len, first;
	} want[] = {{49, 0}, {256, 0}, {257, 8}, {1024, 8}, {1025, 16}, {4096, 16}};
	struct sq *h = fx_make("a", &few);

	assert_int_equal(h->ring.g.blocks, 24);
	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
		struct sqi_ref ref;
		uint64_t cap;

		assert_int_equal(sqi_block_get(&h->ring, want[i].len, &ref), 0);
		assert_in_range(ref.index, want[i].first, want[i].first + 7);
		assert_non_null(sqi_block_data(&h->ring, ref.index, &cap));
		assert_true(cap >= want[i].len);
		sqi_block_free(&h->ring, &ref);
	}
}

static void test_blocks_do_not_overlap(void **state)
{
	struct sq *h = fx_make("a", &few);
	struct sqi_ref refs[24];
	uint64_t cap;

	for (unsigned i = 0; i < 24; i++) {
		unsigned char *at;

		assert_int_equal(sqi_block_get(&h->ring, 256, &refs[i]), 0);
		at = sqi_block_data(&h->ring, refs[i].index, &cap);

		assert_true(at >= h->ring.base && at + cap <= h->ring.base + h->ring.g.total);
		assert_int_equal((uintptr_t)at % SQI_LINE, 0);
		fx_fill(at, cap, i);
	}
	for (unsigned i = 0; i < 24; i++) {
		const void *at = sqi_block_data(&h->ring, refs[i].index, &cap);

		fx_check(at, cap, i);
	}
	/* Small ones took the larger classes when their own had run out; now there is nothing. */
	assert_int_equal(sqi_block_get(&h->ring, 49, &refs[0]), -EAGAIN);
	assert_int_equal(sqi_block_get(&h->ring, 4096, &refs[0]), -EAGAIN);
	assert_int_equal(fx_stat(h).blocks_free, 0);
	for (int i = 0; i < 24; i++)
		sqi_block_free(&h->ring, &refs[i]);
	assert_int_equal(fx_stat(h).blocks_free, 24);
}

static void test_exhausted(void **state)
{
	struct sq *h = fx_make("a", &few);
	char buf[4096] = {0};
	void *at;

	for (int i = 0; i < 8; i++)
		assert_int_equal(sq_put(h, buf, 4096, SQ_NOWAIT), 0);
	assert_int_equal(sq_put(h, buf, 4096, SQ_NOWAIT), -EAGAIN);
	assert_int_equal(sq_put(h, buf, 4096, 5 * MS), -ETIMEDOUT);
	assert_int_equal(sq_reserve(h, 4096, &at), -EAGAIN);
	/* Smaller ones still go, and so do those that need no block. */
	assert_int_equal(sq_put(h, buf, 1024, SQ_NOWAIT), 0);
	assert_int_equal(sq_put(h, buf, 8, SQ_NOWAIT), 0);
	assert_int_equal(sq_get(h, buf, 4096, SQ_NOWAIT), 4096);
	assert_int_equal(sq_put(h, buf, 4096, SQ_NOWAIT), 0);
}

static void test_failed_put_keeps_no_block(void **state)
{
	struct sq *h = fx_make(
		"a", &(struct sq_config){.capacity = 2, .max_message = 4096, .block_memory = 1});
	char buf[4096] = {0};

	fx_put(h, 1);
	fx_put(h, 2);
	assert_int_equal(sq_put(h, buf, 4096, SQ_NOWAIT), -EAGAIN);
	assert_int_equal(sq_put(h, buf, 4096, 2 * MS), -ETIMEDOUT);
	assert_int_equal(sq_shutdown(h, false), 0);
	assert_int_equal(sq_put(h, buf, 4096, SQ_FOREVER), -EPIPE);
	assert_int_equal(fx_stat(h).blocks, fx_stat(h).blocks_free);
}

static void test_stale_reference(void **state)
{
	struct sq *h = fx_make("a", &few);
	struct sqi_ref old, new;
	uint64_t w;

	assert_int_equal(sqi_block_get(&h->ring, 4096, &old), 0);
	assert_true(sqi_block_valid(&h->ring, &old));
	sqi_block_free(&h->ring, &old);
	assert_false(sqi_block_valid(&h->ring, &old));
	w = sqi_block(&h->ring, old.index)->word;
	sqi_block_free(&h->ring, &old);
	assert_int_equal(sqi_block(&h->ring, old.index)->word, w);
	do
		assert_int_equal(sqi_block_get(&h->ring, 4096, &new), 0);
	while (new.index != old.index);
	assert_int_not_equal(new.gen, old.gen);
	/* Freed again by a slow recoverer: the next holder keeps it. */
	sqi_block_free(&h->ring, &old);
	assert_true(sqi_block_valid(&h->ring, &new));
	assert_false(sqi_block_valid(&h->ring, &old));
}

static void test_generation_wraps(void **state)
{
	struct sq *h = fx_make("a", &few);
	struct sqi_ref ref;

	for (uint64_t i = 0; i < h->ring.g.blocks; i++)
		sqi_block(&h->ring, i)->word = ~(uint64_t)0xffff;
	for (int i = 0; i < 100; i++) {
		assert_int_equal(sqi_block_get(&h->ring, 300, &ref), 0);
		assert_true(sqi_block_valid(&h->ring, &ref));
		sqi_block_free(&h->ring, &ref);
		fx_put_large(h, 300, (unsigned)i);
		fx_get_large(h, 300, (unsigned)i);
	}
	assert_int_equal(fx_stat(h).blocks_free, 24);
}

static void test_damaged_references(void **state)
{
	struct sq *h = fx_make("a", &few);
	struct sqi_ref ref, bad;

	assert_int_equal(sqi_block_get(&h->ring, 256, &ref), 0);
	ref.len = 256;
	assert_true(sqi_block_valid(&h->ring, &ref));
	bad = ref;
	bad.len = 257;
	assert_false(sqi_block_valid(&h->ring, &bad));
	bad = ref;
	bad.gen++;
	assert_false(sqi_block_valid(&h->ring, &bad));
	bad = ref;
	/* The word behind the last block's is another thing's, and may look like one in use. */
	bad = (struct sqi_ref){.index = h->ring.g.blocks};
	sqi_store_seq(&sqi_block(&h->ring, bad.index)->word, 1);
	assert_false(sqi_block_valid(&h->ring, &bad));
	sqi_store_seq(&sqi_block(&h->ring, bad.index)->word, 0);
	bad.index = UINT32_MAX;
	assert_false(sqi_block_valid(&h->ring, &bad));
	bad.index = UINT64_MAX;
	assert_false(sqi_block_valid(&h->ring, &bad));
}

static void test_reclaim(void **state)
{
	struct sq *a = fx_make("a", &few), *b = fx_open("a");
	struct sqi_ref held, others;
	struct sq_lease taken;
	const struct sqi_dead dead = {.id = b->member.id, .number = b->ring.owner - 1};
	const struct sqi_dead someone_else = {.id = b->member.id + 1, .number = b->ring.owner - 1};

	fx_put_large(b, 300, 1); /* taken, in the end */
	fx_put_large(b, 300, 2); /* back */
	fx_put_large(b, 300, 3); /* full */
	fx_put_large(b, 300, 4);
	assert_int_equal(sq_lease(a, &taken, SQ_NOWAIT), 0);
	{
		struct sq_lease back;

		assert_int_equal(sq_lease(a, &back, SQ_NOWAIT), 0);
		assert_int_equal(sq_nack(a, &back), 0);
	}
	assert_int_equal(sqi_block_get(&b->ring, 300, &held), 0);
	assert_int_equal(sqi_block_get(&a->ring, 300, &others), 0);
	fx_die(b);
	/* Of someone else: not touched. */
	for (uint64_t i = 0; i < a->ring.g.blocks; i++)
		(void)sqi_reclaim_block(&a->ring, i, &someone_else);
	assert_true(sqi_block_valid(&a->ring, &held));
	for (uint64_t i = 0; i < a->ring.g.blocks; i++)
		assert_true(sqi_reclaim_block(&a->ring, i, &dead));
	assert_false(sqi_block_valid(&a->ring, &held));
	assert_true(sqi_block_valid(&a->ring, &others));
	assert_int_equal(fx_stat(a).blocks_free, 24 - 5);
	/* Messages that the dead had put are all there. */
	fx_check(taken.data, 300, 1);
	assert_int_equal(sq_ack(a, &taken), 0);
	for (unsigned i = 2; i <= 4; i++)
		fx_get_large(a, 300, i);
	assert_int_equal(fx_stat(a).blocks_free, 23);
}

/*
 * A cell that says of a block what the block itself denies does not keep it from being reclaimed.
 */
static void test_spoken_for_by_the_wrong_cell(void **state)
{
	struct sq *a = fx_make("a", &few), *b = fx_open("a");
	struct sqi_ref ref;

	fx_put_large(a, 300, 1);
	assert_int_equal(sqi_block_get(&b->ring, 300, &ref), 0);
	sqi_block(&b->ring, ref.index)->home = 0;
	fx_die(b);
	assert_int_equal(sq_recover(a), 1);
	assert_false(sqi_block_valid(&a->ring, &ref));
	fx_get_large(a, 300, 1);
	/* Garbage in `home` is only a number. */
	b = fx_open("a");
	assert_int_equal(sqi_block_get(&b->ring, 300, &ref), 0);
	sqi_block(&b->ring, ref.index)->home = 0xdeadbeefdeadbeef;
	fx_die(b);
	assert_int_equal(sq_recover(a), 1);
	assert_int_equal(fx_stat(a).blocks_free, 24);
}

static const struct CMUnitTest tests[] = {
	TEST(test_classes),
	TEST(test_blocks_do_not_overlap),
	TEST(test_exhausted),
	TEST(test_failed_put_keeps_no_block),
	TEST(test_stale_reference),
	TEST(test_generation_wraps),
	TEST(test_damaged_references),
	TEST(test_reclaim),
	TEST(test_spoken_for_by_the_wrong_cell),
};

FX_MAIN(tests)
