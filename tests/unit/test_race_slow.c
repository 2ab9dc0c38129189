/* SPDX-License-Identifier: ISC */

/*
 * Slow recoverers and sweepers: between any two accesses of theirs, all that they were about to do
 * is done by others, and what they looked at has another tenant, or is another message. Found by
 * taking their second looks out (tests/mutations): nothing else noticed.
 */

static void step(void);

#define SQ_STEP() step()

#include "fixture.h"

#include <setjmp.h>
#include <signal.h>
#include <unistd.h>

#define end due_end
#include "due.c"
#undef end
#include "journal.c"
#include "put.c"
#include "recover.c"

#define DECISION_MAX 30 /* steps in which a recoverer has looked at the slots and decided */

#define STEPS_MIN 8  /* of a recovery: there are more */
#define PUT_MAX   24 /* steps in which a put is done */

static long countdown;
static void (*then)(void);

static void step(void)
{
	if (countdown > 0 && --countdown == 0)
		then();
}

static const struct sq_config three = {.capacity = 8, .participants = 3, .max_message = 48};
static const struct sq_config timed = {
	.capacity = 4, .participants = 4, .max_message = 48, .lease_time = 3600 * 1000 * MS};

/* a is slow; b is not. */
static struct sq *a, *b;

static void nobody_looks(void)
{
	sqi_swap(&b->head->rescue_ms, sqi_now_ms() + 50000);
}

static void begin(const struct sq_config *config)
{
	a = fx_make("a", config);
	b = fx_open("a");
	nobody_looks();
}

/* f with `event` at its k-th step. False: it has no k-th step. */
static bool at_step(long k, void (*event)(void), void (*f)(void))
{
	bool more;

	countdown = k;
	then = event;
	f();
	more = countdown == 0;
	countdown = 0;
	return more;
}

static void a_recovers(void)
{
	(void)sqi_rescue(a);
}

static void a_sweeps(void)
{
	sqi_due_sweep(a);
}

static void killed(void)
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
		then = killed;
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
		(void)sqi_rescue(b);
		fail_msg("it has no step %ld", k);
	}
}

static bool in_doubt(void)
{
	const struct sqi_slot *slot = sqi_slot(b, 2);

	return sqi_peek(&slot->intent_base) == sqi_peek(&slot->puts);
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
 * whose put had not, and who was killed before he could count himself.
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
		found = (sqi_peek(&sqi_slot(b, 2)->decision) & DECIDED) && in_doubt();
		fx_end(NULL);
		if (found)
			return k;
	}
}

/*
 * Cause: a slow recoverer read that the put had been decided to have happened, and then the intent
 * of the slot's next tenant, and raised his count.
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
	assert_int_equal(sq_bind(y, 2, &count), 0);
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
		assert_int_equal(sq_bind(x, 1, &count), 0);
		fx_die(x);
		more = at_step(k, b_recovers_and_another_key_is_bound, a_recovers);
		assert_int_equal(sq_bound(b, 1, &count), 0);
		assert_int_equal(count, 0);
		if (more) {
			assert_int_equal(sq_bound(b, 2, &count), 0);
			assert_int_equal(count, 5);
		}
		fx_end(NULL);
	}
	assert_true(k > STEPS_MIN);
}

static struct sq *x, *y;
static struct sq_lease lease_of_x, lease_of_y;

static void make_overdue(uint64_t pos)
{
	struct sqi_due *due = sqi_due(b, pos);

	sqi_swap(&due->deadline, (due->deadline & 0xfffff) | (uint64_t)1 << 20);
}

/* The lease of y ends; b has the message, and y may still be reading. */
static void y_is_overdue(void)
{
	sqi_due_sweep(b);
	fx_get(b, 9);
}

static void y_leases(void)
{
	fx_put(b, 9);
	lease_of_y = fx_lease(y, 9);
	make_overdue(lease_of_y.id);
}

/* What y reads stays until y is told, and no longer. */
static void y_reads_to_the_end(void)
{
	uint64_t v;

	sqi_due_sweep(b);
	assert_int_equal(fx_state(b, lease_of_y.id), SQI_PINNED);
	memcpy(&v, lease_of_y.data, sizeof(v));
	assert_int_equal(v, 9);
	assert_int_equal(sq_ack(y, &lease_of_y), -ESTALE);
	assert_int_equal(fx_state(b, lease_of_y.id), SQI_FREE);
}

static void b_recovers_and_the_next_is_overdue(void)
{
	(void)sq_recover(b); /* unless a has done it all */
	y = fx_open("a");
	y_leases();
	y_is_overdue();
}

/* Cause: a slow recoverer took off the pin of the slot's next tenant, who was still reading. */
static void test_unpin_met_by_the_next_tenant(void **state)
{
	bool more = true;
	long k;

	for (k = 1; more; k++) {
		begin(&timed);
		fx_die(fx_open("a"));
		more = at_step(k, b_recovers_and_the_next_is_overdue, a_recovers);
		if (more)
			y_reads_to_the_end();
		fx_end(NULL);
	}
	assert_true(k > STEPS_MIN);
}

static bool overdue_meanwhile, met;

static void x_acks_and_y_has_its_cell(void)
{
	met = sq_ack(x, &lease_of_x) == 0;
	if (!met)
		return; /* a has ended its lease */
	for (uint64_t v = 1; v < 4; v++) {
		fx_put(b, v);
		fx_get(b, v);
	}
	y_leases();
	assert_int_equal(lease_of_y.id & b->mask, lease_of_x.id & b->mask);
	if (overdue_meanwhile)
		y_is_overdue();
}

/*
 * Cause: a slow sweeper, about to end a lease that was settled meanwhile, pinned the next message of
 * the cell for the holder of the last one, who never takes that pin off; or wrote over the pins of
 * those who still read it.
 */
static void test_sweeper_met_by_the_next_message(void **state)
{
	for (int round = 0; round < 2; round++) {
		bool more = true;
		int times = 0;

		overdue_meanwhile = round;
		for (long k = 1; more; k++) {
			begin(&timed);
			x = fx_open("a");
			y = fx_open("a");
			fx_put(b, 7);
			lease_of_x = fx_lease(x, 7);
			make_overdue(lease_of_x.id);
			met = false;
			more = at_step(k, x_acks_and_y_has_its_cell, a_sweeps);
			times += met;
			if (met && !overdue_meanwhile)
				y_is_overdue();
			if (met)
				y_reads_to_the_end();
			fx_end(NULL);
		}
		assert_true(times > 0);
	}
}

static const struct CMUnitTest tests[] = {
	TEST(test_verdict_met_by_the_next_put_in_doubt),
	TEST(test_decision_met_by_the_next_put_in_doubt),
	TEST(test_fold_met_by_the_next_tenant),
	TEST(test_unpin_met_by_the_next_tenant),
	TEST(test_sweeper_met_by_the_next_message),
};

FX_MAIN(tests)
