/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <inttypes.h>
#include <time.h>

#include "local.h"
#include "now.h"
#include "report.h"

/*
 * A producer. Its k-th task is a function of k, and the queue counts durably how many it has put:
 * so whoever takes over after a kill goes on with the very next one, and the books can be brought
 * up to date.
 */

#define BATCH    64
#define PATIENCE 100000000 /* ns, between two looks at the ledger's `stop` */
#define PACE_NS  1000000   /* of a paced producer: no shorter sleeps than this */

/* splitmix64 (Steele, Lea, Flood): any k at once, and good enough for tasks. */
uint64_t local_task(const struct local_options *o, unsigned index, uint64_t k)
{
	uint64_t z = o->seed + ((uint64_t)index << 48) + (k + 1) * 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	z ^= z >> 31;
	return o->max == UINT64_MAX ? z : (uint64_t)((u128)z * (o->max + 1) >> 64);
}

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

/* When the k-th task of this producer is due: all producers take turns. */
static int64_t due_ns(const struct local_options *o, const struct local_ledger *ledger,
	unsigned index, uint64_t k)
{
	u128 number = (u128)k * o->producers + index;
	u128 after = number * (u128)(uint64_t)o->rate_span / o->rate;

	if (after > (u128)(uint64_t)(INT64_MAX - ledger->began_ns))
		return INT64_MAX; /* never, in practice */
	return ledger->began_ns + (int64_t)after;
}

/* How many of the next `want` tasks are due now. Sleeps a little if none is. */
static unsigned due(const struct local_options *o, const struct local_ledger *ledger,
	unsigned index, uint64_t k, unsigned want)
{
	int64_t now = now_ns(), wait;
	unsigned n = 0;

	if (!o->rate)
		return want;
	while (n < want && due_ns(o, ledger, index, k + n) <= now)
		n++;
	if (n == 0) {
		wait = due_ns(o, ledger, index, k) - now;
		if (wait < PACE_NS)
			wait = PACE_NS;
		if (wait > PATIENCE)
			wait = PATIENCE;
		(void)nanosleep(&(struct timespec){.tv_nsec = wait}, NULL);
	}
	return n;
}

int local_make(const struct local_options *o, struct local_ledger *ledger, unsigned index)
{
	struct local_made *made = &ledger->made[index];
	uint64_t which = atomic_load(&made->which), k, todo = share(o, index), put;
	uint64_t count = made->at[which].count;
	u128 sum = made->at[which].sum;
	char text[BATCH][NATURAL_MAX];
	struct iovec iov[BATCH];
	struct sq *pq;
	int r = sq_open(&pq, o->pq);

	if (r == 0)
		r = sq_bind(pq, index + 1, &put);
	if (r < 0)
		return report_queue(o->pq, r);
	/* What a killed predecessor put after it last wrote its books. */
	while (count < put)
		sum += local_task(o, index, count++);
	publish(made, count, sum);
	for (k = put; k < todo && !atomic_load(&ledger->stop);) {
		unsigned n = due(
			o, ledger, index, k, todo - k < BATCH ? (unsigned)(todo - k) : BATCH);

		if (n == 0)
			continue;
		for (unsigned i = 0; i < n; i++) {
			iov[i].iov_base = text[i];
			iov[i].iov_len = natural_text(text[i], local_task(o, index, k + i));
		}
		r = sq_put_many(pq, iov, (int)n, PATIENCE);
		if (r == -ETIMEDOUT)
			continue;
		if (r < 0)
			break;
		for (int i = 0; i < r; i++)
			sum += local_task(o, index, k++);
		publish(made, k, sum);
	}
	sq_close(pq);
	return r < 0 && r != -EPIPE && r != -ETIMEDOUT ? report_queue(o->pq, r) : EXIT_DONE;
}
