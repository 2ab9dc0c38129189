/* SPDX-License-Identifier: ISC */
#include "tasks.h"

#include <time.h>

#include "now.h"
#include "square.h"

#define NAP_NS     1000000   /* of a paced producer: no shorter sleeps than this */
#define FORGIVE_NS 100000000 /* to be late by less is made up for */

/* splitmix64 (Steele, Lea, Flood): any k at once, and good enough for tasks. */
uint64_t tasks_number(const struct tasks *t, uint64_t k)
{
	uint64_t z = t->seed + (t->index << 48) + (k + 1) * 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	z ^= z >> 31;
	return t->max == UINT64_MAX ? z : (uint64_t)((u128)z * (t->max + 1) >> 64);
}

/* When the k-th task is due. */
static int64_t due_ns(const struct tasks *t, uint64_t k)
{
	u128 number = (u128)k * t->producers + t->index;
	u128 after = number * (u128)(uint64_t)t->rate_span_ns / t->rate;

	if (after > (u128)(uint64_t)(INT64_MAX - t->began_ns))
		return INT64_MAX; /* never, in practice */
	return t->began_ns + (int64_t)after;
}

unsigned tasks_due(const struct tasks *t, uint64_t k, unsigned want, int64_t longest_ns)
{
	int64_t now = now_ns(), wait;
	unsigned n = 0;

	if (!t->rate)
		return want;
	while (n < want && due_ns(t, k + n) <= now)
		n++;
	if (n == 0) {
		wait = due_ns(t, k) - now;
		if (wait < NAP_NS)
			wait = NAP_NS;
		if (wait > longest_ns)
			wait = longest_ns;
		(void)nanosleep(&(struct timespec){.tv_nsec = wait}, NULL);
	}
	return n;
}

void tasks_forgive(struct tasks *t, uint64_t k)
{
	int64_t late = t->rate ? now_ns() - due_ns(t, k) : 0;

	if (late > FORGIVE_NS)
		t->began_ns += late - FORGIVE_NS;
}

int tasks_put(const struct tasks *t, struct sq *q, uint64_t k, unsigned n, int64_t timeout)
{
	char text[TASKS_BATCH][NATURAL_MAX];
	struct iovec iov[TASKS_BATCH];

	for (unsigned i = 0; i < n; i++) {
		iov[i].iov_base = text[i];
		iov[i].iov_len = natural_text(text[i], tasks_number(t, k + i));
	}
	return sq_put_many(q, iov, (int)n, timeout);
}
