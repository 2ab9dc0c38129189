/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "loops.h"

/*
 * A pipe, of 1 MiB where that is allowed. To PIPE_BUF bytes a write is in one piece; so several
 * processes may share it, as long as all messages are of one size.
 */

#define PIPE_BYTES 1048576

static int wrong(const char *what)
{
	return say(EXIT_BROKEN, "pipe: %s: %s", what, strerror(errno));
}

static int queue_open(struct peer_queue *q)
{
	int *ends = malloc(2 * sizeof(*ends));

	if (!ends)
		return say(EXIT_UNAVAILABLE, "no memory");
	if (pipe2(ends, O_CLOEXEC) < 0) {
		free(ends);
		return wrong("open");
	}
	(void)fcntl(ends[1], F_SETPIPE_SZ, PIPE_BYTES); /* it is said what came of it */
	(void)snprintf(q->setup, sizeof(q->setup), "%d KiB", fcntl(ends[1], F_GETPIPE_SZ) / 1024);
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

static int put_bytes(struct peer_queue *q, const char *data, size_t size)
{
	const int *ends = q->memory;

	while (size > 0) {
		ssize_t n = write(ends[1], data, size);

		if (n < 0)
			return -wrong("write");
		data += n;
		size -= (size_t)n;
	}
	return 1;
}

/* Whole messages, up to `size` bytes of them. How many bytes. */
static ssize_t get_bytes(struct peer_queue *q, char *data, size_t size)
{
	const int *ends = q->memory;
	size_t at = 0;

	do {
		ssize_t n = read(ends[0], data + at, size - at);

		if (n <= 0)
			return -wrong("read");
		at += (size_t)n;
	} while (at % q->size != 0);
	return (ssize_t)at;
}

static int put(struct peer_queue *q, void *message)
{
	return put_bytes(q, message, q->size);
}

static int get(struct peer_queue *q, void *message)
{
	ssize_t n = get_bytes(q, message, q->size);

	return n < 0 ? (int)n : 1;
}

/* As many as a write can do in one piece, if that matters. */
static int put_many(struct peer_queue *q, void *messages, unsigned n)
{
	unsigned whole = (unsigned)(PIPE_BUF / q->size);
	int r;

	if (q->producers > 1 && n > whole)
		n = whole;
	r = put_bytes(q, messages, n * q->size);
	return r < 0 ? r : (int)n;
}

static int get_many(struct peer_queue *q, void *messages, unsigned n)
{
	ssize_t r = get_bytes(q, messages, n * q->size);

	return r < 0 ? (int)r : (int)(r / (ssize_t)q->size);
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

const struct peer peer_pipe = {
	.name = "pipe",
	.can = PEER_BATCH,
	.size_max_shared = PIPE_BUF,
	.open = queue_open,
	.produce = produce,
	.consume = consume,
	.ask = ask,
	.answer = answer,
	.close = queue_close,
};
