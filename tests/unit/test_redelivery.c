/* SPDX-License-Identifier: ISC */
#include "fixture.h"

/* The bits that say where messages wait for redelivery: hints, which may be lost or left over. */

static const struct sq_config ring_of_256 = {.capacity = 256, .participants = 4, .max_message = 48};

/* Cells 0, 31, 32 and 255 hold messages that were given back: the edges of the bitmap's words. */
static const uint64_t some[] = {0, 31, 32, 255};

/* Puts the numbers from 0 to n - 1, and leases each. */
static void put_and_lease(struct sq *h, struct sq_lease *ret, uint64_t n)
{
	for (uint64_t i = 0; i < n; i++)
		fx_put(h, i);
	for (uint64_t i = 0; i < n; i++)
		ret[i] = fx_lease(h, i);
}

static struct sq *with_some_back(void)
{
	struct sq *h = fx_make("a", &ring_of_256);
	struct sq_lease leases[256];

	put_and_lease(h, leases, 256);
	for (uint64_t i = 0, k = 0; i < 256; i++) {
		if (k < 4 && i == some[k]) {
			assert_int_equal(sq_nack(h, &leases[i]), 0);
			k++;
		} else {
			assert_int_equal(sq_ack(h, &leases[i]), 0);
		}
	}
	return h;
}

/* The flags of a word, without its count. */
static uint64_t bits(const struct sq *h, int i)
{
	return sqi_bitmap(&h->ring)[i] & UINT32_MAX;
}

static void test_bits(void **state)
{
	struct sq *h = with_some_back();

	assert_int_equal(bits(h, 0), 1 | (uint64_t)1 << 31);
	assert_int_equal(bits(h, 1), 1);
	assert_int_equal(bits(h, 2), 0);
	assert_int_equal(bits(h, 7), (uint64_t)1 << 31);
	for (int i = 0; i < 4; i++)
		fx_get(h, some[i]);
	for (int i = 0; i < 8; i++)
		assert_int_equal(bits(h, i), 0);
	fx_empty(h);
}

static void test_lost_bits_are_found(void **state)
{
	struct sq *h = with_some_back(), *other = fx_open("a");
	uint64_t pos, w;

	for (int i = 0; i < 8; i++)
		sqi_bitmap(&h->ring)[i] = 0;
	assert_false(sqi_redelivery_find(&h->ring, true, &pos, &w));
	assert_false(sqi_redelivery_find(&other->ring, true, &pos, &w));
	fx_empty(h);
	sqi_redelivery_announce_all(&other->ring, 0, other->ring.mask + 1);
	/* The sweep is news for handles that have searched in vain. */
	for (int i = 0; i < 4; i++)
		fx_get(h, some[i]);
	fx_empty(h);
}

/*
 * The participant that announces may be killed between the word and the bit: time must bring the
 * message back.
 */
static bool got_one(void *arg)
{
	struct sq *h = arg;
	uint64_t v;

	/* Whatever a busy machine did to the pace of looking. */
	sqi_store_seq(&h->ring.head->upkeep_ms, 0);
	sqi_store_seq(&h->ring.head->find_dead_ms, 0);
	sqi_upkeep(&h->member);
	return sq_get(h, &v, 8, SQ_NOWAIT) == 8;
}

static void test_lost_bits_are_found_in_time(void **state)
{
	struct sq *h = with_some_back();

	for (int i = 0; i < 8; i++)
		sqi_bitmap(&h->ring)[i] = 0;
	h->ring.redelivery_seen = h->ring.head->back_seq;
	assert_true(fx_soon(got_one, h, FX_SOON));
}

static void test_stale_bits_are_cleared(void **state)
{
	struct sq *h = fx_make("a", &ring_of_256);
	uint64_t pos, w;

	for (int i = 0; i < 8; i++)
		sqi_bitmap(&h->ring)[i] = ~(uint64_t)0;
	fx_put(h, 7);
	assert_false(sqi_redelivery_find(&h->ring, true, &pos, &w));
	for (int i = 0; i < 8; i++)
		assert_int_equal(bits(h, i), 0);
	fx_get(h, 7);
	fx_empty(h);
}

/* In a ring of less than 32 cells, bits beyond the last cell mean nothing. */
static void test_bits_beyond_the_ring(void **state)
{
	struct sq *h = fx_make("a", &(struct sq_config){.capacity = 4, .max_message = 48});
	uint64_t pos, w;

	sqi_bitmap(&h->ring)[0] = ~(uint64_t)0;
	assert_false(sqi_redelivery_find(&h->ring, true, &pos, &w));
	fx_put(h, 1);
	fx_get(h, 1);
}

static void test_limit(void **state)
{
	static const struct sq_config three = {
		.capacity = 256, .max_message = 4096, .max_attempts = 3, .dead_letter = "d"};
	struct sq *h;
	struct sq_lease lease, other;
	uint64_t pos, w;

	/* Its dead letters find no queue: they stay. */
	h = fx_make("a", &three);
	fx_put(h, 1);
	for (int i = 0; i < 3; i++) {
		lease = fx_lease(h, 1);
		if (i == 2) {
			fx_put(h, 2);
			other = fx_lease(h, 2);
			assert_int_equal(sq_nack(h, &lease), 0);
			assert_int_equal(sq_nack(h, &other), 0);
		} else {
			assert_int_equal(sq_nack(h, &lease), 0);
		}
	}
	/* The first has three attempts, the second one. */
	assert_true(sqi_redelivery_find(&h->ring, true, &pos, &w));
	assert_int_equal(pos, 0);
	assert_true(sqi_redelivery_find(&h->ring, false, &pos, &w));
	assert_int_equal(pos, 1);
	assert_int_equal(w, fx_word(h, 1));
	for (int i = 0; i < 2; i++) {
		other = fx_lease(h, 2);
		assert_int_equal(sq_nack(h, &other), 0);
	}
	assert_false(sqi_redelivery_find(&h->ring, false, &pos, &w));
	/* What the limit passes over keeps its bit. */
	assert_int_equal(bits(h, 0), 3);
}

static void test_deferred(void **state)
{
	struct sq *h = fx_make("a", &ring_of_256);
	struct sq_lease lease;

	fx_put(h, 1);
	lease = fx_lease(h, 1);
	fx_empty(h);
	assert_int_equal(sqi_lease_give_back(h, &lease, true), 0);
	/* It is not announced, but the bit is there for a searcher. */
	fx_empty(h);
	assert_int_equal(bits(h, 0), 1);
	sqi_redelivery_announce_all(&h->ring, 0, h->ring.mask + 1);
	fx_get(h, 1);
}

/*
 * A searcher finds a bit without a message, and is stopped before it takes the bit down; the message
 * comes back meanwhile. (If it took the bit down unconditionally and looked again afterwards, being
 * stopped between the two would hide the message.)
 */
static void test_a_late_clearing_hides_nothing(void **state)
{
	struct sq *h = fx_make("a", &ring_of_256);
	struct sq_lease lease;
	uint64_t old;

	fx_put(h, 1);
	lease = fx_lease(h, 1);
	assert_int_equal(sq_nack(h, &lease), 0);
	old = sqi_load_seq(&sqi_bitmap(&h->ring)[0]);
	lease = fx_lease(h, 1);
	sqi_store_seq(&sqi_bitmap(&h->ring)[0], old); /* the bit stands, and the cell is taken */
	assert_int_equal(sq_nack(h, &lease), 0);
	assert_false(sqi_cas(&sqi_bitmap(&h->ring)[0], old, old & ~(uint64_t)1));
	fx_get(h, 1);
}

/* Cause: a message that one worker always gives back was all that this worker was ever given. */
static void test_poison_keeps_nobody(void **state)
{
	static const unsigned poisons[] = {1, 3, 100};

	for (size_t i = 0; i < sizeof(poisons) / sizeof(poisons[0]); i++) {
		struct sq *h = fx_make("a", &ring_of_256);
		uint64_t good = 0, leases = 0, times[100] = {0};
		struct sq_lease lease;

		for (uint64_t v = 0; v < poisons[i]; v++)
			fx_put(h, v);
		for (uint64_t v = 0; v < 100; v++)
			fx_put(h, 1000 + v);
		for (; good < 100; leases++) {
			uint64_t v;

			assert_int_equal(sq_lease(h, &lease, SQ_NOWAIT), 0);
			memcpy(&v, lease.data, sizeof(v));
			if (v < 1000) {
				times[v]++;
				assert_int_equal(sq_nack(h, &lease), 0);
			} else {
				/* Those of the ring are in order. */
				assert_int_equal(v, 1000 + good);
				if (good == 0) /* from here on all the others come back */
					memset(times, 0, sizeof(times));
				assert_int_equal(sq_ack(h, &lease), 0);
				good++;
			}
		}
		/* By turns; and those that come back have turns among themselves. */
		assert_in_range(leases, 100 + poisons[i], 200 + 2 * poisons[i]);
		for (uint64_t v = 1; v < poisons[i]; v++)
			assert_in_range(times[v] + 1, times[0], times[0] + 2);
		fx_end(NULL);
	}
}

/* More than a search remembers, given back in some order: each comes in its turn. */
static void test_many_in_order(void **state)
{
	struct sq *h = fx_make("a", &ring_of_256);
	struct sq_lease lease[200];

	put_and_lease(h, lease, 200);
	for (uint64_t k = 0; k < 200; k++)
		assert_int_equal(sq_nack(h, &lease[k * 77 % 200]), 0);
	for (uint64_t k = 0; k < 200; k++) {
		lease[0] = fx_lease(h, k * 77 % 200);
		assert_int_equal(lease[0].attempts, 2);
		assert_int_equal(sq_ack(h, &lease[0]), 0);
	}
	fx_empty(h);
}

/* Cause: after 128 redeliveries of a message its cell was not to be had for a lap. */
static void test_redeliveries_cost_no_cell(void **state)
{
	struct sq *h = fx_make("a", &(struct sq_config){.capacity = 2});
	struct sq_lease lease;

	fx_put(h, 7);
	for (int i = 0; i < 10000; i++) {
		lease = fx_lease(h, 7);
		assert_int_equal(sq_nack(h, &lease), 0);
	}
	fx_get(h, 7);
	for (int lap = 0; lap < 10; lap++) {
		fx_put(h, 1);
		fx_put(h, 2);
		fx_get(h, 1);
		fx_get(h, 2);
	}
}

/* A number that somebody has in hand, who may be about to end a lease by it, is not used. */
static void test_number_in_somebodys_hand(void **state)
{
	struct sq *a = fx_make("a", &ring_of_256), *b = fx_open("a");
	struct sq_lease lease;

	fx_put(a, 7);
	for (unsigned i = 1; i < 140; i++) {
		lease = fx_lease(a, 7);
		assert_int_equal(lease.attempts, i);
		assert_int_equal(sq_nack(a, &lease), 0);
	}
	sqi_declare_end(
		&b->ring, sqi_word(SQI_TAKEN, a->ring.owner, 140, sqi_word_turn(fx_word(a, 0))));
	lease = fx_lease(a, 7);
	assert_int_equal(lease.attempts, 141);
	assert_int_equal(sq_nack(a, &lease), 0);
	sqi_declare_end(
		&b->ring, sqi_word(SQI_TAKEN, b->ring.owner, 142, sqi_word_turn(fx_word(a, 0))));
	lease = fx_lease(a, 7);
	assert_int_equal(lease.attempts, 142);
	assert_int_equal(sq_ack(a, &lease), 0);
}

static const struct CMUnitTest tests[] = {
	TEST(test_bits),
	TEST(test_lost_bits_are_found),
	TEST(test_lost_bits_are_found_in_time),
	TEST(test_stale_bits_are_cleared),
	TEST(test_bits_beyond_the_ring),
	TEST(test_limit),
	TEST(test_poison_keeps_nobody),
	TEST(test_many_in_order),
	TEST(test_redeliveries_cost_no_cell),
	TEST(test_number_in_somebodys_hand),
	TEST(test_deferred),
	TEST(test_a_late_clearing_hides_nothing),
};

FX_MAIN(tests)
