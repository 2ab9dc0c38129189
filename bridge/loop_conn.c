/* SPDX-License-Identifier: ISC */
#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "loop_conn.h"

/*
 * Connections: made, sent on, closed. What they receive is loop_receive.c.
 *
 *	CONNECTING --connected(0)--> started: receives, sends --close--> CLOSING --all reaped--> closed()
 *	accepted   --start-------------^           any of them --close-----^
 */

static const struct thing_type conn_type;

struct loop_conn *loop_conn_new(struct loop *l, int fd, int *ret_error)
{
	struct loop_conn *c = calloc(1, sizeof(*c));
	int r;

	if (!c) {
		*ret_error = -ENOMEM;
		return NULL;
	}
	r = loop_thing_init(l, &c->thing, &conn_type);
	if (r < 0) {
		free(c);
		*ret_error = r;
		return NULL;
	}
	c->fd = fd;
	c->held = &c->held_young;
	c->held_max = 1;
	l->connections++;
	return c;
}

/* Frames are written whole, so delaying small segments gains nothing. */
static void no_delay(int fd)
{
	int yes = 1;

	(void)setsockopt(
		fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes)); /* a UNIX socket has none */
}

void loop_conn_start(struct loop_conn *c, const struct loop_conn_ops *ops, void *ctx)
{
	assert(ops->received && ops->ended && ops->sent && ops->closed);
	assert(!c->ops && !c->thing.closing);
	no_delay(c->fd);
	c->ops = ops;
	c->ctx = ctx;
	c->receiving = true;
	loop_want(&c->thing);
}

/* Connecting. */

static void connect_timed_out(void *ctx)
{
	struct loop_conn *c = ctx;

	c->connect->timed_out = true;
	loop_want(&c->thing);
}

int loop_connect(struct loop *l, const struct sockaddr *addr, socklen_t len, int64_t timeout_ns,
	const struct loop_conn_ops *ops, void *ctx, struct loop_conn **ret)
{
	struct connect *connect;
	struct loop_conn *c;
	int fd, r;

	assert(ops->connected && ops->received && ops->ended && ops->sent && ops->closed);
	if (len > sizeof(connect->addr))
		return -EINVAL;
	fd = socket(addr->sa_family, SOCK_STREAM | SOCK_CLOEXEC | l->driver->socket_flags, 0);
	if (fd < 0)
		return -errno;
	connect = calloc(1, sizeof(*connect));
	if (!connect) {
		r = -ENOMEM;
		goto fail_fd;
	}
	c = loop_conn_new(l, fd, &r);
	if (!c)
		goto fail_connect;
	memcpy(&connect->addr, addr, len);
	connect->len = len;
	c->connect = connect;
	c->ops = ops;
	c->ctx = ctx;
	loop_timer_set(l, &connect->timer, timeout_ns, connect_timed_out, c);
	loop_want(&c->thing);
	*ret = c;
	return 0;
fail_connect:
	free(connect);
fail_fd:
	(void)close(fd);
	return r;
}

static bool flush_connect(struct loop *l, struct loop_conn *c)
{
	struct connect *connect = c->connect;

	if (!connect->sent) {
		connect->sent = l->driver->connect(
			&c->thing, c->fd, (const struct sockaddr *)&connect->addr, connect->len);
		return connect->sent;
	}
	if (connect->timed_out && !connect->cancelled) {
		connect->cancelled = l->driver->cancel_fd(&c->thing, c->fd);
		return connect->cancelled;
	}
	return true;
}

static void complete_connect(struct loop *l, struct loop_conn *c, int res)
{
	bool timed_out = c->connect->timed_out;

	loop_timer_stop(l, &c->connect->timer);
	free(c->connect); /* the kernel copied the address */
	c->connect = NULL;
	if (c->thing.closing)
		return;
	if (res == 0) {
		no_delay(c->fd);
		c->receiving = true;
		loop_want(&c->thing);
	} else if (timed_out) {
		res = -ETIMEDOUT;
	}
	c->ops->connected(c->ctx, res);
}

/* Sending. */

int loop_conn_send(struct loop_conn *c, const void *data, size_t len)
{
	if (len == 0)
		return -EINVAL;
	if (c->sending)
		return -EBUSY;
	if (c->finished || c->thing.closing)
		return -EPIPE;
	if (!c->receiving)
		return -ENOTCONN;
	c->sending = true;
	c->send_data = data;
	c->send_left = len;
	loop_want(&c->thing);
	return 0;
}

bool loop_conn_sending(const struct loop_conn *c)
{
	return c->sending;
}

int loop_conn_finish(struct loop_conn *c)
{
	if (c->sending)
		return -EBUSY;
	c->finished = true;
	return shutdown(c->fd, SHUT_WR) < 0 ? -errno : 0;
}

static bool flush_send(struct loop *l, struct loop_conn *c)
{
	if (!c->sending || c->send_armed)
		return true;
	c->send_armed = l->driver->send(&c->thing, c->fd, c->send_data,
		c->send_left < l->send_max ? c->send_left : l->send_max);
	return c->send_armed;
}

static void complete_send(struct loop_conn *c, int res)
{
	c->send_armed = false;
	if (c->thing.closing)
		return;
	if (res == -EAGAIN || res == -EINTR)
		res = 0;
	else if (res == 0)
		res = -EPIPE;
	if (res >= 0) {
		c->send_data += res;
		c->send_left -= (size_t)res;
		if (c->send_left > 0) {
			loop_want(&c->thing);
			return;
		}
		res = 0;
	}
	c->sending = false;
	c->ops->sent(c->ctx, res);
}

/* Closing. */

void loop_conn_close(struct loop_conn *c)
{
	if (!c->thing.closing)
		loop_thing_close(&c->thing);
}

static bool flush_close(struct loop *l, struct loop_conn *c)
{
	if (!c->shut) {
		c->shut = true;
		if (c->connect)
			loop_timer_stop(l, &c->connect->timer);
		loop_receive_drop(c);
		(void)shutdown(c->fd, SHUT_RDWR); /* ENOTCONN is as good: the peer is gone */
	}
	if (c->thing.inflight == 0 || c->cancelled)
		return true;
	c->cancelled = l->driver->cancel_fd(&c->thing, c->fd);
	return c->cancelled;
}

static void conn_release(struct loop *l, struct thing *t)
{
	struct loop_conn *c = (struct loop_conn *)t;

	(void)close(c->fd);
	if (c->window.head)
		loop_buffers_deinit(l, &c->window);
	if (c->held != &c->held_young)
		free(c->held);
	free(c->connect);
	l->connections--;
	loop_listeners_wake(l);
	if (c->ops)
		c->ops->closed(c->ctx);
	free(c);
}

static bool conn_flush(struct loop *l, struct thing *t)
{
	struct loop_conn *c = (struct loop_conn *)t;

	if (c->resumed && !t->closing)
		loop_receive_resume(c);
	if (t->closing)
		return flush_close(l, c);
	if (c->connect)
		return flush_connect(l, c);
	return flush_send(l, c) && loop_receive_flush(l, c);
}

static void conn_complete(struct loop *l, struct thing *t, enum op op, int res, unsigned flags)
{
	struct loop_conn *c = (struct loop_conn *)t;

	if (op == OP_RECEIVE)
		loop_receive_complete(l, c, res, flags);
	else if (op == OP_SEND)
		complete_send(c, res);
	else if (op == OP_CONNECT)
		complete_connect(l, c, res);
}

static const struct thing_type conn_type = {conn_flush, conn_complete, conn_release};

int loop_conn_fd(const struct loop_conn *c)
{
	return c->fd;
}
