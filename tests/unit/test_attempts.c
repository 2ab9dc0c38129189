/* SPDX-License-Identifier: ISC */

/*
 * Leases that do not count: exact counts, whatever came between; late ones, and those that come
 * again; and that nothing of it reaches the next message.
 */

#include "fixture.h"
#include "steps.h"

#include <stdlib.h>

#define MANY 700 /* leases of a message: their numbers have come round more than once */

static struct sq *a, *dead;

static void make(uint32_t max_attempts, uint64_t dead_capacity, int64_t lease_time)
{
	const struct sq_config d = {
		.capacity = dead_capacity, .max_message = 4096, .block_memory = 32768};
	const struct sq_config c = {.capacity = 4,
		.max_message = 4096,
		.block_memory = 32768,
		.participants = 8,
		.lease_time = lease_time,
		.max_attempts = max_attempts,
		.dead_letter = "d"};

	dead = fx_make("d", &d);
	a = fx_make("a", &c);
}

/* The lease of the only message, which is to count as so many. */
static struct sq_lease lease_as(uint64_t v, uint32_t attempts)
{
	struct sq_lease lease = fx_lease(a, v);

	assert_int_equal(lease.attempts, attempts);
	return lease;
}

static void give_back(struct sq_lease lease, bool counts)
{
	assert_int_equal((counts ? sq_nack : sq_return)(a, &lease), 0);
	assert_int_equal(sq_return(a, &lease), -ESTALE);
}

static void looks_as_told(void)
{
	struct sq_stat st = fx_stat(a), look;

	assert_int_equal(sq_look("a", &look), 0);
	assert_int_equal(look.undelivered, st.undelivered);
	assert_int_equal(look.depth, st.depth);
	assert_int_equal(look.back, st.back);
	assert_int_equal(look.returned, st.returned);
}

static void test_does_not_count(void **state)
{
	make(2, 8, 0);
	fx_put(a, 7);
	for (int i = 0; i < MANY; i++) {
		give_back(lease_as(7, 1), false);
		assert_int_equal(fx_stat(a).back, 1);
	}
	looks_as_told();
	assert_int_equal(fx_stat(a).returned, MANY);
	assert_int_equal(fx_stat(a).nacked, 0);
	give_back(lease_as(7, 1), true);
	for (int i = 0; i < MANY; i++)
		give_back(lease_as(7, 2), false);
	fx_empty(dead);
	give_back(lease_as(7, 2), true);
	fx_empty(a);
	fx_get(dead, 7);
	assert_int_equal(fx_stat(a).dead_letters, 1);
}

/* Whatever the order; and the next message in the same cell begins anew. */
static void test_exact(void **state)
{
	make(SQ_ATTEMPTS_MAX, 64, 0);
	srandom(3);
	for (uint64_t v = 0; v < 30; v++) {
		uint32_t counted = 0;

		fx_put(a, v);
		while (counted < SQ_ATTEMPTS_MAX) {
			struct sq_lease lease = lease_as(v, counted + 1);
			bool counts = (uint64_t)random() % 30 >= v;

			give_back(lease, counts);
			counted += counts;
		}
		fx_empty(a);
		fx_get(dead, v);
	}
}

static void test_one_attempt(void **state)
{
	struct sq_lease lease;

	make(1, 8, 0);
	fx_put(a, 1);
	for (int i = 0; i < 3; i++)
		give_back(lease_as(1, 1), false);
	give_back(lease_as(1, 1), true);
	fx_empty(a);
	fx_get(dead, 1);
	/* A block, which a get takes by a lease. */
	fx_put_large(a, 300, 2);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(sq_lease(a, &lease, SQ_NOWAIT), 0);
		assert_int_equal(lease.attempts, 1);
		give_back(lease, false);
	}
	fx_get_large(a, 300, 2);
	fx_empty(dead);
}

/* A dead letter that its queue does not take stays one, however often that is tried. */
static void test_dead_for_good(void **state)
{
	make(2, 2, 0);
	fx_put(dead, 8);
	fx_put(dead, 9);
	fx_put(a, 7);
	give_back(lease_as(7, 1), false);
	give_back(lease_as(7, 1), true);
	give_back(lease_as(7, 2), true);
	for (int i = 0; i < MANY; i++) {
		fx_empty(a);
		if (i % 50 == 0)
			sqi_redelivery_announce_all(&a->ring, 0, 4);
		assert_int_equal(fx_stat(a).undelivered, 1);
	}
	looks_as_told();
	assert_int_equal(fx_stat(a).depth, 0);
	assert_int_equal(sq_join(a, SQ_NOWAIT), 0);
	fx_get(dead, 8);
	sqi_redelivery_announce_all(&a->ring, 0, 4);
	fx_empty(a);
	fx_get(dead, 9);
	fx_get(dead, 7);
}

/* One that waits and has attempts left only by what did not count is waited for, and is told of. */
static void test_it_is_still_there(void **state)
{
	uint64_t mark;

	make(1, 8, 0);
	fx_put(a, 1);
	for (int i = 0; i < 5; i++)
		give_back(lease_as(1, 1), false);
	assert_int_equal(sq_mark(a, &mark), 0);
	assert_int_equal(sq_passed(a, mark), 0);
	assert_int_equal(sq_join(a, SQ_NOWAIT), -EAGAIN);
	assert_int_equal(fx_stat(a).undelivered, 0);
	assert_int_equal(fx_stat(a).depth, 1);
	looks_as_told();
	assert_int_equal(sq_shutdown(a, false), 0);
	fx_get(a, 1);
	assert_int_equal(sq_passed(a, mark), 1);
}

/* Without a limit nothing is kept beside the cells: it is a nack. */
static void test_without_a_limit(void **state)
{
	static const struct sq_config plain = {.capacity = 4};

	a = fx_make("b", &plain);
	fx_put(a, 1);
	give_back(lease_as(1, 1), false);
	give_back(lease_as(1, 2), true);
	assert_int_equal(fx_stat(a).returned, 1);
	fx_get(a, 1);
}

static void test_refused(void **state)
{
	struct sq_lease lease, bad;
	struct sq *b;

	make(2, 8, 0);
	b = fx_open("a");
	fx_put(a, 1);
	lease = lease_as(1, 1);
	assert_int_equal(sq_return(NULL, &lease), -EINVAL);
	assert_int_equal(sq_return(a, NULL), -EINVAL);
	assert_int_equal(sq_return(b, &lease), -EINVAL);
	bad = lease;
	bad.handle++;
	assert_int_equal(sq_return(a, &bad), -ESTALE);
	/* None of these has done anything. */
	give_back(lease, true);
	assert_int_equal(sq_return(a, &lease), -ESTALE);
	give_back(lease_as(1, 2), false);
	give_back(lease_as(1, 2), true);
	fx_empty(a);
}

/* What a durable participant had leased counts as it did. */
static void test_held(void **state)
{
	struct sq_lease lease;
	struct sq *d = NULL;

	make(3, 8, 0);
	fx_put(a, 1);
	give_back(lease_as(1, 1), true);
	give_back(lease_as(1, 2), false);
	assert_int_equal(sq_open_durable(&d, "a", 5, SQ_FOREVER), 0);
	lease = fx_lease(d, 1);
	assert_int_equal(lease.attempts, 2);
	fx_die(d);
	assert_int_equal(sq_open_durable(&d, "a", 5, SQ_FOREVER), 0);
	assert_int_equal(sq_held(d, &lease, 1), 1);
	assert_int_equal(lease.attempts, 2);
	/* It was about to return it when it died: then it does not count, whatever comes. */
	assert_true(sqi_attempts_return(&d->ring, lease.id, fx_word(a, lease.id)));
	fx_die(d);
	assert_int_equal(sq_open_durable(&d, "a", 5, SQ_FOREVER), 0);
	assert_int_equal(sq_held(d, &lease, 1), 1);
	assert_int_equal(lease.attempts, 2);
	assert_int_equal(sq_retire(d), 0);
	sq_close(d);
	give_back(lease_as(1, 2), true);
	give_back(lease_as(1, 3), true);
	fx_empty(a);
	fx_get(dead, 1);
}

static struct sq_lease late;
static struct sq *b;
static uint32_t told;

/* The time of a's lease is up; b has it, and gives it back. */
static void another_has_it(void)
{
	struct sq_lease lease;

	fx_overdue(a, late.id);
	(void)sq_recover(b);
	lease = fx_lease(b, 7);
	told = lease.attempts;
	assert_int_equal(sq_nack(b, &lease), 0);
}

/* The same, and then the next message lies in that cell, and is given back. */
static void the_next_is_there(void)
{
	struct sq_lease lease;

	fx_overdue(a, late.id);
	(void)sq_recover(b);
	fx_get(b, 7);
	for (uint64_t i = 0; i < 4; i++) {
		fx_put(b, 7);
		if (i < 3)
			fx_get(b, 7);
	}
	lease = fx_lease(b, 7);
	assert_int_equal(lease.attempts, 1);
	assert_true(lease.id == late.id + 4);
	told = 1;
	assert_int_equal(sq_nack(b, &lease), 0);
}

/*
 * A holder that returns its lease is stopped at each step, till it has lost it: then it may or may
 * not count, but those after it do, and count on from what was told.
 */
static void late_at_every_step(void (*event)(void))
{
	bool more = true;

	for (long k = 1; more; k++) {
		struct sq_lease lease;
		int r;

		make(5, 8, 3600 * 1000 * MS);
		b = fx_open("a");
		fx_put(a, 7);
		late = lease_as(7, 1);
		told = 0;
		countdown = k;
		then = event;
		/* By sqi_attempts_return(), as sq_return() does it. */
		r = sqi_attempts_return(&a->ring, late.id, fx_word(a, late.id));
		more = countdown == 0;
		countdown = 0;
		if (!told)
			event();
		assert_in_range(told, 1, 2);
		if (!more)
			assert_int_equal(told, event == another_has_it ? r ? 1 : 2 : 1);
		lease = fx_lease(b, 7);
		assert_int_equal(lease.attempts, told + 1);
		assert_int_equal(sq_return(a, &late), -ESTALE);
		assert_int_equal(sq_ack(b, &lease), 0);
		fx_end(NULL);
	}
}

static void test_late_at_every_step(void **state)
{
	late_at_every_step(another_has_it);
}

static void test_late_and_the_next_is_there(void **state)
{
	late_at_every_step(the_next_is_there);
}

/* Numbers come round: how many leases there were in between. */
static void test_distance(void **state)
{
	for (unsigned from = 1; from <= SQI_NUMBER_LAST; from++) {
		unsigned to = from;

		for (unsigned n = 0; n < 128; n++, to = sqi_number_next(to))
			assert_int_equal(sqi_attempts_distance(from, to), n);
	}
}

static const struct CMUnitTest tests[] = {
	TEST(test_does_not_count),
	TEST(test_exact),
	TEST(test_one_attempt),
	TEST(test_dead_for_good),
	TEST(test_it_is_still_there),
	TEST(test_without_a_limit),
	TEST(test_refused),
	TEST(test_held),
	TEST(test_late_at_every_step),
	TEST(test_late_and_the_next_is_there),
	TEST(test_distance),
};

FX_MAIN(tests)
