/* SPDX-License-Identifier: ISC */

/*
 * Slow recoverers: between any two accesses of theirs, all that they were about to do is done by
 * others, and what they looked at has another tenant, or is another message. Found by
 * taking their second looks out (tests/mutations): nothing else noticed.
 */

#include "fixture.h"
#include "steps.h"

#include <setjmp.h>
#include <signal.h>
#include <unistd.h>

#define DECISION_MAX 30 /* steps in which a recoverer has looked at the slots and decided */

#define STEPS_MIN 8  /* of a recovery: there are more */
#define PUT_MAX   24 /* steps in which a put is done */

static const struct sq_config three = {.capacity = 8, .participants = 3, .max_message = 48};

/* a is slow; b is not. */
static struct sq *a, *b;

static void nobody_looks(void)
{
	sqi_store_seq(&b->ring.head->upkeep_ms, sqi_upkeep_at(sqi_now_ms(), 50000));
}

static void begin(const struct sq_config *config)
{
	a = fx_make("a", config);
	b = fx_open("a");
	nobody_looks();
}

static void a_recovers(void)
{
	(void)sqi_recover_dead(&a->member);
}

static void raise_sigkill(void)
{
	(void)raise(SIGKILL);
}

/* A process joins, puts, and is killed at that step of the put. False: it has no such step. */
static bool killed_in_put(long k)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		struct sq *h;
		uint64_t v = 7;

		CHILD_CHECK(sq_open(&h, "a") == 0);
		countdown = k;
		then = raise_sigkill;
		CHILD_CHECK(sq_put(h, &v, sizeof(v), SQ_NOWAIT) == 0);
		_exit(0);
	}
	return fx_was_killed(pid);
}

static jmp_buf out;

static void leave_it(void)
{
	longjmp(out, 1);
}

/* b looks for the dead, and at that step of it leaves it at that. */
static void b_recovers_until(long k)
{
	if (setjmp(out) == 0) {
		countdown = k;
		then = leave_it;
		(void)sqi_recover_dead(&b->member);
		fail_msg("it has no step %ld", k);
	}
}

static bool in_doubt(void)
{
	const struct sqi_slot *slot = sqi_slot(&b->ring, 2);

	return sqi_load_relaxed(&slot->intent_base) == sqi_load_relaxed(&slot->puts);
}

/* The step of a put that is the first after its commit. */
static long after_commit(void)
{
	for (long k = 1;; k++) {
		bool found;

		begin(&three);
		assert_true(killed_in_put(k));
		found = in_doubt() && fx_stat(b).depth == 1;
		fx_end(NULL);
		if (found)
			return k;
	}
}

static long second;

static void b_recovers_and_the_next_is_killed(void)
{
	(void)sq_recover(b); /* unless a has done it all */
	(void)killed_in_put(second);
}

/*
 * Whatever a has looked at when all that is over, no put is counted that was not made. `decided`: b
 * has left its recovery at that step before, or 0.
 */
static void next_put_is_not_counted(long last, long decided)
{
	for (long k = 1; k <= DECISION_MAX; k++)
		for (second = 1; second <= PUT_MAX; second++) {
			uint64_t v, got = 0;

			begin(&three);
			assert_true(killed_in_put(last));
			if (decided)
				b_recovers_until(decided);
			(void)at_step(k, b_recovers_and_the_next_is_killed, a_recovers);
			(void)sq_recover(b);
			while (sq_get(b, &v, sizeof(v), SQ_NOWAIT) == sizeof(v))
				got++;
			assert_int_equal(fx_stat(b).put, got);
			fx_end(NULL);
		}
}

/*
 * Cause: a slow recoverer of a put that had happened raised the count of the slot's next tenant,
 * whose put had not, and which was killed before it could count for itself.
 */
static void test_verdict_met_by_the_next_put_in_doubt(void **state)
{
	next_put_is_not_counted(after_commit(), 0);
}

/* The step of a recovery of that put that is the first after it decided, and before it acted. */
static long after_decision(long last)
{
	for (long k = 1;; k++) {
		bool found;

		begin(&three);
		assert_true(killed_in_put(last));
		b_recovers_until(k);
		found = (sqi_load_relaxed(&sqi_slot(&b->ring, 2)->decision) & SQI_DECIDED) &&
			in_doubt();
		fx_end(NULL);
		if (found)
			return k;
	}
}

/*
 * Cause: a slow recoverer read that the put had been decided to have happened, and then the intent
 * of the slot's next tenant, and raised that one's count.
 */
static void test_decision_met_by_the_next_put_in_doubt(void **state)
{
	long last = after_commit();

	next_put_is_not_counted(last, after_decision(last));
}

static void b_recovers_and_another_key_is_bound(void)
{
	uint64_t count;
	struct sq *y;

	(void)sq_recover(b); /* unless a has done it all */
	y = fx_open("a");
	assert_int_equal(sq_count_bind(y, 2, &count), 0);
	for (uint64_t v = 0; v < 5; v++)
		fx_put(y, v);
}

/* Cause: a slow recoverer wrote the puts of the slot's next tenant to the key of the last one. */
static void test_fold_met_by_the_next_tenant(void **state)
{
	bool more = true;
	long k;

	for (k = 1; more; k++) {
		uint64_t count;
		struct sq *x;

		begin(&three);
		x = fx_open("a");
		assert_int_equal(sq_count_bind(x, 1, &count), 0);
		fx_die(x);
		more = at_step(k, b_recovers_and_another_key_is_bound, a_recovers);
		assert_int_equal(sq_count_read(b, 1, &count), 0);
		assert_int_equal(count, 0);
		if (more) {
			assert_int_equal(sq_count_read(b, 2, &count), 0);
			assert_int_equal(count, 5);
		}
		fx_end(NULL);
	}
	assert_true(k > STEPS_MIN);
}

static const struct CMUnitTest tests[] = {
	TEST(test_verdict_met_by_the_next_put_in_doubt),
	TEST(test_decision_met_by_the_next_put_in_doubt),
	TEST(test_fold_met_by_the_next_tenant),
};

FX_MAIN(tests)
