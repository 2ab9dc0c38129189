/* SPDX-License-Identifier: ISC */
#include "ring/message.h"

#include "fixture.h"

/* What the bytes of a cell mean, and letting a cell go. */

static const struct sq_config ring_of_4 = {
	.capacity = 4, .participants = 8, .max_message = 4096, .block_memory = 32768};

static void test_copy(void **state)
{
	union {
		struct sqi_cell cell;
		unsigned char bytes[16 + 64];
	} u;
	unsigned char in[64], out[64];

	for (size_t from = 0; from < 8; from++)
		for (size_t len = 0; len <= 48; len++) {
			memset(&u, 0xcc, sizeof(u));
			memset(out, 0xee, sizeof(out));
			fx_fill(in + from, len, (unsigned)len);
			/* From and to any alignment. */
			sqi_payload_write(&u.cell.data[0], in + from, len);
			sqi_payload_read(out + from, &u.cell.data[0], len);
			fx_check(out + from, len, (unsigned)len);
			assert_true(from == 0 || out[from - 1] == 0xee);
			assert_int_equal(out[from + len], 0xee);
			/* No more than the words it needs. */
			assert_int_equal(u.bytes[16 + (len + 7) / 8 * 8], 0xcc);
		}
}

static void test_nothing_behind_the_message_is_copied(void **state)
{
	struct sq *h = fx_make("a", &ring_of_4);
	const unsigned char *bytes = (const unsigned char *)sqi_cell(&h->ring, 0)->data;
	unsigned char in[64];

	memset(in, 'x', sizeof(in));
	for (size_t len = 0; len < 48; len++) {
		memset(sqi_cell(&h->ring, 0)->data, 0xff, 48);
		sqi_payload_write(sqi_cell(&h->ring, 0)->data, in, len);
		for (size_t i = 0; i < 48; i++)
			assert_int_equal(bytes[i] == 'x', i < len);
	}
}

static void test_id(void **state)
{
	const uint64_t turn_max = ((uint64_t)1 << SQI_TURN_BITS) - 1;

	assert_int_equal(sqi_message_id((uint64_t)5 << SQI_TURN_SHIFT | 48, 2, 3, 2), 22);
	/* Whatever position is given, the turn is the message's. */
	assert_int_equal(sqi_message_id((uint64_t)5 << SQI_TURN_SHIFT | 48, 1002, 3, 2), 22);
	assert_int_equal(sqi_message_id(turn_max << SQI_TURN_SHIFT | SQI_META_BLOCK, 3, 3, 2),
		((uint64_t)1 << 42) - 1);
}

static void test_view(void **state)
{
	struct sq *h = fx_make("a", &ring_of_4);
	struct sqi_cell *c = sqi_cell(&h->ring, 0);
	const void *data = NULL;
	size_t len = 77;

	for (uint64_t n = 0; n <= 48; n++) {
		c->meta = n;
		assert_int_equal(sqi_message_view(&h->ring, 0, &data, &len), 0);
		assert_ptr_equal(data, &c->data[0]);
		assert_int_equal(len, n);
	}
	for (uint64_t n = 49; n <= 0xffff; n++) {
		c->meta = n;
		assert_int_equal(sqi_message_view(&h->ring, 0, &data, &len), -EBADMSG);
	}
	c->meta = SQI_META_BLOCK;
	c->data[0] = 0;
	for (uint64_t index = 0; index < h->ring.g.blocks + 3; index++) {
		c->data[1] = index << 32 | 100;
		assert_int_equal(sqi_message_view(&h->ring, 0, &data, &len), -EBADMSG);
	}
	assert_int_equal(len, 48);
}

static void test_release_only_this_word(void **state)
{
	static const size_t sizes[] = {8, 300};

	for (int i = 0; i < 2; i++) {
		struct sq *h = fx_make("a", &ring_of_4);
		struct sq_lease lease;
		uint64_t w;

		fx_put_large(h, sizes[i], 1);
		assert_int_equal(sq_lease(h, &lease, SQ_NOWAIT), 0);
		w = fx_word(h, 0);
		assert_false(sqi_message_release(&h->ring, 0, w + SQI_TURN_ONE));
		assert_false(sqi_message_release(&h->ring, 0, w ^ 1 << SQI_OWNER_SHIFT));
		assert_int_equal(fx_word(h, 0), w);
		assert_true(sqi_message_release(&h->ring, 0, w));
		assert_int_equal(fx_word(h, 0), sqi_word_free(w, 0));
		assert_false(sqi_message_release(&h->ring, 0, w));
		assert_int_equal(fx_stat(h).blocks, fx_stat(h).blocks_free);
		fx_end(NULL);
	}
}

static void test_damaged_once(void **state)
{
	struct sq *h = fx_make("a", &ring_of_4);
	uint64_t w;

	fx_put(h, 1);
	w = fx_word(h, 0);
	assert_int_equal(sqi_message_drop(&h->ring, 0, w), -EBADMSG);
	assert_int_equal(sqi_message_drop(&h->ring, 0, w), 0);
	assert_int_equal(fx_word(h, 0), sqi_word_free(w, 1));
	assert_int_equal(fx_stat(h).damaged, 1);
}

static void test_cell_sizes(void **state)
{
	static const uint32_t small[] = {1, 16, 17, 48, 49, 64, 65, 4096};

	for (size_t i = 0; i < sizeof(small) / sizeof(small[0]); i++) {
		struct sq *h = fx_make("a", &(struct sq_config){.capacity = 4,
						    .small_message = small[i],
						    .max_message = 8192,
						    .block_memory = 1});

		for (unsigned n = 0; n < 6; n++) {
			size_t len = h->ring.small + n - 3;

			fx_put_large(h, len, n);
			assert_int_equal(
				!(sqi_cell(&h->ring, h->ring.tail - 1)->meta & SQI_META_BLOCK),
				n <= 3);
			fx_get_large(h, len, n);
		}
		fx_end(NULL);
	}
}

static const struct CMUnitTest tests[] = {
	TEST(test_copy),
	TEST(test_nothing_behind_the_message_is_copied),
	TEST(test_id),
	TEST(test_view),
	TEST(test_release_only_this_word),
	TEST(test_damaged_once),
	TEST(test_cell_sizes),
};

FX_MAIN(tests)
