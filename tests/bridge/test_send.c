/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "ledger.h"
#include "send.h"

/* The sending side of a stream: what is in flight stays so, whichever daemon takes it up. */

#define WINDOW 16

static char queue[32], ledger[32];

static int set_up(void **state)
{
	struct sq_config config = {.capacity = 4 * WINDOW, .max_message = 64, .participants = 8};

	(void)state;
	(void)snprintf(queue, sizeof(queue), "send%d.q", (int)getpid());
	(void)snprintf(ledger, sizeof(ledger), "sqb.send.%d.q", (int)getpid());
	return sq_create(queue, &config);
}

static int tear_down(void **state)
{
	struct ledger *l;

	(void)state;
	if (ledger_open(&l, ledger, 1) == 0)
		ledger_remove(l);
	return sq_unlink(queue);
}

static int64_t grace = SQ_FOREVER;

static struct sender *take_up(uint32_t window)
{
	struct sender_setup setup = {
		.queue = queue, .ledger = ledger, .key = 6, .window = window, .grace = grace};
	struct sender *s;

	assert_int_equal(sender_open(&s, &setup), 0);
	return s;
}

static void put(unsigned n)
{
	struct sq *q;

	assert_int_equal(sq_open(&q, queue), 0);
	while (n-- > 0)
		assert_int_equal(sq_put(q, "message", 7, SQ_NOWAIT), 0);
	sq_close(q);
}

/* All that it sends now: the first and the last. */
static unsigned send_all(struct sender *s, uint64_t *ret_first, uint64_t *ret_last)
{
	struct sender_message m;
	unsigned n = 0;

	while (sender_next(s, &m) == 0) {
		*ret_first = n++ == 0 ? m.sequence : *ret_first;
		*ret_last = m.sequence;
		sender_sent(s);
	}
	return n;
}

static void expect_queue(uint64_t depth, uint64_t leased)
{
	struct sq_stat st;
	struct sq *q;

	assert_int_equal(sq_open(&q, queue), 0);
	assert_int_equal(sq_stat(q, &st), 0);
	sq_close(q);
	assert_int_equal(st.depth, depth);
	assert_int_equal(st.leased, leased);
}

/* What the receiver has, and we do not know yet, must not be sent again under other numbers. */
static void a_smaller_window_gives_nothing_back(void **state)
{
	uint64_t first = 0, last = 0;
	struct sender *s = take_up(WINDOW);

	(void)state;
	put(WINDOW + 4);
	assert_int_equal(sender_resume(s, 0), 0);
	sender_credit(s, 1000, 1 << 20);
	assert_int_equal(send_all(s, &first, &last), WINDOW);
	sender_close(s);

	s = take_up(4);
	assert_int_equal(sender_in_flight(s), WINDOW);
	expect_queue(4, WINDOW);
	assert_int_equal(sender_resume(s, 10), 0);
	sender_received(s, 10);
	sender_credit(s, 1000, 1 << 20);
	assert_true(send_all(s, &first, &last) >= WINDOW - 10);
	assert_int_equal(first, 11);
	sender_received(s, last);
	while (send_all(s, &first, &last) > 0)
		sender_received(s, last);
	assert_int_equal(last, WINDOW + 4);
	expect_queue(0, 0);
	sender_close(s);

	/* And then it is as small as was asked for. */
	s = take_up(4);
	put(WINDOW);
	assert_int_equal(sender_resume(s, last), 0);
	sender_credit(s, 1000, 1 << 20);
	assert_int_equal(send_all(s, &first, &last), 4);
	sender_close(s);
}

/* What was not sent goes back, its numbers too, and what was sent stays. */
static void what_was_not_sent_is_withdrawn(void **state)
{
	uint64_t first = 0, last = 0;
	struct sender *s = take_up(WINDOW);
	struct sender_message m;

	(void)state;
	put(8);
	assert_int_equal(sender_resume(s, 0), 0);
	sender_credit(s, 5, 1 << 20);
	assert_int_equal(send_all(s, &first, &last), 5);
	sender_withdraw(s, false);
	expect_queue(3, 5);

	/* In a new connection the receiver has two of them: three are to be sent again. */
	sender_pause(s);
	assert_int_equal(sender_resume(s, 2), 0);
	sender_credit(s, 8, 1 << 20);
	assert_int_equal(sender_next(s, &m), 0);
	assert_int_equal(m.sequence, 3);
	sender_sent(s);
	sender_stop(s, true);
	sender_withdraw(s, true); /* of message 4, a part has gone */
	expect_queue(4, 4);
	assert_int_equal(sender_next(s, &m), 0);
	assert_int_equal(m.sequence, 4);
	sender_sent(s);
	assert_int_equal(sender_next(s, &m), -EAGAIN);
	assert_int_equal(sender_next_sequence(s), 5);
	sender_withdraw(s, false);
	expect_queue(4, 4);

	/* And the same number is of another message then. */
	sender_stop(s, false);
	assert_int_equal(sender_next(s, &m), 0);
	assert_int_equal(m.sequence, 5);
	sender_sent(s);
	expect_queue(3, 5);
	sender_close(s);
}

/*
 * We stood still for longer than a lease lasts, and another has the message: what is sent under its
 * number is what comes next, and not what lies in its memory now.
 */
static void what_is_anothers_is_not_sent(void **state)
{
	struct sq_config config = {
		.capacity = WINDOW, .max_message = 64, .participants = 8, .lease_time = 20000000};
	struct sender_message m;
	struct sq_lease lease;
	struct sender *s;
	struct sq *other;

	(void)state;
	assert_int_equal(sq_unlink(queue), 0);
	assert_int_equal(sq_create(queue, &config), 0);
	assert_int_equal(sq_open(&other, queue), 0);
	s = take_up(WINDOW);
	put(1);
	assert_int_equal(sender_resume(s, 0), 0);
	sender_credit(s, 1, 1 << 20);
	assert_int_equal(sender_next(s, &m), 0);
	sender_sent(s);
	assert_true(sender_touch(s, false));
	sender_pause(s);
	assert_int_equal(sender_resume(s, 0), 0); /* it is to be sent again */
	sender_credit(s, 2, 1 << 20);

	(void)usleep(50000);
	assert_int_equal(sq_lease(other, &lease, (int64_t)10 * 1000000000), 0);
	assert_false(sender_touch(s, true));
	assert_int_equal(sq_put(other, "another", 7, SQ_NOWAIT), 0);
	assert_int_equal(sender_next(s, &m), 0);
	assert_int_equal(m.sequence, 1);
	assert_memory_equal(m.data, "another", 7);
	sender_sent(s);
	assert_int_equal(sender_next(s, &m), -EAGAIN);
	sender_close(s);
	sq_close(other);
}

/* The books are as large as the window that is asked for, but for what is in them. */
static void the_books_are_as_large_as_the_window(void **state)
{
	struct sender *s = take_up(64);
	uint64_t first, last;

	(void)state;
	assert_int_equal(ledger_room(sender_ledger(s)), 64);
	sender_close(s);
	s = take_up(4);
	assert_int_equal(ledger_room(sender_ledger(s)), 4);
	put(4);
	assert_int_equal(sender_resume(s, 0), 0);
	sender_credit(s, 100, 1 << 20);
	assert_int_equal(send_all(s, &first, &last), 4);
	sender_close(s);
	s = take_up(2);
	assert_int_equal(ledger_room(sender_ledger(s)), 4);
	assert_int_equal(sender_in_flight(s), 4);
	sender_close(s);
	s = take_up(WINDOW);
	assert_int_equal(ledger_room(sender_ledger(s)), WINDOW);
	assert_int_equal(sender_in_flight(s), 4);
	put(WINDOW);
	assert_int_equal(sender_resume(s, 0), 0);
	sender_credit(s, 100, 1 << 20);
	assert_int_equal(send_all(s, &first, &last), WINDOW);
	sender_close(s);
}

/* For the bridge's own code, by the linker: this process dies when it has cleared so many. */
void __real_ledger_clear(struct ledger *l, uint32_t place);
void __wrap_ledger_clear(struct ledger *l, uint32_t place);

static unsigned clears_left = UINT_MAX;

void __wrap_ledger_clear(struct ledger *l, uint32_t place)
{
	if (clears_left-- == 0)
		_exit(0);
	__real_ledger_clear(l, place);
}

/*
 * The other side has lost its memory, and this process dies while all are numbered anew: they go in
 * their order.
 */
static void what_is_numbered_anew_keeps_its_order(void **state)
{
	static const char names[] = "abcd";
	struct sender_message m;
	struct sender *s;
	struct sq *q;
	pid_t child;
	int status;

	(void)state;
	assert_int_equal(sq_open(&q, queue), 0);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(sq_put(q, &names[i], 1, SQ_NOWAIT), 0);
	sq_close(q);
	child = fork();
	if (child == 0) {
		uint64_t first, last;

		s = take_up(WINDOW);
		if (sender_resume(s, 0) < 0)
			_exit(1);
		sender_credit(s, 4, 1 << 20);
		if (send_all(s, &first, &last) != 4)
			_exit(1);
		clears_left = 2;
		(void)sender_renumber(s, 7);
		_exit(1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);

	s = take_up(WINDOW);
	assert_int_equal(sender_in_flight(s), 2);
	assert_int_equal(sender_renumber(s, 7), 0);
	sender_credit(s, 100, 1 << 20);
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(sender_next(s, &m), 0);
		assert_int_equal(m.sequence, 8 + i);
		assert_memory_equal(m.data, &names[i], 1);
		sender_sent(s);
	}
	sender_close(s);
}

/* We were away for longer than our leases stay: others have them, and that run of numbers is over. */
static void what_was_given_to_others_is_known(void **state)
{
	uint64_t first, last;
	struct sender *s;
	struct sq *other;

	(void)state;
	grace = (int64_t)60 * 1000000000;
	s = take_up(WINDOW);
	put(2);
	assert_int_equal(sender_resume(s, 0), 0);
	sender_credit(s, 2, 1 << 20);
	assert_int_equal(send_all(s, &first, &last), 2);
	ledger_set_epoch(sender_ledger(s), 5);
	sender_close(s);

	grace = 20000000;
	s = take_up(WINDOW);
	assert_int_equal(sender_in_flight(s), 2);
	assert_int_equal(ledger_epoch(sender_ledger(s)), 5);
	sender_close(s);
	expect_queue(0, 2);

	assert_int_equal(sq_open(&other, queue), 0);
	for (unsigned i = 0; i < 2; i++) {
		struct sq_lease lease;

		assert_int_equal(sq_lease(other, &lease, (int64_t)60 * 1000000000), 0);
		assert_int_equal(sq_ack(other, &lease), 0);
	}
	sq_close(other);
	s = take_up(WINDOW);
	assert_int_equal(sender_in_flight(s), 0);
	assert_int_equal(ledger_epoch(sender_ledger(s)), 0);
	ledger_set_epoch(sender_ledger(s), 6);
	sender_close(s);
	s = take_up(WINDOW);
	assert_int_equal(ledger_epoch(sender_ledger(s)), 6);
	sender_close(s);
	grace = SQ_FOREVER;
}

/* Given back for reasons of transport, any number of times: no attempt is counted. */
static void what_nobody_began_is_no_attempt(void **state)
{
	struct sq_config config = {.capacity = WINDOW,
		.max_message = 64,
		.participants = 8,
		.max_attempts = 2,
		.dead_letter = "dead"};
	struct sender *s;
	uint64_t first = 0, last = 0;
	struct sq_lease lease;
	struct sq *other;

	(void)state;
	assert_int_equal(sq_unlink(queue), 0);
	assert_int_equal(sq_create(queue, &config), 0);
	s = take_up(WINDOW);
	put(1);
	assert_int_equal(sender_resume(s, 0), 0);
	sender_credit(s, 1000, 1 << 20);
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(send_all(s, &first, &last), 1);
		sender_return(s, last, 1); /* as a leaf that drains says */
		sender_pause(s);
		assert_int_equal(sender_resume(s, last), 0);
		sender_credit(s, 1000, 1 << 20);
	}
	for (unsigned i = 0; i < 4; i++) {
		struct sender_message m;

		assert_int_equal(sender_next(s, &m), 0);
		sender_withdraw(s, false);
	}
	sender_close(s);
	assert_int_equal(sq_open(&other, queue), 0);
	assert_int_equal(sq_lease(other, &lease, SQ_NOWAIT), 0);
	assert_int_equal(lease.attempts, 1);
	assert_int_equal(sq_ack(other, &lease), 0);
	sq_close(other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			a_smaller_window_gives_nothing_back, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_was_not_sent_is_withdrawn, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_is_anothers_is_not_sent, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			what_is_numbered_anew_keeps_its_order, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			what_was_given_to_others_is_known, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_nobody_began_is_no_attempt, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			the_books_are_as_large_as_the_window, set_up, tear_down),
	};

	return cmocka_run_group_tests_name("send", tests, NULL, NULL);
}
