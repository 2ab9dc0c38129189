/* SPDX-License-Identifier: ISC */

/*
 * Calls that look at several words, or write several, and what makes a second look or an order
 * necessary: between any two accesses of theirs another participant changes things, or they die.
 * Found by taking those looks out and changing those orders (tests/mutations): nothing else
 * noticed.
 */

#include "fixture.h"
#include "steps.h"

#include <setjmp.h>

#define GUARDED 2048
#define LEN     300
#define LONGER  1000 /* as much as the block has room for, and more than the caller has */

static const struct sq_config ring_of_4 = {
	.capacity = 4, .participants = 4, .max_message = 4096, .block_memory = 1};

/* a makes the call, b does what happens meanwhile, or sees what is left. */
static struct sq *a, *b;

/* The same, and the caller, a, dies there. */
static bool a_dies_at_step(long k, void (*f)(void))
{
	if (!dies_at_step(k, f))
		return false;
	fx_die(a);
	return true;
}

static void begin(void)
{
	a = fx_make("a", &ring_of_4);
	b = fx_open("a");
	/* No sweep sets right what went wrong. */
	sqi_store_seq(&a->ring.head->upkeep_ms, sqi_upkeep_at(sqi_now_ms(), 50000));
}

static unsigned char got[GUARDED];
static size_t room;
static ssize_t result;

static void a_gets(void)
{
	memset(got, 0xee, sizeof(got));
	result = sq_get(a, got, room, SQ_NOWAIT);
}

static struct sq_lease lease_of_b;

static void b_nacks(void)
{
	assert_int_equal(sq_nack(b, &lease_of_b), 0);
}

/*
 * Cause: a searcher that had found nothing noted as seen a message that came back behind the place
 * where it was searching, and did not look for it before the next sweep.
 */
static void test_search_met_by_a_nack(void **state)
{
	bool more = true;

	room = 8;
	for (long k = 1; more; k++) {
		begin();
		fx_put(a, 7);
		lease_of_b = fx_lease(b, 7);
		more = at_step(k, b_nacks, a_gets);
		if (more && result != 8)
			a_gets();
		assert_int_equal(result, more ? 8 : -EAGAIN);
		fx_end(NULL);
	}
}

static void b_lengthens(void)
{
	struct sqi_cell *c = sqi_cell(&b->ring, 0);

	c->data[1] = (c->data[1] & ~(uint64_t)UINT32_MAX) | LONGER;
}

/* Cause: the length of a message in a block was compared with the room for it, and then read again. */
static void test_get_met_by_damage_of_the_length(void **state)
{
	bool more = true;

	room = LEN;
	for (long k = 1; more; k++) {
		begin();
		fx_put_large(a, LEN, 1);
		more = at_step(k, b_lengthens, a_gets);
		assert_true(result == LEN || result == -EBADMSG || result == -EMSGSIZE);
		for (int i = LEN; i < GUARDED; i++)
			assert_int_equal(got[i], 0xee);
		fx_end(NULL);
	}
}

/* All goes, and the ring's next lap brings a larger message into the first cell. */
static void large_comes_behind(void)
{
	unsigned char buf[48];

	while (sq_get(b, buf, sizeof(buf), SQ_NOWAIT) >= 0)
		;
	for (uint64_t i = 0; i < 3; i++)
		fx_put(b, i);
	fx_put_large(b, 48, 1);
}

/*
 * Cause: "too large" was said of a message that was not the first any more, and never was the
 * caller's to refuse.
 */
static void test_get_met_by_a_larger_message(void **state)
{
	bool more = true;

	room = 8;
	for (long k = 1; more; k++) {
		begin();
		fx_put_large(a, 8, 1);
		more = at_step(k, large_comes_behind, a_gets);
		assert_int_equal(result, 8);
		fx_end(NULL);
	}
}

static uint64_t count_of_a;

static void a_asks(void)
{
	assert_int_equal(sq_count_read(a, 5, &count_of_a), 0);
}

/* The key's holder: puts two, and leaves it to the next. */
static struct sq *holder;

static void hold(void)
{
	uint64_t count;

	holder = fx_open("a");
	assert_int_equal(sq_count_bind(holder, 5, &count), 0);
}

static void next_holder_comes(void)
{
	fx_close(holder);
	hold();
}

/*
 * Cause: a key's count was added up of what its entry said before its holder left, and what the slot
 * said afterwards.
 */
static void test_bound_met_by_the_next_holder(void **state)
{
	bool more = true;

	for (long k = 1; more; k++) {
		begin();
		hold();
		fx_put(holder, 1);
		fx_put(holder, 2);
		more = at_step(k, next_holder_comes, a_asks);
		assert_int_equal(count_of_a, 2);
		fx_end(NULL);
	}
}

static void a_binds(void)
{
	uint64_t count;

	assert_int_equal(sq_count_bind(a, 5, &count), 0);
}

/*
 * Cause: a slot said to whose key its puts count before it said from where on: what its former tenant
 * had put was added to the key of one that was killed in between.
 */
static void test_killed_in_bind(void **state)
{
	for (long k = 1;; k++) {
		uint64_t count = 0;
		int r;

		begin();
		/* Puts under another key, in the slot that a moves into. */
		fx_close(a);
		a = fx_open("a");
		assert_int_equal(sq_count_bind(a, 6, &count), 0);
		fx_put(a, 1);
		fx_put(a, 2);
		fx_close(a);
		a = fx_open("a");
		if (!a_dies_at_step(k, a_binds)) {
			fx_end(NULL);
			break;
		}
		r = sq_count_read(b, 5, &count);
		assert_true(r == 0 || r == -ENOENT);
		if (r == 0)
			assert_int_equal(count, 0);
		assert_int_equal(sq_count_read(b, 6, &count), 0);
		assert_int_equal(count, 2);
		fx_end(NULL);
	}
}

static const struct CMUnitTest tests[] = {
	TEST(test_search_met_by_a_nack),
	TEST(test_get_met_by_damage_of_the_length),
	TEST(test_get_met_by_a_larger_message),
	TEST(test_bound_met_by_the_next_holder),
	TEST(test_killed_in_bind),
};

FX_MAIN(tests)
