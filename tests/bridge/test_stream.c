/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "ledger.h"
#include "link.h"
#include "recv.h"
#include "send.h"

/* A link with real queues, and frames by hand. */

#define WINDOW 4096
#define OUTPUT 16384 /* as a record of TLS's */

static struct {
	char queue[32], ledger[32];
	struct link *l;
	struct receiver *r;
	uint8_t buf[1 << 20];
} t;

static void make(uint64_t capacity)
{
	struct sq_config config = {.capacity = capacity, .max_message = 64, .participants = 8};

	assert_int_equal(sq_create(t.queue, &config), 0);
}

static int set_up(void **state)
{
	(void)state;
	memset(&t, 0, sizeof(t));
	(void)snprintf(t.queue, sizeof(t.queue), "str%d.q", (int)getpid());
	(void)snprintf(t.ledger, sizeof(t.ledger), "sqb.str.%d.q", (int)getpid());
	return 0;
}

static int tear_down(void **state)
{
	struct ledger *l;

	(void)state;
	link_free(t.l);
	receiver_close(t.r);
	if (ledger_open(&l, t.ledger, 1) == 0)
		ledger_remove(l);
	return sq_unlink(t.queue);
}

static void say(const struct wire_frame *f)
{
	ssize_t n = wire_encode(t.buf, sizeof(t.buf), f);
	size_t used;

	assert_true(n > 0);
	assert_int_equal(link_input(t.l, t.buf, (size_t)n, 1, &used), 0);
	assert_int_equal(used, n);
}

static void say_batch(uint64_t first, uint32_t n)
{
	struct wire_batch_build b;
	size_t used, len;

	assert_int_equal(wire_batch_begin(&b, t.buf, sizeof(t.buf), 1, first), 0);
	while (n-- > 0)
		assert_int_equal(wire_batch_add(&b, "task", 4, 1), 0);
	len = wire_batch_end(&b);
	assert_int_equal(link_input(t.l, t.buf, len, 1, &used), 0);
	assert_int_equal(used, len);
}

/* What it says, until it has nothing more to say. */
struct said {
	uint64_t settled;         /* messages */
	uint64_t messages, first; /* that it sends, and the first one's number */
	unsigned error;           /* the code of the last, of a stream */
};

static struct said hear(void)
{
	struct said said = {0};
	size_t len;

	while ((len = link_output(t.l, t.buf, OUTPUT, 1)) > 0)
		for (size_t at = 0, n; at < len; at += n) {
			struct wire_frame f;

			assert_int_equal(wire_next(t.buf + at, len - at, &f, &n, NULL), 0);
			for (uint32_t i = 0; f.type == WIRE_SETTLE && i < f.ranges.count; i++)
				said.settled += wire_range_at(&f.ranges, i).count;
			if (f.type == WIRE_BATCH) {
				said.first = said.messages ? said.first : f.batch.first;
				said.messages += f.batch.count;
			}
			if (f.type == WIRE_ERROR && f.stream)
				said.error = f.error.code;
		}
	return said;
}

static int opened(void *context, struct link *l, enum wire_direction direction, const char *queue,
	const struct wire_opened *o, struct link_end *ret, const char **ret_why)
{
	(void)context;
	(void)l;
	(void)direction;
	(void)queue;
	(void)o;
	(void)ret;
	(void)ret_why;
	return 0;
}

static uint64_t any(void *context)
{
	(void)context;
	return 1;
}

/* A leaf that pulls, connected and opened. */
static void begin_pull(void)
{
	struct receiver_setup setup = {.queue = t.queue,
		.ledger = t.ledger,
		.key = 8,
		.window = WINDOW,
		.window_bytes = 1 << 20};
	struct link_setup leaf = {.peer = "hub",
		.instance = {1},
		.heartbeat_ms = 1000,
		.opened = opened,
		.random = any};
	struct wire_frame hello = {.type = WIRE_HELLO,
		.hello = {.lowest = 1, .highest = 1, .instance = {2}, .heartbeat_ms = 1000}};
	struct wire_frame answer = {.type = WIRE_OPENED,
		.stream = 1,
		.opened = {
			.result = WIRE_FRESH, .epoch = 1, .max_message = 64, .capacity = WINDOW}};
	struct link_end end = {.max_message = 64, .capacity = WINDOW};

	assert_int_equal(receiver_open(&end.receiver, &setup), 0);
	assert_int_equal(link_new(&t.l, &leaf), 0);
	assert_int_equal(link_add(t.l, WIRE_PULL, "q", &end), 0);
	link_up(t.l, 1);
	say(&hello);
	assert_int_equal(hear().settled, 0); /* and it asks for its stream */
	say(&answer);
}

/* Every second one of many is done: more ranges than there is room for in one go. */
static void each_settle_is_told(void **state)
{
	static struct sq_lease task[WINDOW];
	struct sq *q;
	bool dead;

	(void)state;
	make(WINDOW);
	begin_pull();
	say_batch(1, WINDOW / 2);
	say_batch(1 + WINDOW / 2, WINDOW / 2);
	assert_int_equal(sq_open(&q, t.queue), 0);
	for (unsigned i = 0; i < WINDOW; i++)
		assert_int_equal(sq_lease(q, &task[i], SQ_NOWAIT), 0);
	for (unsigned i = 0; i < WINDOW; i += 2)
		assert_int_equal(sq_ack(q, &task[i]), 0);
	(void)link_tick(t.l, 1, &dead);
	assert_int_equal(hear().settled, WINDOW / 2);
	sq_close(q);
}

/* Messages of no bytes take memory too, while there is no room for them in the queue. */
static void no_more_is_held_than_the_window(void **state)
{
	struct receiver_setup setup = {
		.queue = t.queue, .key = 8, .window = 16, .window_bytes = 1 << 20};
	struct sq *q;
	uint64_t s = 0;
	int r;

	(void)state;
	make(4);
	assert_int_equal(sq_open(&q, t.queue), 0);
	while ((r = sq_put(q, "", 0, SQ_NOWAIT)) == 0)
		continue;
	assert_int_equal(r, -EAGAIN);
	assert_int_equal(receiver_open(&t.r, &setup), 0);
	for (; s < 16; s++)
		assert_int_equal(receiver_put(t.r, s + 1, "", 0), 0);
	assert_int_equal(receiver_put(t.r, s + 1, "", 0), -EPROTO);
	assert_int_equal(receiver_part(t.r, s + 1, 1, 0, "", 1), -EPROTO);
	sq_close(q);
}

/* Many that came back from a worker wait in front of one that is done. */
static void what_came_back_hides_none_that_is_done(void **state)
{
	static struct sq_lease task[64];
	struct sq *q;
	bool dead;

	(void)state;
	make(64);
	begin_pull();
	say_batch(1, 64);
	assert_int_equal(sq_open(&q, t.queue), 0);
	for (unsigned i = 0; i < 64; i++)
		assert_int_equal(sq_lease(q, &task[i], SQ_NOWAIT), 0);
	assert_int_equal(sq_ack(q, &task[63]), 0);
	for (unsigned i = 0; i < 63; i++)
		assert_int_equal(sq_nack(q, &task[i]), 0);
	for (int64_t now_ns = 1; now_ns < 2000000000; now_ns += 10000000)
		(void)link_tick(t.l, now_ns, &dead);
	assert_int_equal(hear().settled, 1);
	sq_close(q);
}

/* It waits for room, and when there is some, the queue does not take it: the peer is told. */
static void what_the_queue_never_takes_ends_the_stream(void **state)
{
	struct wire_batch_build b;
	static char large[65];
	size_t used, len;
	struct sq_lease task;
	struct sq *q;
	bool dead;

	(void)state;
	make(2);
	begin_pull();
	assert_int_equal(wire_batch_begin(&b, t.buf, sizeof(t.buf), 1, 1), 0);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(wire_batch_add(&b, "task", 4, 1), 0);
	assert_int_equal(wire_batch_add(&b, large, sizeof(large), 1), 0);
	len = wire_batch_end(&b);
	assert_int_equal(link_input(t.l, t.buf, len, 1, &used), 0);
	assert_int_equal(hear().error, 0);

	assert_int_equal(sq_open(&q, t.queue), 0);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(sq_lease(q, &task, SQ_NOWAIT), 0);
		assert_int_equal(sq_ack(q, &task), 0);
	}
	(void)link_tick(t.l, 2, &dead);
	assert_int_equal(hear().error, WIRE_E_TOO_LARGE);
	assert_int_equal(sq_lease(q, &task, SQ_NOWAIT), 0); /* the third is there */
	sq_close(q);
}

/* Of a stream that was refused, some may still be on its way when it has been asked for again. */
static void what_comes_late_is_passed_over(void **state)
{
	struct wire_frame answer = {.type = WIRE_OPENED,
		.stream = 1,
		.opened = {
			.result = WIRE_FRESH, .epoch = 2, .max_message = 64, .capacity = WINDOW}};
	struct sq_stat st;
	struct sq *q;
	bool dead;

	(void)state;
	make(64);
	begin_pull();
	assert_int_equal(sq_open(&q, t.queue), 0);
	assert_int_equal(sq_shutdown(q, false), 0);
	say_batch(1, 1);
	assert_int_equal(hear().error, WIRE_E_CLOSED);
	(void)link_tick(t.l, 3000000000, &dead);
	assert_int_equal(hear().settled, 0); /* and it asks for its stream */
	say_batch(1, 1);
	say(&answer);
	assert_int_equal(sq_stat(q, &st), 0);
	assert_int_equal(st.put, 0);
	sq_close(q);
}

static void come_back_stale(uint8_t instance)
{
	struct wire_frame hello = {.type = WIRE_HELLO,
		.hello = {.lowest = 1, .highest = 1, .instance = {instance}, .heartbeat_ms = 1000}};
	struct wire_frame answer = {.type = WIRE_OPENED,
		.stream = 1,
		.opened = {
			.result = WIRE_STALE, .epoch = 9, .max_message = 64, .capacity = WINDOW}};

	link_down(t.l, 1);
	link_up(t.l, 1);
	say(&hello);
	assert_int_equal(hear().settled, 0);
	say(&answer);
}

/* A hub that has given up on us has given our tasks to others; one that has lost its memory has not. */
static void tasks_of_a_hub_that_is_gone_are_kept(void **state)
{
	struct sq_stat st;

	(void)state;
	make(64);
	begin_pull();
	say_batch(1, 2);
	come_back_stale(3);
	assert_int_equal(sq_look(t.queue, &st), 0);
	assert_int_equal(st.depth, 2);
	say_batch(3, 2);
	come_back_stale(3);
	assert_int_equal(sq_look(t.queue, &st), 0);
	assert_int_equal(st.depth, 2);
}

static void open_push(uint64_t received, uint64_t identity)
{
	struct wire_frame hello = {.type = WIRE_HELLO,
		.hello = {.lowest = 1, .highest = 1, .instance = {2}, .heartbeat_ms = 1000}};
	struct wire_frame answer = {.type = WIRE_OPENED,
		.stream = 1,
		.opened = {.epoch = identity,
			.sequence = received,
			.max_message = 64,
			.capacity = 64}};
	struct wire_frame credit = {.type = WIRE_CREDIT,
		.stream = 1,
		.credit = {.sequence = received + 100, .bytes = 1 << 20}};
	link_up(t.l, 1);
	say(&hello);
	(void)hear();
	say(&answer);
	say(&credit);
}

/* The count of another queue at the hub says nothing about what was sent to the one before. */
static void another_queue_over_there_is_numbered_anew(void **state)
{
	struct sender_setup setup = {
		.queue = t.queue, .ledger = t.ledger, .key = 8, .window = 64, .grace = SQ_FOREVER};
	struct link_setup leaf = {.peer = "hub",
		.instance = {1},
		.heartbeat_ms = 1000,
		.opened = opened,
		.random = any};
	struct wire_frame ack = {.type = WIRE_ACK, .stream = 1, .received = 3};
	struct link_end end = {.max_message = 64, .capacity = 64};
	struct sq_stat st;
	struct said said;
	struct sq *q;

	(void)state;
	make(64);
	assert_int_equal(sq_open(&q, t.queue), 0);
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(sq_put(q, "result", 6, SQ_NOWAIT), 0);
	assert_int_equal(sender_open(&end.sender, &setup), 0);
	assert_int_equal(link_new(&t.l, &leaf), 0);
	assert_int_equal(link_add(t.l, WIRE_PUSH, "q", &end), 0);

	open_push(0, 71);
	said = hear();
	assert_int_equal(said.messages, 5);
	assert_int_equal(said.first, 1);
	say(&ack);
	link_down(t.l, 1);
	open_push(3, 71);
	said = hear();
	assert_int_equal(said.messages, 2);
	assert_int_equal(said.first, 4);
	link_down(t.l, 1);
	open_push(4, 72); /* four of others */
	said = hear();
	assert_int_equal(said.messages, 2);
	assert_int_equal(said.first, 5);
	assert_int_equal(sq_stat(q, &st), 0);
	assert_int_equal(st.leased, 2);
	link_down(t.l, 1);
	open_push(5, 72);
	said = hear();
	assert_int_equal(said.messages, 1);
	assert_int_equal(said.first, 6);
	assert_int_equal(sq_stat(q, &st), 0);
	assert_int_equal(st.leased, 1);
	sq_close(q);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(each_settle_is_told, set_up, tear_down),
		cmocka_unit_test_setup_teardown(no_more_is_held_than_the_window, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			what_came_back_hides_none_that_is_done, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			what_the_queue_never_takes_ends_the_stream, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_comes_late_is_passed_over, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			tasks_of_a_hub_that_is_gone_are_kept, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			another_queue_over_there_is_numbered_anew, set_up, tear_down),
	};

	return cmocka_run_group_tests_name("stream", tests, NULL, NULL);
}
