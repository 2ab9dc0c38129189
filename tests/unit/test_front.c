/* SPDX-License-Identifier: ISC */
#include "fixture.h"

/* Finding the first message past late writers, and the end of a queue that was shut down. */

static const struct sq_config ring_of_4 = {
	.capacity = 4, .participants = 8, .max_message = 4096, .block_memory = 32768};

static void test_late_writer_with_nothing_behind(void **state)
{
	struct sq *a = fx_make("a", &ring_of_4), *b = fx_open("a");
	uint64_t p = fx_claim(b), w = fx_word(a, p);

	/* Revoking it would gain nothing: it keeps its place. */
	for (int i = 0; i < 10; i++)
		fx_empty(a);
	assert_int_equal(fx_word(a, p), w);
	assert_int_equal(fx_stat(a).revoked, 0);
	/* And commits. */
	sqi_cell(&a->ring, p)->meta = p >> a->ring.shift << SQI_TURN_SHIFT | 8;
	sqi_cell(&a->ring, p)->data[0] = 77;
	assert_true(sqi_cas(
		&sqi_cell(&a->ring, p)->word, w, sqi_word(SQI_FULL, 0, 0, p >> a->ring.shift)));
	fx_get(a, 77);
}

static void test_late_writer_with_a_message_behind(void **state)
{
	struct sq *a = fx_make("a", &ring_of_4), *b = fx_open("a"), *c = fx_open("a");

	for (uint64_t i = 0; i < 10; i++) {
		uint64_t p = fx_claim(b), w = fx_word(a, p), v;

		fx_put(a, i);
		fx_get(i % 2 ? a : c, i);
		v = fx_word(a, p);
		assert_int_equal(sqi_word_state(v), SQI_VOID);
		assert_int_equal(sqi_word_owner(v), b->ring.owner);
		assert_int_equal(sqi_word_ahead(v, p >> a->ring.shift), 1);
		assert_int_equal(fx_stat(a).revoked, i + 1);
		/* Its commit fails. */
		assert_false(sqi_cell_commit(sqi_cell(&a->ring, p), w));
		fx_empty(a);
		assert_true(sqi_cell_free(sqi_cell(&a->ring, p), v));
	}
}

static void test_several_late_writers(void **state)
{
	struct sq *a = fx_make("a", &ring_of_4), *b = fx_open("a"), *c = fx_open("a");
	uint64_t p = fx_claim(b), q = fx_claim(c);

	assert_int_equal(q, p + 1);
	fx_empty(a);
	assert_int_equal(fx_state(a, p), SQI_WRITING);
	fx_put(a, 1);
	fx_get(a, 1);
	assert_int_equal(fx_state(a, p), SQI_VOID);
	assert_int_equal(fx_state(a, q), SQI_VOID);
	assert_int_equal(fx_stat(a).revoked, 2);
}

static void test_writer_behind_a_lease(void **state)
{
	struct sq *a = fx_make("a", &ring_of_4), *b = fx_open("a");
	struct sq_lease lease;
	uint64_t p;

	fx_put(a, 1);
	lease = fx_lease(a, 1);
	p = fx_claim(b);
	fx_put(a, 2);
	fx_get(a, 2);
	assert_int_equal(fx_state(a, p), SQI_VOID);
	assert_int_equal(sq_ack(a, &lease), 0);
}

/* The message behind may be a lap on in the array. */
static void test_behind_across_the_end_of_the_array(void **state)
{
	struct sq *a = fx_make("a", &ring_of_4), *b = fx_open("a");
	uint64_t p;

	for (uint64_t i = 0; i < 3; i++) {
		fx_put(a, i);
		fx_get(a, i);
	}
	p = fx_claim(b);
	assert_int_equal(p, 3);
	fx_put(a, 9);
	assert_int_equal(fx_state(a, 0), SQI_FULL);
	fx_get(a, 9);
	assert_int_equal(fx_state(a, p), SQI_VOID);
}

/*
 * Cause: the search for a message behind a late writer ended at a cell that producers had skipped.
 * What was put behind both could be had only once the writer went on, and a stopped one never does.
 */
static void test_behind_a_cell_that_was_skipped(void **state)
{
	struct sq *a = fx_make("a", &ring_of_4), *b = fx_open("a");
	struct sq_lease lease;
	uint64_t p;

	for (uint64_t i = 0; i < 4; i++)
		fx_put(a, i);
	fx_get(a, 0);
	lease = fx_lease(a, 1);
	fx_get(a, 2);
	fx_get(a, 3);
	p = fx_claim(b);
	assert_int_equal(p, 4);
	fx_put(a, 9);
	assert_int_equal(fx_state(a, p + 1), SQI_TAKEN);
	assert_int_equal(fx_state(a, p + 2), SQI_FULL);
	fx_get(a, 9);
	assert_int_equal(fx_state(a, p), SQI_VOID);
	assert_int_equal(sq_ack(a, &lease), 0);
}

/*
 * Stopped writers cost a cell each, and nothing else: the ring of what is left goes on for many
 * laps.
 */
static void test_ring_with_stopped_writers(void **state)
{
	struct sq *a = fx_make("a", &ring_of_4), *b = fx_open("a"), *c = fx_open("a");

	(void)fx_claim(b);
	fx_put(a, 0);
	fx_get(a, 0);
	(void)fx_claim(c);
	for (uint64_t i = 1; i < 1000; i++) {
		fx_put(a, i);
		fx_get(a, i);
	}
}

static void test_closed_revokes_without_payment(void **state)
{
	struct sq *a = fx_make("a", &ring_of_4), *b = fx_open("a");
	uint64_t p = fx_claim(b), v;

	assert_int_equal(sq_shutdown(a, false), 0);
	assert_int_equal(sq_get(a, &v, 8, SQ_NOWAIT), -EPIPE);
	assert_int_equal(fx_state(a, p), SQI_VOID);
}

static void test_seal(void **state)
{
	struct sq *a = fx_make("a", &ring_of_4), *b = fx_open("a");
	uint64_t v;

	fx_put(a, 1);
	assert_int_equal(sq_shutdown(a, false), 0);
	fx_get(a, 1);
	assert_int_equal(sq_get(a, &v, 8, SQ_NOWAIT), -EPIPE);
	assert_int_equal(fx_state(a, 1), SQI_SEALED);
	assert_int_equal(sq_get(b, &v, 8, SQ_NOWAIT), -EPIPE);
	/* A producer that had looked before the queue was closed finds the seal. */
	sqi_store_seq(&a->ring.head->closed, 0);
	assert_int_equal(sq_put(b, &v, 8, SQ_NOWAIT), -EPIPE);
	assert_int_equal(sq_get(b, &v, 8, SQ_NOWAIT), -EPIPE);
	sqi_store_seq(&a->ring.head->closed, 1);
}

/* Where the front is held by a stopped writer's void cell, the seal is set behind it. */
static void test_seal_behind_what_is_held(void **state)
{
	struct sq *a = fx_make("a", &ring_of_4), *b = fx_open("a");
	uint64_t p = fx_claim(b), v;

	fx_put(a, 1);
	fx_get(a, 1);
	assert_int_equal(fx_state(a, p), SQI_VOID);
	for (uint64_t i = 0; i < 2; i++) {
		fx_put(a, i);
		fx_get(a, i);
	}
	assert_int_equal(sq_shutdown(a, false), 0);
	assert_int_equal(sq_get(a, &v, 8, SQ_NOWAIT), -EPIPE);
	assert_int_equal(fx_state(a, p), SQI_VOID);
	assert_int_equal(fx_state(a, p + 1), SQI_SEALED);
}

static void test_drained_waits_for_leases_of_others(void **state)
{
	struct sq *a = fx_make("a", &ring_of_4), *b = fx_open("a");
	struct sq_lease lease;
	uint64_t v;

	fx_put(a, 1);
	lease = fx_lease(b, 1);
	assert_int_equal(sq_shutdown(a, false), 0);
	for (int i = 0; i < 20; i++)
		assert_int_equal(sq_get(a, &v, 8, SQ_NOWAIT), -EAGAIN);
	/* The holder itself is not kept waiting. */
	assert_int_equal(sq_get(b, &v, 8, SQ_FOREVER), -EPIPE);
	assert_int_equal(sq_nack(b, &lease), 0);
	fx_get(a, 1);
	assert_int_equal(sq_get(a, &v, 8, SQ_FOREVER), -EPIPE);
	assert_int_equal(sq_get(b, &v, 8, SQ_FOREVER), -EPIPE);
}

/*
 * Cause: a participant that holds a lease was kept waiting for the leases of others. After a
 * shutdown two of them would wait for each other for ever.
 */
static void test_drained_for_two_holders(void **state)
{
	struct sq *a = fx_make("a", &ring_of_4), *b = fx_open("a"), *c = fx_open("a");
	struct sq_lease of_a, of_b;
	uint64_t v;

	fx_put(a, 1);
	fx_put(a, 2);
	of_a = fx_lease(a, 1);
	of_b = fx_lease(b, 2);
	assert_int_equal(sq_shutdown(a, false), 0);
	assert_int_equal(sq_get(a, &v, 8, SQ_NOWAIT), -EPIPE);
	assert_int_equal(sq_get(b, &v, 8, SQ_NOWAIT), -EPIPE);
	assert_int_equal(sq_get(c, &v, 8, SQ_NOWAIT), -EAGAIN);
	/* Without a lease, it waits as everybody else does. */
	assert_int_equal(sq_ack(a, &of_a), 0);
	assert_int_equal(sq_get(a, &v, 8, SQ_NOWAIT), -EAGAIN);
	assert_int_equal(sq_ack(b, &of_b), 0);
	assert_int_equal(sq_get(a, &v, 8, SQ_NOWAIT), -EPIPE);
}

/* The same, if what is left beside is a dead letter without a place. */
static void test_drained_beside_a_dead_letter(void **state)
{
	const struct sq_config config = {.capacity = 4,
		.participants = 8,
		.max_message = 48,
		.max_attempts = 1,
		.dead_letter = "none"};
	struct sq *a = fx_make("a", &config), *b = fx_open("a");
	struct sq_lease lease;
	uint64_t v;

	fx_put(a, 1);
	fx_put(a, 2);
	lease = fx_lease(a, 1);
	assert_int_equal(sq_nack(a, &lease), 0);
	lease = fx_lease(a, 2);
	assert_int_equal(sq_shutdown(a, false), 0);
	assert_int_equal(sq_get(a, &v, 8, SQ_NOWAIT), -EPIPE);
	assert_int_equal(sq_get(b, &v, 8, SQ_NOWAIT), -EAGAIN);
	/* That one does not wait, and none waits for it. */
	assert_int_equal(sq_ack(a, &lease), 0);
	assert_int_equal(sq_get(a, &v, 8, SQ_NOWAIT), -EPIPE);
	assert_int_equal(fx_stat(a).undelivered, 1);
}

static void test_drained_when_all_cells_are_held(void **state)
{
	struct sq *a = fx_make("a", &ring_of_4), *b = fx_open("a");
	struct sq_lease leases[4];
	uint64_t v;

	for (uint64_t i = 0; i < 4; i++)
		fx_put(a, i);
	for (uint64_t i = 0; i < 4; i++)
		leases[i] = fx_lease(b, i);
	assert_int_equal(sq_shutdown(a, false), 0);
	for (int i = 0; i < 50; i++)
		assert_int_equal(sq_get(a, &v, 8, SQ_NOWAIT), -EAGAIN);
	assert_int_equal(sq_lease(b, &leases[0], SQ_FOREVER), -EPIPE);
	for (int i = 0; i < 4; i++)
		assert_int_equal(sq_ack(b, &leases[i]), 0);
	assert_int_equal(sq_get(a, &v, 8, SQ_FOREVER), -EPIPE);
}

static void test_hint_of_the_front(void **state)
{
	struct sq *a = fx_make("a", &ring_of_4), *b = fx_open("a");

	for (uint64_t i = 0; i < 1000; i++) {
		fx_put(a, i);
		fx_get(a, i);
	}
	/* A lower bound, and not a bad one. */
	assert_in_range(sqi_load_relaxed(&a->ring.head->front), 960, 1000);
	assert_in_range(sqi_load_relaxed(&a->ring.head->tail), 960, 1000);
	fx_put(a, 1);
	fx_get(b, 1);
	assert_int_equal(b->ring.front, 1001);
}

static const struct CMUnitTest tests[] = {
	TEST(test_late_writer_with_nothing_behind),
	TEST(test_late_writer_with_a_message_behind),
	TEST(test_several_late_writers),
	TEST(test_writer_behind_a_lease),
	TEST(test_behind_across_the_end_of_the_array),
	TEST(test_behind_a_cell_that_was_skipped),
	TEST(test_ring_with_stopped_writers),
	TEST(test_closed_revokes_without_payment),
	TEST(test_seal),
	TEST(test_seal_behind_what_is_held),
	TEST(test_drained_waits_for_leases_of_others),
	TEST(test_drained_for_two_holders),
	TEST(test_drained_beside_a_dead_letter),
	TEST(test_drained_when_all_cells_are_held),
	TEST(test_hint_of_the_front),
};

FX_MAIN(tests)
