/* SPDX-License-Identifier: ISC */

/*
 * As test_race.c, for what comes back: leases that end, redelivery, and what is removed when it is
 * done with. This program is linked with an engine that tells of each access (steps.h).
 */

#include "fixture.h"
#include "steps.h"

#include <setjmp.h>

#define ROUNDS_MAX 1000

static const struct sq_config timed = {.capacity = 4,
	.participants = 8,
	.max_message = 4096,
	.block_memory = 1,
	.lease_time = 3600 * 1000 * MS};

/* a is the one in whose call it happens. */
static struct sq *a, *b, *c, *x;

/* No call looks at the clock in passing. */
static void nobody_sweeps(void)
{
	sqi_store_seq(&b->ring.head->upkeep_ms, sqi_upkeep_at(sqi_now_ms(), 50000));
}

static void all_free(void)
{
	for (uint64_t i = 0; i < 4; i++)
		assert_int_equal(fx_state(b, i), SQI_FREE);
}

static void turn_the_ring(uint64_t v)
{
	for (uint64_t i = 0; i < 8; i++) {
		fx_put(c, v);
		fx_get(c, v);
	}
}

static void a_sweeps(void)
{
	sqi_lease_time_expire(&a->ring, 0, a->ring.mask + 1);
}

/* And finds what a has ended, and not yet announced. */
static void b_sweeps(void)
{
	sqi_lease_time_expire(&b->ring, 0, b->ring.mask + 1);
	sqi_redelivery_announce_all(&b->ring, 0, b->ring.mask + 1);
}

static void given_on_and_settled(void)
{
	struct sq_lease again = fx_lease(c, 7);

	assert_int_equal(again.attempts, 2);
	assert_int_equal(sq_ack(c, &again), 0);
	turn_the_ring(1000);
}

static void b_sweeps_and_all_is_over(void)
{
	b_sweeps();
	given_on_and_settled();
}

/*
 * Two participants end one lease: it ends once, and the late one does nothing to what comes after.
 */
static void test_sweepers_meet(void **state)
{
	for (int settled = 0; settled < 2; settled++) {
		bool more = true;

		for (long k = 1; more; k++) {
			struct sq_lease lease;
			uint64_t v;

			a = fx_make("a", &timed);
			b = fx_open("a");
			c = fx_open("a");
			x = fx_open("a");
			nobody_sweeps();
			fx_put(a, 7);
			lease = fx_lease(x, 7);
			fx_overdue(b, 0);
			more = at_step(k, settled ? b_sweeps_and_all_is_over : b_sweeps, a_sweeps);
			if (!settled || !more)
				given_on_and_settled();
			assert_int_equal(fx_stat(b).overdue, 1);
			memcpy(&v, lease.data, sizeof(v));
			assert_int_equal(v, 7);
			/* Once told, its holder keeps nothing. */
			assert_int_equal(sq_ack(x, &lease), -ESTALE);
			turn_the_ring(2000);
			all_free();
			fx_end(NULL);
		}
	}
}

static struct sq_lease lease_of_x;

/* True: a came to that step, and died there. */
static bool killed_in_sweep(long k)
{
	assert_in_range(k, 1, ROUNDS_MAX);
	countdown = k;
	then = kill_here;
	if (setjmp(killed)) {
		fx_die(a);
		return true;
	}
	sqi_lease_time_expire(&a->ring, 0, a->ring.mask + 1);
	countdown = 0;
	return false;
}

/* A sweeper that is killed leaves nothing behind: the holder settles, or the next sweeper goes on. */
static void test_sweeper_killed(void **state)
{
	for (int settles = 0; settles < 2; settles++) {
		bool more = true;

		for (long k = 1; more; k++) {
			int r = -ESTALE;

			a = fx_make("a", &timed);
			b = fx_open("a");
			c = fx_open("a");
			x = fx_open("a");
			nobody_sweeps();
			fx_put(a, 7);
			lease_of_x = fx_lease(x, 7);
			fx_overdue(b, 0);
			more = killed_in_sweep(k);
			if (settles)
				r = sq_ack(x, &lease_of_x);
			assert_true(r == 0 || r == -ESTALE);
			(void)sq_recover(b);
			if (r < 0)
				fx_get(b, 7);
			all_free();
			turn_the_ring(1);
			/* Counted by the one that was not killed. */
			assert_in_range(fx_stat(b).overdue, 0, r < 0);
			fx_end(NULL);
		}
	}
}

static bool acked;

static void x_acks_and_has_the_next(void)
{
	acked = sq_ack(x, &lease_of_x) == 0;
	if (!acked)
		return; /* it has ended */
	for (uint64_t v = 1; v < 4; v++) {
		fx_put(b, v);
		fx_get(b, v);
	}
	fx_put(b, 9);
	lease_of_x = fx_lease(x, 9);
	assert_int_equal(lease_of_x.attempts, 1);
}

/* Cause: what a slow sweeper knew of one lease ended the next one of the same cell. */
static void test_sweeper_met_by_the_next_lease(void **state)
{
	bool more = true;
	int times = 0;

	for (long k = 1; more; k++) {
		a = fx_make("a", &timed);
		b = fx_open("a");
		x = fx_open("a");
		nobody_sweeps();
		fx_put(a, 7);
		lease_of_x = fx_lease(x, 7);
		fx_overdue(b, 0);
		acked = false;
		more = at_step(k, x_acks_and_has_the_next, a_sweeps);
		if (acked) {
			assert_int_equal(fx_stat(b).overdue, 0);
			assert_int_equal(sq_touch(x, &lease_of_x), 0);
			assert_int_equal(sq_ack(x, &lease_of_x), 0);
		}
		times += acked;
		fx_end(NULL);
	}
	assert_true(times > 4);
}

/* x gives its message back and has it again, until that bears the number which it bore at first. */
static void x_leases_till_its_number_comes_again(void)
{
	unsigned number = lease_of_x.attempts;

	acked = sq_nack(x, &lease_of_x) == 0;
	if (!acked)
		return;
	for (int i = 0; i < 200; i++) {
		lease_of_x = fx_lease(x, 7);
		if (lease_of_x.attempts == number || (i > 126 && lease_of_x.attempts == number + 1))
			return;
		assert_int_equal(sq_nack(x, &lease_of_x), 0);
	}
	fail_msg("a number does not come again");
}

/*
 * Cause: a lease was ended by a participant that had seen another, of the same message under the
 * same number.
 */
static void test_sweeper_met_by_the_same_number(void **state)
{
	bool more = true;
	int times = 0;

	for (long k = 1; more; k++) {
		a = fx_make("a", &timed);
		b = fx_open("a");
		x = fx_open("a");
		nobody_sweeps();
		fx_put(a, 7);
		for (int i = 1; i < 150; i++) {
			lease_of_x = fx_lease(x, 7);
			assert_int_equal(lease_of_x.attempts, i);
			if (i < 149)
				assert_int_equal(sq_nack(x, &lease_of_x), 0);
		}
		fx_overdue(b, 0);
		acked = false;
		more = at_step(k, x_leases_till_its_number_comes_again, a_sweeps);
		if (acked) {
			assert_int_equal(fx_stat(b).overdue, 0);
			assert_int_equal(sq_ack(x, &lease_of_x), 0);
		}
		times += acked;
		fx_end(NULL);
	}
	assert_true(times > 4);
}

static int leased;
static struct sq_lease lease_of_a;

static void a_leases(void)
{
	leased = sqi_lease_try(a, &lease_of_a); /* and nothing that a call does besides */
}

static void its_time_is_up(void)
{
	fx_overdue(b, 0);
	sqi_lease_time_expire(&b->ring, 0, b->ring.mask + 1);
}

/*
 * A lease that has ended before its caller was told of it never began: the caller has the message by
 * another lease, or nothing, and what it reads is whole.
 */
static void test_ended_before_it_began(void **state)
{
	static const size_t sizes[] = {48, 300};

	for (int s = 0; s < 2; s++) {
		bool more = true;
		int times = 0;

		for (long k = 1; more; k++) {
			a = fx_make("a", &timed);
			b = fx_open("a");
			nobody_sweeps();
			fx_put_large(b, sizes[s], 1);
			more = at_step(k, its_time_is_up, a_leases);
			assert_int_equal(leased, 0);
			fx_check(lease_of_a.data, sizes[s], 1);
			times += lease_of_a.attempts == 2;
			assert_int_equal(lease_of_a.attempts, 1 + fx_stat(b).overdue);
			assert_int_equal(sq_ack(a, &lease_of_a), 0);
			all_free();
			assert_int_equal(fx_stat(b).blocks, fx_stat(b).blocks_free);
			assert_in_range(a->copies.count, 1, 4);
			fx_end(NULL);
		}
		assert_true(times > 0);
	}
}

static void its_memory_is_used_again(void)
{
	if (fx_state(b, 0) != SQI_TAKEN)
		return;
	its_time_is_up();
	fx_get_large(b, 300, 1);
	for (unsigned i = 2; i < 20; i++) {
		fx_put_large(b, 300, i);
		fx_get_large(b, 300, i);
	}
}

/* What is copied while another has the message, and its block, is not believed. */
static void test_copy_met_by_another_message(void **state)
{
	bool more = true;
	int times = 0;

	for (long k = 1; more; k++) {
		a = fx_make("a", &timed);
		b = fx_open("a");
		nobody_sweeps();
		fx_put_large(b, 300, 1);
		more = at_step(k, its_memory_is_used_again, a_leases);
		assert_true(leased == 0 || leased == -EAGAIN);
		if (leased == 0)
			fx_check(lease_of_a.data, 300, 1);
		times += leased != 0;
		fx_end(NULL);
	}
	assert_true(times > 10);
}

static long second;

static struct sq_lease lease_of_c;
static int gots;

static void get_by(struct sq *h)
{
	uint64_t v;
	ssize_t r = sq_get(h, &v, 8, SQ_NOWAIT);

	assert_true(r == 8 || r == -EAGAIN);
	gots += r == 8;
}

static void a_gets(void)
{
	get_by(a);
}

static void b_gets(void)
{
	get_by(b);
}

static void c_nacks_and_b_gets(void)
{
	assert_int_equal(sq_nack(c, &lease_of_c), 0);
	countdown = second;
	then = b_gets;
}

/*
 * Cause: a searcher that cleared a bit which a nack had just set again set it once more, but did
 * not announce it: participants that had looked between these two did not look again before the
 * sweep.
 */
static void test_search_met_by_a_nack(void **state)
{
	for (long first = 1; first < 40; first++)
		for (second = 1; second < 12; second++) {
			a = fx_make("a", &timed);
			b = fx_open("a");
			c = fx_open("a");
			nobody_sweeps();
			fx_put(c, 7);
			lease_of_c = fx_lease(c, 7);
			/* A stale bit: of an earlier redelivery, and not yet cleared. */
			sqi_redelivery_announce(&c->ring, 0);
			gots = 0;
			(void)at_step(first, c_nacks_and_b_gets, a_gets);
			if (fx_state(b, 0) == SQI_BACK)
				b_gets();
			if (fx_state(b, 0) != SQI_TAKEN)
				assert_int_equal(gots, 1);
			fx_end(NULL);
		}
}

static bool was_taken;

static void its_lease_time_goes_by(void)
{
	was_taken = fx_state(b, 0) == SQI_TAKEN;
	fx_nap(3 * MS);
	sqi_lease_time_expire(&b->ring, 0, b->ring.mask + 1);
}

static void a_gets_large(void)
{
	fx_get_large(a, 300, 1);
}

/*
 * Cause: the lease by which a get copies a block had the queue's lease time: a copy that takes
 * longer was begun again, and again.
 */
static void test_slow_copy(void **state)
{
	struct sq_config brief = timed;
	uint64_t ended = ~(uint64_t)0;
	bool more = true;

	brief.lease_time = MS;
	for (long k = 1; more; k++) {
		a = fx_make("a", &brief);
		b = fx_open("a");
		nobody_sweeps();
		fx_put_large(b, 300, 1);
		was_taken = false;
		more = at_step(k, its_lease_time_goes_by, a_gets_large);
		/* The last step at which it is taken comes after the copy. */
		if (was_taken)
			ended = fx_stat(b).overdue;
		all_free();
		fx_end(NULL);
	}
	assert_int_equal(ended, 0);
}

static void a_collects(void)
{
	int r = sq_gc("e");

	/* It had been removed before it was opened. */
	assert_true(r == 0 || r == 1 || r == -ENOENT);
}

static void another_is_made(void)
{
	(void)sq_unlink("e"); /* it may just have been removed */
	c = fx_make("e", &timed);
	fx_put(c, 7);
}

/* Cause: what had been looked at by descriptor was removed by name. */
static void test_collector_met_by_another_queue(void **state)
{
	bool more = true;

	for (long k = 1; more; k++) {
		struct sq_config once = timed;
		struct sq *h;

		once.flags = SQ_EPHEMERAL;
		c = NULL;
		assert_int_equal(sq_create("e", &once), 0);
		h = fx_open("e");
		fx_empty(h);
		fx_close(h);
		more = at_step(k, another_is_made, a_collects);
		if (c)
			fx_get(fx_open("e"), 7);
		else
			assert_int_equal(sq_gc("e"), -ENOENT);
		fx_end(NULL);
	}
}

static const struct CMUnitTest tests[] = {
	TEST(test_sweepers_meet),
	TEST(test_sweeper_killed),
	TEST(test_sweeper_met_by_the_next_lease),
	TEST(test_sweeper_met_by_the_same_number),
	TEST(test_ended_before_it_began),
	TEST(test_copy_met_by_another_message),
	TEST(test_search_met_by_a_nack),
	TEST(test_slow_copy),
	TEST(test_collector_met_by_another_queue),
};

FX_MAIN(tests)
