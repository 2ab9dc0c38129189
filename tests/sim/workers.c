/* SPDX-License-Identifier: ISC */
#include <errno.h>

#include "sim.h"

/*
 * The users of the queues. Tasks are made and results collected at the hub and at some leaves; a
 * worker leases a task, puts results, and acknowledges; it may be slow, give up, or die, between
 * any two of its accesses.
 */

static size_t length(void)
{
	if (!sim_chance(4))
		return 8 + sim_below(sim_chance(2) ? 1 : 60); /* most are in a cell */
	return 8 + sim_below(sim.max_message - 8);
}

static void fill_and_put(struct sq *q, uint64_t m, unsigned char *buf)
{
	size_t len = length();

	message_fill(buf, len, m);
	books_put(m, sq_put(q, buf, len, SQ_NOWAIT) == 0);
}

static bool open_user(struct host *host, enum queue queue)
{
	if (!host->q[queue])
		host->q[queue] = must_open(host, queue);
	return host->q[queue] != NULL;
}

static void produce(unsigned i)
{
	static unsigned char buf[LARGE_MAX];
	uint64_t m;

	if (books_made() == sim.tasks || !open_user(&sim.host[i], PQ))
		return;
	m = books_task(i, PQ);
	if (m != NO_MESSAGE)
		fill_and_put(sim.host[i].q[PQ], m, buf);
}

static void collect(unsigned i, enum queue queue)
{
	static unsigned char buf[LARGE_MAX];
	ssize_t len;
	uint64_t m;

	if ((unsigned)queue >= sim.queues || !open_user(&sim.host[i], queue))
		return;
	len = sq_get(sim.host[i].q[queue], buf, sizeof(buf), SQ_NOWAIT);
	if (len < 0)
		return;
	m = message_in(buf, (size_t)len);
	if (m == NO_MESSAGE)
		sim_fail("a result of nothing");
	else
		books_collect(i, m);
}

struct doing {
	unsigned host;
	struct worker *w;
};

static void open_queues(void *arg)
{
	const struct doing *d = arg;

	for (unsigned q = PQ; q < sim.queues; q++) {
		if (d->w->q[q])
			continue;
		d->w->q[q] = must_open(&sim.host[d->host], (enum queue)q);
		/* What a worker that died had in hand. */
		if (d->w->q[q] && sq_recover(d->w->q[q]) < 0)
			sim_fail("a queue cannot be recovered");
	}
}

void worker_open(unsigned host, struct worker *w)
{
	struct doing d = {.host = host, .w = w};
	struct arm none = {0};

	w->arm = none;
	(void)worker_run(w, open_queues, &d);
}

/* Account for a worker that had a task in hand: the task will be done again, by some worker. */
static void account(struct worker *w)
{
	if (w->putting)
		books_unsure(w->putting);
	if (w->has)
		books_run_failed(w->run);
}

/* Killed: its memory stays, its locks go. Another takes its place, and recovers what it had. */
void worker_die(unsigned host, struct worker *w)
{
	sim_count(T_WORKER_DIED);
	life_forget(w);
	if (w->has && books_used(w->run))
		sim_count(T_WORKER_BETWEEN);
	account(w);
	*w = (struct worker){0};
	worker_open(host, w);
}

/*
 * They end as processes do, and begin again when there are queues. If what they had in hand is lost
 * with its memory, it is not they who do it again.
 */
void workers_close(unsigned i, bool lost)
{
	struct host *host = &sim.host[i];

	for (unsigned k = 0; k < host->workers; k++) {
		struct worker *w = &host->worker[k];

		for (unsigned q = PQ; q < QUEUES; q++)
			sq_close(w->q[q]);
		if (!lost)
			account(w);
		life_forget(w);
		*w = (struct worker){0};
	}
}

static void put_result(const struct doing *d)
{
	static unsigned char buf[LARGE_MAX];
	enum queue queue = sim.queues > 2 && sim_chance(3) ? DQ : CQ;
	size_t len = length();
	uint64_t m = books_result(d->host, queue, d->w->run);
	int r;

	if (m == NO_MESSAGE)
		return;
	message_fill(buf, len, m);
	d->w->putting = m;
	r = sq_put(d->w->q[queue], buf, len, SQ_NOWAIT);
	d->w->putting = 0;
	books_put(m, r == 0);
	if (r == 0)
		d->w->left--;
}

static void take_task(const struct doing *d)
{
	struct worker *w = d->w;
	uint64_t task;

	if (sq_lease(w->q[PQ], &w->lease, SQ_NOWAIT) < 0)
		return;
	task = message_in(w->lease.data, w->lease.len);
	if (task >= TASKS_MAX) {
		sim_fail("a worker got a task that nobody made");
		return;
	}
	w->has = true;
	w->run = books_run(d->host, task, w->lease.id);
	w->left = 1 + (unsigned)(sim_chance(3) ? sim_below(3) : 0);
	if (sim.host[d->host].hung)
		w->busy_ns = NEVER;
	w->busy = sim_chance(20) ? (unsigned)sim_below(100) : (unsigned)sim_below(3);
}

static void work(void *arg)
{
	const struct doing *d = arg;
	struct worker *w = d->w;

	if (!w->has) {
		take_task(d);
	} else if (sim.faults > 0 && sim_chance(100)) {
		books_run_failed(w->run);
		w->has = false;
		sim_count(T_WORKER_NACK);
		if (sq_nack(w->q[PQ], &w->lease) < 0)
			sim_fail("a worker's lease had ended");
	} else if (w->left > 0) {
		put_result(d);
	} else {
		books_acking(w->run);
		if (sq_ack(w->q[PQ], &w->lease) < 0)
			sim_fail("a worker's lease had ended");
		w->has = false;
	}
}

static void worker_turn(unsigned host, struct worker *w)
{
	struct doing d = {.host = host, .w = w};

	if (w->busy_ns > sim.now_ns)
		return;
	if (w->busy > 0) {
		w->busy--;
		return;
	}
	if (!w->q[PQ] || !w->q[CQ] || (sim.queues > 2 && !w->q[DQ])) {
		if (sim_chance(8))
			worker_open(host, w);
		return;
	}
	if (!worker_run(w, work, &d)) {
		sim_say("a worker of host %u dies in a call", host);
		sim_count(T_WORKER_AT);
		worker_die(host, w);
	}
}

void workers_turn(unsigned i)
{
	struct host *host = &sim.host[i];

	if (host->gone)
		return;
	if (host->workers > 0)
		worker_turn(i, &host->worker[sim_below(host->workers)]);
	if (host->role & MAKES && !host->out)
		produce(i);
	if (host->role & COLLECTS) {
		collect(i, CQ);
		collect(i, DQ);
	}
}
