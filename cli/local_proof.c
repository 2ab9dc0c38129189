/* SPDX-License-Identifier: ISC */
#include "local_proof.h"

#include <assert.h>
#include <stdlib.h>

#include "report.h"

/*
 * The proof. Both ends counted and summed for themselves: the producers what they made, the
 * collector what it got. In between, each queue counted what was put in it, durably and exactly,
 * whoever was killed. All of these must agree, but for tasks done twice because a worker was killed
 * between its put and its ack: those are known one by one.
 */

/*
 * How many results this task got: by workers killed before they were seen to ack, and by others
 * after a redelivery.
 */
static uint64_t results_of(const struct local *l, uint64_t id, size_t *ret_first)
{
	uint64_t n = 0, logged = atomic_load(&l->ledger->again_count);

	for (size_t i = l->suspect_count; i-- > 0;)
		if (l->suspects[i].id == id) {
			n++;
			*ret_first = i;
		}
	for (uint64_t i = 0; i < logged && i < LOCAL_LOG_MAX; i++)
		n += atomic_load(&l->ledger->again[i].id) == id &&
		     atomic_load(&l->ledger->again[i].done);
	return n;
}

static void count_twice(struct local *l, struct local_proof *p)
{
	for (size_t i = 0; i < l->suspect_count; i++) {
		size_t first = i;
		uint64_t n = results_of(l, l->suspects[i].id, &first);

		l->suspects[i].times = 0;
		if (first != i || n < 2)
			continue;
		l->suspects[i].times = n;
		p->twice += n - 1;
		p->sum_twice += (u128)(n - 1) * l->suspects[i].n;
	}
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/*
 * Each refused task once, however often it was refused: its worker may have been killed before the
 * ack.
 */
static uint64_t count_refused(struct local_ledger *ledger)
{
	static uint64_t id[LOCAL_LOG_MAX];
	uint64_t logged = atomic_load(&ledger->refused_count), n = 0, count = 0;

	for (; n < logged && n < LOCAL_LOG_MAX; n++)
		id[n] = atomic_load(&ledger->refused[n]);
	qsort(id, n, sizeof(id[0]), compare);
	/*
	 * A zero was left by a worker killed between taking a place in the log and writing there.
	 */
	for (uint64_t i = 0; i < n; i++)
		count += id[i] != 0 && (i == 0 || id[i] != id[i - 1]);
	return count + (logged - n);
}

/* What producers, queues and the collector counted. 0, or an exit code. */
static int gather(struct local *l, struct local_proof *p)
{
	const struct local_options *o = &l->options;
	uint64_t ours = 0, due, n;
	int r = sq_stat(l->pq, &p->pq);

	if (r < 0)
		return report_queue(o->pq, r);
	r = sq_stat(l->cq, &p->cq);
	if (r < 0)
		return report_queue(o->cq, r);
	for (unsigned i = 0; i < o->producers; i++) {
		const struct local_made *m = &l->ledger->made[i];
		uint64_t which = atomic_load(&m->which);

		p->made += m->at[which].count;
		p->sum_made += m->at[which].sum;
		if (sq_count_read(l->pq, i + 1, &n) == 0)
			ours += n;
	}
	for (unsigned i = 0; i < o->workers; i++) {
		if (sq_count_read(l->cq, i + 1, &n) == 0)
			p->done += n;
	}
	p->refused = count_refused(l->ledger);
	p->put = p->pq.put;
	p->foreign = p->put - ours;
	p->alien = p->cq.put - p->done;
	p->collected = atomic_load(&l->ledger->collected);
	p->wrong = atomic_load(&l->ledger->wrong);
	p->sum_collected = l->ledger->sum;
	p->seconds = (double)(l->ended_ns - l->ledger->began_ns) / 1e9;
	p->rate = p->seconds > 0 ? (double)p->done / p->seconds : 0;
	count_twice(l, p);
	due = p->put + p->twice - p->refused + p->alien;
	p->lost = due > p->collected ? due - p->collected : 0;
	if (p->done + p->refused > p->put)
		p->duplicated = p->done + p->refused - p->put;
	return 0;
}

static void claim(struct local_proof *p, bool ok, const char *what)
{
	if (ok)
		return;
	assert(p->untrue_count < LOCAL_CLAIMS);
	p->untrue[p->untrue_count++] = what;
}

static void check(const struct local *l, struct local_proof *p)
{
	claim(p, p->made + p->foreign == p->put,
		"the producers' own count is what the queue counted as put");
	claim(p,
		l->options.tasks == UINT64_MAX || atomic_load(&l->ledger->stop) ||
			p->made == l->options.tasks,
		"as many tasks were made as were asked for");
	claim(p, p->pq.depth == 0 && p->pq.leased == 0, "no task is left in the queue");
	claim(p, p->cq.depth == 0 && p->cq.leased == 0, "no result is left in the queue");
	claim(p, p->done + p->refused == p->put + p->twice,
		"every task was done once, or is named above");
	claim(p, p->collected == p->cq.put, "every result put was collected");
	claim(p, p->wrong == 0, "every result is right");
	claim(p, l->ledger->written == p->collected || atomic_load(&l->ledger->reader_gone),
		"every result collected was written");
	if (p->foreign == 0 && p->alien == 0)
		claim(p, p->sum_collected == p->sum_made + p->sum_twice,
			"the sum of n over the results is that over the tasks, and of those named above");
}

int local_proof(struct local *l, struct local_proof *ret)
{
	struct local_proof p = {0};
	int r = gather(l, &p);

	if (r != 0)
		return r;
	check(l, &p);
	*ret = p;
	return 0;
}
