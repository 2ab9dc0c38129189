/* SPDX-License-Identifier: ISC */
#include "fixture.h"

/*
 * Removing: what is too large stays, what is damaged is reported once, what waits for redelivery
 * comes first.
 */

static const struct sq_config ring_of_4 = {
	.capacity = 4, .participants = 8, .max_message = 4096, .block_memory = 32768};

static void test_too_large_stays(void **state)
{
	static const size_t sizes[] = {1, 8, 48, 49, 300, 4096};
	struct sq *h = fx_make("a", &ring_of_4), *other = fx_open("a");
	char buf[4096];

	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		fx_put_large(h, sizes[i], i);
		fx_put_large(h, sizes[i] - 1, i + 50);
		assert_int_equal(sq_get(other, buf, sizes[i] - 1, SQ_NOWAIT), -EMSGSIZE);
		assert_int_equal(sq_get(h, buf, 0, SQ_NOWAIT), -EMSGSIZE);
		assert_int_equal(sq_get(h, NULL, 0, SQ_FOREVER), -EMSGSIZE);
		assert_int_equal(fx_stat(h).depth, 2);
		fx_get_large(other, sizes[i], i);
		fx_get_large(h, sizes[i] - 1, i + 50);
	}
}

static void test_empty(void **state)
{
	struct sq *h = fx_make("a", &ring_of_4);
	char buf[8] = "before";

	for (int i = 0; i < 20; i++)
		fx_empty(h);
	assert_int_equal(sq_get(h, buf, sizeof(buf), SQ_NOWAIT), -EAGAIN);
	assert_string_equal(buf, "before");
	fx_put(h, 1);
	fx_get(h, 1);
	fx_empty(h);
}

static void test_bytes_beyond_are_untouched(void **state)
{
	struct sq *h = fx_make("a", &ring_of_4);
	unsigned char buf[64];

	for (size_t len = 0; len <= 48; len++) {
		fx_put_large(h, len, (unsigned)len);
		memset(buf, 0xee, sizeof(buf));
		assert_int_equal(sq_get(h, buf, sizeof(buf), SQ_NOWAIT), (ssize_t)len);
		fx_check(buf, len, (unsigned)len);
		for (size_t i = len; i < sizeof(buf); i++)
			assert_int_equal(buf[i], 0xee);
	}
}

static void test_redelivered_by_turns(void **state)
{
	struct sq *h = fx_make("a", &ring_of_4);
	struct sq_lease x, y;

	for (uint64_t i = 0; i < 4; i++)
		fx_put(h, i);
	x = fx_lease(h, 0);
	y = fx_lease(h, 1);
	assert_int_equal(sq_nack(h, &y), 0);
	assert_int_equal(sq_nack(h, &x), 0);
	/* Of those that came back, the one that has waited longer; then one of the others. */
	fx_get(h, 1);
	fx_get(h, 2);
	fx_get(h, 0);
	fx_get(h, 3);
	fx_empty(h);
	assert_int_equal(fx_stat(h).got, 4);
}

/* Cause: only messages in blocks were counted. */
static void test_redelivered_is_counted(void **state)
{
	struct sq *h = fx_make("a", &ring_of_4);
	struct sq_lease lease;

	fx_put(h, 1);
	lease = fx_lease(h, 1);
	assert_int_equal(sq_nack(h, &lease), 0);
	fx_get(h, 1);
	assert_int_equal(fx_stat(h).redelivered, 1);
	fx_put_large(h, 300, 1);
	assert_int_equal(sq_lease(h, &lease, SQ_NOWAIT), 0);
	assert_int_equal(sq_nack(h, &lease), 0);
	fx_get_large(h, 300, 1);
	assert_int_equal(fx_stat(h).redelivered, 2);
}

static void test_block_get_leaves_nothing(void **state)
{
	struct sq *h = fx_make("a", &ring_of_4);
	struct sq_stat st;

	for (unsigned i = 0; i < 200; i++) {
		fx_put_large(h, 49 + i * 20, i);
		fx_get_large(h, 49 + i * 20, i);
	}
	st = fx_stat(h);
	assert_int_equal(st.blocks, st.blocks_free);
	assert_int_equal(st.leased, 0);
	assert_int_equal(st.got, 200);
	assert_int_equal(st.acked, 0);
}

/*
 * Damage one word of the first of three messages: it is reported and dropped, once, and the others
 * come.
 */
static void damaged_once(void (*damage)(struct sq *h, struct sqi_cell *c), size_t len)
{
	struct sq *h = fx_make("a", &ring_of_4);
	char buf[4096];

	fx_put_large(h, len, 1);
	fx_put_large(h, len, 2);
	fx_put(h, 3);
	damage(h, sqi_cell(&h->ring, 0));
	assert_int_equal(sq_get(h, buf, sizeof(buf), SQ_NOWAIT), -EBADMSG);
	fx_get_large(h, len, 2);
	fx_get(h, 3);
	fx_empty(h);
	assert_int_equal(fx_stat(h).damaged, 1);
	for (unsigned i = 0; i < 20; i++) {
		fx_put_large(h, len, i);
		fx_get_large(h, len, i);
	}
	fx_end(NULL);
}

static void length_above_cell(struct sq *h, struct sqi_cell *c)
{
	c->meta = (c->meta & ~(uint64_t)0xffff) | 49;
}

static void length_huge(struct sq *h, struct sqi_cell *c)
{
	c->meta |= 0xffff;
}

static void says_block(struct sq *h, struct sqi_cell *c)
{
	c->meta |= SQI_META_BLOCK;
}

static void block_out_of_range(struct sq *h, struct sqi_cell *c)
{
	c->data[1] = h->ring.g.blocks << 32 | 300;
}

static void block_huge(struct sq *h, struct sqi_cell *c)
{
	c->data[1] = UINT64_MAX;
}

static void block_too_long(struct sq *h, struct sqi_cell *c)
{
	c->data[1] = (c->data[1] & ~(uint64_t)UINT32_MAX) | 1025;
}

static void block_of_another_time(struct sq *h, struct sqi_cell *c)
{
	c->data[0]++;
}

static void block_free(struct sq *h, struct sqi_cell *c)
{
	sqi_block(&h->ring, c->data[1] >> 32)->word &= ~(uint64_t)1;
}

static void test_damage(void **state)
{
	damaged_once(length_above_cell, 8);
	damaged_once(length_huge, 8);
	damaged_once(says_block, 48);
	damaged_once(block_out_of_range, 300);
	damaged_once(block_huge, 300);
	damaged_once(block_too_long, 300);
	damaged_once(block_of_another_time, 300);
	damaged_once(block_free, 300);
}

/*
 * A turn that cannot have been reached: an error, from a call that ends, and not another message's
 * bytes.
 */
static void test_damaged_turn(void **state)
{
	static const int64_t by[] = {-1, -5, 1, 2, 1000, (int64_t)1 << 38, -((int64_t)1 << 38)};

	for (size_t i = 0; i < sizeof(by) / sizeof(by[0]); i++) {
		struct sq *h = fx_make("a", &ring_of_4);
		char buf[64];

		fx_put(h, 1);
		fx_set(h, 0, fx_word(h, 0) + (uint64_t)by[i] * SQI_TURN_ONE);
		assert_true(sq_get(h, buf, sizeof(buf), SQ_NOWAIT) < 0);
		fx_end(NULL);
	}
}

static const struct CMUnitTest tests[] = {
	TEST(test_too_large_stays),
	TEST(test_empty),
	TEST(test_bytes_beyond_are_untouched),
	TEST(test_redelivered_by_turns),
	TEST(test_redelivered_is_counted),
	TEST(test_block_get_leaves_nothing),
	TEST(test_damage),
	TEST(test_damaged_turn),
};

FX_MAIN(tests)
