/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "ledger.h"
#include "recv.h"
#include "send.h"

/* When a pulled message that is done may be settled: not before what was put for it has left. */

static struct {
	char pq[32], c1[32], c2[32], ledger[32], l1[32], l2[32];
	struct receiver *r;
	struct receiver_push push[2];
	int64_t now_ns;
} t;

static void make(const char *name)
{
	struct sq_config config = {.capacity = 16, .max_message = 64, .participants = 8};

	assert_int_equal(sq_create(name, &config), 0);
}

static struct sender *sender_of(const char *queue, const char *ledger, uint64_t received)
{
	struct sender_setup setup = {
		.queue = queue, .ledger = ledger, .key = 7, .window = 16, .grace = SQ_FOREVER};
	struct sender *s;

	assert_int_equal(sender_open(&s, &setup), 0);
	assert_int_equal(sender_resume(s, received), 0);
	sender_credit(s, 100, 1 << 20);
	return s;
}

static int set_up(void **state)
{
	struct receiver_setup setup = {
		.queue = t.pq, .ledger = t.ledger, .key = 9, .window = 16, .window_bytes = 4096};

	(void)state;
	memset(&t, 0, sizeof(t));
	(void)snprintf(t.pq, sizeof(t.pq), "set%d.pq", (int)getpid());
	(void)snprintf(t.c1, sizeof(t.c1), "set%d.c1", (int)getpid());
	(void)snprintf(t.c2, sizeof(t.c2), "set%d.c2", (int)getpid());
	(void)snprintf(t.ledger, sizeof(t.ledger), "sqb.set.%d.pq", (int)getpid());
	(void)snprintf(t.l1, sizeof(t.l1), "sqb.set.%d.c1", (int)getpid());
	(void)snprintf(t.l2, sizeof(t.l2), "sqb.set.%d.c2", (int)getpid());
	make(t.pq);
	make(t.c1);
	make(t.c2);
	if (receiver_open(&t.r, &setup) < 0)
		return -1;
	receiver_begin(t.r, 1);
	t.push[0] = t.push[1] = (struct receiver_push){.run = 1};
	return 0;
}

static void remove_ledger(const char *name)
{
	struct ledger *l;

	if (ledger_open(&l, name, 1) == 0)
		ledger_remove(l);
}

static int tear_down(void **state)
{
	(void)state;
	receiver_close(t.r);
	sender_close(t.push[0].sender);
	sender_close(t.push[1].sender);
	remove_ledger(t.ledger);
	remove_ledger(t.l1);
	remove_ledger(t.l2);
	(void)sq_unlink(t.pq);
	(void)sq_unlink(t.c1);
	(void)sq_unlink(t.c2);
	return 0;
}

/* A worker takes a task, puts its result there and acknowledges. */
static void work(uint64_t sequence, const char *result_queue)
{
	struct sq *pq, *cq;
	struct sq_lease lease;

	assert_int_equal(receiver_put(t.r, sequence, "task", 4), 0);
	assert_int_equal(sq_open(&pq, t.pq), 0);
	assert_int_equal(sq_open(&cq, result_queue), 0);
	assert_int_equal(sq_lease(pq, &lease, 0), 0);
	assert_int_equal(sq_put(cq, "result", 6, 0), 0);
	assert_int_equal(sq_ack(pq, &lease), 0);
	sq_close(cq);
	sq_close(pq);
}

/* How many are settled now, having looked at the marks. */
static uint64_t scan(void)
{
	struct range told;

	t.now_ns += 1000000000;
	(void)receiver_scan(t.r, t.push, 2, t.now_ns);
	while (receiver_settled(t.r, &told, 1) > 0)
		continue;
	return receiver_counts(t.r)->settled;
}

/* The results in this queue have arrived at the other side. */
static void carry(struct sender *s)
{
	struct sender_message m;

	while (sender_next(s, &m) == 0) {
		uint64_t sequence = m.sequence;

		sender_sent(s);
		sender_received(s, sequence);
	}
}

static void waits_for_all(void **state)
{
	(void)state;
	t.push[0].sender = sender_of(t.c1, t.l1, 0);
	t.push[1].sender = sender_of(t.c2, t.l2, 0);
	work(1, t.c2);
	assert_int_equal(scan(), 0);
	carry(t.push[0].sender);
	assert_int_equal(scan(), 0);
	carry(t.push[1].sender);
	assert_int_equal(scan(), 1);
}

/* The first queue's sender comes after the task was done: marks are not mixed up. */
static void waits_for_one_that_comes_later(void **state)
{
	(void)state;
	t.push[1].sender = sender_of(t.c2, t.l2, 0);
	work(1, t.c2);
	assert_int_equal(scan(), 0);
	t.push[0].sender = sender_of(t.c1, t.l1, 0);
	assert_int_equal(scan(), 0);
	carry(t.push[0].sender);
	assert_int_equal(scan(), 0);
	carry(t.push[1].sender);
	assert_int_equal(scan(), 1);
}

static bool another_has_its_name(const void *of)
{
	(void)of;
	return false;
}

/* Results lie in a queue that has taken the name of ours, which has not been noticed here. */
static void waits_for_one_that_was_made_anew(void **state)
{
	(void)state;
	t.push[0].sender = sender_of(t.c1, t.l1, 0);
	t.push[1].sender = sender_of(t.c2, t.l2, 0);
	t.push[1].stands = another_has_its_name;
	work(1, t.c1);
	assert_int_equal(scan(), 0);
	carry(t.push[0].sender);
	assert_int_equal(scan(), 0);
	/* It is noticed, and the new one is carried. */
	t.push[1].stands = NULL;
	t.push[1].run++;
	assert_int_equal(scan(), 1);
}

/* Results lie in a queue that cannot be carried yet. */
static void waits_for_one_that_is_not_there(void **state)
{
	(void)state;
	t.push[1].sender = sender_of(t.c2, t.l2, 0);
	work(1, t.c1);
	carry(t.push[1].sender);
	assert_int_equal(scan(), 0);
	assert_int_equal(scan(), 0);
	t.push[0].sender = sender_of(t.c1, t.l1, 0);
	assert_int_equal(scan(), 0);
	carry(t.push[0].sender);
	assert_int_equal(scan(), 1);
}

static bool there_is_none;

static bool absent(const void *of)
{
	(void)of;
	return there_is_none;
}

/* A name for which there is no queue here: nothing can have been put there. */
static void waits_for_none_of_which_there_is_no_queue(void **state)
{
	(void)state;
	t.push[0].absent = absent;
	t.push[1].sender = sender_of(t.c2, t.l2, 0);
	there_is_none = false;
	work(1, t.c2);
	carry(t.push[1].sender);
	assert_int_equal(scan(), 0);
	there_is_none = true;
	assert_int_equal(scan(), 1);
}

/* A mark of a queue that was removed says nothing of the one made after it. */
static void another_queue_is_marked_anew(void **state)
{
	struct sq *q;

	(void)state;
	t.push[0].sender = sender_of(t.c1, t.l1, 0);
	t.push[1].sender = sender_of(t.c2, t.l2, 0);
	for (uint64_t sequence = 1; sequence <= 5; sequence++)
		work(sequence, t.c1);
	assert_int_equal(scan(), 0);

	sender_close(t.push[0].sender);
	remove_ledger(t.l1);
	t.push[0].sender = NULL;
	t.push[0].run++;
	assert_int_equal(sq_unlink(t.c1), 0);
	assert_int_equal(scan(), 0);
	make(t.c1);
	work(6, t.c1);
	t.push[0].sender = sender_of(t.c1, t.l1, 0);
	assert_int_equal(scan(), 0);
	carry(t.push[0].sender);
	/* What comes after the mark is not waited for, though it is below where the old one was. */
	assert_int_equal(sq_open(&q, t.c1), 0);
	assert_int_equal(sq_put(q, "later", 5, SQ_NOWAIT), 0);
	sq_close(q);
	assert_int_equal(scan(), 6);
}

/*
 * After a look at a large queue there is a rest; what is found meanwhile is marked after it, and
 * settled.
 */
static void rests_after_a_look_at_a_large_queue(void **state)
{
	const int64_t second = 1000000000;

	(void)state;
	t.push[0].sender = sender_of(t.c1, t.l1, 0);
	t.push[1].sender = sender_of(t.c2, t.l2, 0);
	t.push[0].capacity = 100000000; /* a rest of two seconds, if not longer */
	work(1, t.c1);
	assert_int_equal(scan(), 0);
	assert_true(receiver_scan_again(t.r) >= t.now_ns + 2 * second);
	carry(t.push[0].sender);
	work(2, t.c1);
	assert_int_equal(scan(), 0); /* a second later: it rests */
	while (t.now_ns + second < receiver_scan_again(t.r))
		assert_int_equal(scan(), 0);
	assert_int_equal(scan(), 1);
	/* The first was settled; the second is marked only now, behind its result. */
	carry(t.push[0].sender);
	for (int i = 0; i < 200 && scan() < 2; i++)
		continue;
	assert_int_equal(scan(), 2);
	assert_true(receiver_scan_again(t.r) == INT64_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(waits_for_all, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			waits_for_none_of_which_there_is_no_queue, set_up, tear_down),
		cmocka_unit_test_setup_teardown(waits_for_one_that_comes_later, set_up, tear_down),
		cmocka_unit_test_setup_teardown(waits_for_one_that_is_not_there, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			waits_for_one_that_was_made_anew, set_up, tear_down),
		cmocka_unit_test_setup_teardown(another_queue_is_marked_anew, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			rests_after_a_look_at_a_large_queue, set_up, tear_down),
	};

	return cmocka_run_group_tests_name("settle", tests, NULL, NULL);
}
