/* SPDX-License-Identifier: ISC */
#include "loop_uring.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>

/*
 * The driver over io_uring: requests become entries of the ring, one system call a turn submits them
 * and waits (IORING_FEAT_EXT_ARG: for no longer than until the first timer is due).
 */

#define FUTEX_U32_SHARED 2 /* FUTEX2_SIZE_U32, and not FUTEX2_PRIVATE */
#define FUTEX_ANY        0xffffffff

static_assert(DONE_BUFFER == IORING_CQE_F_BUFFER && DONE_MORE == IORING_CQE_F_MORE &&
		      DONE_BUFFER_SHIFT == IORING_CQE_BUFFER_SHIFT,
	"flags go through as they are");

/* Requests. */

/* A request of this thing, whose completion will be counted. NULL: the submission queue is full. */
static struct io_uring_sqe *request(struct thing *t, enum op op)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&t->loop->uring->ring);

	if (!sqe)
		return NULL;
	/* The prep functions of liburing 2.3 leave user_data alone. */
	io_uring_sqe_set_data64(sqe, loop_user_data(t, op));
	t->inflight++;
	return sqe;
}

static bool uring_accept(struct thing *t, int fd)
{
	struct io_uring_sqe *sqe = request(t, OP_ACCEPT);

	if (sqe)
		io_uring_prep_accept(sqe, fd, NULL, NULL, SOCK_CLOEXEC);
	return sqe;
}

static bool uring_connect(struct thing *t, int fd, const struct sockaddr *addr, socklen_t len)
{
	struct io_uring_sqe *sqe = request(t, OP_CONNECT);

	if (sqe)
		io_uring_prep_connect(sqe, fd, addr, len);
	return sqe;
}

static bool uring_receive(struct thing *t, int fd, struct buffers *b, bool goes_on)
{
	struct io_uring_sqe *sqe = request(t, OP_RECEIVE);

	if (!sqe)
		return false;
	if (goes_on)
		io_uring_prep_recv_multishot(sqe, fd, NULL, 0, 0);
	else
		io_uring_prep_recv(sqe, fd, NULL, b->size, 0);
	sqe->flags |= IOSQE_BUFFER_SELECT;
	sqe->buf_group = b->group;
	return true;
}

static bool uring_send(struct thing *t, int fd, const void *data, size_t len)
{
	struct io_uring_sqe *sqe = request(t, OP_SEND);

	/* MSG_WAITALL: the kernel itself goes on after a partial send; not always. */
	if (sqe)
		io_uring_prep_send(sqe, fd, data, len, MSG_NOSIGNAL | MSG_WAITALL);
	return sqe;
}

/* A poll, not a read: for a file that cannot say EAGAIN a read would occupy a kernel thread. */
static bool uring_poll(struct thing *t, int fd)
{
	struct io_uring_sqe *sqe = request(t, OP_POLL);

	if (sqe)
		io_uring_prep_poll_add(sqe, fd, POLLIN);
	return sqe;
}

static bool uring_futex(struct thing *t, uint32_t *word, uint32_t value)
{
	struct io_uring_sqe *sqe = request(t, OP_FUTEX);

	if (!sqe)
		return false;
	io_uring_prep_rw(URING_OP_FUTEX_WAIT, sqe, FUTEX_U32_SHARED, word, 0, value);
	sqe->addr3 = FUTEX_ANY;
	return true;
}

static bool uring_cancel_fd(struct thing *t, int fd)
{
	struct io_uring_sqe *sqe = request(t, OP_CANCEL);

	if (sqe)
		io_uring_prep_cancel_fd(sqe, fd, IORING_ASYNC_CANCEL_ALL);
	return sqe;
}

static bool uring_cancel(struct thing *t, enum op op)
{
	struct io_uring_sqe *sqe = request(t, OP_CANCEL);

	if (sqe)
		io_uring_prep_cancel64(sqe, loop_user_data(t, op), 0);
	return sqe;
}

/* Turns. */

static bool uring_ready(struct loop *l)
{
	return io_uring_cq_ready(&l->uring->ring) > 0;
}

static int uring_wait(struct loop *l, int64_t timeout_ns)
{
	struct io_uring *ring = &l->uring->ring;
	struct __kernel_timespec ts = {
		.tv_sec = timeout_ns / 1000000000,
		.tv_nsec = timeout_ns % 1000000000,
	};
	struct io_uring_cqe *cqe;
	int r;

	if (timeout_ns == 0)
		r = io_uring_submit_and_get_events(ring);
	else if (timeout_ns < 0)
		r = io_uring_submit_and_wait(ring, 1);
	else
		r = io_uring_submit_and_wait_timeout(ring, &cqe, 1, &ts, NULL);
	/* EBUSY, EAGAIN: there are completions to be taken first. What was not submitted stays. */
	if (r == -ETIME || r == -EINTR || r == -EBUSY || r == -EAGAIN)
		return 0;
	return r < 0 ? r : 0;
}

static void uring_reap(struct loop *l)
{
	struct io_uring *ring = &l->uring->ring;
	unsigned n = io_uring_cq_ready(ring);

	if (io_uring_cq_has_overflow(ring)) {
		l->stats.overflows++;
		(void)io_uring_get_events(ring); /* what fits now; the rest next turn */
		n = io_uring_cq_ready(ring);
	}
	while (n-- > 0) {
		struct io_uring_cqe *cqe, copy;

		if (io_uring_peek_cqe(ring, &cqe) < 0 || !cqe)
			break;
		copy = *cqe;
		io_uring_cqe_seen(ring, cqe);
		loop_dispatch(l, copy.user_data, copy.res, copy.flags);
	}
}

/* Provided-buffer rings: the kernel picks from them itself. */

static int uring_buffers_open(struct loop *l, struct buffers *b)
{
	struct io_uring_buf_reg reg = {
		.ring_addr = (uintptr_t)b->head,
		.ring_entries = b->n,
		.bgid = b->group,
	};
	int r = io_uring_register_buf_ring(&l->uring->ring, &reg, 0);

	if (r < 0)
		return r;
	io_uring_buf_ring_init(b->head);
	return 0;
}

static void uring_buffers_close(struct loop *l, struct buffers *b)
{
	(void)io_uring_unregister_buf_ring(&l->uring->ring, b->group);
}

static void uring_buffers_give(struct buffers *b, uint16_t id)
{
	io_uring_buf_ring_add(
		b->head, loop_buffers_at(b, id), b->size, id, io_uring_buf_ring_mask(b->n), 0);
	io_uring_buf_ring_advance(b->head, 1);
}

/* Beginning and end. */

static void uring_close(struct loop *l)
{
	if (!l->uring)
		return;
	if (l->uring->ring.ring_fd >= 0)
		io_uring_queue_exit(&l->uring->ring);
	free(l->uring);
	l->uring = NULL;
}

static int uring_open(struct loop *l, const struct loop_config *config, char *why)
{
	int r;

	l->uring = calloc(1, sizeof(*l->uring));
	if (!l->uring) {
		loop_explain(-ENOMEM, why);
		return -ENOMEM;
	}
	l->uring->ring.ring_fd = -1;
	r = loop_uring_setup(l, config, why);
	if (r < 0)
		uring_close(l);
	else
		l->stats.uring = true;
	return r;
}

const struct driver loop_uring_driver = {
	.socket_flags = 0, /* non-blocking, io_uring would hand EAGAIN to us and not wait itself */
	.head_bytes = sizeof(struct io_uring_buf),
	.open = uring_open,
	.close = uring_close,
	.accept = uring_accept,
	.connect = uring_connect,
	.receive = uring_receive,
	.send = uring_send,
	.poll = uring_poll,
	.futex = uring_futex,
	.cancel_fd = uring_cancel_fd,
	.cancel = uring_cancel,
	.ready = uring_ready,
	.wait = uring_wait,
	.reap = uring_reap,
	.buffers_open = uring_buffers_open,
	.buffers_close = uring_buffers_close,
	.buffers_give = uring_buffers_give,
};
