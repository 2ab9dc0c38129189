/* SPDX-License-Identifier: ISC */
#include <fcntl.h>
#include <unistd.h>

#include "fixture.h"

/*
 * Durable participants: leases that outlive their holder, exactly one holder of a key, and what a
 * forwarder asks about single messages.
 */

#define KEY 77

static const struct sq_config eight = {
	.capacity = 8, .participants = 4, .max_message = 4096, .block_memory = 1};

static struct sq *durable(const char *name, uint64_t key)
{
	struct sq *h = NULL;

	assert_int_equal(sq_open_durable(&h, name, key, SQ_FOREVER), 0);
	return h;
}

static bool has(const struct sq_lease *held, int n, uint64_t id, uint64_t v)
{
	for (int i = 0; i < n; i++)
		if (held[i].id == id)
			return held[i].len == 8 && memcmp(held[i].data, &v, 8) == 0;
	return false;
}

static void test_leases_outlive_the_holder(void **state)
{
	struct sq *a = fx_make("a", &eight), *d = durable("a", KEY);
	struct sq_lease one, two, held[4];

	fx_put(a, 1);
	fx_put(a, 2);
	fx_put(a, 3);
	one = fx_lease(d, 1);
	two = fx_lease(d, 2);
	fx_die(d);
	/* However often it is looked for. */
	assert_int_equal(sq_recover(a), 1);
	assert_int_equal(sq_recover(a), 0);
	fx_get(a, 3);
	fx_empty(a);
	assert_int_equal(fx_stat(a).leased, 2);
	d = durable("a", KEY);
	assert_int_equal(sq_held(d, held, 4), 2);
	assert_true(has(held, 2, one.id, 1) && has(held, 2, two.id, 2));
	assert_int_equal(sq_held(d, held, 1), 2);
	assert_int_equal(sq_held(d, NULL, 0), 2);
	/* They are as good as its own; what the former handle was told is not. */
	assert_int_equal(sq_ack(d, &one), -EINVAL);
	assert_int_equal(sq_held(d, held, 4), 2);
	assert_int_equal(sq_ack(d, &held[held[0].id != one.id]), 0);
	assert_int_equal(sq_nack(d, &held[held[0].id != two.id]), 0);
	assert_int_equal(sq_held(d, held, 4), 0);
	fx_get(a, 2);
	assert_int_equal(sq_retire(d), 0);
	sq_close(d);
	assert_int_equal(fx_stat(a).participants, 1);
}

static void test_closing_keeps_them_too(void **state)
{
	struct sq *a = fx_make("a", &eight), *d = durable("a", KEY);
	struct sq_lease held[2];

	fx_put(a, 1);
	(void)fx_lease(d, 1);
	sq_close(d);
	fx_empty(a);
	assert_int_equal(sq_recover(a), 0);
	d = durable("a", KEY);
	assert_int_equal(sq_held(d, held, 2), 1);
	/* Retired, it is like any other. */
	assert_int_equal(sq_retire(d), 0);
	sq_close(d);
	fx_get(a, 1);
}

static void test_retired_and_dead(void **state)
{
	struct sq *a = fx_make("a", &eight), *d = durable("a", KEY);

	fx_put(a, 1);
	(void)fx_lease(d, 1);
	assert_int_equal(sq_retire(d), 0);
	fx_die(d);
	assert_int_equal(sq_recover(a), 1);
	fx_get(a, 1);
	/* Its slot is free for any participant, and the key begins anew. */
	d = durable("a", KEY);
	assert_int_equal(sq_held(d, NULL, 0), 0);
	sq_close(d);
}

static void test_one_holder_at_a_time(void **state)
{
	struct sq *a = fx_make("a", &eight), *d = durable("a", KEY), *other = NULL;
	uint64_t count;

	assert_int_equal(sq_open_durable(&other, "a", KEY, SQ_FOREVER), -EBUSY);
	assert_int_equal(sq_count_bind(a, KEY, &count), -EBUSY);
	assert_int_equal(sq_open_durable(&other, "a", 0, SQ_FOREVER), -EINVAL);
	assert_int_equal(sq_open_durable(&other, "nobody", KEY, SQ_FOREVER), -ENOENT);
	assert_null(other);
	other = durable("a", KEY + 1);
	sq_close(other);
	sq_close(d);
	d = durable("a", KEY);
	fx_die(d);
	d = durable("a", KEY);
	sq_close(d);
}

/* A durable participant that never comes again keeps its slot, and only that. */
static void test_slots(void **state)
{
	struct sq *a = fx_make("a", &eight), *d, *other = NULL;

	for (uint64_t key = 1; key <= 3; key++) {
		d = durable("a", key);
		fx_die(d);
	}
	assert_int_equal(sq_open(&other, "a"), -EUSERS);
	for (int i = 0; i < 10; i++) {
		d = durable("a", 2);
		fx_die(d);
	}
	d = durable("a", 2);
	assert_int_equal(sq_retire(d), 0);
	sq_close(d);
	other = fx_open("a");
	fx_put(other, 5);
	fx_get(a, 5);
}

static void lease_and_bind(struct sq *h, void *arg)
{
	struct sq *d = NULL;
	struct sq_lease lease;
	uint64_t count;

	CHILD_CHECK(sq_open_durable(&d, "a", KEY, SQ_FOREVER) == 0);
	CHILD_CHECK(sq_lease(d, &lease, SQ_NOWAIT) == 0);
	CHILD_CHECK(lease.len == 300);
	CHILD_CHECK(sq_count_bind(h, KEY + 1, &count) == 0);
	CHILD_CHECK(sq_put(h, "xxxxxxxx", 8, SQ_NOWAIT) == 0);
}

/* A block's memory stays, too, and what was not durable of that process does not. */
static void test_killed_with_a_block(void **state)
{
	struct sq *a = fx_make("a", &eight), *d;
	struct sq_lease held[2];
	uint64_t count, id;

	fx_put_large(a, 300, 9);
	fx_kill("a", lease_and_bind, NULL);
	assert_int_equal(sq_recover(a), 2);
	d = durable("a", KEY);
	assert_int_equal(sq_held(d, held, 2), 1);
	assert_int_equal(held[0].len, 300);
	fx_check(held[0].data, 300, 9);
	assert_int_equal(held[0].attempts, 1);
	assert_int_equal(sq_ack(d, &held[0]), 0);
	assert_int_equal(sq_ack(d, &held[0]), -ESTALE);
	/* The put under the other key, and where it was. */
	assert_int_equal(sq_last_put(a, &id), 0);
	assert_int_equal(sq_count_bind(a, KEY + 1, &count), 0);
	assert_int_equal(count, 1);
	assert_int_equal(sq_last_put(a, &id), 0);
	assert_int_equal(sq_find(a, id), SQ_WAITING);
	assert_int_equal(sq_retire(d), 0);
	sq_close(d);
}

static const struct sq_config brief = {.capacity = 8,
	.participants = 4,
	.max_message = 4096,
	.block_memory = 1,
	.lease_time = 20 * MS};

static void test_overdue(void **state)
{
	struct sq *a = fx_make("a", &brief), *d = durable("a", KEY);
	struct sq_lease lease;

	fx_put_large(a, 300, 3);
	assert_int_equal(sq_lease(d, &lease, SQ_NOWAIT), 0);
	fx_die(d);
	(void)sq_recover(a);
	fx_nap(40 * MS);
	/* A lease time is a lease time. */
	(void)sq_recover(a);
	fx_get_large(a, 300, 3);
	/* It is not read any more, so its memory comes back. */
	d = durable("a", KEY);
	assert_int_equal(sq_held(d, NULL, 0), 0);
	(void)sq_recover(a);
	assert_int_equal(fx_stat(a).blocks_free, fx_stat(a).blocks);
	sq_close(d);
}

static void overdue(struct sq *h)
{
	fx_nap(40 * MS);
	(void)sq_recover(h);
}

/* The cell is kept for the dead one's successor only until the lease is overdue. */
static void test_overdue_and_nobody_comes(void **state)
{
	struct sq *a = fx_make("a", &brief), *d = durable("a", KEY);
	struct sq_lease lease;

	fx_put_large(a, 300, 3);
	assert_int_equal(sq_lease(d, &lease, SQ_NOWAIT), 0);
	fx_die(d);
	(void)sq_recover(a);
	overdue(a);
	fx_get_large(a, 300, 3);
	(void)sq_recover(a);
	assert_int_equal(fx_stat(a).blocks_free, fx_stat(a).blocks);
}

/* A lease that ended before the successor asked for it has no effect on the successor. */
static void test_ended_before_it_was_told(void **state)
{
	struct sq *a = fx_make("a", &brief), *d = durable("a", KEY);
	unsigned char buf[8];
	struct sq_lease lease;

	fx_put(a, 1);
	(void)fx_lease(d, 1);
	fx_die(d);
	d = durable("a", KEY);
	overdue(a);
	fx_get(a, 1);
	assert_int_equal(sq_held(d, &lease, 1), 0);
	fx_put(a, 2);
	lease = fx_lease(a, 2);
	assert_int_equal(sq_shutdown(a, false), 0);
	/* The other's may come back. */
	assert_int_equal(sq_get(d, buf, sizeof(buf), SQ_NOWAIT), -EAGAIN);
	assert_int_equal(sq_ack(a, &lease), 0);
	assert_int_equal(sq_get(d, buf, sizeof(buf), SQ_NOWAIT), -EPIPE);
}

/* It will come again: what is ephemeral stays for it. */
static void test_not_abandoned(void **state)
{
	static const struct sq_config passing = {
		.capacity = 8, .participants = 4, .flags = SQ_EPHEMERAL};
	struct sq *a = fx_make("a", &passing), *d = durable("a", KEY);

	fx_put(a, 1);
	(void)fx_lease(d, 1);
	fx_die(d);
	fx_close(a);
	assert_int_equal(sq_gc("a"), 0);
	d = durable("a", KEY);
	assert_int_equal(sq_held(d, NULL, 0), 1);
	assert_int_equal(sq_retire(d), 0);
	sq_close(d);
	assert_int_equal(sq_gc("a"), 1);
}

static void withdraw(struct sq *h, uint64_t id)
{
	struct sq_lease lease;

	assert_int_equal(sq_lease_id(h, id, &lease), 0);
	assert_int_equal(lease.id, id);
	assert_int_equal(sq_ack(h, &lease), 0);
}

static void test_find_and_lease(void **state)
{
	struct sq *a = fx_make("a", &eight);
	struct sq_lease lease;
	uint64_t id[12];

	assert_int_equal(sq_last_put(a, &id[0]), -ENOENT);
	for (uint64_t i = 0; i < 4; i++) {
		fx_put(a, i);
		assert_int_equal(sq_last_put(a, &id[i]), 0);
		assert_int_equal(sq_find(a, id[i]), SQ_WAITING);
	}
	lease = fx_lease(a, 0);
	assert_int_equal(lease.id, id[0]);
	assert_int_equal(sq_find(a, id[0]), SQ_LEASED);
	assert_int_equal(sq_lease_id(a, id[0], &lease), -EBUSY);
	assert_int_equal(sq_nack(a, &lease), 0);
	assert_int_equal(sq_find(a, id[0]), SQ_WAITING);
	withdraw(a, id[0]);
	assert_int_equal(sq_lease_id(a, id[0], &lease), -ENOENT);
	assert_int_equal(sq_find(a, id[0]), SQ_GONE);
	/* From the middle: the others stay in order. */
	withdraw(a, id[2]);
	fx_get(a, 1);
	fx_get(a, 3);
	fx_empty(a);
	/* The same cells, laps later: an id is never another's. */
	for (uint64_t i = 0; i < 20; i++) {
		fx_put(a, i);
		fx_get(a, i);
	}
	for (uint64_t i = 0; i < 8; i++)
		fx_put(a, i);
	for (int i = 0; i < 4; i++)
		assert_int_equal(sq_find(a, id[i]), SQ_GONE);
	fx_get(a, 0);
	fx_put_large(a, 300, 1);
	assert_int_equal(sq_last_put(a, &id[0]), 0);
	withdraw(a, id[0]);
	assert_int_equal(fx_stat(a).blocks_free, fx_stat(a).blocks);
}

static void test_marks(void **state)
{
	struct sq *a = fx_make("a", &eight);
	struct sq_lease lease;
	uint64_t mark, later;

	assert_int_equal(sq_mark(a, &mark), 0);
	assert_int_equal(sq_passed(a, mark), 1);
	fx_put(a, 1);
	fx_put(a, 2);
	assert_int_equal(sq_passed(a, mark), 1);
	assert_int_equal(sq_mark(a, &mark), 0);
	lease = fx_lease(a, 1);
	fx_put(a, 3);
	assert_int_equal(sq_mark(a, &later), 0);
	fx_get(a, 2);
	assert_int_equal(sq_passed(a, mark), 0);
	assert_int_equal(sq_nack(a, &lease), 0);
	assert_int_equal(sq_passed(a, mark), 0);
	fx_get(a, 1);
	assert_int_equal(sq_passed(a, mark), 1);
	assert_int_equal(sq_passed(a, later), 0);
	fx_get(a, 3);
	assert_int_equal(sq_passed(a, later), 1);
}

static void test_arm(void **state)
{
	struct sq *a = fx_make("a", &eight);
	struct sq_watch w;

	(void)sq_wanted(a);
	assert_int_equal(sq_wanted(a), 0);
	fx_empty(a);
	assert_int_equal(sq_wanted(a), 1);
	assert_int_equal(sq_wanted(a), 0);
	assert_int_equal(sq_arm(a, SQ_NEWS_MESSAGE, &w), 0);
	assert_int_equal(*w.word, w.value);
	fx_put(a, 1);
	assert_int_not_equal(*w.word, w.value);
	assert_int_equal(sq_arm(a, SQ_NEWS_ROOM, &w), 0);
	assert_int_equal(*w.word, w.value);
	fx_get(a, 1);
	assert_int_not_equal(*w.word, w.value);
	assert_int_equal(sq_arm(a, SQ_NEWS_BLOCK, &w), 0);
	fx_put_large(a, 300, 1);
	fx_get_large(a, 300, 1);
	assert_int_not_equal(*w.word, w.value);
	assert_int_equal(sq_arm(a, 0, &w), -EINVAL);
	assert_int_equal(sq_arm(a, SQ_NEWS_MESSAGE, NULL), -EINVAL);
}

static const struct CMUnitTest tests[] = {
	TEST(test_leases_outlive_the_holder),
	TEST(test_closing_keeps_them_too),
	TEST(test_retired_and_dead),
	TEST(test_one_holder_at_a_time),
	TEST(test_slots),
	TEST(test_killed_with_a_block),
	TEST(test_overdue),
	TEST(test_overdue_and_nobody_comes),
	TEST(test_ended_before_it_was_told),
	TEST(test_not_abandoned),
	TEST(test_find_and_lease),
	TEST(test_marks),
	TEST(test_arm),
};

FX_MAIN(tests)
