/* SPDX-License-Identifier: ISC */
#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/un.h>
#include <unistd.h>

#include "child.h"
#include "ends.h"
#include "now.h"
#include "loop_conn.h"

/* Connections: every way to receive, send and close, on every kernel that we can pretend to have. */

enum {
	MIB = 1 << 20,
};

static const unsigned masks[] = {
	0,
	LOOP_NO_MULTISHOT,
	LOOP_NO_DEFER,
	LOOP_NO_SINGLE,
	LOOP_NO_SUBMIT_ALL | LOOP_NO_SINGLE | LOOP_NO_MULTISHOT | LOOP_NO_FUTEX,
};
#define MASKS_N (sizeof(masks) / sizeof(masks[0]))

static void echoes(struct end *e)
{
	e->echo = true;
}

/* As much there and back as does not fit in any buffer between, in pieces of all kinds. */
static void there_and_back(const struct loop_config *config, bool window, size_t len)
{
	struct end *client, *server;
	struct loop_listener *li;
	uint8_t *data = malloc(len);
	int small = 4096;

	assert_non_null(data);
	ends_fill(data, len, 7);
	ends_loop(config);
	li = ends_listen(8, echoes);
	ends_pair(li, &client, &server);
	(void)setsockopt(loop_conn_fd(server->conn), SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	if (window) {
		assert_int_equal(0, loop_conn_window(client->conn, 8, 16384));
		assert_int_equal(0, loop_conn_window(server->conn, 4, 16000));
		assert_int_equal(-EALREADY, loop_conn_window(server->conn, 4, 16000));
	}
	assert_int_equal(0, loop_conn_send(client->conn, data, len));
	assert_int_equal(-EBUSY, loop_conn_send(client->conn, data, len));
	assert_int_equal(-EBUSY, loop_conn_finish(client->conn));
	ENDS_UNTIL(client->in_len == len);
	assert_int_equal(1, client->sent);
	assert_int_equal(0, client->sent_error);
	assert_true(ends_same(client->in, len, 7, 0));
	assert_int_equal(0, loop_conn_finish(client->conn));
	assert_int_equal(-EPIPE, loop_conn_send(client->conn, data, len));
	ENDS_UNTIL(server->ended);
	assert_int_equal(0, server->ended_error);
	loop_conn_close(server->conn);
	ENDS_UNTIL(client->ended && server->closed);
	assert_int_equal(0, client->ended_error);
	free(data);
}

static void test_echo(void **state)
{
	for (size_t i = 0; i < MASKS_N; i++)
		for (int window = 0; window <= 1; window++) {
			struct loop_config config = {.mask = masks[i]};
			struct loop_stats stats;

			there_and_back(&config, window, MIB / 2);
			loop_stats(ends_the_loop, &stats);
			assert_int_equal(stats.stale, 0);
			assert_int_equal(stats.uring, ends_uring());
			assert_int_equal(
				stats.single, ends_uring() && !(masks[i] & LOOP_NO_SINGLE));
			assert_int_equal(stats.defer,
				ends_uring() && !(masks[i] & (LOOP_NO_SINGLE | LOOP_NO_DEFER)));
			assert_int_equal(stats.multishot, !(masks[i] & LOOP_NO_MULTISHOT));
			ends_loop_free();
		}
}

/* Each request sends a little of the buffer: what a kernel does that is short of memory. */
static void test_partial_sends(void **state)
{
	struct loop_config config = {.send_max = 997};

	there_and_back(&config, true, MIB / 2);
}

/* A queue of 4 submissions and 8 completions for a hundred connections that speak at once. */
static void test_tiny_rings(void **state)
{
	struct loop_config config = {.submissions = 4, .completions = 8};
	struct loop_listener *li;
	struct end *servers[100];
	struct loop_stats stats;
	struct sockaddr_in to;
	int clients[100];
	uint8_t data[300];
	size_t done;

	ends_loop(&config);
	li = ends_listen(128, echoes);
	to = ends_address(li);
	ends_fill(data, sizeof(data), 3);
	for (int i = 0; i < 100; i++) {
		clients[i] = ends_plain(&to);
		ENDS_UNTIL(ends_accepts == i + 1);
		servers[i] = ends_accepted;
		assert_int_equal(0, loop_conn_window(servers[i]->conn, 2, 128));
	}
	ends_idle(30);
	for (size_t round = 1; round <= 10; round++) {
		for (size_t i = 0; i < 100; i++)
			assert_int_equal(sizeof(data), write(clients[i], data, sizeof(data)));
		do {
			assert_int_equal(0, loop_turn(ends_the_loop, 20 * MS));
			done = 0;
			for (size_t i = 0; i < 100; i++)
				done += servers[i]->in_len == round * sizeof(data) &&
					!loop_conn_sending(servers[i]->conn);
		} while (done < 100);
		for (size_t i = 0; i < 100; i++) {
			uint8_t back[sizeof(data)];

			assert_int_equal(
				sizeof(back), recv(clients[i], back, sizeof(back), MSG_WAITALL));
			assert_memory_equal(back, data, sizeof(data));
		}
	}
	loop_stats(ends_the_loop, &stats);
	assert_int_equal(stats.overflows > 0, ends_uring());
	assert_int_equal(stats.stale, 0);
	for (int i = 0; i < 100; i++)
		(void)close(clients[i]);
	ENDS_UNTIL(servers[99]->ended && servers[0]->ended);
}

/* A receiver that does not take holds up the sender, and no more than the window is ever held. */
static void back_pressure(unsigned mask)
{
	struct loop_config config = {.mask = mask};
	const size_t len = 16 * MIB, window = 8 * 4096;
	uint8_t *data = malloc(len);
	struct loop_listener *li;
	struct end *a, *b, *c, *d;
	size_t held = 0;

	assert_non_null(data);
	ends_fill(data, len, 9);
	ends_loop(&config);
	li = ends_listen(8, NULL);
	ends_pair(li, &a, &b);
	assert_int_equal(0, loop_conn_window(b->conn, 8, 4096));
	b->take = 0;
	assert_int_equal(0, loop_conn_send(a->conn, data, len));
	ENDS_UNTIL(loop_conn_held(b->conn) >= 4096);
	for (int i = 0; i < 100; i++) {
		assert_int_equal(0, loop_turn(ends_the_loop, MS));
		held = loop_conn_held(b->conn);
		assert_true(held <= window);
		if (i % 10 == 9)
			loop_conn_resume(b->conn); /* it still takes nothing */
	}
	if (!(mask & LOOP_NO_MULTISHOT))
		assert_int_equal(window, held);
	assert_int_equal(0, a->sent);
	assert_int_equal(0, b->in_len);
	assert_int_equal(0, b->ended);
	/* Other connections are not held up meanwhile. */
	ends_pair(li, &c, &d);
	assert_int_equal(0, loop_conn_send(c->conn, data, 100));
	ENDS_UNTIL(d->in_len == 100);
	/* A few bytes at a time, then all. */
	b->take = 1000;
	for (int i = 0; i < 20; i++) {
		size_t before = b->in_len;

		loop_conn_resume(b->conn);
		loop_conn_resume(b->conn);
		ENDS_UNTIL(b->in_len > before);
	}
	b->take = SIZE_MAX;
	loop_conn_resume(b->conn);
	ENDS_UNTIL(b->in_len == len && a->sent);
	assert_true(ends_same(b->in, len, 9, 0));
	free(data);
	ends_loop_free();
}

static void test_back_pressure(void **state)
{
	for (size_t i = 0; i < MASKS_N; i++)
		back_pressure(masks[i]);
}

/* What was held when the peer ended is given before the end is told. */
static void test_end_after_held(void **state)
{
	struct end *a, *b;
	uint8_t data[5000];
	struct loop_listener *li;

	ends_loop(NULL);
	li = ends_listen(8, NULL);
	ends_fill(data, sizeof(data), 1);
	for (int window = 0; window <= 1; window++) {
		ends_pair(li, &a, &b);
		if (window)
			assert_int_equal(0, loop_conn_window(b->conn, 4, 4096));
		b->take = 0;
		assert_int_equal(0, loop_conn_send(a->conn, data, sizeof(data)));
		ENDS_UNTIL(a->sent);
		loop_conn_close(a->conn);
		ENDS_UNTIL(a->closed);
		ends_idle(5);
		assert_int_equal(0, b->ended);
		b->take = SIZE_MAX;
		loop_conn_resume(b->conn);
		ENDS_UNTIL(b->ended);
		assert_int_equal(sizeof(data), b->in_len);
		assert_true(ends_same(b->in, b->in_len, 1, 0));
		ends_idle(5);
		assert_int_equal(1, b->ended);
		loop_conn_close(b->conn);
		ENDS_UNTIL(b->closed);
	}
}

/* Two buffers for fifty that speak at once; then two that hold both of them. */
static void test_few_buffers(void **state)
{
	struct loop_config config = {.young_buffers = 2};
	struct loop_listener *li;
	struct end *servers[50];
	struct loop_stats stats;
	struct sockaddr_in to;
	int clients[50], n = 0;
	uint64_t before;
	char text[64] = "a few bytes";

	ends_loop(&config);
	li = ends_listen(64, NULL);
	to = ends_address(li);
	for (int i = 0; i < 50; i++) {
		clients[i] = ends_plain(&to);
		ENDS_UNTIL(ends_accepts == i + 1);
		servers[i] = ends_accepted;
	}
	ends_idle(3);
	for (int round = 1; round <= 5; round++) {
		for (int i = 0; i < 50; i++)
			assert_int_equal(sizeof(text), write(clients[i], text, sizeof(text)));
		do {
			assert_int_equal(0, loop_turn(ends_the_loop, 20 * MS));
			n = 0;
			for (int i = 0; i < 50; i++)
				n += servers[i]->in_len == (size_t)round * sizeof(text);
		} while (n < 50);
	}
	loop_stats(ends_the_loop, &stats);
	/* epoll serves one after the other, so that each finds one. */
	assert_int_equal(stats.no_buffers > 0, ends_uring());
	servers[0]->take = servers[1]->take = 0;
	for (int i = 0; i < 2; i++) {
		assert_int_equal(sizeof(text), write(clients[i], text, sizeof(text)));
		ENDS_UNTIL(loop_conn_held(servers[i]->conn) == sizeof(text));
	}
	assert_int_equal(sizeof(text), write(clients[2], text, sizeof(text)));
	ends_idle(5);
	assert_int_equal(5 * sizeof(text), servers[2]->in_len);
	/* It waits for a buffer, and does not ask for one again and again. */
	loop_stats(ends_the_loop, &stats);
	assert_true(stats.no_buffers > 0);
	before = stats.rearms;
	ends_idle(5);
	loop_stats(ends_the_loop, &stats);
	assert_int_equal(before, stats.rearms);
	/* One is closed, the other goes on: both buffers come back. */
	loop_conn_close(servers[0]->conn);
	ENDS_UNTIL(servers[2]->in_len == 6 * sizeof(text));
	servers[1]->take = SIZE_MAX;
	loop_conn_resume(servers[1]->conn);
	ENDS_UNTIL(servers[1]->in_len == 6 * sizeof(text));
	for (int i = 0; i < 50; i++)
		(void)close(clients[i]);
	ENDS_UNTIL(servers[49]->ended);
}

static void test_connect(void **state)
{
	struct loop_listener *li;
	struct sockaddr_in to;
	struct end *e, *late[4];
	int fd, plain[2];

	ends_loop(NULL);
	/* No socket listens there. */
	li = ends_listen(8, NULL);
	to = ends_address(li);
	loop_listener_close(li);
	ends_idle(3);
	e = ends_connect(&to);
	assert_int_equal(-ENOTCONN, loop_conn_send(e->conn, "x", 1));
	ENDS_UNTIL(e->connected);
	assert_int_equal(-ECONNREFUSED, e->connected_error);
	loop_conn_close(e->conn);
	/* The listener does not accept: the backlog is full, and what comes is not answered. */
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	to = ends_any();
	assert_int_equal(0, bind(fd, (const struct sockaddr *)&to, sizeof(to)));
	assert_int_equal(0, getsockname(fd, (struct sockaddr *)&to, &(socklen_t){sizeof(to)}));
	assert_int_equal(0, listen(fd, 0));
	plain[0] = ends_plain(&to);
	for (int i = 0; i < 4; i++) {
		late[i] = end_new();
		assert_int_equal(
			0, loop_connect(ends_the_loop, (const struct sockaddr *)&to, sizeof(to),
				   30 * MS, &end_ops, late[i], &late[i]->conn));
	}
	ENDS_UNTIL(late[3]->connected);
	assert_int_equal(-ETIMEDOUT, late[3]->connected_error);
	/* Closed while it connects: not called any more. */
	e = ends_connect(&to);
	ends_idle(2);
	loop_conn_close(e->conn);
	ENDS_UNTIL(e->closed);
	assert_int_equal(0, e->connected);
	/* Closed before anything was asked of the kernel. */
	e = ends_connect(&to);
	loop_conn_close(e->conn);
	loop_conn_close(e->conn);
	ENDS_UNTIL(e->closed);
	assert_int_equal(0, e->connected);
	(void)close(plain[0]);
	(void)close(fd);
}

static void test_unix_socket(void **state)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	socklen_t len;
	struct loop_listener *li;
	struct end *e;
	int before;

	/* An abstract name: nothing is left behind. */
	(void)snprintf(addr.sun_path + 1, sizeof(addr.sun_path) - 1, "test_loop.%d", getpid());
	len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(addr.sun_path + 1));
	ends_loop(NULL);
	li = ends_listen(1, echoes);
	loop_listener_close(li);
	before = ends_accepts;
	assert_int_equal(0, loop_listen(ends_the_loop, (const struct sockaddr *)&addr, len, 8,
				    ends_accept, NULL, &li));
	e = end_new();
	assert_int_equal(0, loop_connect(ends_the_loop, (const struct sockaddr *)&addr, len,
				    1000 * MS, &end_ops, e, &e->conn));
	ENDS_UNTIL(e->connected && ends_accepts > before);
	assert_int_equal(0, e->connected_error);
	assert_int_equal(0, loop_conn_send(e->conn, "metrics?", 8));
	ENDS_UNTIL(e->in_len == 8);
	assert_memory_equal("metrics?", e->in, 8);
	/* The name is taken. */
	{
		struct loop_listener *other = NULL;

		assert_int_equal(
			-EADDRINUSE, loop_listen(ends_the_loop, (const struct sockaddr *)&addr, len,
					     8, ends_accept, NULL, &other));
		assert_null(other);
	}
}

/* No descriptor left: the loop says so, waits, and accepts when there is one again. */
static void test_no_descriptors(void **state)
{
	struct rlimit old, low;
	struct loop_listener *li;
	struct loop_stats stats;
	struct sockaddr_in to;
	int fd, spare = -1;

	ends_loop(NULL);
	li = ends_listen(8, NULL);
	to = ends_address(li);
	ends_idle(2);
	fd = ends_plain(&to);
	ENDS_UNTIL(ends_accepts == 1);
	(void)close(fd);
	ENDS_UNTIL(ends_accepted->ended);
	fd = ends_plain(&to);
	/* It is in the backlog or accepted; from here on there are no more. */
	ENDS_UNTIL(ends_accepts == 2);
	spare = ends_plain(&to);
	ENDS_UNTIL(ends_accepts == 3);
	assert_int_equal(0, getrlimit(RLIMIT_NOFILE, &old));
	low = old;
	{
		int probe = dup(0);

		assert_true(probe >= 0);
		low.rlim_cur = (rlim_t)probe + 1;
		assert_int_equal(0, setrlimit(RLIMIT_NOFILE, &low));
		/* The last one is the client's. */
		(void)close(probe);
		probe = ends_plain(&to);
		ENDS_UNTIL(ends_accept_errors > 0);
		assert_int_equal(-EMFILE, ends_accept_error);
		assert_int_equal(3, ends_accepts);
		loop_stats(ends_the_loop, &stats);
		assert_true(stats.accepts_paused > 0);
		assert_int_equal(0, setrlimit(RLIMIT_NOFILE, &old));
		ENDS_UNTIL(ends_accepts == 4);
		(void)close(probe);
	}
	(void)close(fd);
	(void)close(spare);
}

/* A connection that is accepted while its listener closes is given to no callback: it is closed. */
static void test_close_while_accepting(void **state)
{
	struct loop_config config = {.mask = LOOP_NO_DEFER};

	ends_loop(&config);
	for (int i = 0; i < 20; i++) {
		struct loop_listener *li = ends_listen(8, NULL);
		struct sockaddr_in to = ends_address(li);
		char c;
		int fd;

		ends_idle(2);
		/* Without DEFER_TASKRUN the accept is done when connect() returns, or soon after. */
		fd = ends_plain(&to);
		loop_listener_close(li);
		ends_idle(3);
		assert_int_equal(0, ends_accepts);
		assert_true(read(fd, &c, 1) <= 0);
		(void)close(fd);
	}
}

/* At connections_max the others wait in the backlog until one goes. */
static void test_connections_max(void **state)
{
	struct loop_config config = {.connections_max = 2};
	struct loop_listener *li;
	struct end *first;
	struct sockaddr_in to;
	int fd[3];

	ends_loop(&config);
	li = ends_listen(8, NULL);
	to = ends_address(li);
	fd[0] = ends_plain(&to);
	ENDS_UNTIL(ends_accepts == 1);
	first = ends_accepted;
	fd[1] = ends_plain(&to);
	fd[2] = ends_plain(&to);
	ENDS_UNTIL(ends_accepts == 2);
	ends_idle(5);
	assert_int_equal(2, ends_accepts);
	loop_conn_close(first->conn);
	ENDS_UNTIL(ends_accepts == 3);
	for (int i = 0; i < 3; i++)
		(void)close(fd[i]);
}

/* A reset: the receiver is told, a sender too, each once. */
static void test_reset(void **state)
{
	struct linger now = {.l_onoff = 1};
	struct loop_listener *li;
	struct sockaddr_in to;
	uint8_t *data = calloc(1, 8 * MIB);
	struct end *e;
	int fd;

	assert_non_null(data);
	ends_loop(NULL);
	li = ends_listen(8, NULL);
	to = ends_address(li);
	for (int window = 0; window <= 1; window++) {
		int before = ends_accepts;

		fd = ends_plain(&to);
		ENDS_UNTIL(ends_accepts > before);
		e = ends_accepted;
		if (window)
			assert_int_equal(0, loop_conn_window(e->conn, 4, 4096));
		assert_int_equal(0, loop_conn_send(e->conn, data, 8 * MIB));
		ends_idle(3);
		assert_int_equal(0, e->sent);
		assert_int_equal(0, setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now)));
		(void)close(fd);
		ENDS_UNTIL(e->ended && e->sent);
		/* Which of them hears of the reset and which of the end that it makes is chance. */
		assert_true(e->sent_error == -ECONNRESET || e->sent_error == -EPIPE);
		assert_true(e->ended_error == -ECONNRESET || e->ended_error == 0);
		loop_conn_close(e->conn);
		ENDS_UNTIL(e->closed);
		assert_int_equal(1, e->ended);
		assert_int_equal(1, e->sent);
	}
	free(data);
}

/* The receiver holds back, and its peer is gone: the loop sleeps, though the kernel has news. */
static void test_gone_while_held(void **state)
{
	struct linger now = {.l_onoff = 1};
	struct loop_listener *li;
	struct sockaddr_in to;

	ends_loop(NULL);
	li = ends_listen(8, NULL);
	to = ends_address(li);
	for (int reset = 0; reset <= 1; reset++) {
		int before = ends_accepts, fd = ends_plain(&to);
		struct end *e;

		ENDS_UNTIL(ends_accepts > before);
		e = ends_accepted;
		assert_int_equal(0, loop_conn_window(e->conn, 2, 64));
		e->take = 0;
		assert_int_equal(4, write(fd, "held", 4));
		ENDS_UNTIL(loop_conn_held(e->conn) == 4);
		if (reset)
			assert_int_equal(
				0, setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now)));
		assert_int_equal(0, loop_conn_finish(e->conn));
		(void)close(fd);
		ends_asleep();
		assert_int_equal(0, e->ended);
		e->take = SIZE_MAX;
		loop_conn_resume(e->conn);
		ENDS_UNTIL(e->ended);
		assert_int_equal(4, e->in_len);
		assert_int_equal(reset ? -ECONNRESET : 0, e->ended_error);
		loop_conn_close(e->conn);
		ENDS_UNTIL(e->closed);
	}
}

static void close_itself(struct end *e)
{
	loop_conn_close(e->conn);
}

/* Closed here, but a child has it too: nothing is heard of it any more. */
static void test_gone_but_for_a_child(void **state)
{
	struct end *a, *b, *c, *d;
	struct loop_listener *li;
	pid_t pid;

	ends_loop(NULL);
	li = ends_listen(8, NULL);
	ends_pair(li, &a, &b);
	ends_pair(li, &c, &d);
	pid = child_fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		(void)alarm(60);
		(void)pause();
		_exit(0);
	}
	/* One with a request in flight, one whose request has just ended. */
	loop_conn_close(b->conn);
	d->take = 0;
	d->on_received = close_itself;
	assert_int_equal(1, write(loop_conn_fd(c->conn), "x", 1));
	ENDS_UNTIL(b->closed && d->closed && a->ended && c->ended);
	assert_int_equal(1, write(loop_conn_fd(c->conn), "x", 1));
	ends_asleep();
	(void)kill(pid, SIGKILL);
	(void)ends_child_status(pid);
}

/* Of a peer that has sent a lot a window's worth is delivered a turn, and others have their turn. */
static void test_no_more_than_a_window(void **state)
{
	const size_t len = 64 * 1024, window = 4 * 256;
	struct loop_listener *li;
	uint8_t *data = malloc(len);
	struct sockaddr_in to;
	size_t before = 0;
	struct end *e;
	int fd;

	assert_non_null(data);
	ends_fill(data, len, 5);
	ends_loop(NULL);
	li = ends_listen(8, NULL);
	to = ends_address(li);
	fd = ends_plain(&to);
	ENDS_UNTIL(ends_accepts == 1);
	e = ends_accepted;
	assert_int_equal(0, loop_conn_window(e->conn, 4, 256));
	e->take = 0;
	assert_int_equal(len, write(fd, data, len));
	ENDS_UNTIL(loop_conn_held(e->conn) > 0);
	e->take = SIZE_MAX;
	loop_conn_resume(e->conn);
	for (int64_t until = now_ns() + 30000 * MS; e->in_len < len;) {
		assert_int_equal(0, loop_turn(ends_the_loop, 20 * MS));
		/* Twice: what was held, and what came. Once what is young. */
		assert_true(e->in_len - before <= 2 * window + LOOP_YOUNG_BYTES);
		assert_true(now_ns() < until);
		before = e->in_len;
	}
	assert_true(ends_same(e->in, len, 5, 0));
	free(data);
	(void)close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_echo),
		TEST(test_partial_sends),
		TEST(test_tiny_rings),
		TEST(test_back_pressure),
		TEST(test_end_after_held),
		TEST(test_few_buffers),
		TEST(test_connect),
		TEST(test_unix_socket),
		TEST(test_no_descriptors),
		TEST(test_close_while_accepting),
		TEST(test_connections_max),
		TEST(test_reset),
		TEST(test_gone_while_held),
		TEST(test_gone_but_for_a_child),
		TEST(test_no_more_than_a_window),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
