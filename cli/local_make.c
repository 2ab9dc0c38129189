/* SPDX-License-Identifier: ISC */
#include "local_make.h"

#include <errno.h>

#include "report.h"
#include "tasks.h"

/*
 * A producer. Its k-th task is a function of k, and the queue counts durably how many it has put:
 * so its successor after a kill goes on with exactly the next task, and the books can be brought up
 * to date.
 */

#define PATIENCE 100000000 /* ns, between two looks at the ledger's `stop` */

static void publish(struct local_made *made, uint64_t count, u128 sum)
{
	uint64_t which = 1 - atomic_load_explicit(&made->which, memory_order_relaxed);

	made->at[which].count = count;
	made->at[which].sum = sum;
	atomic_store_explicit(&made->which, which, memory_order_release);
}

/* How many tasks this producer is to make in all. */
static uint64_t share(const struct local_options *o, unsigned index)
{
	if (o->tasks == UINT64_MAX)
		return UINT64_MAX;
	return o->tasks / o->producers + (index < o->tasks % o->producers);
}

int local_make(const struct local_options *o, struct local_ledger *ledger, unsigned index)
{
	struct local_made *made = &ledger->made[index];
	uint64_t which = atomic_load(&made->which), k, todo = share(o, index), put;
	uint64_t count = made->at[which].count;
	u128 sum = made->at[which].sum;
	const struct tasks tasks = {
		.seed = o->seed,
		.max = o->max,
		.index = index,
		.producers = o->producers,
		.rate = o->rate,
		.rate_span_ns = o->rate_span,
		.began_ns = ledger->began_ns,
	};
	struct sq *pq;
	int r = sq_open(&pq, o->pq);

	if (r == 0)
		r = sq_count_bind(pq, index + 1, &put);
	if (r < 0)
		return report_queue(o->pq, r);
	/* What a killed predecessor put after it last wrote its books. */
	while (count < put)
		sum += tasks_number(&tasks, count++);
	publish(made, count, sum);
	for (k = put; k < todo && !atomic_load(&ledger->stop);) {
		unsigned n = tasks_due(&tasks, k,
			todo - k < TASKS_BATCH ? (unsigned)(todo - k) : TASKS_BATCH, PATIENCE);

		if (n == 0)
			continue;
		r = tasks_put(&tasks, pq, k, n, PATIENCE);
		if (r == -ETIMEDOUT)
			continue;
		if (r < 0)
			break;
		for (int i = 0; i < r; i++)
			sum += tasks_number(&tasks, k++);
		publish(made, k, sum);
	}
	sq_close(pq);
	return r < 0 && r != -EPIPE && r != -ETIMEDOUT ? report_queue(o->pq, r) : EXIT_DONE;
}
