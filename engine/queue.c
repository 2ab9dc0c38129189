/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "handle.h"
#include "segment.h"

/*
 * The public calls on a handle: arguments are checked here, time and blocking are dealt with here,
 * and what is left is one attempt in put.c, get.c or lease.c.
 */

/* Those who never wait look at the clock too: after so many operations; */
#define FUEL          64  /* a look costs as much as a tenth of one */
#define FUEL_TIMED    1   /* in a queue with a lease time: leases end though nobody waits */
#define LOOK_MS       500 /* and look after the dead so often */
#define LOOK_TIMED_MS 10  /* the same, and who is in the middle of looking */

/* From a geometry and a mapping: where everything is, and a participant. */
int sqi_handle_init(struct sq *h, uint64_t key, int64_t grace)
{
	h->head = (struct sqi_head *)h->base;
	h->cells = h->base + h->g.cells;
	h->mask = h->g.capacity - 1;
	h->shift = h->g.in.capacity_log2;
	h->cell_size = h->g.cell_size;
	h->small = h->g.in.small;
	h->fuel = 1; /* the first use counts us in */
	h->back_seen = ~(uint64_t)0;
	h->tail = sqi_tail_anew(h);
	h->front = sqi_front_anew(h);
	return sqi_join_party(h, key, grace);
}

static int open_as(struct sq **ret, const char *name, uint64_t key, int64_t grace)
{
	const char *why;
	struct stat st;
	struct sq *h;
	int r;

	if (!ret)
		return -EINVAL;
	h = calloc(1, sizeof(*h));
	if (!h)
		return -ENOMEM;
	/*
	 * No fork may come between the descriptor and the list of those that a child has to close.
	 */
	r = sqi_map_lock();
	if (r < 0)
		goto free_handle;
	r = sqi_segment_open(&h->fd, &h->g, &st, &why, name);
	if (r == 0)
		r = sqi_map_handle(h, st.st_dev, st.st_ino);
	sqi_map_unlock();
	if (r < 0)
		goto free_handle;
	r = sqi_handle_init(h, key, grace);
	if (r < 0)
		goto unmap;
	r = sqi_stays(h);
	if (r < 0)
		goto leave;
	sqi_rescue_now_and_then(h);
	*ret = h;
	return 0;

leave:
	sqi_finish_removal(h, name);
	sqi_leave_party(h);
unmap:
	sqi_unmap_handle(h);
free_handle:
	free(h);
	return r;
}

int sq_open(struct sq **ret, const char *name)
{
	return open_as(ret, name, 0, 0);
}

int sq_open_durable(struct sq **ret, const char *name, uint64_t key, int64_t grace)
{
	return key && grace >= SQ_FOREVER ? open_as(ret, name, key, grace) : -EINVAL;
}

void sq_close(struct sq *h)
{
	if (!h)
		return;
	sq_close(h->dead_letters);
	if (!h->forked) {
		sqi_leave_party(h);
		sqi_unmap_handle(h);
	}
	sqi_copies_deinit(h);
	free(h->buffer);
	free(h);
}

static int check(const struct sq *h, int64_t timeout)
{
	if (!h || timeout < SQ_FOREVER)
		return -EINVAL;
	return h->forked ? -EBADF : 0;
}

/* Once in a while, look after the dead and the overdue, though we never wait. */
static void used(struct sq *h)
{
	bool timed = h->g.in.lease_ns != 0;
	uint64_t now;

	if (--h->fuel > 0)
		return;
	h->fuel = timed ? FUEL_TIMED : FUEL;
	if (!h->counted)
		(void)sqi_add(&h->head->joins, 1);
	h->counted = true;
	now = sqi_coarse_ms();
	if (now - h->looked_ms < (timed || h->lap.count > 0 ? LOOK_TIMED_MS : LOOK_MS))
		return;
	h->looked_ms = now;
	sqi_rescue_now_and_then(h);
}

/* Somebody would have taken a message. For those who can bring some; read before written, so that
 * pollers do not take the line from each other. */
static void note_wanted(struct sq *h)
{
	if (!sqi_peek(&h->head->wanted)) /* relaxed: it may be seen late */
		sqi_poke(&h->head->wanted, 1);
}

/* A first attempt that needs no clock, then the long way. */
static int run(struct sq *h, struct sqi_side *side, int64_t timeout,
	int (*attempt)(struct sq *h, void *arg), void *arg)
{
	int r = attempt(h, arg);

	if (r == -EAGAIN) {
		if (side == &h->consuming)
			note_wanted(h);
		if (timeout != SQ_NOWAIT)
			r = sqi_wait(h, side, timeout, attempt, arg);
		else
			sqi_rescue_now_and_then(h); /* for those who poll and never wait */
	}
	side->ops++;
	used(h);
	return r == -EPIPE ? sqi_closed_error(h) : r;
}

static int attempt_put(struct sq *h, void *arg)
{
	return sqi_put_try(h, arg);
}

static int attempt_put_block(struct sq *h, void *arg)
{
	struct sqi_message *m = arg;
	uint64_t cap;
	int r;

	if (m->block.len == 0) {
		/*
		 * Not yet ours. Filled before there is a cell, so that no cell waits for the copy.
		 */
		if (sqi_look(&h->head->closed))
			return -EPIPE;
		r = sqi_block_get(h, m->len, &m->block);
		h->short_of_blocks = r < 0;
		if (r < 0)
			return r;
		memcpy(sqi_block_data(h, m->block.index, &cap), m->data, m->len);
		m->block.len = m->len;
	}
	return sqi_put_try(h, &(struct sqi_message){.len = m->len, .block = m->block});
}

int sq_put(struct sq *h, const void *data, size_t len, int64_t timeout)
{
	struct sqi_message m = {.data = data, .len = len};
	int r = check(h, timeout);

	if (r < 0)
		return r;
	if (!data && len > 0)
		return -EINVAL;
	if (len > h->g.in.max_message)
		return -EMSGSIZE;
	if (len <= h->small)
		return run(h, &h->producing, timeout, attempt_put, &m);
	r = run(h, &h->producing, timeout, attempt_put_block, &m);
	h->short_of_blocks = false;
	if (r < 0 && m.block.len > 0)
		sqi_block_free(h, &m.block);
	return r;
}

struct get {
	void *buf;
	size_t cap;
	ssize_t len;
};

static int attempt_get(struct sq *h, void *arg)
{
	struct get *get = arg;
	ssize_t r = sqi_get_try(h, get->buf, get->cap);

	if (r < 0)
		return (int)r;
	get->len = r;
	return 0;
}

ssize_t sq_get(struct sq *h, void *buf, size_t cap, int64_t timeout)
{
	struct get get = {.buf = buf, .cap = cap};
	int r = check(h, timeout);

	if (r < 0)
		return r;
	if (!buf && cap > 0)
		return -EINVAL;
	if (h->owed) {
		r = h->owed;
		h->owed = 0;
		return r;
	}
	r = run(h, &h->consuming, timeout, attempt_get, &get);
	return r < 0 ? r : get.len;
}

/* What is left of a span that began at `from`. */
static int64_t rest(int64_t timeout, int64_t from)
{
	int64_t gone;

	if (timeout <= 0)
		return timeout;
	gone = sqi_now_ns() - from;
	return gone < timeout ? timeout - gone : 0;
}

int sq_put_many(struct sq *h, const struct iovec *iov, int n, int64_t timeout)
{
	int r = check(h, timeout), done = 0;
	int64_t from = 0;

	if (r < 0)
		return r;
	if (n < 0 || (!iov && n > 0))
		return -EINVAL;
	if (timeout > 0)
		from = sqi_now_ns();
	for (; done < n; done++) {
		r = sq_put(h, iov[done].iov_base, iov[done].iov_len, SQ_NOWAIT);
		if (r == -EAGAIN && timeout != SQ_NOWAIT) {
			int64_t left = rest(timeout, from);

			r = sq_put(h, iov[done].iov_base, iov[done].iov_len, left);
			if (r == -EAGAIN)
				r = -ETIMEDOUT;
		}
		if (r < 0)
			break;
	}
	return done > 0 ? done : r;
}

int sq_get_many(struct sq *h, void *buf, size_t cap, struct iovec *ret, int n, int64_t timeout)
{
	int r = check(h, timeout), done = 0;
	unsigned char *at = buf;

	if (r < 0)
		return r;
	if (n < 0 || (!ret && n > 0) || (!buf && cap > 0))
		return -EINVAL;
	for (; done < n; done++) {
		ssize_t len = sq_get(h, at, cap, done == 0 ? timeout : SQ_NOWAIT);

		if (len < 0 && done > 0) {
			/* A damaged message is reported once, but not instead of what we have. */
			h->owed = len == -EBADMSG ? -EBADMSG : 0;
			return done;
		}
		if (len < 0)
			return (int)len;
		ret[done] = (struct iovec){.iov_base = at, .iov_len = (size_t)len};
		/* Not past the end of buf, even by an addition of 0 to a null pointer. */
		if (len > 0)
			at += len;
		cap -= (size_t)len;
	}
	return done;
}

int sq_reserve(struct sq *h, size_t len, void **ret)
{
	int r = check(h, SQ_NOWAIT);
	uint64_t cap;

	if (r < 0)
		return r;
	if (!ret)
		return -EINVAL;
	if (h->reservation)
		return -EBUSY;
	if (len > h->g.in.max_message)
		return -EMSGSIZE;
	if (sqi_look(&h->head->closed))
		return sqi_closed_error(h);
	if (len <= h->small) {
		if (!h->buffer)
			h->buffer = malloc(h->small);
		if (!h->buffer)
			return -ENOMEM;
		h->reservation = SQI_RESERVED_SMALL;
		*ret = h->buffer;
	} else {
		r = sqi_block_get(h, len, &h->reserved);
		used(h);
		if (r < 0)
			return r;
		h->reservation = SQI_RESERVED_BLOCK;
		*ret = sqi_block_data(h, h->reserved.index, &cap);
	}
	h->reserved_cap = len;
	return 0;
}

int sq_commit(struct sq *h, size_t len, int64_t timeout)
{
	struct sqi_message m = {.len = len};
	int r = check(h, timeout);
	uint64_t cap;

	if (r < 0)
		return r;
	if (!h->reservation)
		return -EINVAL;
	if (len > h->reserved_cap)
		return -EMSGSIZE;
	if (h->reservation == SQI_RESERVED_SMALL) {
		m.data = h->buffer;
	} else if (len <= h->small) {
		m.data = sqi_block_data(h, h->reserved.index, &cap);
	} else {
		m.block = h->reserved;
		m.block.len = len;
	}
	r = run(h, &h->producing, timeout, attempt_put, &m);
	if (r < 0)
		return r;
	if (m.data)
		sq_abort(h); /* it was copied */
	h->reservation = SQI_RESERVED_NONE;
	return 0;
}

void sq_abort(struct sq *h)
{
	if (!h || h->forked)
		return;
	if (h->reservation == SQI_RESERVED_BLOCK)
		sqi_block_free(h, &h->reserved);
	h->reservation = SQI_RESERVED_NONE;
}

static int attempt_lease(struct sq *h, void *arg)
{
	return sqi_lease_try(h, arg);
}

int sq_lease(struct sq *h, struct sq_lease *ret, int64_t timeout)
{
	struct sq_lease lease;
	int r = check(h, timeout);

	if (r < 0)
		return r;
	if (!ret)
		return -EINVAL;
	r = run(h, &h->consuming, timeout, attempt_lease, &lease);
	if (r == 0)
		*ret = lease;
	return r;
}

int sq_shutdown(struct sq *h, bool immediate)
{
	uint64_t closed, want = immediate ? SQI_CLOSED_NOW : SQI_CLOSED_DRAINING;
	int r = check(h, SQ_NOWAIT);

	if (r < 0)
		return r;
	do
		closed = sqi_look(&h->head->closed);
	while ((closed & SQI_CLOSED_HOW) < want &&
		!sqi_cas(&h->head->closed, closed, (closed & SQI_CLOSED_GONE) | want));
	sqi_wake_everybody(h->head);
	return 0;
}

int sq_recover(struct sq *h)
{
	int r = check(h, SQ_NOWAIT);

	if (r < 0)
		return r;
	r = sqi_rescue(h);
	sqi_due_sweep(h, 0, h->mask + 1);
	return r;
}
