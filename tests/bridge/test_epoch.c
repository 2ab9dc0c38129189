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
#include "link.h"
#include "send.h"

/*
 * A hub's link with a real queue, and a leaf that is frames by hand: when the hub gives up on what
 * the leaf has, and what becomes of streams that were refused.
 */

#define MS       ((int64_t)1000000)
#define PATIENCE 10000 /* ms */
#define EPOCH    77

static struct {
	char queue[32], ledger[32];
	struct link *l;
	int64_t now_ns;
	uint64_t received;           /* of the messages by the leaf */
	uint64_t epoch;              /* as the hub told it */
	enum wire_result result;     /* of the last open */
	unsigned opened, errors;     /* answers to opens */
	enum wire_code code;         /* of the last error */
	unsigned given_up, messages; /* events, and messages that came */
	unsigned given_back;         /* messages, by the end of an epoch */
	uint8_t buf[1 << 16];
} t;

static struct sq *open_queue(void)
{
	struct sq *q;

	assert_int_equal(sq_open(&q, t.queue), 0);
	return q;
}

static int open_stream(void *context, struct link *l, enum wire_direction direction,
	const char *queue, struct link_end *ret, const char **ret_why)
{
	struct sender_setup setup = {
		.queue = t.queue, .ledger = t.ledger, .key = 8, .window = 16, .grace = SQ_FOREVER};

	(void)context;
	(void)l;
	*ret_why = "not this one";
	if (direction != WIRE_PULL || strcmp(queue, "q") != 0)
		return WIRE_E_NO_QUEUE;
	if (ret->sender)
		return 0;
	ret->max_message = 64;
	ret->capacity = 16;
	assert_int_equal(sender_open(&ret->sender, &setup), 0);
	return 0;
}

static void on_event(
	void *context, struct link *l, const char *event, const char *queue, const char *detail)
{
	(void)queue;
	(void)context;
	(void)l;
	(void)detail;
	t.given_up += strcmp(event, "given_up") == 0;
}

static uint64_t an_epoch(void *context)
{
	(void)context;
	return EPOCH;
}

static void new_link(void)
{
	struct link_setup hub = {.peer = "leaf",
		.hub = true,
		.instance = {1},
		.heartbeat_ms = 1000,
		.redeliver_after_ms = PATIENCE,
		.open = open_stream,
		.event = on_event,
		.random = an_epoch};

	assert_int_equal(link_new(&t.l, &hub), 0);
}

static int set_up(void **state)
{
	struct sq_config config = {.capacity = 16, .max_message = 64, .participants = 8};

	(void)state;
	memset(&t, 0, sizeof(t));
	(void)snprintf(t.queue, sizeof(t.queue), "epo%d.q", (int)getpid());
	(void)snprintf(t.ledger, sizeof(t.ledger), "sqb.epo.%d.q", (int)getpid());
	t.now_ns = 5000 * MS;
	if (sq_create(t.queue, &config) < 0)
		return -1;
	new_link();
	return 0;
}

static int tear_down(void **state)
{
	struct ledger *l;

	(void)state;
	link_free(t.l);
	if (ledger_open(&l, t.ledger, 1) == 0)
		ledger_remove(l);
	return sq_unlink(t.queue);
}

static void put(unsigned n)
{
	struct sq *q = open_queue();

	while (n-- > 0)
		assert_int_equal(sq_put(q, "task", 4, SQ_NOWAIT), 0);
	sq_close(q);
}

/* How many messages a worker on the hub's host could have now. */
static uint64_t waiting(void)
{
	struct sq_stat st;

	assert_int_equal(sq_look(t.queue, &st), 0);
	return st.depth;
}

static void say(const struct wire_frame *f)
{
	ssize_t n = wire_encode(t.buf, sizeof(t.buf), f);
	size_t used;

	assert_true(n > 0);
	assert_int_equal(link_input(t.l, t.buf, (size_t)n, t.now_ns, &used), 0);
	assert_int_equal(used, n);
}

static void hear(void)
{
	size_t len;

	while ((len = link_output(t.l, t.buf, 16384, t.now_ns)) > 0)
		for (size_t at = 0, n; at < len; at += n) {
			struct wire_frame f;

			assert_int_equal(wire_next(t.buf + at, len - at, &f, &n, NULL), 0);
			if (f.type == WIRE_OPENED) {
				t.opened++;
				t.result = f.opened.result;
				t.epoch = f.opened.epoch;
			} else if (f.type == WIRE_ERROR && f.stream) {
				t.errors++;
				t.code = (enum wire_code)f.error.code;
			} else if (f.type == WIRE_BATCH) {
				t.messages += f.batch.count;
				t.received += f.batch.count;
			}
		}
}

/* One turn of the daemon's. */
static void tick(int64_t ms)
{
	bool dead;

	t.now_ns += ms * MS;
	(void)link_tick(t.l, t.now_ns, &dead);
	hear();
	(void)link_give_up(t.l, t.now_ns);
	hear();
}

static void hello(void)
{
	struct wire_frame f = {.type = WIRE_HELLO,
		.hello = {.lowest = 1, .highest = 1, .instance = {2}, .heartbeat_ms = 1000}};

	link_up(t.l, t.now_ns);
	say(&f);
	hear();
}

static void ask(uint16_t number, const char *queue)
{
	struct wire_frame f = {.type = WIRE_OPEN,
		.stream = number,
		.open = {.direction = WIRE_PULL,
			.max_message = 64,
			.epoch = t.epoch,
			.sequence = t.received}};

	(void)snprintf(f.open.name, sizeof(f.open.name), "%s", queue);
	say(&f);
	hear();
}

static void grant(uint64_t sequence)
{
	struct wire_frame f = {.type = WIRE_CREDIT,
		.stream = 1,
		.credit = {.sequence = sequence, .bytes = 1 << 20}};

	say(&f);
	tick(0);
}

/* It has two of three messages, and owes them. */
static void take_two(void)
{
	put(3);
	hello();
	ask(1, "q");
	assert_int_equal(t.opened, 1);
	assert_int_equal(t.result, WIRE_FRESH);
	grant(2);
	assert_int_equal(t.messages, 2);
	assert_int_equal(waiting(), 1);
}

static void owes_them(void)
{
	struct wire_ranges_build b;
	size_t n, used;

	assert_int_equal(wire_ranges_begin(&b, t.buf, sizeof(t.buf), WIRE_OWED, 1), 0);
	for (uint64_t s = 1; s <= t.received; s++)
		assert_int_equal(wire_ranges_add(&b, s), 0);
	n = wire_ranges_end(&b, true);
	assert_int_equal(link_input(t.l, t.buf, n, t.now_ns, &used), 0);
	hear();
}

/*
 * For the bridge's own code, by the linker: what an epoch's end gives back must find that written
 * already. Else a kill in between leaves an epoch that stands, and tasks that others have.
 */
int __real_sq_nack(struct sq *q, const struct sq_lease *lease);
int __wrap_sq_nack(struct sq *q, const struct sq_lease *lease);

int __wrap_sq_nack(struct sq *q, const struct sq_lease *lease)
{
	enum wire_direction direction;
	struct link_end end;
	const char *queue;

	link_stream(t.l, 0, &direction, &queue, &end);
	assert_int_equal(ledger_epoch(sender_ledger(end.sender)), 0);
	t.given_back++;
	return __real_sq_nack(q, lease);
}

static void one_that_is_away_is_given_up(void **state)
{
	(void)state;
	take_two();
	for (int i = 0; i < 20; i++)
		tick(PATIENCE / 10); /* while it flows, for as long as it likes */
	assert_int_equal(t.given_up, 0);
	link_down(t.l, t.now_ns);
	tick(PATIENCE - 1);
	assert_int_equal(t.given_up, 0);
	assert_int_equal(waiting(), 1);
	tick(1);
	assert_int_equal(t.given_up, 1);
	assert_int_equal(t.given_back, 2);
	assert_int_equal(waiting(), 3);
	tick(PATIENCE);
	assert_int_equal(t.given_up, 1);

	/* And what it says it owes means nothing any more. */
	hello();
	ask(1, "q");
	assert_int_equal(t.result, WIRE_STALE);
}

static void one_that_comes_back_in_time_keeps_them(void **state)
{
	(void)state;
	take_two();
	for (int i = 0; i < 3; i++) {
		link_down(t.l, t.now_ns);
		tick(PATIENCE - 1);
		hello();
		ask(1, "q");
		assert_int_equal(t.result, WIRE_RESUMED);
		owes_them();
		tick(1);
	}
	assert_int_equal(t.given_up, 0);
	assert_int_equal(waiting(), 1);
}

/*
 * A leaf of another run: what it says about messages is not about those in flight now, whatever
 * their numbers are.
 */
static void another_epoch_is_not_resumed(void **state)
{
	(void)state;
	take_two();
	link_down(t.l, t.now_ns);
	t.epoch++;
	hello();
	ask(1, "q");
	assert_int_equal(t.result, WIRE_STALE);
	assert_int_equal(t.epoch, EPOCH);
	assert_int_equal(waiting(), 3);
}

/* Each time it says hello, and never gets so far as to carry its stream again. */
static void one_that_comes_and_goes_is_given_up(void **state)
{
	(void)state;
	take_two();
	link_down(t.l, t.now_ns);
	for (int i = 0; i < 9; i++) {
		tick(PATIENCE / 20);
		hello();
		tick(PATIENCE / 20);
		link_down(t.l, t.now_ns);
	}
	assert_int_equal(t.given_up, 0);
	hello();
	tick(PATIENCE / 10);
	assert_int_equal(t.given_up, 1);
	assert_int_equal(waiting(), 3);
}

/* It opens its stream, and does not tell what it owes. */
static void one_that_does_not_tell_what_it_owes_is_given_up(void **state)
{
	(void)state;
	take_two();
	link_down(t.l, t.now_ns);
	tick(1);
	hello();
	ask(1, "q");
	assert_int_equal(t.result, WIRE_RESUMED);
	tick(PATIENCE - 2);
	assert_int_equal(t.given_up, 0);
	tick(1);
	assert_int_equal(t.given_up, 1);
	assert_int_equal(waiting(), 3);
	assert_int_equal(t.errors, 1);
	assert_int_equal(t.code, WIRE_E_LIMIT);

	/* It asks again, and begins anew. */
	ask(1, "q");
	assert_int_equal(t.result, WIRE_STALE);
	grant(t.received + 3);
	assert_int_equal(t.messages, 5);
}

/* Killed between lease and number: what was sent to no leaf is given up as well. */
static void what_has_no_number_is_given_up(void **state)
{
	struct link_end end = {0};
	struct sq_lease lease;
	const char *why;
	struct sq *q;

	(void)state;
	put(1);
	assert_int_equal(sq_open_durable(&q, t.queue, 8, SQ_FOREVER), 0);
	assert_int_equal(sq_lease(q, &lease, SQ_NOWAIT), 0);
	sq_close(q);
	assert_int_equal(waiting(), 0);
	assert_int_equal(open_stream(NULL, t.l, WIRE_PULL, "q", &end, &why), 0);
	assert_int_equal(link_adopt(t.l, WIRE_PULL, "q", &end, t.now_ns), 0);
	tick(PATIENCE - 1);
	assert_int_equal(waiting(), 0);
	tick(1);
	assert_int_equal(waiting(), 1);
}

static int settle(uint64_t first, uint32_t count, unsigned ranges)
{
	struct wire_ranges_build b;
	size_t n, used;

	assert_int_equal(wire_ranges_begin(&b, t.buf, sizeof(t.buf), WIRE_SETTLE, 1), 0);
	for (unsigned i = 0; i < ranges; i++)
		for (uint64_t s = 0; s < count; s++)
			assert_int_equal(
				wire_ranges_add(&b, first + i * (count + (uint64_t)1) + s), 0);
	n = wire_ranges_end(&b, false);
	return link_input(t.l, t.buf, n, t.now_ns, &used);
}

/* Each number costs a search: a peer must not make us look for arbitrarily many. */
static void no_more_is_heard_of_than_there_is(void **state)
{
	(void)state;
	take_two();
	assert_int_equal(settle(1, 2, 1), 0);
	assert_int_equal(settle(1000, WIRE_WINDOW_MAX / 2 + 1, 2), -EPROTO);
}

static void no_more_is_heard_than_was_sent(void **state)
{
	unsigned frames = 0;

	(void)state;
	take_two();
	while (settle(1000, WIRE_WINDOW_MAX, 1) == 0)
		assert_true(frames++ < 10);
	assert_true(frames > 0);
}

static void refused_streams_take_no_room(void **state)
{
	char name[16];

	(void)state;
	hello();
	for (unsigned i = 0; i < 3 * WIRE_STREAMS_MAX; i++) {
		(void)snprintf(name, sizeof(name), "none%u", i);
		ask(1, name);
		assert_int_equal(t.errors, i + 1);
		assert_int_equal(t.code, WIRE_E_NO_QUEUE);
	}
	assert_true(link_streams(t.l) <= WIRE_STREAMS_MAX);
	put(1);
	ask(1, "q");
	assert_int_equal(t.opened, 1);
	grant(1);
	assert_int_equal(t.messages, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(one_that_is_away_is_given_up, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			one_that_comes_back_in_time_keeps_them, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			one_that_comes_and_goes_is_given_up, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			one_that_does_not_tell_what_it_owes_is_given_up, set_up, tear_down),
		cmocka_unit_test_setup_teardown(another_epoch_is_not_resumed, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_has_no_number_is_given_up, set_up, tear_down),
		cmocka_unit_test_setup_teardown(refused_streams_take_no_room, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			no_more_is_heard_of_than_there_is, set_up, tear_down),
		cmocka_unit_test_setup_teardown(no_more_is_heard_than_was_sent, set_up, tear_down),
	};

	return cmocka_run_group_tests_name("epoch", tests, NULL, NULL);
}
