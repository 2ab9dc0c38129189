/* SPDX-License-Identifier: ISC */
#include "fixture.h"

#include <stdlib.h>

/* Appending: sizes, full rings, hints, late writers, damage, and counters about to wrap around. */

static const struct sq_config ring_of_4 = {
	.capacity = 4, .participants = 8, .max_message = 4096, .block_memory = 32768};

static void test_sizes(void **state)
{
	static const size_t sizes[] = {0, 1, 7, 8, 9, 47, 48, 49, 255, 256, 257, 1023, 1024, 1025,
		4095, 4096, 65536, 1048575, 1048576};
	struct sq *h = fx_make("a", &(struct sq_config){.max_message = 1048576});

	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		fx_put_large(h, sizes[i], i);
		fx_get_large(h, sizes[i], i);
	}
	/* And many of them in the queue at once. */
	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		fx_put_large(h, sizes[i], i + 100);
	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		fx_get_large(h, sizes[i], i + 100);
	fx_empty(h);
	assert_int_equal(fx_stat(h).blocks, fx_stat(h).blocks_free);
}

static void test_too_large(void **state)
{
	char buf[4097] = {0};
	struct sq *h = fx_make("a", &ring_of_4);

	assert_int_equal(sq_put(h, buf, 4097, SQ_NOWAIT), -EMSGSIZE);
	assert_int_equal(sq_put(h, buf, SIZE_MAX, SQ_FOREVER), -EMSGSIZE);
	fx_empty(h);
	assert_int_equal(sq_put(h, buf, 4096, SQ_NOWAIT), 0);
}

static void test_small_queue_takes_no_more(void **state)
{
	struct sq *h = fx_make("a", &(struct sq_config){.capacity = 4, .max_message = 5});

	/* The cell could hold more than was asked for. */
	assert_int_equal(sq_put(h, "123456", 6, SQ_NOWAIT), -EMSGSIZE);
	assert_int_equal(sq_put(h, "12345", 5, SQ_NOWAIT), 0);
}

static void test_empty_message(void **state)
{
	struct sq *h = fx_make("a", &ring_of_4);

	assert_int_equal(sq_put(h, NULL, 0, SQ_NOWAIT), 0);
	assert_int_equal(sq_put(h, "", 0, SQ_NOWAIT), 0);
	assert_int_equal(sq_get(h, NULL, 0, SQ_NOWAIT), 0);
	assert_int_equal(sq_get(h, NULL, 0, SQ_NOWAIT), 0);
	fx_empty(h);
}

static void test_full(void **state)
{
	struct sq *h = fx_make("a", &ring_of_4), *other = fx_open("a");
	uint64_t v = 9;

	for (uint64_t lap = 0; lap < 10; lap++) {
		for (uint64_t i = 0; i < 4; i++)
			fx_put(h, lap * 4 + i);
		assert_int_equal(sq_put(h, &v, 8, SQ_NOWAIT), -EAGAIN);
		assert_int_equal(sq_put(other, &v, 8, SQ_NOWAIT), -EAGAIN);
		/* One goes, one comes. */
		fx_get(other, lap * 4);
		fx_put(other, lap * 4 + 4);
		assert_int_equal(sq_put(h, &v, 8, SQ_NOWAIT), -EAGAIN);
		for (uint64_t i = 1; i < 5; i++)
			fx_get(h, lap * 4 + i);
		fx_empty(h);
		fx_empty(other);
	}
}

/* Two handles, each with its own idea of where the ends are. */
static void test_order_over_handles(void **state)
{
	struct sq *a = fx_make("a", &ring_of_4), *b = fx_open("a");
	uint64_t in = 0, out = 0;

	srandom(2);
	for (int i = 0; i < 5000; i++) {
		struct sq *h = random() & 1 ? a : b;

		if ((random() & 1) && in - out < 4)
			fx_put(h, in++);
		else if (out < in)
			fx_get(h, out++);
		else
			fx_empty(h);
	}
}

static void laps(struct sq *a, struct sq *b, uint64_t n)
{
	for (uint64_t i = 0; i < n; i++) {
		fx_put(a, i);
		fx_put(b, i + 1000);
		fx_put_large(a, 300, (unsigned)i);
		fx_get(b, i);
		fx_get(a, i + 1000);
		fx_get_large(b, 300, (unsigned)i);
		fx_empty(a);
	}
}

static void test_turn_wraps(void **state)
{
	struct sq *a = fx_make("a", &ring_of_4), *b = fx_open("a");

	fx_start_at(a, (((uint64_t)1 << SQI_TURN_BITS) - 2) << a->ring.shift);
	b->ring.tail = b->ring.front = a->ring.tail;
	laps(a, b, 20);
	assert_true(sqi_word_turn(fx_word(a, 0)) < 100);
}

static void test_position_wraps(void **state)
{
	struct sq *a = fx_make("a", &ring_of_4), *b = fx_open("a");

	fx_start_at(a, (uint64_t)-6);
	b->ring.tail = b->ring.front = a->ring.tail;
	laps(a, b, 20);
	assert_true(a->ring.tail < 100);
}

/*
 * Turns are compared as signed numbers: a handle that comes anew must not start half the circle
 * away.
 */
static void test_newcomer_after_many_turns(void **state)
{
	static const uint64_t turns[] = {
		1, 1000, ((uint64_t)1 << 39) - 1, ((uint64_t)1 << 39) + 5, ((uint64_t)1 << 40) - 1};

	for (size_t i = 0; i < 5; i++) {
		struct sq *a = fx_make("a", &ring_of_4), *b;

		fx_start_at(a, turns[i] << a->ring.shift);
		fx_put(a, 1);
		b = fx_open("a");
		fx_get(b, 1);
		fx_put(b, 2);
		fx_get(a, 2);
		fx_empty(b);
		fx_end(NULL);
	}
}

/*
 * Cause: a handle that had slept for half a circle of turns went on from its own position: it lies ahead of
 * the ring by then, or so it seems.
 */
static void test_own_position_of_long_ago(void **state)
{
	struct sq *a = fx_make("a", &ring_of_4), *b = fx_open("a"), *c = fx_open("a");
	uint64_t long_ago, mark;

	for (uint64_t n = 0; n < 20; n++) {
		fx_put(a, n);
		fx_get(a, n);
	}
	long_ago = a->ring.tail + ((((uint64_t)1 << (SQI_TURN_BITS - 2)) + 5) << a->ring.shift);
	b->ring.tail = b->ring.front = long_ago;
	fx_put(b, 1);
	fx_put(a, 2);
	fx_get(b, 1);
	fx_get(b, 2);
	/* Nor does it take for old what is put later. */
	c->ring.tail = long_ago;
	assert_int_equal(sq_mark(c, &mark), 0);
	fx_put(a, 3);
	assert_int_equal(sq_passed(c, mark), 1);
	fx_get(b, 3);
	fx_empty(a);
}

static void test_hints_may_lie(void **state)
{
	static const uint64_t lies[] = {0, 1, 3, 17, 1 << 20, UINT64_MAX, UINT64_MAX / 2,
		(uint64_t)1 << 41, (uint64_t)1 << 42, 0xdeadbeefdeadbeef};

	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		struct sq *a = fx_make("a", &ring_of_4), *b;

		for (uint64_t n = 0; n < 50; n++) {
			fx_put(a, n);
			fx_get(a, n);
		}
		fx_put(a, 50);
		sqi_store_seq(&a->ring.head->tail, lies[i]);
		sqi_store_seq(&a->ring.head->front, lies[i]);
		b = fx_open("a");
		fx_put(b, 51);
		fx_get(b, 50);
		fx_put(a, 52);
		fx_get(b, 51);
		fx_get(a, 52);
		fx_empty(a);
		fx_empty(b);
		fx_end(NULL);
	}
}

/*
 * Cause: one cell's turn was taken as proof of how far the whole ring had come. But skips and, then,
 * redeliveries raised a cell's turn where no producer had been.
 */
static void test_turn_of_redelivered_is_no_proof(void **state)
{
	static const int times[] = {1, 2, 3, 11, 254, 255, 256, 400, 700, 2000};

	for (size_t n = 0; n < sizeof(times) / sizeof(times[0]); n++) {
		struct sq *a = fx_make("a", &ring_of_4), *b;

		fx_put(a, 7);
		for (int i = 0; i < times[n]; i++) {
			struct sq_lease lease = fx_lease(a, 7);

			assert_int_equal(sq_nack(a, &lease), 0);
		}
		for (uint64_t i = 0; i < 3; i++)
			fx_put(a, i);
		b = fx_open("a");
		fx_get(b, 7);
		for (uint64_t in = 3, out = 0; out < 50; out++) {
			int r = sq_put(b, &in, 8, SQ_NOWAIT);

			/*
			 * The cell that is ahead of its time is out of use until the ring has
			 * caught up.
			 */
			if (r == 0)
				in++;
			else
				assert_true(r == -EAGAIN && in - out >= 3);
			fx_get(out % 2 ? a : b, out);
		}
		fx_end(NULL);
	}
}

/*
 * Pollers of a ring full of leases raise its turns without end: none of that may look like damage
 * afterwards.
 */
static void test_skipping_for_long(void **state)
{
	struct sq *a = fx_make("a", &ring_of_4), *b;
	struct sq_lease leases[4];
	uint64_t v = 5;

	for (uint64_t i = 0; i < 4; i++)
		fx_put(a, i);
	for (uint64_t i = 0; i < 4; i++)
		leases[i] = fx_lease(a, i);
	for (int i = 0; i < 2000000; i++)
		assert_int_equal(sq_put(a, &v, 8, SQ_NOWAIT), -EAGAIN);
	for (int i = 0; i < 4; i++)
		assert_int_equal(sq_ack(a, &leases[i]), 0);
	b = fx_open("a");
	for (uint64_t i = 0; i < 20; i++) {
		fx_put(i % 2 ? a : b, i);
		fx_get(i % 2 ? b : a, i);
	}
	fx_empty(a);
	fx_empty(b);
}

/*
 * In a ring full of leases a writer keeps its claim: if it was revoked, no other put could have the
 * cell.
 */
static void test_claim_is_not_taken_in_vain(void **state)
{
	struct sq *a = fx_make("a", &ring_of_4), *b = fx_open("a");
	struct sq_lease leases[3];
	uint64_t p, w, v = 7;

	for (uint64_t i = 0; i < 3; i++)
		fx_put(a, i);
	for (uint64_t i = 0; i < 3; i++)
		leases[i] = fx_lease(a, i);
	assert_int_equal(sqi_tail(&b->ring, &p), 0);
	w = sqi_word(SQI_WRITING, b->ring.owner, 0, p >> b->ring.shift);
	assert_int_equal(sqi_word_state(fx_word(b, p)), SQI_FREE);
	fx_set(b, p, w);
	for (int i = 0; i < 10; i++)
		assert_int_equal(sq_put(a, &v, 8, SQ_NOWAIT), -EAGAIN);
	assert_true(fx_word(b, p) == w);
	assert_int_equal(fx_stat(a).revoked, 0);

	assert_int_equal(sq_ack(a, &leases[1]), 0);
	fx_put(a, v);
	assert_true(fx_word(b, p) == w);
	assert_int_equal(fx_stat(a).revoked, 0);
}

/*
 * A writer whose place was taken puts its message again, behind the others, and leaves nothing
 * behind.
 */
static void test_given_up_place_is_skipped(void **state)
{
	struct sq *a = fx_make("a", &ring_of_4), *b = fx_open("a");

	for (uint64_t n = 0; n < 30; n++) {
		uint64_t p = a->ring.tail > b->ring.tail ? a->ring.tail : b->ring.tail;

		/* b claimed and was late: its cell stays VOID for a while. */
		fx_set(a, p, sqi_word(SQI_VOID, b->ring.owner, 0, (p >> a->ring.shift) + 1));
		for (uint64_t i = 0; i < 12; i++) {
			fx_put(a, n + i);
			fx_get(a, n + i);
		}
		assert_int_equal(fx_state(a, p), SQI_VOID);
		assert_true(sqi_cell_free(sqi_cell(&a->ring, p), fx_word(a, p)));
		for (uint64_t i = 0; i < 12; i++) {
			fx_put(b, n + i);
			fx_get(b, n + i);
		}
	}
}

static void test_unknown_states(void **state)
{
	struct sq *h = fx_make("a", &ring_of_4);
	uint64_t v;

	for (unsigned s = SQI_REMOVING + 1; s < 16; s++) {
		uint64_t p = h->ring.tail, w = fx_word(h, p);

		fx_set(h, p, sqi_word_to(w, (enum sqi_state)s, 3));
		assert_int_equal(sq_put(h, &v, 8, SQ_NOWAIT), -EBADMSG);
		assert_int_equal(sq_get(h, &v, 8, SQ_NOWAIT), -EBADMSG);
		fx_set(h, p, w);
		fx_put(h, s);
		fx_get(h, s);
	}
}

static void test_garbage_words(void **state)
{
	srandom(3);
	for (int n = 0; n < 100; n++) {
		struct sq *h = fx_make("a", &ring_of_4);
		struct sq_lease lease;
		char buf[4096];

		fx_put(h, 1);
		fx_put_large(h, 300, 1);
		for (int i = 0; i < 4; i++)
			if (random() & 1)
				fx_set(h, (uint64_t)i,
					(uint64_t)random() << 40 ^ (uint64_t)random() << 20 ^
						(uint64_t)random());
		/* Any answer will do, but there must be one. */
		for (int i = 0; i < 6; i++) {
			(void)sq_put(h, buf, (size_t)i * 60, SQ_NOWAIT);
			(void)sq_get(h, buf, sizeof(buf), SQ_NOWAIT);
			if (sq_lease(h, &lease, SQ_NOWAIT) == 0)
				(void)(random() & 1 ? sq_ack(h, &lease) : sq_nack(h, &lease));
		}
		(void)sq_join(h, SQ_NOWAIT);
		(void)fx_stat(h);
		fx_end(NULL);
	}
}

static const struct CMUnitTest tests[] = {
	TEST(test_sizes),
	TEST(test_too_large),
	TEST(test_small_queue_takes_no_more),
	TEST(test_empty_message),
	TEST(test_full),
	TEST(test_order_over_handles),
	TEST(test_turn_wraps),
	TEST(test_position_wraps),
	TEST(test_newcomer_after_many_turns),
	TEST(test_own_position_of_long_ago),
	TEST(test_hints_may_lie),
	TEST(test_turn_of_redelivered_is_no_proof),
	TEST(test_skipping_for_long),
	TEST(test_claim_is_not_taken_in_vain),
	TEST(test_given_up_place_is_skipped),
	TEST(test_unknown_states),
	TEST(test_garbage_words),
};

FX_MAIN(tests)
