/* SPDX-License-Identifier: ISC */
#ifndef ENDS_H
#define ENDS_H

/*
 * What the tests of loop and tls share: a loop, a listener on loopback, and *ends*: connections that
 * keep what they get and count what happens to them. At the end of a test no descriptor may be open
 * that was not open before.
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <netinet/in.h>

#include <cmocka.h>

#include "loop.h"
#include "now.h"

#define MS ((int64_t)1000000)

#define TEST(f) cmocka_unit_test_setup_teardown(f, ends_begin, ends_end)

/* In a child, where cmocka's jump back would run the parent's tests a second time. */
#define CHILD_CHECK(x)                                                                             \
	do {                                                                                       \
		if (!(x))                                                                          \
			ends_child_failed(#x, __FILE__, __LINE__);                                 \
	} while (0)

struct end {
	struct loop *loop;
	struct loop_conn *conn; /* NULL after closed() */
	uint8_t *in;            /* all that was taken */
	size_t in_len, in_cap;
	size_t take; /* how much it takes at once; 0: nothing */
	bool echo;   /* sends back what comes, and takes no more than it can send */
	uint8_t *out;
	size_t out_cap;
	int connected, connected_error;
	int sent, sent_error;
	int ended, ended_error;
	int closed;
	void (*on_received)(struct end *e); /* after each */
	void (*on_sent)(struct end *e);
	void *arg;
};

int ends_begin(void **state);
int ends_end(void **state);
_Noreturn void ends_child_failed(const char *what, const char *file, int line);
int ends_child_status(pid_t pid);

/* Does SQ_LOOP leave us io_uring? Else all is tested over epoll. */
bool ends_uring(void);

/* Fails the test unless there is one. Freed with all its ends at the end of the test. */
struct loop *ends_loop(const struct loop_config *config);
void ends_loop_free(void);

/* An end without a connection yet; all are freed at the end of the test. */
struct end *end_new(void);
extern const struct loop_conn_ops end_ops;

/* A listener on 127.0.0.1 whose accepted connections become new ends; on_accept may be NULL. */
struct loop_listener *ends_listen(int backlog, void (*on_accept)(struct end *e));
void ends_accept(void *ctx, struct loop_conn *conn, int error); /* what it does */
extern struct end *ends_accepted;                               /* the last one */
extern int ends_accepts, ends_accept_errors, ends_accept_error;
struct sockaddr_in ends_address(const struct loop_listener *li);
struct sockaddr_in ends_any(void); /* 127.0.0.1, port 0 */

struct end *ends_connect(const struct sockaddr_in *to);
/* Both sides of a new connection. */
void ends_pair(struct loop_listener *li, struct end **ret_client, struct end **ret_server);

/* Turn until the condition holds; fails the test after half a minute. */
#define ENDS_UNTIL(condition)                                                                      \
	for (int64_t until_ = now_ns() + 30000 * MS;;) {                                           \
		if (condition)                                                                     \
			break;                                                                     \
		assert_int_equal(0, loop_turn(ends_the_loop, 20 * MS));                            \
		assert_true(now_ns() < until_);                                                    \
	}
/* A few turns that do not wait: nothing is to happen. */
void ends_idle(int turns);
/* Nothing happens, and the loop sleeps all the while. */
void ends_asleep(void);
extern struct loop *ends_the_loop;
int ends_descriptors(void);

/* A blocking socket of the test's own, connected. */
int ends_plain(const struct sockaddr_in *to);
void ends_fill(uint8_t *buf, size_t len, unsigned seed);
bool ends_same(const uint8_t *buf, size_t len, unsigned seed, size_t from);

#endif
