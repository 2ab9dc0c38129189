/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>

#include "job.h"
#include "recipe.h"
#include "say.h"
#include "sq.h"
#include "square.h"

/*
 * The job over queues of ours. The worker leases each task, puts its result, and acks then: if it
 * died in between, the task would go to another. In batches it holds several leases at a time.
 */

#define BATCH    32
#define CAPACITY 8192
#define STOP     UINT64_MAX /* no task: one of several workers ends */

struct names {
	char pq[64], cq[64];
};

struct ends {
	struct sq *pq, *cq;
};

static int wrong(const char *what, int r)
{
	return say(EXIT_BROKEN, "job, sq: %s: %s", what, sq_strerror(r));
}

static void queues_close(struct job *job)
{
	const struct names *names = job->memory;

	(void)sq_unlink(names->pq);
	(void)sq_unlink(names->cq);
	free(job->memory);
}

static int queues_open(struct job *job)
{
	/* If we are killed, `sqctl gc` removes them. */
	struct sq_config tasks = {.capacity = CAPACITY,
		.max_message = 64,
		.small_message = 8,
		.participants = job->workers + 8,
		.flags = SQ_EPHEMERAL};
	struct sq_config results = {.capacity = CAPACITY,
		.max_message = 64,
		.small_message = 48,
		.participants = job->workers + 8,
		.flags = SQ_EPHEMERAL};
	struct names *names = calloc(1, sizeof(*names));
	int r;

	if (!names)
		return say(EXIT_UNAVAILABLE, "no memory");
	job->memory = names;
	(void)snprintf(names->pq, sizeof(names->pq), "sqbench-%ld.pq", (long)getpid());
	(void)snprintf(names->cq, sizeof(names->cq), "sqbench-%ld.cq", (long)getpid());
	r = sq_create(names->pq, &tasks);
	if (r == 0)
		r = sq_create(names->cq, &results);
	if (r == 0)
		return EXIT_DONE;
	queues_close(job);
	return say(EXIT_UNAVAILABLE, "cannot make a queue: %s", sq_strerror(r));
}

static int queues_join(struct job *job, int role)
{
	const struct names *names = job->memory;
	struct ends *ends = calloc(1, sizeof(*ends));
	int r = 0;

	if (!ends)
		return say(EXIT_UNAVAILABLE, "no memory");
	if (role != JOB_COLLECTOR)
		r = sq_open(&ends->pq, names->pq);
	if (r == 0 && role != JOB_PRODUCER)
		r = sq_open(&ends->cq, names->cq);
	job->end = ends;
	return r < 0 ? wrong("open", r) : EXIT_DONE;
}

static int produce_single(struct job *job, uint64_t n)
{
	const struct ends *ends = job->end;
	uint64_t stops = job->workers > 1 ? job->workers : 0;

	for (uint64_t i = 0; i < n + stops; i++) {
		uint64_t task = i < n ? recipe_task(i) : STOP;
		int r = sq_put(ends->pq, &task, sizeof(task), SQ_FOREVER);

		if (r < 0)
			return wrong("put", r);
	}
	return EXIT_DONE;
}

static int produce_batch(struct job *job, uint64_t n)
{
	const struct ends *ends = job->end;
	uint64_t task[BATCH];
	struct iovec iov[BATCH];

	for (uint64_t i = 0; i < n;) {
		int now = 0, r;

		for (; now < BATCH && i < n; now++, i++) {
			task[now] = recipe_task(i);
			iov[now] = (struct iovec){&task[now], sizeof(task[now])};
		}
		r = sq_put_many(ends->pq, iov, now, SQ_FOREVER);
		if (r < now)
			return wrong("put_many", r < 0 ? r : -EIO);
	}
	return EXIT_DONE;
}

static int lease(struct sq *pq, struct sq_lease *ret, int64_t timeout, uint64_t *ret_n)
{
	int r = sq_lease(pq, ret, timeout);

	if (r < 0)
		return r;
	if (ret->len != sizeof(*ret_n))
		return -EBADMSG;
	*ret_n = *(const uint64_t *)ret->data;
	return 0;
}

static int work_single(struct job *job, uint64_t n)
{
	const struct ends *ends = job->end;
	char text[SQUARE_MAX];
	struct sq_lease task;

	for (uint64_t i = 0, v = 0; job->workers > 1 ? v != STOP : i < n; i++) {
		int r = lease(ends->pq, &task, SQ_FOREVER, &v);

		if (r == 0 && v != STOP)
			r = sq_put(ends->cq, text, square_text(text, v), SQ_FOREVER);
		if (r == 0)
			r = sq_ack(ends->pq, &task);
		if (r < 0)
			return wrong("a task", r);
	}
	return EXIT_DONE;
}

/* The first task is waited for, the others are taken if they are there. */
static int work_batch(struct job *job, uint64_t n)
{
	const struct ends *ends = job->end;
	char text[BATCH][SQUARE_MAX];
	struct sq_lease tasks[BATCH];
	struct iovec iov[BATCH];

	for (uint64_t i = 0, v; i < n;) {
		int now = 0, r;

		do {
			r = lease(ends->pq, &tasks[now], now ? SQ_NOWAIT : SQ_FOREVER, &v);
			if (r < 0)
				break;
			iov[now] = (struct iovec){text[now], square_text(text[now], v)};
			now++;
		} while (now < BATCH && i + (uint64_t)now < n);
		if (r < 0 && r != -EAGAIN)
			return wrong("lease", r);
		r = sq_put_many(ends->cq, iov, now, SQ_FOREVER);
		if (r < now)
			return wrong("put_many", r < 0 ? r : -EIO);
		for (int k = 0; k < now; k++) {
			r = sq_ack(ends->pq, &tasks[k]);
			if (r < 0)
				return wrong("ack", r);
		}
		i += (uint64_t)now;
	}
	return EXIT_DONE;
}

static int collect_single(struct job *job, uint64_t n, uint64_t *ret_sum)
{
	const struct ends *ends = job->end;
	char text[SQUARE_MAX];
	uint64_t sum = 0, v;

	for (uint64_t i = 0; i < n; i++) {
		ssize_t len = sq_get(ends->cq, text, sizeof(text), SQ_FOREVER);

		if (len < 0)
			return wrong("get", (int)len);
		if (!square_check(&v, text, (size_t)len))
			return say(EXIT_BROKEN, "job, sq: a wrong result");
		sum += v;
	}
	*ret_sum = sum;
	return EXIT_DONE;
}

static int collect_batch(struct job *job, uint64_t n, uint64_t *ret_sum)
{
	const struct ends *ends = job->end;
	char text[BATCH * SQUARE_MAX];
	struct iovec iov[BATCH];
	uint64_t sum = 0, v;

	for (uint64_t i = 0; i < n;) {
		int r = sq_get_many(ends->cq, text, sizeof(text), iov, BATCH, SQ_FOREVER);

		if (r < 0)
			return wrong("get_many", r);
		for (int k = 0; k < r; k++) {
			if (!square_check(&v, iov[k].iov_base, iov[k].iov_len))
				return say(EXIT_BROKEN, "job, sq: a wrong result");
			sum += v;
		}
		i += (uint64_t)r;
	}
	*ret_sum = sum;
	return EXIT_DONE;
}

const struct job_kind job_sq_single = {
	.name = "sq, one by one",
	.open = queues_open,
	.join = queues_join,
	.produce = produce_single,
	.work = work_single,
	.collect = collect_single,
	.close = queues_close,
};

const struct job_kind job_sq_batch = {
	.name = "sq, batches of 32",
	.open = queues_open,
	.join = queues_join,
	.produce = produce_batch,
	.work = work_batch,
	.collect = collect_batch,
	.close = queues_close,
};
