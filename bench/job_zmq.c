/* SPDX-License-Identifier: ISC */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zmq.h>

#include "crew.h"
#include "job.h"
#include "now.h"
#include "recipe.h"
#include "say.h"
#include "square.h"

/* The job over ZeroMQ: PUSH and PULL for either queue. Nothing is acknowledged. */

#define HIGH_WATER 10000

struct shared {
	long pid;
	int tcp;
	struct place {
		_Atomic int bound;
		char address[128];
	} pq, cq;
};

struct ends {
	void *context, *pq, *cq;
};

static int wrong(const char *what)
{
	return say(EXIT_BROKEN, "job, ZeroMQ: %s: %s", what, zmq_strerror(zmq_errno()));
}

static int queues_open(struct job *job, int tcp)
{
	struct shared *s = crew_memory(sizeof(*s));

	if (!s)
		return say(EXIT_UNAVAILABLE, "no memory");
	s->pid = (long)getpid();
	s->tcp = tcp;
	job->memory = s;
	return EXIT_DONE;
}

static int open_tcp(struct job *job)
{
	return queues_open(job, 1);
}

static int open_ipc(struct job *job)
{
	return queues_open(job, 0);
}

static void path_of(char *buf, size_t cap, const struct shared *s, const struct place *place)
{
	(void)snprintf(buf, cap, "/tmp/sqbench-%ld-%s.zmq", s->pid, place == &s->pq ? "pq" : "cq");
}

static void queues_close(struct job *job)
{
	struct shared *s = job->memory;
	char path[64];

	path_of(path, sizeof(path), s, &s->pq);
	(void)unlink(path);
	path_of(path, sizeof(path), s, &s->cq);
	(void)unlink(path);
	(void)munmap(s, sizeof(*s));
}

/* Who pulls binds. */
static int join_one(
	void **ret, const struct ends *ends, const struct shared *s, struct place *place, int pulls)
{
	char path[64], address[80] = "tcp://127.0.0.1:*";
	size_t len = sizeof(place->address);
	int high = HIGH_WATER;
	void *socket = zmq_socket(ends->context, pulls ? ZMQ_PULL : ZMQ_PUSH);

	if (!socket ||
		zmq_setsockopt(socket, pulls ? ZMQ_RCVHWM : ZMQ_SNDHWM, &high, sizeof(high)) < 0)
		return wrong("socket");
	*ret = socket;
	if (!pulls) {
		while (!place->bound)
			sleep_ns(100000);
		return zmq_connect(socket, place->address) < 0 ? wrong("connect") : EXIT_DONE;
	}
	path_of(path, sizeof(path), s, place);
	if (!s->tcp)
		(void)snprintf(address, sizeof(address), "ipc://%s", path);
	if (zmq_bind(socket, address) < 0 ||
		zmq_getsockopt(socket, ZMQ_LAST_ENDPOINT, place->address, &len) < 0)
		return wrong("bind");
	place->bound = 1;
	return EXIT_DONE;
}

static int queues_join(struct job *job, int role)
{
	struct shared *s = job->memory;
	struct ends *ends = calloc(1, sizeof(*ends));
	int code = EXIT_DONE;

	if (!ends)
		return say(EXIT_UNAVAILABLE, "no memory");
	job->end = ends;
	ends->context = zmq_ctx_new();
	if (!ends->context)
		return wrong("context");
	if (role != JOB_COLLECTOR)
		code = join_one(&ends->pq, ends, s, &s->pq, role == JOB_WORKER);
	if (code == EXIT_DONE && role != JOB_PRODUCER)
		code = join_one(&ends->cq, ends, s, &s->cq, role == JOB_COLLECTOR);
	return code;
}

static int produce(struct job *job, uint64_t n)
{
	const struct ends *ends = job->end;

	for (uint64_t i = 0; i < n; i++) {
		uint64_t task = recipe_task(i);

		if (zmq_send(ends->pq, &task, sizeof(task), 0) < 0)
			return wrong("send");
	}
	return EXIT_DONE;
}

static int work(struct job *job, uint64_t n)
{
	const struct ends *ends = job->end;
	char text[SQUARE_MAX];

	for (uint64_t i = 0, task; i < n; i++) {
		if (zmq_recv(ends->pq, &task, sizeof(task), 0) != (int)sizeof(task))
			return wrong("receive");
		if (zmq_send(ends->cq, text, square_text(text, task), 0) < 0)
			return wrong("send");
	}
	return EXIT_DONE;
}

static int collect(struct job *job, uint64_t n, uint64_t *ret_sum)
{
	const struct ends *ends = job->end;
	char text[SQUARE_MAX];
	uint64_t sum = 0, v;

	for (uint64_t i = 0; i < n; i++) {
		int len = zmq_recv(ends->cq, text, sizeof(text), 0);

		if (len < 0)
			return wrong("receive");
		if (len > (int)sizeof(text) || !square_check(&v, text, (size_t)len))
			return say(EXIT_BROKEN, "job, ZeroMQ: a wrong result");
		sum += v;
	}
	*ret_sum = sum;
	return EXIT_DONE;
}

const struct job_kind job_zmq_tcp = {
	.name = "zmq tcp, no acks",
	.open = open_tcp,
	.join = queues_join,
	.produce = produce,
	.work = work,
	.collect = collect,
	.close = queues_close,
};

const struct job_kind job_zmq_ipc = {
	.name = "zmq ipc, no acks",
	.open = open_ipc,
	.join = queues_join,
	.produce = produce,
	.work = work,
	.collect = collect,
	.close = queues_close,
};
