/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zmq.h>

#include "crew.h"
#include "loops.h"

/*
 * ZeroMQ, PUSH and PULL, by ipc and by tcp over the loopback, in the clear. Neither end
 * acknowledges anything. It waits and makes its batches itself, in a thread of its own at either
 * end. The end that gets binds; a producer waits until it knows the address. Both put and get by
 * the message, as its guide has it.
 */

#define HIGH_WATER 10000 /* messages at either end; its own default is 1000 */

struct shared {
	_Atomic int bound;
	char address[128];
	long pid;
};

struct end {
	void *context, *socket;
};

static int wrong(const char *what)
{
	return say(EXIT_BROKEN, "ZeroMQ: %s: %s", what, zmq_strerror(zmq_errno()));
}

static int queue_open(struct peer_queue *q)
{
	struct shared *s = crew_memory(sizeof(*s));

	if (!s)
		return say(EXIT_UNAVAILABLE, "no memory");
	s->pid = (long)getpid();
	q->memory = s;
	(void)snprintf(q->setup, sizeof(q->setup), "high-water marks %d", HIGH_WATER);
	return EXIT_DONE;
}

static void ipc_path(char *buf, size_t cap, const struct peer_queue *q)
{
	const struct shared *s = q->memory;

	(void)snprintf(buf, cap, "/tmp/sqbench-%ld-%u.zmq", s->pid, q->number);
}

static void queue_close(struct peer_queue *q)
{
	char path[64];

	ipc_path(path, sizeof(path), q);
	(void)unlink(path);
	(void)munmap(q->memory, sizeof(struct shared));
}

static int bind_end(struct peer_queue *q, const struct end *end, int tcp)
{
	struct shared *s = q->memory;
	size_t len = sizeof(s->address);
	char path[64], address[80] = "tcp://127.0.0.1:*";

	ipc_path(path, sizeof(path), q);
	if (!tcp)
		(void)snprintf(address, sizeof(address), "ipc://%s", path);
	if (zmq_bind(end->socket, address) < 0 ||
		zmq_getsockopt(end->socket, ZMQ_LAST_ENDPOINT, s->address, &len) < 0)
		return wrong("bind");
	s->bound = 1;
	return EXIT_DONE;
}

static int join(struct peer_queue *q, int producing, int tcp)
{
	struct shared *s = q->memory;
	struct end *end = calloc(1, sizeof(*end));
	int high = HIGH_WATER;

	if (!end)
		return say(EXIT_UNAVAILABLE, "no memory");
	end->context = zmq_ctx_new();
	end->socket = end->context ? zmq_socket(end->context, producing ? ZMQ_PUSH : ZMQ_PULL)
				   : NULL;
	if (!end->socket || zmq_setsockopt(end->socket, producing ? ZMQ_SNDHWM : ZMQ_RCVHWM, &high,
				    sizeof(high)) < 0)
		return wrong("socket");
	q->end = end;
	if (!producing)
		return bind_end(q, end, tcp);
	while (!s->bound)
		sleep_ns(100000);
	return zmq_connect(end->socket, s->address) < 0 ? wrong("connect") : EXIT_DONE;
}

static int join_ipc(struct peer_queue *q, int producing)
{
	return join(q, producing, 0);
}

static int join_tcp(struct peer_queue *q, int producing)
{
	return join(q, producing, 1);
}

static int put(struct peer_queue *q, void *message)
{
	const struct end *end = q->end;

	return zmq_send(end->socket, message, q->size, 0) == (int)q->size ? 1 : -wrong("send");
}

static int get(struct peer_queue *q, void *message)
{
	const struct end *end = q->end;

	return zmq_recv(end->socket, message, q->size, 0) == (int)q->size ? 1 : -wrong("receive");
}

LOOPS_SINGLE()

const struct peer peer_zmq_ipc = {
	.name = "zmq ipc",
	.can = PEER_ONE_EACH | PEER_THREADS,
	.open = queue_open,
	.join = join_ipc,
	.produce = produce,
	.consume = consume,
	.ask = ask,
	.answer = answer,
	.close = queue_close,
};

const struct peer peer_zmq_tcp = {
	.name = "zmq tcp",
	.can = PEER_ONE_EACH | PEER_THREADS,
	.open = queue_open,
	.join = join_tcp,
	.produce = produce,
	.consume = consume,
	.ask = ask,
	.answer = answer,
	.close = queue_close,
};
