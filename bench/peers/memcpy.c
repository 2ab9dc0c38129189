/* SPDX-License-Identifier: ISC */
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "crew.h"
#include "loops.h"

/*
 * No queue: the limit of what copies through shared memory. One producer copies each message into
 * the next of a few slots and one consumer copies it out, and all they share beside the bytes is a
 * counter each way. Neither may die.
 */

#define SLOTS 4
#define LINE  64

struct shared {
	_Alignas(LINE) _Atomic uint64_t put;
	_Alignas(LINE) _Atomic uint64_t got;
	_Alignas(LINE) char slots[];
};

static size_t bytes(const struct peer_queue *q)
{
	return sizeof(struct shared) + q->size * SLOTS;
}

static int queue_open(struct peer_queue *q)
{
	q->memory = crew_memory(bytes(q));
	if (!q->memory)
		return say(EXIT_UNAVAILABLE, "no memory");
	(void)snprintf(q->setup, sizeof(q->setup), "%d slots", SLOTS);
	return EXIT_DONE;
}

static void queue_close(struct peer_queue *q)
{
	(void)munmap(q->memory, bytes(q));
}

static char *slot(const struct peer_queue *q, uint64_t n)
{
	struct shared *s = q->memory;

	return s->slots + n % SLOTS * q->size;
}

LOOPS_INLINE int put(struct peer_queue *q, void *message)
{
	struct shared *s = q->memory;
	uint64_t n = atomic_load_explicit(&s->put, memory_order_relaxed);

	if (n - atomic_load_explicit(&s->got, memory_order_acquire) == SLOTS)
		return 0;
	memcpy(slot(q, n), message, q->size);
	atomic_store_explicit(&s->put, n + 1, memory_order_release);
	return 1;
}

LOOPS_INLINE int get(struct peer_queue *q, void *message)
{
	struct shared *s = q->memory;
	uint64_t n = atomic_load_explicit(&s->got, memory_order_relaxed);

	if (n == atomic_load_explicit(&s->put, memory_order_acquire))
		return 0;
	memcpy(message, slot(q, n), q->size);
	atomic_store_explicit(&s->got, n + 1, memory_order_release);
	return 1;
}

LOOPS_SINGLE()

const struct peer peer_memcpy = {
	.name = "memcpy",
	.can = PEER_ONE_EACH | PEER_SPINS,
	.open = queue_open,
	.produce = produce,
	.consume = consume,
	.ask = ask,
	.answer = answer,
	.close = queue_close,
};
