/* SPDX-License-Identifier: ISC */
#include "take.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "now.h"
#include "report.h"
#include "stop.h"

/*
 * 0 when it would take more, -EIO when nobody reads any more, -EINTR: a signal. timeout as
 * poll()'s.
 */
static int output_wait(struct take *take, int timeout_ms)
{
	struct pollfd out = {.fd = STDOUT_FILENO, .events = POLLOUT};

	while (!stop_wanted()) {
		int r = poll(&out, 1, timeout_ms);

		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0 || !(out.revents & POLLERR))
			return 0;
		take->write_error = EPIPE;
		return -EIO;
	}
	return -EINTR;
}

/* Write it all; *ret: how much went out, also on error. 0, -EIO, -EINTR. */
static int output_write(struct take *take, const char *data, size_t len, size_t *ret)
{
	int r = 0;

	*ret = 0;
	while (r == 0 && *ret < len) {
		ssize_t n = write(STDOUT_FILENO, data + *ret, len - *ret);

		if (n >= 0) {
			*ret += (size_t)n;
		} else if (errno == EAGAIN || errno == EINTR) {
			r = output_wait(take, -1);
		} else {
			take->write_error = errno;
			r = -EIO;
		}
	}
	return r;
}

static void settle(struct take *take, const struct sq_lease *lease, bool written)
{
	if (!written)
		(void)sq_nack(take->q, lease); /* stale: then it has been given back already */
	else if (sq_ack(take->q, lease) < 0)
		take->late++;
	else
		take->done++;
}

/* Write what is in hand and settle it. 0, -EIO, -EINTR. */
static int flush(struct take *take)
{
	size_t written;
	int r = output_write(take, take->buffer, take->len, &written);

	for (int i = 0; i < take->n; i++)
		settle(take, &take->lease[i], take->end[i] <= written);
	take->n = 0;
	take->len = 0;
	return r;
}

/* One that the buffer has no room for, from where it lies. */
static int write_large(struct take *take, const struct sq_lease *lease)
{
	size_t written, end = 0;
	int r = output_write(take, lease->data, lease->len, &written);

	if (r == 0)
		r = output_write(take, &take->delimiter, 1, &end);
	settle(take, lease, end == 1);
	return r;
}

static int add(struct take *take, const struct sq_lease *lease)
{
	int r;

	if (take->n == TAKE_BATCH || lease->len >= TAKE_BYTES - take->len) {
		r = flush(take);
		if (r < 0) {
			settle(take, lease, false);
			return r;
		}
	}
	if (lease->len >= TAKE_BYTES)
		return write_large(take, lease);
	memcpy(take->buffer + take->len, lease->data, lease->len);
	take->len += lease->len;
	take->buffer[take->len++] = take->delimiter;
	take->lease[take->n] = *lease;
	take->end[take->n++] = take->len;
	return 0;
}

/* There is none just now. -EAGAIN if we do not wait. */
static int wait_for_one(struct take *take, struct sq_lease *ret)
{
	int64_t deadline = now_ns(), left = take->timeout;
	int r;

	if (!take->follow && left == 0)
		return -EAGAIN;
	deadline += left < INT64_MAX - deadline ? left : INT64_MAX - deadline;
	for (;;) {
		r = sq_lease(
			take->q, ret, take->follow || left > STOP_LOOK_NS ? STOP_LOOK_NS : left);
		if (r != -ETIMEDOUT)
			return r;
		/* A reader that leaves must not have to wait for an item to be missed. */
		r = output_wait(take, 0);
		if (r < 0)
			return r;
		if (take->hold && hold_gone(take->hold))
			return -ENOENT;
		if (take->follow)
			continue;
		left = deadline - now_ns();
		if (left <= 0)
			return -ETIMEDOUT;
	}
}

int take_run(struct take *take)
{
	int r, f;

	do {
		struct sq_lease lease;

		r = take->n == 0 ? output_wait(take, -1) : 0;
		if (r == 0)
			r = sq_lease(take->q, &lease, SQ_NOWAIT);
		if (r == -EAGAIN) {
			r = flush(take);
			if (r == 0)
				r = wait_for_one(take, &lease);
		}
		if (r == 0)
			r = add(take, &lease);
		if (r == 0 && stop_wanted())
			r = -EINTR;
	} while (r == 0 &&
		 (take->limit == 0 || take->done + take->late + (uint64_t)take->n < take->limit));
	f = flush(take);
	return f < 0 ? f : r;
}

int take_report(const struct take *take, int error)
{
	switch (-error) {
	case 0:
		return EXIT_DONE;
	case EPIPE:
		return report(EXIT_DRAINED,
			"%s is shut down and drained: no more will come; to go on, `sqctl rm %s` and make another",
			take->queue, take->queue);
	case EIO:
		if (take->write_error == EPIPE)
			return EXIT_DONE; /* whoever read us has had enough */
		return report(EXIT_IO,
			"cannot write: %s; %" PRIu64
			" item%s had been written, the rest is still in %s: make room "
			"and go on",
			strerrordesc_np(take->write_error), take->done, take->done == 1 ? "" : "s",
			take->queue);
	default:
		return report_queue(take->queue, error);
	}
}

void take_report_late(const struct take *take)
{
	if (take->late > 0)
		(void)report(EXIT_DONE,
			"%" PRIu64
			" item%s written after the lease had ended, and given to another too; make the queue "
			"with a longer --lease-time",
			take->late, take->late == 1 ? " was" : "s were");
}
