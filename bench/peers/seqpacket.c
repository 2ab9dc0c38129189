/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "loops.h"

/* A pair of Unix sockets that keep messages apart; several of them by one call. */

#define BATCH_MAX 64
#define ROOM      (4 << 20) /* bytes; the kernel gives what it allows */

static int wrong(const char *what)
{
	return say(EXIT_BROKEN, "seqpacket: %s: %s", what, strerror(errno));
}

static int queue_open(struct peer_queue *q)
{
	int *ends = malloc(2 * sizeof(*ends)), room = ROOM;
	socklen_t len = sizeof(room);

	if (!ends)
		return say(EXIT_UNAVAILABLE, "no memory");
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0) {
		free(ends);
		return wrong("open");
	}
	if (setsockopt(ends[1], SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof(room)) < 0)
		(void)setsockopt(ends[1], SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
	(void)getsockopt(ends[1], SOL_SOCKET, SO_SNDBUF, &room, &len);
	(void)snprintf(q->setup, sizeof(q->setup), "buffer %d KiB", room / 1024);
	q->memory = ends;
	return EXIT_DONE;
}

static void queue_close(struct peer_queue *q)
{
	const int *ends = q->memory;

	(void)close(ends[0]);
	(void)close(ends[1]);
	free(q->memory);
}

static int put(struct peer_queue *q, void *message)
{
	const int *ends = q->memory;

	return send(ends[1], message, q->size, 0) == (ssize_t)q->size ? 1 : -wrong("send");
}

static int get(struct peer_queue *q, void *message)
{
	const int *ends = q->memory;

	return recv(ends[0], message, q->size, 0) == (ssize_t)q->size ? 1 : -wrong("receive");
}

static void describe(struct mmsghdr *m, struct iovec *iov, const struct peer_queue *q,
	char *messages, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		iov[i] = (struct iovec){messages + i * q->size, q->size};
		m[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = &iov[i], .msg_iovlen = 1}};
	}
}

static int put_many(struct peer_queue *q, void *messages, unsigned n)
{
	const int *ends = q->memory;
	struct mmsghdr m[BATCH_MAX];
	struct iovec iov[BATCH_MAX];
	int r;

	describe(m, iov, q, messages, n);
	r = sendmmsg(ends[1], m, n, 0);
	return r < 0 ? -wrong("send") : r;
}

static int get_many(struct peer_queue *q, void *messages, unsigned n)
{
	const int *ends = q->memory;
	struct mmsghdr m[BATCH_MAX];
	struct iovec iov[BATCH_MAX];
	int r;

	describe(m, iov, q, messages, n);
	r = recvmmsg(ends[0], m, n, MSG_WAITFORONE, NULL);
	return r < 0 ? -wrong("receive") : r;
}

static int produce(struct work *w)
{
	return loops_produce_any(w, put, put_many);
}

static int consume(struct work *w)
{
	return loops_consume_any(w, put, get, get_many);
}

LOOPS_TRIPS()

const struct peer peer_seqpacket = {
	.name = "unix seqpacket",
	.can = PEER_BATCH,
	.open = queue_open,
	.produce = produce,
	.consume = consume,
	.ask = ask,
	.answer = answer,
	.close = queue_close,
};
