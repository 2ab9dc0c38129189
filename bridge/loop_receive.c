/* SPDX-License-Identifier: ISC */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "loop_conn.h"

/*
 * Receiving. The memory for it are buffers that the driver fills: shared by the young connections,
 * one buffer each at most, by a request for each; or a window of one's own, by one request for as
 * long as it lasts (multishot). What the callee does not take stays in its buffer.
 * So holding up a peer needs no system call: its window fills, the request ends with ENOBUFS, the
 * socket fills, and TCP stops the peer. The request is made again only when it has ended (no
 * DONE_MORE) and everything was taken, so that all buffers are back.
 *
 * Invariant: each buffer is the driver's, or in one connection's `held`, in the order of arrival.
 */

static struct held *held_at(struct loop_conn *c, unsigned i)
{
	return &c->held[(c->held_first + i) % c->held_max];
}

static void held_drop_first(struct loop_conn *c)
{
	struct held *h = held_at(c, 0);

	loop_buffers_give(c->thing.loop, h->from, h->id);
	c->held_first = (c->held_first + 1) % c->held_max;
	c->held_n--;
}

size_t loop_conn_held(const struct loop_conn *c)
{
	size_t sum = 0;

	for (unsigned i = 0; i < c->held_n; i++) {
		const struct held *h = &c->held[(c->held_first + i) % c->held_max];

		sum += h->len - h->off;
	}
	return sum;
}

int loop_conn_window(struct loop_conn *c, unsigned buffers, unsigned size)
{
	struct buffers window;
	struct held *held;
	int r;

	if (c->window.head)
		return -EALREADY;
	if (c->thing.closing)
		return -EPIPE;
	held = calloc(buffers + 1, sizeof(*held)); /* one young buffer may still be there */
	if (!held)
		return -ENOMEM;
	r = loop_buffers_init(c->thing.loop, &window, buffers, size);
	if (r < 0) {
		free(held);
		return r;
	}
	for (unsigned i = 0; i < c->held_n; i++)
		held[i] = *held_at(c, i);
	c->held = held;
	c->held_max = buffers + 1;
	c->held_first = 0;
	c->window = window;
	return 0;
}

void loop_conn_resume(struct loop_conn *c)
{
	if (!c->paused || c->thing.closing)
		return;
	c->resumed = true;
	loop_want(&c->thing);
}

static void deliver(struct loop_conn *c)
{
	while (c->held_n > 0 && !c->paused) {
		struct held *h = held_at(c, 0);
		size_t len = h->len - h->off, took;

		took = c->ops->received(c->ctx, loop_buffers_at(h->from, h->id) + h->off, len);
		assert(took <= len);
		if (c->thing.closing)
			return;
		h = held_at(c, 0); /* moved, if the callee asked for a window */
		h->off += (uint32_t)took;
		if (h->off < h->len)
			c->paused = true;
		else
			held_drop_first(c);
	}
	if (c->held_n == 0 && c->ended && !c->ended_told) {
		c->ended_told = true;
		c->ops->ended(c->ctx, c->ended_error);
	}
}

void loop_receive_resume(struct loop_conn *c)
{
	c->resumed = false;
	c->thing.loop->called = true;
	c->paused = false;
	deliver(c);
}

void loop_receive_drop(struct loop_conn *c)
{
	if (c->starving)
		TAILQ_REMOVE(&c->thing.loop->starving, c, starve);
	c->starving = false;
	while (c->held_n > 0)
		held_drop_first(c);
}

void loop_conn_feed_starving(struct loop *l)
{
	for (unsigned n = l->young.free; n > 0 && !TAILQ_EMPTY(&l->starving); n--) {
		struct loop_conn *c = TAILQ_FIRST(&l->starving);

		TAILQ_REMOVE(&l->starving, c, starve);
		c->starving = false;
		loop_want(&c->thing);
	}
}

bool loop_receive_flush(struct loop *l, struct loop_conn *c)
{
	struct buffers *b = c->window.head ? &c->window : &l->young;

	if (!c->receiving || c->armed || c->paused || c->starving || c->ended)
		return true;
	c->armed_window = b == &c->window;
	c->armed_multishot = c->armed_window && l->stats.multishot;
	c->armed = l->driver->receive(&c->thing, c->fd, b, c->armed_multishot);
	if (c->armed)
		l->stats.rearms++;
	return c->armed;
}

/* A buffer came with a completion: keep what is in it. */
static void hold(struct loop *l, struct loop_conn *c, int res, unsigned flags)
{
	struct buffers *b = c->armed_window ? &c->window : &l->young;
	uint16_t id = (uint16_t)(flags >> DONE_BUFFER_SHIFT);

	b->free--;
	if (res <= 0 || c->thing.closing) {
		loop_buffers_give(l, b, id);
		return;
	}
	assert(c->held_n < c->held_max);
	*held_at(c, c->held_n) = (struct held){.from = b, .len = (uint32_t)res, .id = id};
	c->held_n++;
}

void loop_receive_complete(struct loop *l, struct loop_conn *c, int res, unsigned flags)
{
	if (flags & DONE_BUFFER)
		hold(l, c, res, flags);
	if (!(flags & DONE_MORE))
		c->armed = false;
	if (c->thing.closing)
		return;
	if (res == -ENOBUFS) {
		l->stats.no_buffers++;
		if (!c->armed_window && !c->starving) {
			c->starving = true;
			TAILQ_INSERT_TAIL(&l->starving, c, starve);
		}
	} else if (res == -EINVAL && c->armed_multishot) {
		l->stats.multishot = false; /* a kernel before 6.0 */
	} else if (res <= 0 && res != -EINTR && res != -EAGAIN) {
		c->ended = true;
		c->ended_error = res;
	}
	deliver(c);
	loop_want(&c->thing);
}
