/* SPDX-License-Identifier: ISC */
#include "probe.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "crew.h"
#include "now.h"
#include "say.h"
#include "stats.h"

#define TRIPS    64 /* timed at once: a look at the clock costs as much as a line */
#define ROUNDS   101
#define WARM     2000
#define TRIES    20000 /* without a change: the other process is not running */
#define END      UINT32_MAX
#define LIMIT_NS 100000000 /* where others have the CPUs: far, and no need to know how far */

struct table {
	_Alignas(128) _Atomic uint32_t there;
	_Alignas(128) _Atomic uint32_t back;
	_Alignas(128) uint32_t rounds;
	uint32_t trips, done; /* done: rounds */
	int64_t deadline_ns;
	uint32_t ns[];
};

/* Until the word is v, or END. False: it took too long. */
static bool await(const _Atomic uint32_t *word, uint32_t v, int64_t deadline_ns)
{
	for (;;) {
		for (int i = 0; i < TRIES; i++) {
			uint32_t now = atomic_load_explicit(word, memory_order_acquire);

			if (now == v || now == END)
				return true;
		}
		if (now_ns() > deadline_ns)
			return false;
		(void)sched_yield();
	}
}

static int answer(void *arg)
{
	struct table *t = arg;
	uint32_t last = WARM + t->rounds * t->trips;

	for (uint32_t i = 1; i <= last; i++) {
		(void)await(&t->there, i, INT64_MAX);
		if (atomic_load_explicit(&t->there, memory_order_relaxed) == END)
			break;
		atomic_store_explicit(&t->back, i, memory_order_release);
	}
	return EXIT_DONE;
}

static bool ask(struct table *t, uint32_t i)
{
	atomic_store_explicit(&t->there, i, memory_order_release);
	return await(&t->back, i, t->deadline_ns);
}

static int question(void *arg)
{
	struct table *t = arg;
	int64_t began = now_ns(), now;
	bool goes_on = true;
	uint32_t i = 0;

	if (t->deadline_ns != INT64_MAX)
		t->deadline_ns += began;
	while (i < WARM && goes_on)
		goes_on = ask(t, ++i);
	began = now_ns();
	while (goes_on && t->done < t->rounds) {
		for (uint32_t k = 0; k < t->trips && goes_on; k++)
			goes_on = ask(t, ++i);
		now = now_ns();
		t->ns[t->done++] = (uint32_t)(now - began);
		began = now;
		goes_on &= now < t->deadline_ns;
	}
	atomic_store_explicit(&t->there, END, memory_order_release);
	return EXIT_DONE;
}

/* Returns an exit code. *ret_done: how many rounds there were time for. */
static int measure(const int cpus[2], uint32_t rounds, uint32_t trips, int64_t limit_ns,
	uint32_t *ret_ns, uint32_t *ret_done)
{
	size_t size = sizeof(struct table) + rounds * sizeof(uint32_t);
	struct table *t = crew_memory(size);
	struct crew crew = {0};
	int code;

	if (!t)
		return say(EXIT_UNAVAILABLE, "no memory");
	t->rounds = rounds;
	t->trips = trips;
	t->deadline_ns = limit_ns;
	code = crew_add(&crew, "probe", cpus[0], question, t);
	if (code == EXIT_DONE)
		code = crew_add(&crew, "probe", cpus[1], answer, t);
	if (code == EXIT_DONE)
		code = crew_wait(&crew);
	crew_kill(&crew);
	memcpy(ret_ns, t->ns, rounds * sizeof(uint32_t));
	*ret_done = t->done;
	(void)munmap(t, size);
	return code;
}

int probe(const int cpus[2], double *ret_ns)
{
	uint32_t ns[ROUNDS], done = 0;
	int code;

	*ret_ns = 0;
	if (cpus[0] == cpus[1])
		return EXIT_DONE;
	code = measure(cpus, ROUNDS, TRIPS, LIMIT_NS, ns, &done);
	if (code != EXIT_DONE)
		return code;
	stats_sort(ns, done);
	*ret_ns = done > 0 ? stats_percentile(ns, done, 0.5) / TRIPS : LIMIT_NS;
	return EXIT_DONE;
}

int probe_trips(const int cpus[2], uint32_t *ret_ns, unsigned n)
{
	uint32_t done = 0;

	if (cpus[0] == cpus[1])
		return say(EXIT_UNAVAILABLE, "one CPU only: nothing to measure between two");
	return measure(cpus, n, 1, INT64_MAX, ret_ns, &done);
}
