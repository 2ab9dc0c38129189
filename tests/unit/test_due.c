/* SPDX-License-Identifier: ISC */
#include "fixture.h"

/* Lease times: when a lease ends, who may still read, and what becomes of the memory. */

#define LEASE (30 * MS)
#define POLLS 2000 /* in a queue where a look at the clock each 4096 operations was too seldom */

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
	struct sqi_due *due = sqi_due(h, pos);

	sqi_swap(&due->deadline, (due->deadline & 0xfffff) | (uint64_t)1 << 20);
	sqi_due_sweep(h);
}

static void stale(struct sq *h, const struct sq_lease *lease)
{
	assert_int_equal(sq_ack(h, lease), -ESTALE);
}

static void test_delivered_again(void **state)
{
	struct sq *a = fx_make("a", &timed), *b = fx_open("a");
	struct sq_lease x, y;
	int64_t from = sqi_now_ns(), took;
	int r;

	fx_put(a, 7);
	x = fx_lease(a, 7);
	/* Not yet: unless the machine has let the lease's time go by already. */
	r = sq_lease(b, &y, SQ_NOWAIT);
	if (r < 0 || sqi_now_ns() - from < LEASE - MS)
		assert_int_equal(r, -EAGAIN);
	if (r < 0)
		assert_int_equal(sq_lease(b, &y, FX_SOON), 0);
	took = sqi_now_ns() - from;
	assert_true(took >= LEASE - MS);
	assert_int_equal(y.id, x.id);
	assert_int_equal(y.attempts, 2);
	stale(a, &x);
	assert_int_equal(sq_ack(b, &y), 0);
	assert_int_equal(fx_stat(a).overdue, 1);
	assert_int_equal(fx_stat(a).reclaimed, 0);
	for (uint64_t i = 0; i < 20; i++) {
		fx_put(a, i);
		fx_get(b, i);
	}
}

struct poll {
	struct sq *h;
	uint64_t v;
};

static bool polled(struct poll *p)
{
	/* Whatever a busy machine did to the pace of looking. */
	sqi_swap(&p->h->head->rescue_ms, 0);
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

static void test_touch_gives_more_time(void **state)
{
	struct sq *a = fx_make("a", &timed), *b = fx_open("a");
	int64_t end = sqi_now_ns() + 5 * LEASE;
	struct sq_lease x;

	fx_put(a, 7);
	x = fx_lease(a, 7);
	while (sqi_now_ns() < end) {
		/*
		 * On a busy machine the test itself may be late: then it proves nothing, but does
		 * not fail.
		 */
		uint64_t before = sqi_due(a, 0)->deadline >> 20;
		bool in_time = (uint64_t)(sqi_now_ns() / MS) < before;

		sqi_due_sweep(b);
		if (in_time && (uint64_t)(sqi_now_ns() / MS) < before)
			assert_int_equal(sq_touch(a, &x), 0);
		else if (sq_touch(a, &x) < 0)
			return;
		assert_true(sqi_due(a, 0)->deadline >> 20 >= before);
		fx_nap(MS);
	}
	assert_int_equal(fx_stat(a).overdue, 0);
}

static void test_touch_against_the_end(void **state)
{
	struct sq *a = fx_make("a", &slow), *b = fx_open("a");
	struct sq_lease x;

	fx_put(a, 7);
	x = fx_lease(a, 7);
	/*
	 * Its end is decided, and whoever decided was stopped before the word: stale means stale.
	 */
	sqi_swap(&sqi_due(a, 0)->deadline, sqi_due(a, 0)->deadline & 0xfffff);
	assert_int_equal(sq_touch(a, &x), -ESTALE);
	assert_int_equal(sq_touch(a, &x), -ESTALE);
	stale(a, &x);
	fx_get(b, 7);
	fx_empty(a);
}

static void test_memory_stays_while_pinned(void **state)
{
	static const size_t sizes[] = {40, 300};

	for (unsigned s = 0; s < 2; s++) {
		struct sq *a = fx_make("a", &slow), *b = fx_open("a");
		uint64_t free_blocks = fx_stat(a).blocks_free;
		struct sq_lease x;

		fx_put_large(a, sizes[s], 1);
		assert_int_equal(sq_lease(a, &x, SQ_NOWAIT), 0);
		expire(b, 0);
		assert_int_equal(fx_state(a, 0), SQI_BACK);
		/* Got by another: but a may be reading it still. */
		fx_get_large(b, sizes[s], 1);
		assert_int_equal(fx_state(a, 0), SQI_PINNED);
		for (unsigned i = 0; i < 50; i++) {
			fx_put_large(b, sizes[s], i + 2);
			fx_get_large(b, sizes[s], i + 2);
			fx_check(x.data, sizes[s], 1);
		}
		assert_int_equal(fx_state(a, 0), SQI_PINNED);
		stale(a, &x);
		assert_int_equal(fx_state(a, 0), SQI_FREE);
		assert_int_equal(fx_stat(a).blocks_free, free_blocks);
		fx_end(NULL);
	}
}

static void test_pin_comes_off(void **state)
{
	for (int how = 0; how < 5; how++) {
		struct sq *a = fx_make("a", &slow), *b = fx_open("a");
		struct sq_lease x, y;

		fx_put_large(a, 300, 1);
		assert_int_equal(sq_lease(a, &x, SQ_NOWAIT), 0);
		expire(b, 0);
		assert_int_equal(sq_lease(b, &y, SQ_NOWAIT), 0);
		assert_int_equal(sq_ack(b, &y), 0);
		assert_int_equal(fx_state(b, 0), SQI_PINNED);
		switch (how) {
		case 0:
			assert_int_equal(sq_ack(a, &x), -ESTALE);
			break;
		case 1:
			assert_int_equal(sq_nack(a, &x), -ESTALE);
			break;
		case 2:
			assert_int_equal(sq_touch(a, &x), -ESTALE);
			break;
		case 3:
			fx_close(a);
			break;
		default:
			fx_die(a);
			assert_int_equal(sq_recover(b), 1);
			break;
		}
		assert_int_equal(fx_state(b, 0), SQI_FREE);
		assert_int_equal(fx_stat(b).blocks, fx_stat(b).blocks_free);
		fx_end(NULL);
	}
}

/* The pin comes off while the message is with another: nothing waits for it then. */
static void test_unpinned_early(void **state)
{
	struct sq *a = fx_make("a", &slow), *b = fx_open("a");
	struct sq_lease x, y;

	fx_put(a, 7);
	x = fx_lease(a, 7);
	expire(b, 0);
	y = fx_lease(b, 7);
	stale(a, &x);
	assert_int_equal(fx_state(a, 0), SQI_TAKEN);
	assert_int_equal(sq_ack(b, &y), 0);
	assert_int_equal(fx_state(a, 0), SQI_FREE);
}

static void test_four_pins(void **state)
{
	struct sq *h = fx_make("a", &slow), *holders[6];
	struct sq_lease leases[6];

	fx_put(h, 7);
	for (int i = 0; i < 6; i++)
		holders[i] = fx_open("a");
	for (int i = 0; i < 5; i++) {
		leases[i] = fx_lease(holders[i], 7);
		expire(h, 0);
	}
	/* Four may still be reading; there is no room to remember a fifth, so he keeps it. */
	assert_int_equal(fx_state(h, 0), SQI_TAKEN);
	assert_int_equal(sqi_word_owner(fx_word(h, 0)), holders[4]->owner);
	assert_int_equal(fx_stat(h).overdue, 4);
	fx_empty(h);
	stale(holders[2], &leases[2]);
	expire(h, 0);
	assert_int_equal(fx_state(h, 0), SQI_BACK);
	fx_get(holders[5], 7);
	assert_int_equal(fx_state(h, 0), SQI_PINNED);
	for (int i = 0; i < 5; i++) {
		assert_int_equal(fx_state(h, 0), SQI_PINNED);
		if (i != 2)
			stale(holders[i], &leases[i]);
	}
	assert_int_equal(fx_state(h, 0), SQI_FREE);
}

/* The same holder twice is one pin. */
static void test_pinned_twice(void **state)
{
	struct sq *a = fx_make("a", &slow), *b = fx_open("a");
	struct sq_lease x;

	fx_put(a, 7);
	for (int i = 0; i < 6; i++) {
		x = fx_lease(a, 7);
		expire(b, 0);
	}
	assert_int_equal(fx_stat(a).overdue, 6);
	fx_get(b, 7);
	assert_int_equal(fx_state(a, 0), SQI_PINNED);
	stale(a, &x);
	assert_int_equal(fx_state(a, 0), SQI_FREE);
}

static void test_pins_of_an_earlier_message(void **state)
{
	struct sq *a = fx_make("a", &slow), *b = fx_open("a");
	struct sq_lease x;

	/* Left by a sweeper that was killed: of another turn, so of nobody. */
	sqi_swap(&sqi_due(a, 0)->pins, (uint64_t)b->owner << 16 | 0xfff0);
	fx_put(a, 7);
	x = fx_lease(a, 7);
	assert_int_equal(sq_ack(a, &x), 0);
	assert_int_equal(fx_state(a, 0), SQI_FREE);
	for (uint64_t i = 0; i < 4; i++)
		fx_put(a, i);
	for (uint64_t i = 0; i < 4; i++)
		fx_get(a, i);
	assert_int_equal(fx_state(a, 0), SQI_FREE);
}

/* Cause: the age of pins was compared as a 16-bit signed number. */
static void test_overdue_at_any_turn(void **state)
{
	static const uint64_t turns[] = {1, 32767, 32768, 32769, 40000, 65535, 65536, 98304 + 7,
		((uint64_t)1 << 39) + 40000, ((uint64_t)1 << 40) - 1};

	for (size_t i = 0; i < sizeof(turns) / sizeof(turns[0]); i++)
		for (int left_over = 0; left_over < 2; left_over++) {
			struct sq *a = fx_make("a", &slow), *b;

			if (left_over)
				sqi_swap(&sqi_due(a, 0)->pins, (uint64_t)7 << 16 | 3);
			fx_start_at(a, turns[i] << a->shift);
			fx_put(a, 7);
			(void)fx_lease(a, 7);
			expire(a, 0);
			b = fx_open("a");
			fx_get(b, 7);
			assert_int_equal(fx_state(a, 0), SQI_PINNED);
			fx_close(a);
			assert_int_equal(fx_state(b, 0), SQI_FREE);
			fx_end(NULL);
		}
}

/*
 * Cause: a deadline was left alone if it bore the new lease's tag, which comes again every 4096
 * turns.
 */
static void test_old_deadline_of_the_same_tag(void **state)
{
	struct sq *a = fx_make(
		"a", &(struct sq_config){
			     .capacity = 2, .max_message = 48, .lease_time = 3600 * 1000 * MS});
	struct sq *b = fx_open("a");
	struct sq_lease x;

	fx_put(a, 7);
	x = fx_lease(a, 7);
	sqi_swap(&sqi_due(a, 0)->deadline, (sqi_due(a, 0)->deadline & 0xfffff) | (uint64_t)1 << 20);
	assert_int_equal(sq_ack(a, &x), 0);
	for (uint64_t i = 1; i < 2 * 4096; i++) {
		fx_put(a, i);
		fx_get(a, i);
	}
	fx_put(a, 8);
	x = fx_lease(a, 8);
	assert_int_equal(x.id, 2 * 4096);
	sqi_due_sweep(b);
	assert_int_equal(sq_touch(a, &x), 0);
	assert_int_equal(sq_ack(a, &x), 0);
}

/*
 * The lessee was stopped before it could write its deadline: a sweep writes it, and ends the lease
 * in time.
 */
static void test_deadline_written_by_another(void **state)
{
	struct sq *a = fx_make("a", &timed), *b = fx_open("a");
	struct sq_lease y;
	uint64_t before;

	fx_put(a, 7);
	(void)fx_lease(a, 7);
	sqi_swap(&sqi_due(a, 0)->deadline, 0xabcde);
	before = sqi_now_ms();
	sqi_due_sweep(b);
	assert_int_equal(fx_state(a, 0), SQI_TAKEN);
	assert_true(sqi_due(a, 0)->deadline >> 20 >= before + LEASE / MS);
	assert_int_equal(sq_lease(b, &y, FX_SOON), 0);
	assert_int_equal(sq_ack(b, &y), 0);
}

/*
 * A sweeper set its pin, and was killed before it had decided: the holder's ack leaves nothing
 * behind.
 */
static void test_sweeper_killed_before_deciding(void **state)
{
	struct sq *a = fx_make("a", &slow);
	struct sq_lease x;

	fx_put(a, 7);
	x = fx_lease(a, 7);
	sqi_swap(&sqi_due(a, 0)->pins, (uint64_t)a->owner << 16);
	assert_int_equal(sq_ack(a, &x), 0);
	assert_int_equal(fx_state(a, 0), SQI_FREE);
}

/* Decided, and killed before the word: the next sweep carries it out. */
static void test_sweeper_killed_after_deciding(void **state)
{
	struct sq *a = fx_make("a", &slow), *b = fx_open("a");

	fx_put(a, 7);
	(void)fx_lease(a, 7);
	sqi_swap(&sqi_due(a, 0)->pins, (uint64_t)a->owner << 16);
	sqi_swap(&sqi_due(a, 0)->deadline, sqi_due(a, 0)->deadline & 0xfffff);
	sqi_due_sweep(b);
	assert_int_equal(fx_state(a, 0), SQI_BACK);
	assert_int_equal(fx_stat(a).overdue, 1);
}

static void test_ring_goes_on_round_pinned(void **state)
{
	struct sq *a = fx_make("a", &slow), *b = fx_open("a");
	struct sq_lease x[3];

	for (uint64_t i = 0; i < 3; i++)
		fx_put(a, i);
	for (uint64_t i = 0; i < 3; i++)
		x[i] = fx_lease(a, i);
	for (uint64_t i = 0; i < 3; i++)
		expire(b, i);
	for (uint64_t i = 0; i < 3; i++)
		fx_get(b, i);
	for (uint64_t i = 0; i < 1000; i++) {
		fx_put(b, i);
		fx_get(b, i);
	}
	for (int i = 0; i < 3; i++)
		stale(a, &x[i]);
	for (uint64_t i = 0; i < 3; i++)
		assert_int_equal(fx_state(a, i), SQI_FREE);
}

/*
 * Cause: who asked for the next message buried one that his user was still reading by a lease that had
 * ended, and took the pin off that kept its memory.
 */
static void test_not_buried_under_our_own_reader(void **state)
{
	struct sq *d = fx_make("d", &slow), *a = fx_make("a", &once), *b = fx_open("a");
	struct sq_lease x, y;

	fx_put_large(b, 1000, 7);
	assert_int_equal(sq_lease(a, &x, SQ_NOWAIT), 0);
	expire(b, x.id);
	assert_int_equal(fx_state(a, x.id), SQI_BACK);
	assert_int_equal(sq_lease(a, &y, SQ_NOWAIT), -EAGAIN);
	/* Whatever memory is used now, it is not this. */
	for (unsigned i = 0; i < 100; i++) {
		fx_put_large(b, 1000, i);
		assert_int_equal(sq_lease(a, &y, SQ_NOWAIT), 0);
		fx_check(y.data, y.len, i);
		assert_int_equal(sq_ack(a, &y), 0);
	}
	fx_check(x.data, x.len, 7);
	assert_int_equal(fx_stat(d).depth, 0);
	/* When he knows, it goes. */
	stale(a, &x);
	sqi_due_sweep(a);
	assert_int_equal(sq_lease(a, &y, SQ_NOWAIT), -EAGAIN);
	assert_int_equal(fx_stat(d).depth, 1);
	fx_get_large(d, 1000, 7);
}

/* Nor does that keep others from it. */
static void test_buried_by_another(void **state)
{
	struct sq *d = fx_make("d", &slow), *a = fx_make("a", &once), *b = fx_open("a");
	struct sq_lease x, y;

	fx_put_large(b, 1000, 7);
	assert_int_equal(sq_lease(a, &x, SQ_NOWAIT), 0);
	expire(b, x.id);
	assert_int_equal(sq_lease(b, &y, SQ_NOWAIT), -EAGAIN);
	assert_int_equal(fx_stat(d).depth, 1);
	assert_int_equal(fx_state(a, x.id), SQI_PINNED);
	fx_check(x.data, x.len, 7);
	stale(a, &x);
	assert_int_equal(fx_state(a, x.id), SQI_FREE);
}

static const struct CMUnitTest tests[] = {
	TEST(test_delivered_again),
	TEST(test_ended_for_those_who_poll),
	TEST(test_touch_gives_more_time),
	TEST(test_touch_against_the_end),
	TEST(test_memory_stays_while_pinned),
	TEST(test_pin_comes_off),
	TEST(test_unpinned_early),
	TEST(test_four_pins),
	TEST(test_pinned_twice),
	TEST(test_pins_of_an_earlier_message),
	TEST(test_overdue_at_any_turn),
	TEST(test_old_deadline_of_the_same_tag),
	TEST(test_deadline_written_by_another),
	TEST(test_sweeper_killed_before_deciding),
	TEST(test_sweeper_killed_after_deciding),
	TEST(test_ring_goes_on_round_pinned),
	TEST(test_not_buried_under_our_own_reader),
	TEST(test_buried_by_another),
};

FX_MAIN(tests)
