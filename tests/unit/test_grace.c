/* SPDX-License-Identifier: ISC */

/*
 * Durable participants with a grace: a successor that comes in time has the leases, one that does
 * not finds nothing of before; and a recoverer beside which an opener comes, between any two of its
 * steps.
 */

#include "fixture.h"
#include "steps.h"

#define KEY  77
#define HOUR (3600 * 1000 * MS)

static const struct sq_config eight = {
	.capacity = 8, .participants = 4, .max_message = 4096, .block_memory = 1};

static struct sq *a;

static struct sq *durable(uint64_t key, int64_t grace)
{
	struct sq *h = NULL;

	assert_int_equal(sq_open_durable(&h, "a", key, grace), 0);
	return h;
}

static uint64_t run_of(struct sq *h)
{
	uint64_t number = 0;

	assert_int_equal(sq_durable_run(h, &number), 0);
	return number;
}

static struct sqi_slot *kept_slot(void)
{
	struct sqi_slot *found = NULL;

	for (unsigned n = 0; n < a->ring.g.in.participants; n++) {
		struct sqi_slot *slot = sqi_slot(&a->ring, n);

		if (sqi_load_seq(&slot->id) != 0 && sqi_is_kept(slot, sqi_load_seq(&slot->id)))
			found = slot;
	}
	return found;
}

/*
 * So much time passes for the participant that is away. (The clock itself may have begun just now.)
 */
static void pass(int64_t ns)
{
	struct sqi_slot *slot = kept_slot();

	assert_non_null(slot);
	sqi_store_seq(&slot->grace, sqi_load_seq(&slot->grace) - (uint64_t)ns);
}

static void retire(struct sq *h)
{
	assert_int_equal(sq_retire(h), 0);
	sq_close(h);
}

/* It has leased one message, and dies, which is seen. Its run. */
static uint64_t one_dies(int64_t grace)
{
	struct sq *d = durable(KEY, grace);
	uint64_t number = run_of(d);

	fx_put(a, 1);
	(void)fx_lease(d, 1);
	fx_die(d);
	assert_int_equal(sq_recover(a), 1);
	return number;
}

static void given_back(void)
{
	struct sq_lease lease = fx_lease(a, 1);

	assert_int_equal(lease.attempts, 2);
	assert_int_equal(sq_ack(a, &lease), 0);
	assert_int_equal(fx_stat(a).away, 0);
}

static void test_in_time(void **state)
{
	struct sq_lease held;
	uint64_t number;
	struct sq *d;

	a = fx_make("a", &eight);
	number = one_dies(HOUR);
	for (int i = 0; i < 3; i++) {
		pass(HOUR - 60000 * MS);
		assert_int_equal(sq_recover(a), 0);
		d = durable(KEY, HOUR);
		assert_int_equal(run_of(d), number);
		assert_int_equal(sq_held(d, &held, 1), 1);
		assert_int_equal(held.attempts, 1);
		/* Its own grace begins with its own death. */
		fx_die(d);
		assert_int_equal(sq_recover(a), 1);
		assert_true(fx_stat(a).grace_left > HOUR - 60000 * MS);
	}
	d = durable(KEY, HOUR);
	assert_int_equal(sq_held(d, &held, 1), 1);
	assert_int_equal(sq_ack(d, &held), 0);
	retire(d);
}

static void test_too_late(void **state)
{
	uint64_t number;
	struct sq *d;

	a = fx_make("a", &eight);
	number = one_dies(HOUR);
	fx_empty(a);
	pass(HOUR);
	assert_int_equal(sq_recover(a), 1);
	assert_int_equal(sq_recover(a), 0);
	given_back();
	/* Its slot is free for any participant. */
	for (unsigned n = 0; n < a->ring.g.in.participants; n++)
		assert_true(sqi_slot(&a->ring, n) == a->ring.slot ||
			    sqi_load_seq(&sqi_slot(&a->ring, n)->id) == 0);
	d = durable(KEY, HOUR);
	assert_int_equal(sq_held(d, NULL, 0), 0);
	assert_int_not_equal(run_of(d), number);
	retire(d);
}

/* No other has looked for the dead; or one that did was killed in the middle of it. */
static void test_too_late_and_the_first_to_come(void **state)
{
	uint64_t number;
	struct sq *d;

	a = fx_make("a", &eight);
	for (int k = 0; k < 3; k++) {
		struct sqi_slot *slot;

		number = one_dies(HOUR);
		pass(HOUR);
		slot = kept_slot();
		if (k > 0)
			sqi_store_seq(&slot->id, sqi_load_seq(&slot->id) | SQI_CONDEMNED);
		if (k > 1)
			sqi_store_seq(&slot->durable, 0);
		d = durable(KEY, HOUR);
		assert_int_equal(sq_held(d, NULL, 0), 0);
		assert_int_not_equal(run_of(d), number);
		if (k > 1) /* as if the lap had been done before */
			assert_int_equal(sq_recover(a), 1);
		given_back();
		retire(d);
	}
}

/*
 * The leases of a participant that lives stay its own, whatever its predecessors left in the slot.
 */
static void test_the_living_have_no_grace(void **state)
{
	struct sq_lease held;
	struct sq *d;

	a = fx_make("a", &eight);
	(void)one_dies(HOUR);
	pass(HOUR - 60000 * MS);
	d = durable(KEY, 1);
	assert_int_equal(sq_recover(a), 0);
	assert_int_equal(sq_held(d, &held, 1), 1);
	fx_die(d);
	/* This one promised next to nothing. */
	assert_in_range(sq_recover(a), 1, 2);
	(void)sq_recover(a);
	given_back();
}

/* When it died is noted once. */
static void test_noted_once(void **state)
{
	struct sqi_slot *slot;
	uint64_t died, before;
	struct sq *d;

	a = fx_make("a", &eight);
	before = (uint64_t)sqi_now_ns();
	(void)one_dies(HOUR);
	slot = kept_slot();
	died = sqi_load_seq(&slot->died);
	assert_in_range(died, before, (uint64_t)sqi_now_ns());
	fx_nap(2 * MS);
	assert_int_equal(sq_recover(a), 0);
	assert_int_equal(sqi_load_seq(&slot->died), died);
	d = durable(KEY, HOUR);
	fx_nap(2 * MS);
	before = (uint64_t)sqi_now_ns();
	fx_die(d);
	assert_int_equal(sq_recover(a), 1);
	assert_in_range(sqi_load_seq(&slot->died), before, (uint64_t)sqi_now_ns());
	d = durable(KEY, HOUR);
	retire(d);
}

/* A moment of a clock that was ahead makes the grace longer; nothing breaks. */
static void test_a_moment_to_come(void **state)
{
	struct sq_lease held;
	struct sq *d;

	a = fx_make("a", &eight);
	(void)one_dies(1000 * MS);
	sqi_store_seq(&kept_slot()->died, (uint64_t)(sqi_now_ns() + HOUR));
	assert_int_equal(sq_recover(a), 0);
	sqi_store_seq(&kept_slot()->died, UINT64_MAX);
	assert_int_equal(sq_recover(a), 0);
	assert_in_range(fx_stat(a).grace_left, 1, 1000 * MS);
	d = durable(KEY, SQ_FOREVER);
	assert_int_equal(sq_held(d, &held, 1), 1);
	retire(d);
}

static void test_closing_begins_it(void **state)
{
	struct sq_lease held;
	uint64_t number;
	struct sq *d;

	a = fx_make("a", &eight);
	d = durable(KEY, HOUR);
	number = run_of(d);
	fx_put(a, 1);
	(void)fx_lease(d, 1);
	sq_close(d);
	assert_int_equal(sq_recover(a), 0);
	assert_int_equal(fx_stat(a).away, 1);
	d = durable(KEY, HOUR);
	assert_int_equal(run_of(d), number);
	assert_int_equal(sq_held(d, &held, 1), 1);
	sq_close(d);
	pass(HOUR);
	assert_int_equal(sq_recover(a), 1);
	given_back();
}

static void test_no_grace_at_all(void **state)
{
	struct sq *d;

	a = fx_make("a", &eight);
	d = durable(KEY, 0);
	fx_put(a, 1);
	(void)fx_lease(d, 1);
	fx_die(d);
	/* It is found dead, and its time is up. */
	assert_int_equal(sq_recover(a), 1);
	given_back();
	d = durable(KEY, 0);
	fx_put(a, 1);
	(void)fx_lease(d, 1);
	sq_close(d);
	d = durable(KEY, 0);
	assert_int_equal(sq_held(d, NULL, 0), 0);
	given_back();
	retire(d);
}

static void test_for_ever(void **state)
{
	struct sq *d, *other = NULL;

	a = fx_make("a", &eight);
	assert_int_equal(sq_open_durable(&other, "a", KEY, -2), -EINVAL);
	assert_int_equal(sq_open_durable(&other, "a", KEY, INT64_MIN), -EINVAL);
	(void)one_dies(SQ_FOREVER);
	assert_int_equal(fx_stat(a).away, 1);
	assert_int_equal(fx_stat(a).grace_left, SQ_FOREVER);
	sqi_store_seq(&kept_slot()->died, 0);
	assert_int_equal(sq_recover(a), 0);
	/* For as good as ever. */
	d = durable(KEY, INT64_MAX);
	fx_die(d);
	assert_int_equal(sq_recover(a), 1);
	sqi_store_seq(&kept_slot()->died, 0);
	assert_int_equal(sq_recover(a), 0);
	assert_true(fx_stat(a).grace_left > INT64_MAX / 2);
	d = durable(KEY, HOUR);
	assert_int_equal(sq_held(d, NULL, 0), 1);
	retire(d);
}

static void test_retired(void **state)
{
	struct sq *d;
	uint64_t number, other = 5;

	a = fx_make("a", &eight);
	d = durable(KEY, HOUR);
	number = run_of(d);
	assert_int_equal(sq_retire(d), 0);
	assert_int_equal(sq_durable_run(d, &other), -ENOENT);
	assert_int_equal(sq_durable_run(a, &other), -ENOENT);
	assert_int_equal(sq_durable_run(a, NULL), -EINVAL);
	assert_int_equal(sq_durable_run(NULL, &other), -EINVAL);
	assert_int_equal(other, 5);
	sq_close(d);
	d = durable(KEY, HOUR);
	assert_int_not_equal(run_of(d), number);
	retire(d);
}

/* A queue of the same name is another queue. */
static void test_run_of_another_queue(void **state)
{
	uint64_t number;
	struct sq *d;

	a = fx_make("a", &eight);
	d = durable(KEY, HOUR);
	number = run_of(d);
	sq_close(d);
	assert_int_equal(sq_unlink("a"), 0);
	assert_int_equal(sq_create("a", &eight), 0);
	fx_close(a);
	a = fx_open("a");
	d = durable(KEY, HOUR);
	assert_int_not_equal(run_of(d), number);
	retire(d);
}

/* What is counted under the key is not given up with the leases. */
static void test_counts_stay(void **state)
{
	uint64_t count;
	struct sq *d;

	a = fx_make("a", &eight);
	d = durable(KEY, HOUR);
	assert_int_equal(sq_count_bind(d, KEY + 1, &count), 0);
	fx_put(d, 1);
	(void)fx_lease(d, 1);
	fx_die(d);
	assert_int_equal(sq_recover(a), 1);
	pass(HOUR);
	assert_int_equal(sq_recover(a), 1);
	given_back();
	assert_int_equal(sq_count_read(a, KEY + 1, &count), 0);
	assert_int_equal(count, 1);
	d = durable(KEY, HOUR);
	assert_int_equal(sq_count_bind(d, KEY + 1, &count), 0);
	assert_int_equal(count, 1);
	retire(d);
}

/* An opener that needs a slot gets one whose grace is over, and no other. */
static void test_places(void **state)
{
	struct sq *other = NULL;

	a = fx_make("a", &eight);
	for (uint64_t key = 1; key <= 3; key++) {
		struct sq *d = durable(key, key == 2 ? HOUR : 2 * HOUR);

		fx_die(d);
	}
	assert_int_equal(sq_open(&other, "a"), -EUSERS);
	for (unsigned n = 0; n < a->ring.g.in.participants; n++)
		if (sqi_slot(&a->ring, n) != a->ring.slot)
			sqi_slot(&a->ring, n)->grace -= (uint64_t)HOUR;
	other = fx_open("a");
	fx_put(other, 5);
	fx_get(a, 5);
	assert_int_equal(sq_open(&other, "a"), -EUSERS);
	assert_int_equal(fx_stat(a).away, 2);
}

static bool is_back(void *arg)
{
	struct sq_lease lease;

	(void)arg;
	if (sq_lease(a, &lease, SQ_NOWAIT) < 0)
		return false;
	assert_int_equal(lease.attempts, 2);
	assert_int_equal(sq_ack(a, &lease), 0);
	return true;
}

/* In passing, without a call for it. */
static void test_found_in_passing(void **state)
{
	struct sq *d;

	a = fx_make("a", &eight);
	d = durable(KEY, 20 * MS);
	fx_put(a, 1);
	(void)fx_lease(d, 1);
	fx_die(d);
	assert_true(fx_soon(is_back, NULL, FX_SOON));
	assert_int_equal(fx_stat(a).away, 0);
}

static void test_abandoned(void **state)
{
	static const struct sq_config passing = {
		.capacity = 8, .participants = 4, .flags = SQ_EPHEMERAL};
	struct sq *d;

	a = fx_make("a", &passing);
	d = durable(KEY, HOUR);
	fx_put(a, 1);
	fx_die(d);
	fx_close(a);
	assert_int_equal(sq_gc("a"), 0);
	a = fx_open("a");
	pass(HOUR);
	fx_close(a);
	assert_int_equal(sq_gc("a"), 1);
}

static struct sq *came;

/* Its grace was not over after all (the clock of these tests can go back), and an opener comes. */
static void somebody_comes(void)
{
	struct sqi_slot *slot = kept_slot();

	if (slot)
		sqi_store_seq(&slot->grace, (uint64_t)HOUR);
	came = durable(KEY, HOUR);
}

static void killed_then_another_looks(void)
{
	struct sq *b = fx_open("a");

	(void)sq_recover(b);
	somebody_comes();
	fx_close(b);
}

/*
 * A recoverer has found the time up, and is stopped at its k-th step, while an opener comes with
 * the key. Either the opener adopts all leases and keeps them, or the recoverer was faster and the
 * opener has none: *ret_adopted says which.
 */
static bool comes_at_step(long k, void (*event)(void), bool *ret_adopted)
{
	uint64_t number = one_dies(HOUR);
	struct sq_lease held;
	bool more;

	pass(HOUR);
	came = NULL;
	countdown = k;
	then = event;
	(void)sqi_recover_dead(&a->member);
	more = countdown == 0;
	countdown = 0;
	if (!came)
		somebody_comes();
	*ret_adopted = run_of(came) == number;
	assert_int_equal(sq_held(came, &held, 1), *ret_adopted);
	(void)sq_recover(a);
	assert_int_equal(fx_stat(a).leased, *ret_adopted);
	if (*ret_adopted) {
		assert_int_equal(held.attempts, 1);
		assert_int_equal(sq_ack(came, &held), 0);
	} else {
		given_back();
	}
	retire(came);
	assert_int_equal(fx_stat(a).participants, 1);
	return more;
}

static void at_every_step(void (*event)(void))
{
	unsigned adopted = 0, not = 0;
	bool has;

	a = fx_make("a", &eight);
	for (long k = 1; comes_at_step(k, event, &has); k++)
		*(has ? &adopted : &not ) += 1;
	if (event == somebody_comes)
		assert_true(adopted > 3);
	assert_true(not > 10);
}

static void test_somebody_comes_at_every_step(void **state)
{
	at_every_step(somebody_comes);
}

static void test_another_recovers_at_every_step(void **state)
{
	at_every_step(killed_then_another_looks);
}

/* The same for the first lap: it dies, is being looked after, and meanwhile comes, and dies again. */
static void comes_and_dies(void)
{
	came = durable(KEY, 2 * HOUR);
	fx_die(came);
	(void)sq_recover(fx_open("a"));
}

static void test_died_again_at_every_step(void **state)
{
	bool more = true;

	for (long k = 1; more; k++) {
		struct sq *d;
		uint64_t before, number;

		a = fx_make("a", &eight);
		d = durable(KEY, HOUR);
		number = run_of(d);
		fx_put(a, 1);
		(void)fx_lease(d, 1);
		before = (uint64_t)sqi_now_ns();
		fx_die(d);
		came = NULL;
		countdown = k;
		then = comes_and_dies;
		(void)sqi_recover_dead(&a->member);
		more = countdown == 0;
		countdown = 0;
		(void)sq_recover(a);
		assert_in_range(sqi_load_seq(&kept_slot()->died), before, (uint64_t)sqi_now_ns());
		if (came)
			pass(HOUR);
		assert_int_equal(sq_recover(a), 0);
		d = durable(KEY, HOUR);
		assert_int_equal(run_of(d), number);
		assert_int_equal(sq_held(d, NULL, 0), 1);
		retire(d);
		fx_end(NULL);
	}
}

static const struct CMUnitTest tests[] = {
	TEST(test_in_time),
	TEST(test_too_late),
	TEST(test_too_late_and_the_first_to_come),
	TEST(test_the_living_have_no_grace),
	TEST(test_noted_once),
	TEST(test_a_moment_to_come),
	TEST(test_closing_begins_it),
	TEST(test_no_grace_at_all),
	TEST(test_for_ever),
	TEST(test_retired),
	TEST(test_run_of_another_queue),
	TEST(test_counts_stay),
	TEST(test_places),
	TEST(test_found_in_passing),
	TEST(test_abandoned),
	TEST(test_somebody_comes_at_every_step),
	TEST(test_another_recovers_at_every_step),
	TEST(test_died_again_at_every_step),
};

FX_MAIN(tests)
