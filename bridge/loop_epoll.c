/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <linux/time_types.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "loop_in.h"

/*
 * The driver over epoll, for where io_uring is denied. A request to send or to connect is tried at
 * once, and its result kept until reap(); any other waits until epoll says that it can be done, and
 * reap() does it. Words are watched by the thread (loop_thread.c).
 *
 * epoll is asked level by level, for what there are requests of. The interest is not reduced when a
 * request ends, but only when epoll reports something for which there is no request; that saves
 * system calls. A descriptor without any request is taken out then, for its end would be reported
 * again and again.
 *
 * Invariant: a thing is in `finished` as long as one of its requests is done.
 */

enum {
	EVENTS = 256, /* taken by one wait; the rest comes next turn */
};

struct epoll {
	int fd;
	bool coarse; /* no epoll_pwait2() (5.11, or a filter that is older): milliseconds */
	int events_n;
	struct epoll_event events[EVENTS];
	struct things finished;
};

/* Buffers: the numbers of those that are free. */
struct heap {
	uint16_t n, ids[];
};

static bool buffers_take(struct buffers *b, uint16_t *ret_id)
{
	struct heap *heap = b->head;

	if (heap->n == 0)
		return false;
	*ret_id = heap->ids[--heap->n];
	return true;
}

static void epoll_buffers_give(struct buffers *b, uint16_t id)
{
	struct heap *heap = b->head;

	heap->ids[heap->n++] = id;
}

static int epoll_buffers_open(struct loop *l, struct buffers *b)
{
	return 0; /* the head is zeroed */
}

static void epoll_buffers_close(struct loop *l, struct buffers *b)
{
}

/* What epoll is asked. */

static int ask(struct thing *t, uint32_t events)
{
	struct ready *ready = &t->ready;
	struct epoll_event event = {.events = events};
	int how = events == 0 ? EPOLL_CTL_DEL : ready->asked == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;

	if (events == ready->asked)
		return 0;
	event.data.u64 = loop_user_data(t, OP_POLL);
	/* To take out fails only if the descriptor is closed already, and so is out. */
	if (epoll_ctl(t->loop->epoll->fd, how, ready->fd, &event) < 0 && events != 0)
		return -errno;
	ready->asked = events;
	return 0;
}

static uint32_t wanted(const struct ready *ready)
{
	return (ready->in.op && !ready->in.done ? (uint32_t)EPOLLIN : 0) |
	       (ready->out.op && !ready->out.done ? (uint32_t)EPOLLOUT : 0);
}

/* Requests. */

static struct request *request(struct thing *t, struct request *q, enum op op, int fd)
{
	*q = (struct request){.op = op};
	t->ready.fd = fd;
	t->inflight++;
	return q;
}

/* Completed by reap(). */
static void finish(struct thing *t, struct request *q, int res)
{
	q->done = true;
	q->res = res;
	if (t->ready.queued)
		return;
	t->ready.queued = true;
	TAILQ_INSERT_TAIL(&t->loop->epoll->finished, t, ready.queue);
}

/* Completed when it can be done. */
static void await(struct thing *t, struct request *q, uint32_t event)
{
	int r = ask(t, t->ready.asked | event);

	if (r < 0) /* no memory, or no more watches for this user */
		finish(t, q, q->op == OP_ACCEPT ? -ENOMEM : r);
}

static bool epoll_accept(struct thing *t, int fd)
{
	await(t, request(t, &t->ready.in, OP_ACCEPT, fd), EPOLLIN);
	return true;
}

static bool epoll_poll(struct thing *t, int fd)
{
	await(t, request(t, &t->ready.in, OP_POLL, fd), EPOLLIN);
	return true;
}

static bool epoll_receive(struct thing *t, int fd, struct buffers *b, bool goes_on)
{
	struct request *q = request(t, &t->ready.in, OP_RECEIVE, fd);

	q->into = b;
	q->goes_on = goes_on;
	await(t, q, EPOLLIN);
	return true;
}

static bool epoll_connect(struct thing *t, int fd, const struct sockaddr *addr, socklen_t len)
{
	struct request *q = request(t, &t->ready.out, OP_CONNECT, fd);

	if (connect(fd, addr, len) == 0)
		finish(t, q, 0);
	else if (errno == EINPROGRESS || errno == EINTR)
		await(t, q, EPOLLOUT);
	else
		finish(t, q, -errno);
	return true;
}

static int try_send(struct thing *t, const struct request *q)
{
	ssize_t n = send(t->ready.fd, q->data, q->len, MSG_NOSIGNAL | MSG_DONTWAIT);

	return n < 0 ? -errno : (int)n; /* no more than send_max */
}

static bool epoll_send(struct thing *t, int fd, const void *data, size_t len)
{
	struct request *q = request(t, &t->ready.out, OP_SEND, fd);
	int r;

	q->data = data;
	q->len = len;
	r = try_send(t, q);
	if (r == -EAGAIN)
		await(t, q, EPOLLOUT);
	else
		finish(t, q, r);
	return true;
}

static bool epoll_cancel_fd(struct thing *t, int fd)
{
	(void)ask(t, 0); /* now: what was borrowed may be closed when the turn ends */
	if (t->ready.in.op && !t->ready.in.done)
		finish(t, &t->ready.in, -ECANCELED);
	if (t->ready.out.op && !t->ready.out.done)
		finish(t, &t->ready.out, -ECANCELED);
	return true;
}

static bool epoll_cancel(struct thing *t, enum op op)
{
	return epoll_cancel_fd(t, -1); /* it is the only one: a watch has none here */
}

static void epoll_forget(struct thing *t)
{
	(void)ask(t, 0);
}

/* Completions. */

static void complete(struct thing *t, struct request *q, int res, unsigned flags)
{
	enum op op = q->op;

	if (!(flags & DONE_MORE))
		q->op = 0;
	loop_dispatch(t->loop, loop_user_data(t, op), res, flags);
}

static void serve_accept(struct thing *t, struct request *q)
{
	int fd = accept4(t->ready.fd, NULL, NULL, SOCK_CLOEXEC);

	if (fd < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	complete(t, q, fd < 0 ? -errno : fd, 0);
}

static void serve_connect(struct thing *t, struct request *q)
{
	int error = 0;
	socklen_t len = sizeof(error);

	if (getsockopt(t->ready.fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		error = errno;
	complete(t, q, -error, 0);
}

static void serve_send(struct thing *t, struct request *q)
{
	int r = try_send(t, q);

	if (r != -EAGAIN)
		complete(t, q, r, 0);
}

/*
 * As much as there is, but no more than all the buffers in a turn, so that other things are served
 * too.
 */
static void serve_receive(struct thing *t, struct request *q)
{
	struct buffers *b = q->into;
	unsigned left = b->n;
	bool more = q->goes_on;
	uint16_t id;
	ssize_t n;

	do {
		if (!buffers_take(b, &id)) {
			complete(t, q, -ENOBUFS, 0);
			return;
		}
		n = recv(t->ready.fd, loop_buffers_at(b, id), b->size, MSG_DONTWAIT);
		if (n <= 0) {
			epoll_buffers_give(b, id);
			if (n == 0 || (errno != EAGAIN && errno != EINTR))
				complete(t, q, n < 0 ? -errno : 0, 0);
			return;
		}
		complete(t, q, (int)n,
			DONE_BUFFER | (unsigned)id << DONE_BUFFER_SHIFT | (more ? DONE_MORE : 0));
	} while (more && --left > 0 && (size_t)n == b->size && !t->closing);
}

static void serve_in(struct thing *t, struct request *q)
{
	if (q->op == OP_RECEIVE)
		serve_receive(t, q);
	else if (q->op == OP_ACCEPT)
		serve_accept(t, q);
	else
		complete(t, q, EPOLLIN, 0);
}

static void serve_out(struct thing *t, struct request *q)
{
	if (q->op == OP_CONNECT)
		serve_connect(t, q);
	else
		serve_send(t, q);
}

/* Callbacks make no requests and release nothing, so what is looked at here stays. */
static void serve(struct loop *l, const struct epoll_event *event)
{
	struct thing *t = loop_thing_of(l, event->data.u64);
	uint32_t told = event->events, want;

	if (!t || t->closing)
		return;
	if (told & (EPOLLERR | EPOLLHUP))
		told |= EPOLLIN | EPOLLOUT;
	want = wanted(&t->ready);
	if (told & t->ready.asked & ~want)
		(void)ask(t, want); /* if that fails, it is reported again */
	if (told & want & EPOLLIN)
		serve_in(t, &t->ready.in);
	if (told & want & EPOLLOUT && !t->closing)
		serve_out(t, &t->ready.out);
}

/* Turns. */

static bool epoll_ready(struct loop *l)
{
	return !TAILQ_EMPTY(&l->epoll->finished);
}

static int wait_coarse(struct epoll *e, int64_t timeout_ns)
{
	const int64_t ms = 1000000, longest = 3600 * 1000;
	int64_t wait = timeout_ns < 0 ? -1 : timeout_ns / ms + (timeout_ns % ms > 0);

	return epoll_wait(e->fd, e->events, EVENTS, wait < longest ? (int)wait : (int)longest);
}

static int epoll_wait_ns(struct loop *l, int64_t timeout_ns)
{
	struct epoll *e = l->epoll;
	struct __kernel_timespec ts = {
		.tv_sec = timeout_ns / 1000000000,
		.tv_nsec = timeout_ns % 1000000000,
	};
	long r = -1;

	if (!e->coarse) {
		r = syscall(SYS_epoll_pwait2, e->fd, e->events, EVENTS, timeout_ns < 0 ? NULL : &ts,
			NULL, 0);
		e->coarse = r < 0 && (errno == ENOSYS || errno == EPERM);
	}
	if (e->coarse)
		r = wait_coarse(e, timeout_ns);
	e->events_n = r > 0 ? (int)r : 0;
	return r < 0 && errno != EINTR ? -errno : 0;
}

static void epoll_reap(struct loop *l)
{
	struct epoll *e = l->epoll;
	struct thing *t;

	while ((t = TAILQ_FIRST(&e->finished))) {
		struct ready *ready = &t->ready;

		TAILQ_REMOVE(&e->finished, t, ready.queue);
		ready->queued = false;
		if (ready->in.op && ready->in.done)
			complete(t, &ready->in, ready->in.res, 0);
		if (ready->out.op && ready->out.done)
			complete(t, &ready->out, ready->out.res, 0);
	}
	for (int i = 0; i < e->events_n; i++)
		serve(l, &e->events[i]);
	e->events_n = 0;
}

/* Beginning and end. */

static void epoll_shut(struct loop *l)
{
	if (!l->epoll)
		return;
	(void)close(l->epoll->fd);
	free(l->epoll);
	l->epoll = NULL;
}

static int epoll_open(struct loop *l, const struct loop_config *config, char *why)
{
	struct epoll *e = calloc(1, sizeof(*e));
	int r = -ENOMEM;

	if (e) {
		e->fd = epoll_create1(EPOLL_CLOEXEC);
		r = e->fd < 0 ? -errno : 0;
	}
	if (r < 0) {
		free(e);
		(void)snprintf(why, LOOP_WHY_MAX, "epoll cannot be had: %s", strerror(-r));
		return r;
	}
	TAILQ_INIT(&e->finished);
	l->epoll = e;
	l->stats.multishot = !(config->mask & LOOP_NO_MULTISHOT);
	return 0;
}

const struct driver loop_epoll_driver = {
	.socket_flags = SOCK_NONBLOCK,
	.head_bytes = 2 * sizeof(uint16_t), /* with struct heap's n, for one at least */
	.open = epoll_open,
	.close = epoll_shut,
	.accept = epoll_accept,
	.connect = epoll_connect,
	.receive = epoll_receive,
	.send = epoll_send,
	.poll = epoll_poll,
	.cancel_fd = epoll_cancel_fd,
	.cancel = epoll_cancel,
	.forget = epoll_forget,
	.ready = epoll_ready,
	.wait = epoll_wait_ns,
	.reap = epoll_reap,
	.buffers_open = epoll_buffers_open,
	.buffers_close = epoll_buffers_close,
	.buffers_give = epoll_buffers_give,
};
