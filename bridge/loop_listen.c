/* SPDX-License-Identifier: ISC */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "loop_conn.h"

/*
 * Listeners. One accept at a time, requested again after each: a multishot accept would go on while
 * the table of connections is full, or there are no descriptors.
 */

struct loop_listener {
	struct thing thing; /* first */
	TAILQ_ENTRY(loop_listener) entry;
	int fd;
	bool armed, shut, cancelled;
	struct loop_timer pause;
	loop_accepted_fn accepted;
	void *ctx;
};

static const struct thing_type listener_type;

int loop_listen(struct loop *l, const struct sockaddr *addr, socklen_t len, int backlog,
	loop_accepted_fn accepted, void *ctx, struct loop_listener **ret)
{
	struct loop_listener *li;
	int yes = 1, fd, r;

	assert(accepted);
	fd = socket(addr->sa_family, SOCK_STREAM | SOCK_CLOEXEC | l->driver->socket_flags, 0);
	if (fd < 0)
		return -errno;
	if (addr->sa_family != AF_UNIX)
		(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
	if (bind(fd, addr, len) < 0 || listen(fd, backlog) < 0) {
		r = -errno;
		goto fail_fd;
	}
	li = calloc(1, sizeof(*li));
	if (!li) {
		r = -ENOMEM;
		goto fail_fd;
	}
	r = loop_thing_init(l, &li->thing, &listener_type);
	if (r < 0)
		goto fail_listener;
	li->fd = fd;
	li->accepted = accepted;
	li->ctx = ctx;
	TAILQ_INSERT_TAIL(&l->listeners, li, entry);
	loop_want(&li->thing);
	*ret = li;
	return 0;
fail_listener:
	free(li);
fail_fd:
	(void)close(fd);
	return r;
}

int loop_listener_fd(const struct loop_listener *li)
{
	return li->fd;
}

void loop_listener_close(struct loop_listener *li)
{
	if (!li->thing.closing)
		loop_thing_close(&li->thing);
}

/* A connection is gone: there is room for another one. */
void loop_listeners_wake(struct loop *l)
{
	struct loop_listener *li;

	TAILQ_FOREACH (li, &l->listeners, entry)
		if (!li->armed && !li->pause.armed)
			loop_want(&li->thing);
}

static bool flush_close(struct loop *l, struct loop_listener *li)
{
	if (!li->shut) {
		li->shut = true;
		loop_timer_stop(l, &li->pause);
		(void)shutdown(li->fd, SHUT_RDWR);
	}
	if (li->thing.inflight == 0 || li->cancelled)
		return true;
	li->cancelled = l->driver->cancel_fd(&li->thing, li->fd);
	return li->cancelled;
}

static bool listener_flush(struct loop *l, struct thing *t)
{
	struct loop_listener *li = (struct loop_listener *)t;

	if (t->closing)
		return flush_close(l, li);
	if (li->armed || li->pause.armed || l->connections >= l->connections_max)
		return true;
	li->armed = l->driver->accept(t, li->fd);
	return li->armed;
}

static void pause_over(void *ctx)
{
	loop_want(ctx);
}

static void accepted(struct loop *l, struct loop_listener *li, int fd)
{
	struct loop_conn *c;
	int error = 0;

	c = loop_conn_new(l, fd, &error);
	if (!c) {
		(void)close(fd);
		li->accepted(li->ctx, NULL, error);
		return;
	}
	li->accepted(li->ctx, c, 0);
	if (!c->ops)
		loop_conn_close(c);
}

static void listener_complete(struct loop *l, struct thing *t, enum op op, int res, unsigned flags)
{
	struct loop_listener *li = (struct loop_listener *)t;

	if (op != OP_ACCEPT)
		return;
	li->armed = false;
	if (t->closing) {
		if (res >= 0)
			(void)close(res); /* it came while the listener was closed */
		return;
	}
	if (res >= 0) {
		accepted(l, li, res);
	} else if (res == -EMFILE || res == -ENFILE || res == -ENOBUFS || res == -ENOMEM) {
		l->stats.accepts_paused++;
		loop_timer_set(l, &li->pause, LOOP_ACCEPT_PAUSE_NS, pause_over, t);
		li->accepted(li->ctx, NULL, res);
	} /* else: the connection was gone before it was accepted */
	loop_want(t);
}

static void listener_release(struct loop *l, struct thing *t)
{
	struct loop_listener *li = (struct loop_listener *)t;

	TAILQ_REMOVE(&l->listeners, li, entry);
	(void)close(li->fd);
	free(li);
}

static const struct thing_type listener_type = {
	listener_flush, listener_complete, listener_release};
