/* SPDX-License-Identifier: ISC */
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ends.h"
#include "now.h"
#include "loop_in.h"

/* Connections that come and go at random, in callbacks, and all at once: nothing goes to another. */

/*
 * Thousands of connections with data in flight, closed by either side at any moment, so that
 * descriptors and slots are used again at once. Each client says its number over and over, the
 * server echoes; nobody may ever see a number that is not its own.
 */

enum {
	LIVE = 100,
	TOTAL = 3000,
	SAY = 600, /* words */
};

struct caller {
	struct loop_conn *conn;
	uint32_t number;
	uint32_t said[SAY];
	size_t heard; /* bytes */
	bool server, open;
};
/* Each client and each server, by number; none is used again, so that a late call is seen. */
static struct caller *callers;
static int callers_n, closed_n, clients_n, live_n, wrong_n, whole_n, refused_n;
static struct sockaddr_in address;
static const struct loop_conn_ops caller_ops;

static bool one_in(int n)
{
	return random() % n == 0;
}

static struct caller *caller_new(bool server)
{
	struct caller *c = &callers[callers_n];

	assert_true(callers_n < 2 * TOTAL + 2 * LIVE);
	*c = (struct caller){.number = (uint32_t)callers_n++, .server = server, .open = true};
	return c;
}

static void hang_up(struct caller *c)
{
	if (!c->open)
		return;
	c->open = false;
	loop_conn_close(c->conn);
}

/* Somebody who has nothing to do with it. */
static void hang_up_another(void)
{
	struct caller
		*c = &callers[callers_n - 1 - random() % (callers_n < LIVE ? callers_n : LIVE)];

	if (c->conn)
		hang_up(c);
}

static void say(struct caller *c)
{
	for (int i = 0; i < SAY; i++)
		c->said[i] = c->number;
	if (loop_conn_send(c->conn, c->said, sizeof(c->said)) < 0)
		wrong_n++;
}

static void caller_connected(void *ctx, int error)
{
	struct caller *c = ctx;

	if (!c->open)
		wrong_n++;
	if (error < 0) {
		refused_n++;
		hang_up(c);
		return;
	}
	if (one_in(2) && loop_conn_window(c->conn, 2, 512) < 0)
		wrong_n++;
	if (one_in(20))
		hang_up(c);
	else
		say(c);
}

static size_t caller_received(void *ctx, const uint8_t *data, size_t len)
{
	struct caller *c = ctx;
	const uint8_t *number;

	if (!c->open)
		wrong_n++;
	if (c->server) {
		if (loop_conn_sending(c->conn))
			return 0;
		if (one_in(30)) {
			hang_up(c);
			return len;
		}
		len = len < sizeof(c->said) ? len : sizeof(c->said);
		memcpy(c->said, data, len);
		if (loop_conn_send(c->conn, c->said, len) < 0)
			wrong_n++;
		if (one_in(50))
			hang_up_another();
		return len;
	}
	number = (const uint8_t *)&c->number;
	for (size_t i = 0; i < len; i++)
		if (data[i] != number[(c->heard + i) % 4])
			wrong_n++;
	c->heard += len;
	if (c->heard > sizeof(c->said))
		wrong_n++;
	if (c->heard == sizeof(c->said)) {
		whole_n++;
		hang_up(c);
	} else if (one_in(10)) {
		hang_up(c);
	}
	return len;
}

static void caller_ended(void *ctx, int error)
{
	struct caller *c = ctx;

	if (!c->open)
		wrong_n++;
	hang_up(c);
}

static void caller_sent(void *ctx, int error)
{
	struct caller *c = ctx;

	if (!c->open)
		wrong_n++;
	if (c->server)
		loop_conn_resume(c->conn);
	if (one_in(40))
		hang_up(c);
}

static void caller_closed(void *ctx)
{
	struct caller *c = ctx;

	if (c->open || !c->conn)
		wrong_n++;
	c->conn = NULL;
	closed_n++;
	/* The memory may be used for something else now: the kernel holds nothing of it. */
	memset(c->said, 0xee, sizeof(c->said));
	live_n -= !c->server;
}

static const struct loop_conn_ops caller_ops = {
	caller_connected, caller_received, caller_ended, caller_sent, caller_closed};

static void caller_accepted(void *ctx, struct loop_conn *conn, int error)
{
	struct caller *c;

	if (!conn) {
		wrong_n++;
		return;
	}
	if (one_in(20))
		return; /* not taken: the loop closes it */
	c = caller_new(true);
	c->conn = conn;
	loop_conn_start(conn, &caller_ops, c);
	if (one_in(20))
		hang_up(c);
	else if (one_in(3) && loop_conn_window(conn, 4, 256) < 0)
		wrong_n++;
}

static void churn(const struct loop_config *config)
{
	struct sockaddr_in any = ends_any();
	struct loop_listener *li = NULL;
	struct loop_stats stats;

	srandom(7);
	callers = calloc(2 * TOTAL + 2 * LIVE, sizeof(*callers));
	assert_non_null(callers);
	callers_n = closed_n = clients_n = live_n = wrong_n = whole_n = refused_n = 0;
	ends_loop(config);
	assert_int_equal(0, loop_listen(ends_the_loop, (const struct sockaddr *)&any, sizeof(any),
				    4 * LIVE, caller_accepted, NULL, &li));
	address = ends_address(li);
	for (int64_t until = now_ns() + 120000 * MS; clients_n < TOTAL || live_n > 0;) {
		while (live_n < LIVE && clients_n < TOTAL) {
			struct caller *c = caller_new(false);

			assert_int_equal(
				0, loop_connect(ends_the_loop, (const struct sockaddr *)&address,
					   sizeof(address), 10000 * MS, &caller_ops, c, &c->conn));
			clients_n++;
			live_n++;
			if (one_in(50))
				hang_up(c);
		}
		assert_int_equal(0, loop_turn(ends_the_loop, 20 * MS));
		assert_int_equal(0, wrong_n);
		assert_true(now_ns() < until);
	}
	ENDS_UNTIL(closed_n == callers_n);
	ends_idle(3);
	loop_stats(ends_the_loop, &stats);
	assert_int_equal(0, wrong_n);
	assert_int_equal(0, refused_n);
	assert_true(whole_n > TOTAL / 10);
	assert_int_equal(0, stats.connections);
	assert_int_equal(1, stats.objects); /* the listener */
	assert_int_equal(0, stats.stale);
	assert_int_equal((int)ends_the_loop->young.n, (int)ends_the_loop->young.free);
	ends_loop_free();
	free(callers);
}

static void test_churn(void **state)
{
	churn(NULL);
	churn(&(struct loop_config){.mask = LOOP_NO_SINGLE | LOOP_NO_MULTISHOT});
	churn(&(struct loop_config){.submissions = 8, .completions = 32, .young_buffers = 4});
}

/* A completion for a connection that is gone, when another one has its slot. */
static void test_stale(void **state)
{
	struct loop_listener *li;
	struct end *a, *b, *c, *d;
	struct loop_stats stats;
	uint64_t old[4];
	uint32_t slot;

	ends_loop(NULL);
	li = ends_listen(8, NULL);
	ends_pair(li, &a, &b);
	slot = ((struct thing *)b->conn)->slot;
	for (unsigned i = 0; i < 4; i++)
		old[i] = loop_user_data((struct thing *)b->conn, OP_CONNECT + i);
	loop_conn_close(a->conn);
	loop_conn_close(b->conn);
	ENDS_UNTIL(a->closed && b->closed);
	ends_pair(li, &c, &d);
	assert_true(
		((struct thing *)c->conn)->slot == slot || ((struct thing *)d->conn)->slot == slot);
	for (unsigned i = 0; i < 4; i++)
		loop_dispatch(ends_the_loop, old[i], -EPIPE, 0);
	loop_dispatch(ends_the_loop, UINT64_MAX, 0, 0);
	loop_stats(ends_the_loop, &stats);
	assert_int_equal(5, stats.stale);
	assert_int_equal(0, c->ended + d->ended + c->sent + d->sent);
	assert_int_equal(0, loop_conn_send(c->conn, "alive", 5));
	ENDS_UNTIL(d->in_len == 5);
}

/* Closed in each of its own callbacks, and others' in them. */
static void close_arg(struct end *e)
{
	struct end *other = e->arg;

	if (other && other->conn)
		loop_conn_close(other->conn);
}

static void test_close_in_callbacks(void **state)
{
	struct loop_listener *li;
	struct end *a, *b, *c, *d;
	uint8_t data[20000];

	ends_loop(NULL);
	li = ends_listen(8, NULL);
	ends_fill(data, sizeof(data), 4);
	/* Its own, in received(), with more behind it. */
	ends_pair(li, &a, &b);
	assert_int_equal(0, loop_conn_window(b->conn, 16, 1024));
	b->take = 100;
	b->on_received = close_arg;
	b->arg = b;
	assert_int_equal(0, loop_conn_send(a->conn, data, sizeof(data)));
	ENDS_UNTIL(b->closed && a->ended);
	assert_int_equal(100, b->in_len);
	/* Its own, in sent(). */
	ends_pair(li, &a, &b);
	a->on_sent = close_arg;
	a->arg = a;
	assert_int_equal(0, loop_conn_send(a->conn, data, sizeof(data)));
	ENDS_UNTIL(a->closed && b->ended);
	assert_int_equal(1, a->sent);
	assert_int_equal(sizeof(data), b->in_len);
	assert_int_equal(0, a->ended);
	/* Another one's, that has something too in the same turn: one of them is called, never both. */
	for (int window = 0; window <= 1; window++) {
		ends_pair(li, &a, &b);
		ends_pair(li, &c, &d);
		if (window) {
			assert_int_equal(0, loop_conn_window(b->conn, 4, 4096));
			assert_int_equal(0, loop_conn_window(d->conn, 4, 4096));
			ends_idle(2);
		}
		b->on_received = d->on_received = close_arg;
		b->arg = d;
		d->arg = b;
		assert_int_equal(4, write(loop_conn_fd(a->conn), "once", 4));
		assert_int_equal(4, write(loop_conn_fd(c->conn), "once", 4));
		ENDS_UNTIL(b->closed || d->closed);
		ends_idle(3);
		assert_int_equal(1, b->closed + d->closed);
		assert_int_equal(4, b->in_len + d->in_len);
	}
}

/* Stopped by the last thing that happens: the loop must not go to sleep then. */
static void stop_when_closed(void *ctx)
{
	struct end *e = ctx;

	e->closed++;
	e->conn = NULL;
	loop_stop(e->loop);
}

static void test_stop_in_closed(void **state)
{
	struct loop_conn_ops ops = end_ops;
	struct loop_listener *li;
	struct sockaddr_in to;
	struct end *e;

	ops.closed = stop_when_closed;
	ends_loop(NULL);
	li = ends_listen(8, NULL);
	to = ends_address(li);
	e = end_new();
	assert_int_equal(0, loop_connect(ends_the_loop, (const struct sockaddr *)&to, sizeof(to),
				    1000 * MS, &ops, e, &e->conn));
	ENDS_UNTIL(e->connected && ends_accepts == 1);
	ends_idle(3);
	loop_conn_close(e->conn);
	(void)alarm(30); /* a hang is a failure */
	assert_int_equal(0, loop_run(ends_the_loop));
	(void)alarm(0);
	assert_int_equal(1, e->closed);
	/* Nor when the caller waits for just that. */
	e = end_new();
	assert_int_equal(0, loop_connect(ends_the_loop, (const struct sockaddr *)&to, sizeof(to),
				    1000 * MS, &end_ops, e, &e->conn));
	ENDS_UNTIL(e->connected && ends_accepts == 2);
	loop_conn_close(e->conn);
	(void)alarm(30);
	while (e->conn)
		assert_int_equal(0, loop_turn(ends_the_loop, -1));
	(void)alarm(0);
	/* Stopped before it runs: it does not wait. */
	loop_stop(ends_the_loop);
	assert_int_equal(0, loop_run(ends_the_loop));
}

static struct end *fire_at;

static void never(void *ctx, int signal_number)
{
	fail_msg("signal %d", signal_number);
}

static void fire(void *ctx)
{
	loop_conn_close(fire_at->conn);
}

/* The end of the loop, with everything in flight that there is. */
static void test_free_everything(void **state)
{
	static const unsigned masks[] = {0, LOOP_NO_FUTEX | LOOP_NO_MULTISHOT | LOOP_NO_SINGLE};
	static uint32_t word;
	uint8_t *data = calloc(1, 4 << 20);

	assert_non_null(data);
	for (size_t m = 0; m < 2; m++) {
		struct loop_config config = {.mask = masks[m]};
		struct loop_timer timers[2] = {0};
		struct end *a[10], *b[10], *late;
		struct loop_listener *li, *more = NULL;
		struct loop_watch *w = NULL;
		struct loop_poll *p = NULL;
		struct sockaddr_in to, any = ends_any();
		sigset_t set;
		int fds[2];

		ends_loop(&config);
		li = ends_listen(16, NULL);
		to = ends_address(li);
		for (int i = 0; i < 10; i++) {
			ends_pair(li, &a[i], &b[i]);
			if (i % 2)
				assert_int_equal(0, loop_conn_window(b[i]->conn, 4, 4096));
			b[i]->take = i % 3 ? 0 : SIZE_MAX;
			assert_int_equal(0, loop_conn_send(a[i]->conn, data, 4 << 20));
		}
		ends_idle(2);
		/* Closing by a timer, one that is stopped by the end, one that connects. */
		fire_at = b[1];
		loop_timer_set(ends_the_loop, &timers[0], 0, fire, NULL);
		ENDS_UNTIL(!timers[0].armed);
		loop_timer_set(ends_the_loop, &timers[1], 3600 * 1000 * MS, fire, NULL);
		late = ends_connect(&to);
		assert_int_equal(0, loop_listen(ends_the_loop, (const struct sockaddr *)&any,
					    sizeof(any), 1, ends_accept, NULL, &more));
		assert_int_equal(0, loop_watch_new(ends_the_loop, &word, fire, NULL, &w));
		loop_watch_arm(w, 0);
		assert_int_equal(0, pipe(fds));
		assert_int_equal(0, loop_poll_new(ends_the_loop, fds[0], fire, NULL, &p));
		(void)sigemptyset(&set);
		(void)sigaddset(&set, SIGHUP);
		assert_int_equal(0, loop_signals(ends_the_loop, &set, never, NULL));
		if (m)
			assert_int_equal(0, loop_turn(ends_the_loop, 0));
		ends_loop_free();
		for (int i = 0; i < 10; i++)
			assert_true(a[i]->closed == 1 && b[i]->closed == 1);
		assert_int_equal(1, late->closed);
		assert_false(timers[1].armed);
		(void)close(fds[0]);
		(void)close(fds[1]);
	}
	free(data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_churn),
		TEST(test_stale),
		TEST(test_close_in_callbacks),
		TEST(test_free_everything),
		TEST(test_stop_in_closed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
