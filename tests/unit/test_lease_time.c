/* SPDX-License-Identifier: ISC */
#include "fixture.h"

/* Lease times: when a lease ends, what its holder reads, and what becomes of the message. */

#define LEASE (30 * MS)
#define POLLS 2000 /* in a queue where a look at the clock each 4096 operations was too seldom */
#define ENDED ((uint64_t)1)

static const struct sq_config timed = {.capacity = 4,
	.participants = 16,
	.max_message = 4096,
	.block_memory = 32768,
	.lease_time = LEASE};

static const struct sq_config slow = {.capacity = 4,
	.participants = 16,
	.max_message = 4096,
	.block_memory = 32768,
	.lease_time = 3600 * 1000 * MS};

/* As slow, and one try for each message. */
static const struct sq_config once = {.capacity = 4,
	.participants = 16,
	.max_message = 4096,
	.block_memory = 32768,
	.lease_time = 3600 * 1000 * MS,
	.max_attempts = 1,
	.dead_letter = "d"};

/* The lease in this cell is overdue now, and the sweep sees it. */
static void expire(struct sq *h, uint64_t pos)
{
	fx_overdue(h, pos);
	sqi_lease_time_expire(&h->ring, 0, h->ring.mask + 1);
}

static void stale(struct sq *h, const struct sq_lease *lease)
{
	assert_int_equal(sq_ack(h, lease), -ESTALE);
}

/* Cause: leases were counted in milliseconds, and ended up to one of them early. */
static void test_delivered_again(void **state)
{
	static const int64_t times[] = {LEASE, 2 * MS + 1, 1500000};

	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
		struct sq_config config = timed;
		struct sq *a, *b;
		struct sq_lease x, y;
		int64_t from;

		config.lease_time = times[i];
		a = fx_make("a", &config);
		b = fx_open("a");
		assert_int_equal(fx_stat(a).lease_time, times[i]);
		fx_put(a, 7);
		from = sqi_now_ns();
		x = fx_lease(a, 7);
		while (fx_stat(a).overdue == 0)
			sqi_lease_time_expire(&b->ring, 0, b->ring.mask + 1);
		/* Later as the machine likes, but never earlier. */
		assert_true(sqi_now_ns() - from >= times[i]);
		y = fx_lease(b, 7);
		assert_int_equal(y.id, x.id);
		assert_int_equal(y.attempts, 2);
		stale(a, &x);
		(void)sq_ack(b, &y); /* unless it was too slow for it */
		assert_int_equal(fx_stat(a).reclaimed, 0);
		fx_end(NULL);
	}
}

/* A waiter finds it. */
static void test_waited_for(void **state)
{
	struct sq *a = fx_make("a", &timed), *b = fx_open("a");
	struct sq_lease y;

	fx_put(a, 7);
	(void)fx_lease(a, 7);
	assert_int_equal(sq_lease(b, &y, FX_SOON), 0);
	assert_int_equal(y.attempts, 2);
}

struct poll {
	struct sq *h;
	uint64_t v;
};

static bool polled(struct poll *p)
{
	/* Whatever a busy machine did to the pace of looking. */
	sqi_store_seq(&p->h->ring.head->upkeep_ms, 0);
	sqi_store_seq(&p->h->ring.head->find_dead_ms, 0);
	return sq_get(p->h, &p->v, 8, SQ_NOWAIT) == 8;
}

/* Cause: only every 4096th operation looked at the clock, unless it waited. */
static void test_ended_for_those_who_poll(void **state)
{
	struct sq *a = fx_make("a", &timed);
	struct poll p = {.h = fx_open("a")};

	fx_put(a, 7);
	(void)fx_lease(a, 7);
	/* Counted, not timed: a machine that is slow polls as often, and has more time for it. */
	for (int polls = 0; !polled(&p); polls++) {
		assert_in_range(polls, 0, POLLS);
		fx_nap(MS);
	}
	assert_int_equal(p.v, 7);
}

/*
 * Cause: no call looked at the clock for 65,536 operations, if all of them found what they wanted.
 */
static void test_ended_though_nobody_waits(void **state)
{
	struct sq *a = fx_make("a", &timed), *b = fx_open("a");

	fx_put(a, 7);
	(void)fx_lease(a, 7);
	for (int times = 0; fx_stat(b).overdue == 0; times++) {
		uint64_t v;

		assert_in_range(times, 0, POLLS);
		fx_put(b, 8);
		assert_int_equal(sq_get(b, &v, 8, SQ_NOWAIT), 8);
		sqi_store_seq(&b->ring.head->upkeep_ms, 0);
		sqi_store_seq(&b->ring.head->find_dead_ms, 0);
		fx_nap(MS);
	}
}

static void test_touch_gives_more_time(void **state)
{
	struct sq *a = fx_make("a", &slow);
	struct sq_lease x;
	uint64_t before;

	fx_put(a, 7);
	x = fx_lease(a, 7);
	fx_overdue(a, 0);
	before = (uint64_t)sqi_now_ns() + (uint64_t)slow.lease_time;
	assert_int_equal(sq_touch(a, &x), 0);
	assert_true(sqi_load_seq(sqi_deadline(&a->ring, 0)) >> 1 >= before);
	sqi_lease_time_expire(&a->ring, 0, a->ring.mask + 1);
	assert_int_equal(fx_stat(a).overdue, 0);
	assert_int_equal(sq_ack(a, &x), 0);
}

/*
 * Its end is decided, and the participant that decided was stopped before it changed the word:
 * stale means stale.
 */
static void test_touch_against_the_end(void **state)
{
	struct sq *a = fx_make("a", &slow), *b = fx_open("a");
	struct sq_lease x;

	fx_put(a, 7);
	x = fx_lease(a, 7);
	sqi_store_seq(sqi_deadline(&a->ring, 0), sqi_load_seq(sqi_deadline(&a->ring, 0)) | ENDED);
	assert_int_equal(sq_touch(a, &x), -ESTALE);
	assert_int_equal(sq_touch(a, &x), -ESTALE);
	stale(a, &x);
	fx_get(b, 7);
	fx_empty(a);
	assert_int_equal(fx_stat(a).overdue, 1);
}

/* Cause: what an overdue holder read had to be kept from being used again, and was not always. */
static void test_what_is_read_stays(void **state)
{
	static const size_t sizes[] = {0, 5, 40, 300, 4096};

	for (unsigned s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
		struct sq *a = fx_make("a", &slow), *b = fx_open("a");
		uint64_t free_blocks = fx_stat(a).blocks_free;
		struct sq_lease x, y;

		fx_put_large(a, sizes[s], 1);
		assert_int_equal(sq_lease(a, &x, SQ_NOWAIT), 0);
		expire(b, 0);
		/* Given to itself once more: these are two leases. */
		assert_int_equal(sq_lease(a, &y, SQ_NOWAIT), 0);
		assert_int_equal(y.id, x.id);
		assert_int_equal(y.attempts, 2);
		expire(b, 0);
		fx_get_large(b, sizes[s], 1);
		/* Its memory is free, and used again. */
		assert_int_equal(fx_state(a, 0), SQI_FREE);
		assert_int_equal(fx_stat(a).blocks_free, free_blocks);
		for (unsigned i = 0; i < 50; i++) {
			fx_put_large(b, sizes[s], i + 2);
			fx_get_large(b, sizes[s], i + 2);
		}
		assert_int_equal(x.len, sizes[s]);
		fx_check(x.data, sizes[s], 1);
		fx_check(y.data, sizes[s], 1);
		stale(a, &y);
		fx_check(x.data, sizes[s], 1);
		stale(a, &x);
		fx_end(NULL);
	}
}

static void test_copies_are_used_again(void **state)
{
	struct sq *a = fx_make("a", &slow);
	struct sq_lease x[3];

	for (unsigned round = 0; round < 100; round++) {
		for (unsigned i = 0; i < 3; i++) {
			fx_put_large(a, 10 + round, i);
			assert_int_equal(sq_lease(a, &x[i], SQ_NOWAIT), 0);
		}
		for (unsigned i = 0; i < 3; i++)
			fx_check(x[i].data, 10 + round, i);
		assert_int_equal(sq_ack(a, &x[1]), 0);
		assert_int_equal(sq_ack(a, &x[2]), 0);
		assert_int_equal(sq_ack(a, &x[0]), 0);
	}
	assert_in_range(a->copies.count, 3, 4);
}

/* Cause: a message had room for four holders who had held it too long; a fifth kept it. */
static void test_any_number_hang_on_it(void **state)
{
	struct sq_config config = slow;
	struct sq *d = fx_make("d", NULL), *h, *holders[8];
	struct sq_lease leases[8];

	config.max_attempts = 8;
	config.dead_letter = "d";
	h = fx_make("a", &config);
	fx_put(h, 7);
	for (int i = 0; i < 8; i++) {
		holders[i] = fx_open("a");
		leases[i] = fx_lease(holders[i], 7);
		assert_int_equal(leases[i].attempts, i + 1);
		expire(h, 0);
	}
	assert_int_equal(fx_stat(h).overdue, 8);
	fx_empty(h);
	assert_int_equal(fx_state(h, 0), SQI_FREE);
	fx_get(d, 7);
	for (int i = 0; i < 8; i++)
		stale(holders[i], &leases[i]);
}

static void test_overdue_at_any_turn(void **state)
{
	static const uint64_t turns[] = {1, 32767, 32768, 65535, 65536, ((uint64_t)1 << 39) + 40000,
		((uint64_t)1 << 40) - 1};

	for (size_t i = 0; i < sizeof(turns) / sizeof(turns[0]); i++) {
		struct sq *a = fx_make("a", &slow), *b;
		struct sq_lease x;

		fx_start_at(a, turns[i] << a->ring.shift);
		fx_put(a, 7);
		x = fx_lease(a, 7);
		expire(a, 0);
		b = fx_open("a");
		fx_get(b, 7);
		stale(a, &x);
		assert_int_equal(fx_state(b, 0), SQI_FREE);
		fx_end(NULL);
	}
}

/* The end that was decided for a lease which was settled all the same is not the next one's. */
static void test_an_end_is_of_one_lease(void **state)
{
	struct sq *a = fx_make(
		"a", &(struct sq_config){.capacity = 2, .lease_time = slow.lease_time});
	struct sq_lease x;

	fx_put(a, 7);
	x = fx_lease(a, 7);
	sqi_store_seq(sqi_deadline(&a->ring, 0), sqi_load_seq(sqi_deadline(&a->ring, 0)) | ENDED);
	assert_int_equal(sq_ack(a, &x), 0);
	fx_put(a, 8);
	fx_get(a, 8);
	fx_put(a, 9);
	x = fx_lease(a, 9);
	assert_int_equal(x.id, 2);
	sqi_lease_time_expire(&a->ring, 0, a->ring.mask + 1);
	assert_int_equal(sq_touch(a, &x), 0);
	assert_int_equal(sq_ack(a, &x), 0);
	assert_int_equal(fx_stat(a).overdue, 0);
}

/* Decided, and killed before the word: the next sweep carries it out. */
static void test_sweeper_killed_after_deciding(void **state)
{
	struct sq *a = fx_make("a", &slow), *b = fx_open("a");

	fx_put(a, 7);
	(void)fx_lease(a, 7);
	sqi_store_seq(sqi_deadline(&a->ring, 0), sqi_load_seq(sqi_deadline(&a->ring, 0)) | ENDED);
	sqi_lease_time_expire(&b->ring, 0, b->ring.mask + 1);
	assert_int_equal(fx_state(a, 0), SQI_BACK);
	assert_int_equal(fx_stat(a).overdue, 1);
}

/* A moment that another's clock wrote, or damage: leases end late there, and nothing else is wrong. */
static void test_deadline_far_ahead(void **state)
{
	static const uint64_t values[] = {
		UINT64_MAX, UINT64_MAX - 1, (uint64_t)INT64_MAX << 1, (uint64_t)1 << 62};

	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		struct sq *a = fx_make("a", &slow);
		struct sq_lease x;

		sqi_store_seq(sqi_deadline(&a->ring, 0), values[i]);
		fx_put(a, 7);
		x = fx_lease(a, 7);
		sqi_lease_time_expire(&a->ring, 0, a->ring.mask + 1);
		assert_int_equal(sq_touch(a, &x), 0);
		assert_int_equal(sq_ack(a, &x), 0);
		fx_end(NULL);
	}
}

/* No two leases of a cell, and no two ends of one, have the same moment, whatever the clock says. */
static void test_deadline_rises(void **state)
{
	struct sq *a = fx_make("a", &slow);
	uint64_t before = (uint64_t)(sqi_now_ns() + 10 * slow.lease_time) << 1;

	sqi_store_seq(sqi_deadline(&a->ring, 0), before);
	fx_put(a, 7);
	for (int i = 0; i < 5; i++) {
		struct sq_lease x = fx_lease(a, 7);

		assert_true(sqi_load_seq(sqi_deadline(&a->ring, 0)) > before);
		before = sqi_load_seq(sqi_deadline(&a->ring, 0));
		assert_int_equal(sq_touch(a, &x), 0);
		assert_true(sqi_load_seq(sqi_deadline(&a->ring, 0)) > before);
		before = sqi_load_seq(sqi_deadline(&a->ring, 0));
		assert_int_equal(sq_nack(a, &x), 0);
	}
}

/* A holder whose time was up, and a later one whose lease has the same number: the first ends nothing. */
static void test_another_with_the_same_number(void **state)
{
	struct sq *a = fx_make("a", &slow), *b = fx_open("a");
	struct sq_lease x, y;

	fx_put(a, 7);
	x = fx_lease(a, 7);
	while (sqi_lease_number(&x) <= SQI_NUMBER_ONCE) {
		assert_int_equal(sq_nack(a, &x), 0);
		x = fx_lease(a, 7);
	}
	expire(b, 0);
	for (y = fx_lease(b, 7); sqi_lease_number(&y) != sqi_lease_number(&x); y = fx_lease(b, 7))
		assert_int_equal(sq_nack(b, &y), 0);
	stale(a, &x);
	assert_int_equal(sq_nack(a, &x), -ESTALE);
	assert_int_equal(fx_state(a, 0), SQI_TAKEN);
	assert_int_equal(sq_ack(b, &y), 0);
	fx_empty(a);
}

/*
 * Asking for the next message moves to the dead letters one that is still read, by a lease that has
 * ended.
 */
static void test_buried_under_a_reader(void **state)
{
	for (int itself = 0; itself < 2; itself++) {
		struct sq *d = fx_make("d", &slow), *a = fx_make("a", &once), *b = fx_open("a");
		struct sq_lease x, y;

		fx_put_large(b, 1000, 7);
		assert_int_equal(sq_lease(a, &x, SQ_NOWAIT), 0);
		expire(b, x.id);
		assert_int_equal(sq_lease(itself ? a : b, &y, SQ_NOWAIT), -EAGAIN);
		assert_int_equal(fx_stat(d).depth, 1);
		assert_int_equal(fx_state(a, x.id), SQI_FREE);
		for (unsigned i = 0; i < 20; i++) {
			fx_put_large(b, 1000, i);
			fx_get_large(b, 1000, i);
		}
		fx_check(x.data, x.len, 7);
		stale(a, &x);
		fx_get_large(d, 1000, 7);
		fx_end(NULL);
	}
}

/* Cause: a handle that settled a lease twice was not believed to hold another one. */
static void test_settled_twice_and_drained(void **state)
{
	struct sq *a = fx_make("a", &slow), *b = fx_open("a");
	struct sq_lease first, again, other, none;

	for (uint64_t i = 0; i < 3; i++)
		fx_put(a, i);
	first = fx_lease(a, 0);
	expire(b, 0);
	stale(a, &first);
	stale(a, &first);
	again = fx_lease(b, 0);
	assert_int_equal(sq_ack(b, &again), 0);
	(void)fx_lease(a, 1);
	other = fx_lease(b, 2);
	stale(a, &first);
	assert_int_equal(sq_shutdown(a, false), 0);
	/* Each holds a lease, so neither is kept waiting for the other. */
	assert_int_equal(sq_lease(a, &none, FX_SOON), -EPIPE);
	assert_int_equal(sq_lease(b, &none, FX_SOON), -EPIPE);
	assert_int_equal(sq_ack(b, &other), 0);
}

static const struct CMUnitTest tests[] = {
	TEST(test_delivered_again),
	TEST(test_waited_for),
	TEST(test_ended_for_those_who_poll),
	TEST(test_ended_though_nobody_waits),
	TEST(test_touch_gives_more_time),
	TEST(test_touch_against_the_end),
	TEST(test_what_is_read_stays),
	TEST(test_copies_are_used_again),
	TEST(test_any_number_hang_on_it),
	TEST(test_overdue_at_any_turn),
	TEST(test_an_end_is_of_one_lease),
	TEST(test_sweeper_killed_after_deciding),
	TEST(test_deadline_far_ahead),
	TEST(test_deadline_rises),
	TEST(test_another_with_the_same_number),
	TEST(test_buried_under_a_reader),
	TEST(test_settled_twice_and_drained),
};

FX_MAIN(tests)
