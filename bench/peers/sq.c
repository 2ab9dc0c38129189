/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "crew.h"
#include "loops.h"
#include "sq.h"

/*
 * Ours. Messages to a page lie in the ring itself, the queue being made for their size; larger
 * ones, and those that are to be written in place, in blocks.
 */

#define BATCH_MAX   64
#define ROOM        64      /* blocks of larger messages: their memory should stay in cache */
#define BLOCKS_MIN  2097152 /* the queue's own choice */
#define BLOCKS_FROM 48      /* in place is in a block from here on */

struct end {
	struct sq *q;
	int64_t timeout;
	struct sq_lease lease;
};

/* The parent's, and its children's copy: they are forked later. */
struct place {
	char name[64];
	pid_t idle;
};

static int wrong(const char *what, int r)
{
	return say(EXIT_BROKEN, "sq: %s: %s", what, sq_strerror(r));
}

/* A process that has so many handles on the queue and does nothing. Until it has them. */
static int start_idle(struct place *place, unsigned handles)
{
	struct rlimit files = {handles + 64, handles + 64};
	char byte = 0;
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0)
		return say(EXIT_UNAVAILABLE, "no pipe: %s", strerror(errno));
	place->idle = crew_fork();
	if (place->idle == 0) {
		struct sq *q;

		(void)setrlimit(RLIMIT_NOFILE, &files);
		for (unsigned i = 0; i < handles; i++) {
			int r = sq_open(&q, place->name);

			if (r < 0)
				_exit(wrong("an idle participant", r));
		}
		if (write(ends[1], "1", 1) == 1)
			for (;;)
				(void)pause();
		_exit(EXIT_BROKEN);
	}
	(void)close(ends[1]);
	if (place->idle < 0 || read(ends[0], &byte, 1) != 1)
		byte = 0;
	(void)close(ends[0]);
	return byte ? EXIT_DONE : say(EXIT_UNAVAILABLE, "no %u idle participants", handles);
}

static void queue_close(struct peer_queue *q)
{
	struct place *place = q->memory;

	if (!place)
		return;
	if (place->idle > 0) {
		(void)kill(place->idle, SIGKILL);
		(void)waitpid(place->idle, NULL, 0);
	}
	(void)sq_unlink(place->name);
	free(place);
	q->memory = NULL;
}

/* As it was made, which may be more than was asked for. */
static void describe(struct peer_queue *q, const char *name, bool blocks)
{
	struct sq_stat stat;

	if (sq_look(name, &stat) == 0)
		(void)snprintf(q->setup, sizeof(q->setup),
			"capacity %llu, small_message %llu, in %s",
			(unsigned long long)stat.capacity, (unsigned long long)stat.small_message,
			blocks ? "blocks" : "cells");
}

static int queue_open(struct peer_queue *q)
{
	bool blocks = q->size > SQ_SMALL_MAX || (q->place && q->size > BLOCKS_FROM);
	struct sq_config config = {.capacity = q->capacity,
		.max_message = q->size,
		.small_message = blocks ? 8 : (uint32_t)q->size,
		.block_memory = blocks && q->size * ROOM > BLOCKS_MIN ? q->size * ROOM : 0,
		.participants = q->idle + q->producers + q->consumers + 8,
		/* If we are killed, `sqctl gc` removes it. */
		.flags = SQ_EPHEMERAL};
	struct place *place = calloc(1, sizeof(*place));
	int r;

	if (!place)
		return say(EXIT_UNAVAILABLE, "no memory");
	(void)snprintf(
		place->name, sizeof(place->name), "sqbench-%ld.q%u", (long)getpid(), q->number);
	r = sq_create(place->name, &config);
	if (r < 0) {
		free(place);
		return say(EXIT_UNAVAILABLE, "cannot make a queue: %s", sq_strerror(r));
	}
	q->memory = place;
	describe(q, place->name, blocks);
	r = q->idle ? start_idle(place, q->idle) : EXIT_DONE;
	if (r != EXIT_DONE)
		queue_close(q);
	return r;
}

static int queue_join(struct peer_queue *q, int producing)
{
	struct end *end = calloc(1, sizeof(*end));
	const struct place *place = q->memory;
	int r;

	if (!end)
		return say(EXIT_UNAVAILABLE, "no memory");
	r = sq_open(&end->q, place->name);
	if (r < 0)
		return wrong("open", r);
	q->end = end;
	return EXIT_DONE;
}

/* Wait as the run is configured: in the caller's loop, or in the queue's own way. */
static void timeout_set(struct work *w)
{
	struct end *end = w->queue->end;

	end->timeout = w->spin.pauses < 0 ? SQ_FOREVER : SQ_NOWAIT;
}

LOOPS_INLINE int result(ssize_t r, const char *what)
{
	if (__builtin_expect(r >= 0, 1))
		return 1;
	return r == -EAGAIN ? 0 : -wrong(what, (int)r);
}

static int put(struct peer_queue *q, void *message)
{
	const struct end *end = q->end;

	return result(sq_put(end->q, message, q->size, end->timeout), "put");
}

static int get(struct peer_queue *q, void *message)
{
	const struct end *end = q->end;

	return result(sq_get(end->q, message, q->size, end->timeout), "get");
}

static int put_many(struct peer_queue *q, void *messages, unsigned n)
{
	const struct end *end = q->end;
	struct iovec iov[BATCH_MAX];
	int r;

	for (unsigned i = 0; i < n; i++)
		iov[i] = (struct iovec){(char *)messages + i * q->size, q->size};
	r = sq_put_many(end->q, iov, (int)n, end->timeout);
	return r >= 0 ? r : r == -EAGAIN ? 0 : -wrong("put_many", r);
}

static int get_many(struct peer_queue *q, void *messages, unsigned n)
{
	const struct end *end = q->end;
	struct iovec iov[BATCH_MAX];
	int r = sq_get_many(end->q, messages, n * q->size, iov, (int)n, end->timeout);

	return r >= 0 ? r : r == -EAGAIN ? 0 : -wrong("get_many", r);
}

static int reserve(struct peer_queue *q, void **ret)
{
	const struct end *end = q->end;

	return result(sq_reserve(end->q, q->size, ret), "reserve");
}

static int commit(struct peer_queue *q)
{
	const struct end *end = q->end;

	return result(sq_commit(end->q, q->size, end->timeout), "commit");
}

/* The message is not written to: the loop only reads. */
static int lease(struct peer_queue *q, void **ret)
{
	struct end *end = q->end;
	int r = result(sq_lease(end->q, &end->lease, end->timeout), "lease");

	if (r > 0)
		*ret = (void *)(uintptr_t)end->lease.data;
	return r;
}

static int ack(struct peer_queue *q)
{
	const struct end *end = q->end;

	return result(sq_ack(end->q, &end->lease), "ack");
}

static int produce(struct work *w)
{
	timeout_set(w);
	if (w->place)
		return loops_produce_place(w, reserve, commit);
	return loops_produce_any(w, put, put_many);
}

static int consume(struct work *w)
{
	timeout_set(w);
	if (w->lease)
		return loops_consume_place(w, lease, ack);
	return loops_consume_any(w, put, get, get_many);
}

static int ask(
	struct work *there, struct work *back, uint32_t *ret_ns, unsigned trips, int64_t rest_ns)
{
	timeout_set(there);
	timeout_set(back);
	return loops_ask(there, back, ret_ns, trips, rest_ns, put, get);
}

static int answer(struct work *there, struct work *back, unsigned trips)
{
	timeout_set(there);
	timeout_set(back);
	return loops_answer(there, back, trips, put, get);
}

const struct peer peer_sq = {
	.name = "sq",
	.can = PEER_SPINS | PEER_BATCH | PEER_PLACE | PEER_LEASE | PEER_OWN,
	.open = queue_open,
	.join = queue_join,
	.produce = produce,
	.consume = consume,
	.ask = ask,
	.answer = answer,
	.close = queue_close,
};
