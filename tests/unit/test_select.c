/* SPDX-License-Identifier: ISC */
#include "fixture.h"

#include <stdio.h>
#include <stdlib.h>

/*
 * Dead letters: messages that were tried too often, and what happens where there is no room for
 * them.
 */

static struct sq *make(uint32_t max_attempts, uint64_t dead_capacity, struct sq **ret_dead)
{
	const struct sq_config d = {
		.capacity = dead_capacity, .max_message = 4096, .block_memory = 32768};
	const struct sq_config c = {.capacity = 4,
		.max_message = 4096,
		.block_memory = 32768,
		.max_attempts = max_attempts,
		.dead_letter = "d"};

	if (ret_dead)
		*ret_dead = fx_make("d", &d);
	return fx_make("a", &c);
}

static void use_up(struct sq *h, uint64_t v, uint32_t attempts)
{
	for (uint32_t i = 1; i <= attempts; i++) {
		struct sq_lease lease = fx_lease(h, v);

		assert_int_equal(lease.attempts, i);
		assert_int_equal(sq_nack(h, &lease), 0);
	}
}

static void test_moved(void **state)
{
	static const uint32_t limits[] = {1, 3, SQ_ATTEMPTS_MAX};

	for (size_t i = 0; i < 3; i++) {
		struct sq *dead, *h = make(limits[i], 8, &dead);

		fx_put(h, 7);
		use_up(h, 7, limits[i]);
		fx_put(h, 8);
		fx_get(h, 8);
		fx_empty(h);
		fx_get(dead, 7);
		fx_empty(dead);
		assert_int_equal(fx_stat(h).dead_letters, 1);
		assert_int_equal(fx_stat(h).depth, 0);
		assert_int_equal(fx_stat(h).took, 2);
		fx_end(NULL);
	}
}

/* Cause: a dead letter that was moved counted as a delivery, and the next redelivery had to wait. */
static void test_moving_takes_no_turn(void **state)
{
	struct sq *dead, *a = make(1, 8, &dead), *b = fx_open("a");
	struct sq_lease lease;

	fx_put(b, 1);
	use_up(b, 1, 1);
	fx_empty(a);
	fx_get(dead, 1);
	/* One that waits for redelivery, and one of the ring. */
	fx_put(b, 2);
	lease = fx_lease(b, 2);
	assert_int_equal(sq_return(b, &lease), 0);
	fx_put(b, 3);
	fx_get(a, 2);
	fx_get(a, 3);
}

static void test_not_before_its_time(void **state)
{
	struct sq *dead, *h = make(3, 8, &dead);

	fx_put(h, 7);
	use_up(h, 7, 2);
	fx_get(h, 7);
	fx_empty(dead);
	assert_int_equal(fx_stat(h).dead_letters, 0);
}

static void test_large(void **state)
{
	struct sq *dead, *h = make(1, 8, &dead);
	struct sq_lease lease;

	fx_put_large(h, 3000, 9);
	assert_int_equal(sq_lease(h, &lease, SQ_NOWAIT), 0);
	assert_int_equal(sq_nack(h, &lease), 0);
	fx_empty(h);
	fx_get_large(dead, 3000, 9);
	assert_int_equal(fx_stat(h).blocks, fx_stat(h).blocks_free);
}

static bool moved_one(void *arg)
{
	struct sq *h = arg;
	uint64_t v;

	/* Whatever a busy machine did to the pace of looking. */
	sqi_store_seq(&h->ring.head->upkeep_ms, 0);
	sqi_store_seq(&h->ring.head->find_dead_ms, 0);
	assert_int_equal(sq_get(h, &v, 8, SQ_NOWAIT), -EAGAIN);
	return fx_stat(h).dead_letters == 3;
}

static void test_no_room(void **state)
{
	struct sq *dead, *h = make(1, 2, &dead);

	for (uint64_t i = 0; i < 3; i++) {
		fx_put(h, i);
		use_up(h, i, 1);
		if (i < 2)
			fx_empty(h);
	}
	/* The third stays, and the others go on. */
	for (uint64_t i = 10; i < 50; i++) {
		fx_put(h, i);
		fx_get(h, i);
	}
	assert_int_equal(fx_stat(h).undelivered, 1);
	assert_int_equal(fx_stat(h).depth, 0);
	assert_int_equal(fx_stat(h).dead_letters, 2);
	/* Once there is room it is moved. */
	fx_get(dead, 0);
	assert_true(fx_soon(moved_one, h, FX_SOON));
	fx_get(dead, 1);
	fx_get(dead, 2);
	assert_int_equal(fx_stat(h).depth, 0);
}

static void test_too_large_for_it(void **state)
{
	const struct sq_config small = {.capacity = 4, .max_message = 48};
	const struct sq_config config = {
		.capacity = 4, .max_message = 4096, .max_attempts = 1, .dead_letter = "d"};
	struct sq *h;
	struct sq_lease lease;

	/* Refused, if it is there; but it may come later, or be another then. */
	(void)fx_make("d", &small);
	assert_int_equal(sq_create("a", &config), -EMSGSIZE);
	assert_int_equal(sq_unlink("d"), 0);
	h = make(1, 0, NULL);
	(void)fx_make("d", &small);
	fx_put_large(h, 3000, 1);
	fx_put(h, 5);
	assert_int_equal(sq_lease(h, &lease, SQ_NOWAIT), 0);
	assert_int_equal(sq_nack(h, &lease), 0);
	fx_get(h, 5);
	assert_int_equal(fx_stat(h).undelivered, 1);
	/* Nobody waits for it. */
	assert_int_equal(sq_join(h, FX_SOON), 0);
}

static void test_missing(void **state)
{
	struct sq *h = make(1, 0, NULL), *dead;

	fx_put(h, 7);
	use_up(h, 7, 1);
	fx_empty(h);
	fx_put(h, 8);
	fx_get(h, 8);
	assert_int_equal(fx_stat(h).undelivered, 1);
	assert_int_equal(fx_stat(h).took, 1);
	/* It comes to be: the next look moves it there. */
	dead = fx_make("d", NULL);
	sqi_redelivery_announce_all(&h->ring, 0, h->ring.mask + 1);
	fx_empty(h);
	fx_get(dead, 7);
}

/*
 * Cause: the handle on a dead-letter queue was kept for ever, and dead letters went to a file
 * without a name.
 */
static void test_removed_and_made_again(void **state)
{
	struct sq *dead, *h = make(1, 8, &dead);

	fx_put(h, 7);
	use_up(h, 7, 1);
	fx_empty(h);
	fx_get(dead, 7);
	assert_int_equal(sq_unlink("d"), 0);
	fx_put(h, 8);
	use_up(h, 8, 1);
	fx_empty(h);
	assert_int_equal(sq_get(dead, NULL, 0, SQ_NOWAIT), -EIDRM);
	assert_int_equal(fx_stat(h).undelivered, 1);
	dead = fx_make("d", NULL);
	sqi_redelivery_announce_all(&h->ring, 0, h->ring.mask + 1);
	fx_empty(h);
	fx_get(dead, 8);
}

/*
 * Cause: the end of a drained queue was looked for again and again while a dead letter had no place
 * to go.
 */
static void test_drained_but_for_a_dead_letter(void **state)
{
	struct sq *h = make(1, 0, NULL);
	uint64_t v;

	fx_put(h, 7);
	use_up(h, 7, 1);
	assert_int_equal(sq_shutdown(h, false), 0);
	/* It can go nowhere, and so can nothing else: that is the end. */
	assert_int_equal(sq_join(h, SQ_FOREVER), 0);
	assert_int_equal(sq_get(h, &v, 8, SQ_FOREVER), -EPIPE);
	assert_int_equal(fx_stat(h).undelivered, 1);
	(void)fx_make("d", NULL);
	sqi_redelivery_announce_all(&h->ring, 0, h->ring.mask + 1);
	assert_int_equal(sq_get(h, &v, 8, SQ_NOWAIT), -EPIPE);
	assert_int_equal(fx_stat(h).undelivered, 0);
	assert_int_equal(fx_stat(h).dead_letters, 1);
}

/* Not even a cell is left for the mark of the end. */
static void test_drained_but_for_dead_letters(void **state)
{
	struct sq *h = make(1, 0, NULL);
	uint64_t v;

	for (uint64_t i = 0; i < 4; i++) {
		fx_put(h, i);
		use_up(h, i, 1);
	}
	assert_int_equal(sq_shutdown(h, false), 0);
	assert_int_equal(sq_get(h, &v, 8, SQ_FOREVER), -EPIPE);
}

static void test_its_own_dead_letter_queue(void **state)
{
	struct sq_config c = {.max_attempts = 1, .dead_letter = "self"};
	char dotted[2 * SQ_NAME_MAX + 2];

	assert_int_equal(sq_create("self", &c), -EINVAL);
	assert_int_equal(sq_prefix(dotted, SQ_NAME_MAX + 1), 0);
	strcat(dotted, ".self");
	assert_int_equal(sq_create(dotted, &c), -EINVAL);
	c.dead_letter = dotted;
	assert_int_equal(sq_create("self", &c), -EINVAL);
}

/*
 * Two queues that are each other's: letters go to and fro, a step at a time, and no call is caught
 * in it.
 */
static void test_each_others(void **state)
{
	struct sq_config c = {.capacity = 4, .max_message = 48, .max_attempts = 1};
	struct sq *a, *b;

	c.dead_letter = "b";
	a = fx_make("a", &c);
	c.dead_letter = "a";
	b = fx_make("b", &c);
	fx_put(a, 7);
	for (int i = 0; i < 10; i++) {
		use_up(a, 7, 1);
		fx_empty(a);
		use_up(b, 7, 1);
		fx_empty(b);
	}
	fx_get(a, 7);
}

static void damage_ring(struct sq *h)
{
	for (uint64_t p = 0; p <= h->ring.mask; p++)
		fx_set(h, p, 15);
}

static void damage_counter(struct sq *h)
{
	sqi_store_seq(&h->ring.head->next_id, (uint64_t)1 << 62);
}

/* Cause: what was wrong with the other queue was taken for damage of this one. */
static void test_damaged_dead_letter_queue(void **state)
{
	static const struct {
		void (*damage)(struct sq *h);
		uint64_t when; /* before the first, when it is not open; or before the second */
	} cases[] = {{damage_ring, 0}, {damage_counter, 0}, {damage_ring, 1}};

	for (size_t k = 0; k < sizeof(cases) / sizeof(cases[0]); k++) {
		struct sq *dead, *h = make(1, 2, &dead);

		for (uint64_t i = 0; i < 2; i++) {
			if (i == cases[k].when)
				cases[k].damage(dead);
			fx_put(h, i);
			use_up(h, i, 1);
			fx_put(h, 10 + i);
			fx_put(h, 20 + i);
			fx_get(h, 10 + i);
			fx_get(h, 20 + i);
			fx_empty(h);
		}
		for (uint64_t i = 30; i < 50; i++) {
			sqi_redelivery_announce_all(&h->ring, 0, h->ring.mask + 1);
			fx_put(h, i);
			fx_get(h, i);
		}
		assert_int_equal(fx_stat(h).undelivered, 2 - cases[k].when);
		assert_int_equal(fx_stat(h).damaged, 0);
		fx_end(NULL);
	}
}

/*
 * Cause: a name without a prefix was looked for under the prefix of the process that met the
 * message.
 */
static void test_prefix_of_the_queue(void **state)
{
	char full[SQ_NAME_MAX * 2 + 2], *mine = strdup(getenv("SQ_PREFIX"));
	struct sq *dead, *h = make(1, 8, &dead);

	assert_non_null(mine);
	(void)snprintf(full, sizeof(full), "%s.d", mine);
	assert_string_equal(fx_stat(h).dead_letter, full);
	(void)snprintf(full, sizeof(full), "%s.a", mine);
	assert_int_equal(setenv("SQ_PREFIX", "somebodyelse", 1), 0);
	h = fx_open(full);
	fx_put(h, 7);
	use_up(h, 7, 1);
	fx_empty(h);
	fx_get(dead, 7);
	assert_int_equal(setenv("SQ_PREFIX", mine, 1), 0);
	free(mine);
}

/* Cause: a cell far ahead in turn, and the search for the end of the queue never came back. */
static void test_damage_behind_a_lease(void **state)
{
	static const enum sqi_state states[] = {SQI_FREE, SQI_WRITING, SQI_FULL, SQI_SEALED};

	for (int i = 0; i < 4; i++) {
		struct sq *h = fx_make("a", &(struct sq_config){.capacity = 2}), *b = fx_open("a");
		uint64_t v, word;
		int64_t from;
		ssize_t r;

		fx_put(h, 7);
		(void)fx_lease(h, 7);
		assert_int_equal(sq_shutdown(h, false), 0);
		fx_set(h, 1, sqi_word(states[i], 0, 0, (uint64_t)1 << 38));
		word = fx_word(h, 0);
		from = sqi_now_ns();
		r = sq_get(b, &v, 8, SQ_NOWAIT);
		assert_true(sqi_now_ns() - from < FX_SOON);
		assert_true(r == -EAGAIN || r == -EBADMSG || r == -EPIPE);
		/* Free, but not in this lap: nothing is skipped for it, and the lease is out. */
		if (states[i] == SQI_FREE) {
			assert_int_equal(r, -EAGAIN);
			assert_int_equal(fx_word(h, 0), word);
		}
		fx_end(NULL);
	}
}

static void test_immediate(void **state)
{
	struct sq *dead, *h = make(1, 8, &dead);
	uint64_t v;

	fx_put(h, 7);
	use_up(h, 7, 1);
	fx_put(h, 8);
	assert_int_equal(sq_shutdown(h, true), 0);
	assert_int_equal(sq_get(h, &v, 8, SQ_FOREVER), -EPIPE);
	assert_int_equal(fx_stat(h).depth, 1);
	assert_int_equal(fx_stat(h).undelivered, 1);
}

static const struct CMUnitTest tests[] = {
	TEST(test_moved),
	TEST(test_moving_takes_no_turn),
	TEST(test_not_before_its_time),
	TEST(test_large),
	TEST(test_no_room),
	TEST(test_too_large_for_it),
	TEST(test_missing),
	TEST(test_removed_and_made_again),
	TEST(test_drained_but_for_a_dead_letter),
	TEST(test_drained_but_for_dead_letters),
	TEST(test_its_own_dead_letter_queue),
	TEST(test_each_others),
	TEST(test_damaged_dead_letter_queue),
	TEST(test_prefix_of_the_queue),
	TEST(test_damage_behind_a_lease),
	TEST(test_immediate),
};

FX_MAIN(tests)
