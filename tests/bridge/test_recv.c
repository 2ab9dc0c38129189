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

/*
 * What a receiver refuses. Our own sender makes none of it, and so the simulator does not test it;
 * but nothing that is refused here may ever be put.
 */

#define WINDOW       4
#define WINDOW_BYTES 100

static struct {
	char queue[32], ledger[32];
	struct receiver *r;
} t;

static void open_as(const char *ledger)
{
	struct receiver_setup setup = {.queue = t.queue,
		.ledger = ledger,
		.key = 8,
		.window = WINDOW,
		.window_bytes = WINDOW_BYTES};

	assert_int_equal(receiver_open(&t.r, &setup), 0);
}

static int set_up(void **state)
{
	struct sq_config config = {
		.capacity = 2, .max_message = 256, .small_message = 256, .participants = 8};

	(void)state;
	memset(&t, 0, sizeof(t));
	(void)snprintf(t.queue, sizeof(t.queue), "recv%d.q", (int)getpid());
	(void)snprintf(t.ledger, sizeof(t.ledger), "sqb.recv.%d.q", (int)getpid());
	return sq_create(t.queue, &config);
}

static int tear_down(void **state)
{
	struct ledger *l;

	(void)state;
	receiver_close(t.r);
	if (ledger_open(&l, t.ledger, 1) == 0)
		ledger_remove(l);
	return sq_unlink(t.queue);
}

static void refuses_what_is_not_the_next(void **state)
{
	(void)state;
	open_as(NULL);
	assert_int_equal(receiver_put(t.r, 2, "x", 1), -EPROTO);
	assert_int_equal(receiver_put(t.r, 0, "x", 1), -EPROTO);
	assert_int_equal(receiver_put(t.r, 1, "x", 1), 0);
	assert_int_equal(receiver_put(t.r, 1, "x", 1), -EPROTO);
	assert_int_equal(receiver_put(t.r, 3, "x", 1), -EPROTO);
	assert_int_equal(receiver_received(t.r), 1);
}

/* The same of what is held because the queue is full. */
static void refuses_what_is_not_the_next_held(void **state)
{
	(void)state;
	open_as(NULL);
	for (uint64_t s = 1; s <= 3; s++)
		assert_int_equal(receiver_put(t.r, s, "x", 1), 0);
	assert_int_equal(receiver_received(t.r), 2);
	assert_int_equal(receiver_put(t.r, 3, "x", 1), -EPROTO);
	assert_int_equal(receiver_put(t.r, 5, "x", 1), -EPROTO);
	assert_int_equal(receiver_put(t.r, 4, "x", 1), 0);
}

static void refuses_pieces_out_of_place(void **state)
{
	(void)state;
	open_as(NULL);
	assert_int_equal(receiver_part(t.r, 2, 10, 0, "12345", 5), -EPROTO);
	assert_int_equal(receiver_part(t.r, 1, 10, 5, "12345", 5), -EPROTO);
	assert_int_equal(receiver_part(t.r, 1, 257, 0, "12345", 5), -EMSGSIZE);
	assert_int_equal(receiver_part(t.r, 1, 10, 0, "12345", 5), 0);
	assert_int_equal(receiver_put(t.r, 1, "x", 1), -EPROTO);
	assert_int_equal(receiver_part(t.r, 1, 11, 5, "12345", 5), -EPROTO);
	assert_int_equal(receiver_part(t.r, 1, 10, 4, "12345", 5), -EPROTO);
	assert_int_equal(receiver_part(t.r, 1, 10, 5, "123456", 6), -EPROTO);
	assert_int_equal(receiver_received(t.r), 0);
	assert_int_equal(receiver_part(t.r, 1, 10, 5, "67890", 5), 0);
	assert_int_equal(receiver_received(t.r), 1);
}

static void refuses_to_hold_more_than_was_granted(void **state)
{
	static const char bytes[60];

	(void)state;
	open_as(NULL);
	/* Two go into the queue; then what was granted, and the one that goes over it. */
	for (uint64_t s = 1; s <= 4; s++)
		assert_int_equal(receiver_put(t.r, s, bytes, sizeof(bytes)), 0);
	assert_int_equal(receiver_put(t.r, 5, bytes, 1), -EPROTO);
	assert_int_equal(receiver_part(t.r, 5, 60, 0, bytes, 1), -EPROTO);
	assert_int_equal(receiver_counts(t.r)->held_bytes, 120);
}

static void refuses_to_owe_more_than_was_granted(void **state)
{
	(void)state;
	open_as(t.ledger);
	receiver_begin(t.r, 1);
	for (uint64_t s = 1; s <= WINDOW; s++)
		assert_int_equal(receiver_put(t.r, s, "x", 1), 0);
	assert_int_equal(receiver_put(t.r, WINDOW + 1, "x", 1), -EPROTO);
	assert_int_equal(receiver_owed_count(t.r), 2);
}

/* Without an epoch nothing is owed. */
static void refuses_without_an_epoch(void **state)
{
	(void)state;
	open_as(t.ledger);
	assert_int_equal(receiver_put(t.r, 1, "x", 1), -EPROTO);
	receiver_begin(t.r, 1);
	assert_int_equal(receiver_put(t.r, 1, "x", 1), 0);
	receiver_abandon(t.r);
	assert_int_equal(receiver_put(t.r, 2, "x", 1), -EPROTO);
	assert_int_equal(receiver_received(t.r), 1);
}

/* What was held for a queue that takes nothing any more is let go of with the stream. */
static void what_is_refused_is_not_kept(void **state)
{
	struct sq *q;

	(void)state;
	open_as(NULL);
	for (unsigned i = 1; i <= 4; i++)
		assert_int_equal(receiver_put(t.r, i, "x", 1), 0);
	assert_int_equal(receiver_counts(t.r)->held_bytes, 2);
	assert_int_equal(sq_open(&q, t.queue), 0);
	assert_int_equal(sq_shutdown(q, true), 0);
	sq_close(q);
	assert_int_equal(receiver_flush(t.r), -EPIPE);
	assert_int_equal(receiver_flush(t.r), -EPIPE);
	assert_false(receiver_idle(t.r));
	receiver_reset(t.r);
	assert_int_equal(receiver_counts(t.r)->held_bytes, 0);
	assert_true(receiver_idle(t.r));
}

/* A daemon that was killed while it disowned: the next goes on with that, and removes nothing. */
static void what_is_disowned_stays(void **state)
{
	struct sq_stat st;
	struct ledger *l;

	(void)state;
	open_as(t.ledger);
	receiver_begin(t.r, 5);
	for (unsigned i = 1; i <= 2; i++)
		assert_int_equal(receiver_put(t.r, i, "x", 1), 0);
	receiver_close(t.r);
	t.r = NULL;
	assert_int_equal(ledger_open(&l, t.ledger, 1), 0);
	ledger_set_epoch(l, LEDGER_DISOWNED);
	ledger_close(l);

	open_as(t.ledger);
	assert_int_equal(receiver_owed_count(t.r), 0);
	assert_int_equal(receiver_epoch(t.r), 0);
	assert_int_equal(receiver_received(t.r), 2);
	assert_int_equal(sq_look(t.queue, &st), 0);
	assert_int_equal(st.depth, 2);
}

/* Killed on the way back to the sender: what was taken out of the workers' hands is told again. */
static void what_was_taken_back_is_told_again(void **state)
{
	struct sq_stat st;
	struct range told;

	(void)state;
	open_as(t.ledger);
	receiver_begin(t.r, 5);
	assert_int_equal(receiver_put(t.r, 1, "x", 1), 0);
	receiver_recall(t.r);
	assert_int_equal(receiver_recalled(t.r, &told, 1), 1);
	receiver_close(t.r);
	t.r = NULL;

	open_as(t.ledger);
	assert_int_equal(receiver_recalled(t.r, &told, 1), 1);
	assert_true(told.first == 1 && told.count == 1);
	receiver_returned(t.r, 1, 1);
	assert_int_equal(receiver_owed_count(t.r), 0);
	assert_int_equal(sq_look(t.queue, &st), 0);
	assert_int_equal(st.depth + st.leased, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		TEST(refuses_what_is_not_the_next),
		TEST(refuses_what_is_not_the_next_held),
		TEST(what_is_refused_is_not_kept),
		TEST(refuses_pieces_out_of_place),
		TEST(refuses_to_hold_more_than_was_granted),
		TEST(refuses_to_owe_more_than_was_granted),
		TEST(refuses_without_an_epoch),
		TEST(what_is_disowned_stays),
		TEST(what_was_taken_back_is_told_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
