/* SPDX-License-Identifier: ISC */
#include "sq.h"

#include <errno.h>

#include "base/clock.h"
#include "call.h"
#include "dead_letter.h"
#include "ops/get.h"
#include "ops/put.h"

/*
 * The public calls to put and to get. They check arguments, deal with time and blocking, and leave
 * the rest to one attempt in put.c or get.c. See sq.h. Each works on the caller's own handle; any
 * number of participants may be in it at once.
 */

/* A first attempt to put a message that a cell can hold has returned r, which is an error. */
static __attribute__((noinline)) int put_on(
	struct sq *h, const void *data, size_t len, int64_t timeout, int r)
{
	struct sqi_message m = {.data = data, .len = len};

	return sqi_call_on(h, &h->producing, timeout, r, sqi_attempt_put, &m);
}

/* Puts a message that needs a block. */
static int put_block(struct sq *h, const void *data, size_t len, int64_t timeout)
{
	struct sqi_message m = {.data = data, .len = len};
	int r = sqi_call(h, &h->producing, timeout, sqi_attempt_put_block, &m);

	h->short_of_blocks = false;
	if (r < 0 && m.block.len > 0)
		sqi_block_free(&h->ring, &m.block);
	return r;
}

/* As sq_put(), with a handle and a timeout that were checked. */
static inline int put(struct sq *h, const void *data, size_t len, int64_t timeout)
{
	int r;

	if (!data && len > 0)
		return -EINVAL;
	if (len > h->ring.g.in.max_message)
		return -EMSGSIZE;
	if (len > h->ring.small)
		return put_block(h, data, len, timeout);
	r = sqi_put_small(h, data, len);
	if (r < 0)
		return put_on(h, data, len, timeout, r);
	sqi_note_call(h, &h->producing);
	return 0;
}

int sq_put(struct sq *h, const void *data, size_t len, int64_t timeout)
{
	int r = sqi_handle_check(h, timeout);

	return r < 0 ? r : put(h, data, len, timeout);
}

/* Arguments and result of an attempt to get a message. */
struct get {
	void *buf;
	size_t cap;
	ssize_t len;
};

static int try_get(struct sq *h, void *arg)
{
	struct get *get = arg;
	ssize_t r = sqi_get_try(h, get->buf, get->cap);

	if (r < 0)
		return (int)r;
	get->len = r;
	return 0;
}

static int attempt_get(struct sq *h, void *arg)
{
	return sqi_past_dead_letters(h, try_get, arg);
}

/* A first attempt to get a message has returned r, which is an error, or SQI_DEAD_LETTER. */
static __attribute__((noinline)) ssize_t get_on(
	struct sq *h, void *buf, size_t cap, int64_t timeout, int r)
{
	struct get get = {.buf = buf, .cap = cap};

	if (r == SQI_DEAD_LETTER)
		r = sqi_bury_and_go_on(h, try_get, &get);
	r = sqi_call_on(h, &h->consuming, timeout, r, attempt_get, &get);
	return r < 0 ? r : get.len;
}

/* As sq_get(), with arguments that were checked. */
static inline ssize_t get(struct sq *h, void *buf, size_t cap, int64_t timeout)
{
	ssize_t r;

	h->dead_letter.refused = false;
	r = sqi_get_try(h, buf, cap);
	if (r < 0)
		return get_on(h, buf, cap, timeout, (int)r);
	sqi_note_call(h, &h->consuming);
	return r;
}

/* The error that sq_get_many() had no room for, once; or 0. */
static int take_deferred_error(struct sq *h)
{
	int r = h->deferred_error;

	h->deferred_error = 0;
	return r;
}

ssize_t sq_get(struct sq *h, void *buf, size_t cap, int64_t timeout)
{
	int r = sqi_handle_check(h, timeout);

	if (r < 0)
		return r;
	if (!buf && cap > 0)
		return -EINVAL;
	if (h->deferred_error)
		return take_deferred_error(h);
	return get(h, buf, cap, timeout);
}

/* What is left of a timeout that began at `from`. */
static int64_t time_left(int64_t timeout, int64_t from)
{
	int64_t gone;

	if (timeout <= 0)
		return timeout;
	gone = sqi_now_ns() - from;
	return gone < timeout ? timeout - gone : 0;
}

int sq_put_many(struct sq *h, const struct iovec *iov, int n, int64_t timeout)
{
	int r = sqi_handle_check(h, timeout), done = 0;
	int64_t from = 0;

	if (r < 0)
		return r;
	if (n < 0 || (!iov && n > 0))
		return -EINVAL;
	if (timeout > 0)
		from = sqi_now_ns();
	for (; done < n; done++) {
		/* Many at a time, as long as there is room and nobody is in the way. */
		while ((r = sqi_put_group(h, iov + done, n - done)) > 0) {
			sqi_note_calls(h, &h->producing, (unsigned)r);
			done += r;
		}
		if (r < 0 || done == n)
			break;
		r = put(h, iov[done].iov_base, iov[done].iov_len, SQ_NOWAIT);
		if (r == -EAGAIN && timeout != SQ_NOWAIT) {
			int64_t left = time_left(timeout, from);

			r = put(h, iov[done].iov_base, iov[done].iov_len, left);
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
	int r = sqi_handle_check(h, timeout), done = 0;
	unsigned char *at = buf;

	if (r < 0)
		return r;
	if (n < 0 || (!ret && n > 0) || (!buf && cap > 0))
		return -EINVAL;
	if (n > 0 && h->deferred_error)
		return take_deferred_error(h);
	h->dead_letter.refused = false; /* of an earlier call: there may be room by now */
	for (; done < n; done++) {
		ssize_t len;

		while ((r = sqi_get_group(h, at, cap, ret + done, n - done)) > 0) {
			const struct iovec *last = &ret[done + r - 1];
			unsigned char *end = (unsigned char *)last->iov_base + last->iov_len;

			sqi_note_calls(h, &h->consuming, (unsigned)r);
			cap -= (size_t)(end - at);
			at = end;
			done += r;
		}
		if (done == n)
			break;
		len = r < 0 ? r : get(h, at, cap, done == 0 ? timeout : SQ_NOWAIT);
		if (len < 0 && done > 0) {
			/*
			 * -EBADMSG is reported once; the next call does it, because this one has
			 * messages to return.
			 */
			h->deferred_error = len == -EBADMSG ? -EBADMSG : 0;
			return done;
		}
		if (len < 0)
			return (int)len;
		ret[done] = (struct iovec){.iov_base = at, .iov_len = (size_t)len};
		/* No addition of 0 to a null pointer. */
		if (len > 0)
			at += len;
		cap -= (size_t)len;
	}
	return done;
}
