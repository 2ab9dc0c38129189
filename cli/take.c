/* SPDX-License-Identifier: ISC */
#include "take.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "now.h"
#include "output.h"
#include "report.h"
#include "stop.h"
#include "words.h"

static void settle(struct take *take, const struct sq_lease *lease, bool written)
{
	if (!written)
		(void)sq_nack(take->q, lease); /* stale: then it has been given back already */
	else if (sq_ack(take->q, lease) < 0)
		take->late++;
	else
		take->done++;
}

/* What the output said, for take_run() to return. */
static int output_result(struct take *take, int r)
{
	if (r == 0 || r == -EINTR)
		return r;
	take->write_error = -r;
	return -EIO;
}

/* The rest of an item could not be written: these bytes of it were. */
static void tear(struct take *take, const char *data, size_t n)
{
	if (n > 0 && !output_take_back(data, n))
		take->torn = true;
}

/* Write what is in hand and settle it. 0, -EIO, -EINTR. */
static int flush(struct take *take)
{
	size_t written, whole = 0;
	int r = output_result(take, output_write(take->buffer, take->len, &written));

	for (int i = 0; i < take->n && take->end[i] <= written; i++)
		whole = take->end[i];
	/*
	 * Take the half item back before the leases are given back: the next process that takes it
	 * may write to the same file.
	 */
	tear(take, take->buffer + whole, written - whole);
	for (int i = 0; i < take->n; i++)
		settle(take, &take->lease[i], take->end[i] <= written);
	share_wrote(&take->sharing, take->n, whole);
	take->n = 0;
	take->len = 0;
	return r;
}

/* One that the buffer has no room for, from where it lies. */
static int write_large(struct take *take, const struct sq_lease *lease)
{
	size_t written, end = 0;
	int r = output_write(lease->data, lease->len, &written);

	if (r == 0)
		r = output_write(&take->delimiter, 1, &end);
	share_wrote(&take->sharing, 1, written);
	if (end == 0)
		tear(take, lease->data, written);
	settle(take, lease, end == 1);
	return output_result(take, r);
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
	int r, w;

	if (!take->follow && left == 0)
		return -EAGAIN;
	deadline += left < INT64_MAX - deadline ? left : INT64_MAX - deadline;
	waiting_over(&take->waiting);
	for (;;) {
		r = sq_lease(
			take->q, ret, take->follow || left > STOP_LOOK_NS ? STOP_LOOK_NS : left);
		if (r == -EIDRM && take->hold)
			return -ENOENT;
		if (r != 0 && r != -ETIMEDOUT)
			return r;
		/*
		 * Look at the reader before an item is written, and while there is none: one that
		 * has left gets no item, and is noticed without one.
		 */
		w = output_result(take, output_wait(0));
		if (r == 0 && w == -EIO)
			settle(take, ret, false);
		if (r == 0)
			return w == -EIO ? w : 0;
		if (w < 0)
			return w;
		if (take->hold && hold_gone(take->hold))
			return -ENOENT;
		waiting_on(&take->waiting, take->queue, WAITING_ITEMS);
		if (take->follow)
			continue;
		left = deadline - now_ns();
		if (left <= 0)
			return -ETIMEDOUT;
	}
}

/* Called with nothing in hand. Wait until our reader is to have more. */
static int wait_to_share(struct take *take)
{
	return take->share ? output_result(take, share_wait(&take->sharing)) : 0;
}

/* Wait until our reader is ready. */
static int wait_for_reader(struct take *take)
{
	int r = output_result(take, output_wait(-1));

	return r == 0 ? wait_to_share(take) : r;
}

int take_run(struct take *take)
{
	int r, f;

	share_init(&take->sharing);
	do {
		struct sq_lease lease;

		r = take->n == 0 ? wait_for_reader(take) : 0;
		if (r == 0)
			r = sq_lease(take->q, &lease, SQ_NOWAIT);
		if (r == -EIDRM && take->hold)
			r = -ENOENT;
		if (r == -EAGAIN) {
			r = flush(take);
			if (r == 0)
				r = wait_to_share(take);
			if (r == 0)
				r = wait_for_one(take, &lease);
		}
		if (r == 0)
			r = add(take, &lease);
		if (r == 0 && take->share && take->sharing.on && take->n >= take->sharing.at_once)
			r = flush(take);
		if (r == 0 && stop_wanted())
			r = -EINTR;
	} while (r == 0 &&
		 (take->limit == 0 || take->done + take->late + (uint64_t)take->n < take->limit));
	f = flush(take);
	return f < 0 ? f : r;
}

/* For an output that does not take what is written. */
static const char *remedy(int error)
{
	return error == ENOSPC || error == EDQUOT || error == EFBIG
		       ? "make room and go on"
		       : "see what standard output is, and go on";
}

int take_report(const struct take *take, int error)
{
	switch (-error) {
	case 0:
		return EXIT_DONE;
	case EPIPE:
		return report(EXIT_DRAINED,
			"%s is shut down and drained: no more will come; to go on, `sqctl rm %s` and make another",
			take->queue, report_operand(take->queue));
	case EIO:
		if (take->write_error == EPIPE)
			return EXIT_DONE; /* the reader has left */
		return report(EXIT_IO,
			"cannot write: %s; %" PRIu64
			" item%s had been written, the rest is still in %s: %s",
			strerrordesc_np(take->write_error), take->done, words_plural(take->done),
			take->queue, remedy(take->write_error));
	default:
		return report_queue(take->queue, error);
	}
}

void take_report_odd(const struct take *take)
{
	/* Not if the reader has left: then half an item matters to no one. */
	if (take->torn && take->write_error != EPIPE)
		(void)report(EXIT_DONE,
			"the output ends with half an item, which is still in %s: drop what is behind "
			"the last %s there",
			take->queue, take->delimiter ? "newline" : "NUL");
	if (take->late > 0)
		(void)report(EXIT_DONE,
			"%" PRIu64
			" item%s written after the lease had ended, and given to another too; make the queue "
			"with a longer --lease-time",
			take->late, take->late == 1 ? " was" : "s were");
}
