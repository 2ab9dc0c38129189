/* SPDX-License-Identifier: ISC */
#include <rte_ring_elem.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "crew.h"
#include "loops.h"

/*
 * DPDK's ring, initialised in shared memory: no EAL, no huge pages, nothing else of DPDK. Messages to
 * a page are its elements, copied in and out; of larger ones the elements are numbers of buffers
 * in a pool, which are written and read in place and come back by a second ring.
 *
 * The element's size is a constant to the compiler for the sizes that are usual.
 */

#define ELEMENT_MAX 4096
#define POOL        64 /* buffers: they should stay in cache */

struct shared {
	size_t bytes;
	struct rte_ring *ring, *unused; /* the same address in all processes: they are forked */
	char *pool;
	int single; /* one producer and one consumer, and it knows */
};

static size_t ring_bytes(size_t element, unsigned count)
{
	ssize_t n = rte_ring_get_memsize_elem((unsigned)element, count);

	return n < 0 ? 0 : (size_t)n;
}

static int initialise(struct rte_ring *ring, unsigned count, int single)
{
	return rte_ring_init(ring, "sqbench", count, single ? RING_F_SP_ENQ | RING_F_SC_DEQ : 0);
}

static int queue_open(struct peer_queue *q, int single)
{
	int pooled = q->size > ELEMENT_MAX;
	unsigned count = pooled ? 2 * POOL : (unsigned)q->capacity;
	size_t ring = ring_bytes(pooled ? sizeof(uint32_t) : q->size, count);
	size_t bytes = 4096 + ring + (pooled ? ring + POOL * q->size : 0);
	struct shared *s = ring ? crew_memory(bytes) : NULL;
	int r;

	if (!s)
		return say(EXIT_UNAVAILABLE,
			"rte_ring: no memory, or a capacity that is no power of two");
	s->bytes = bytes;
	s->single = single;
	s->ring = (struct rte_ring *)((char *)s + 4096);
	r = initialise(s->ring, count, single);
	if (pooled && r == 0) {
		s->unused = (struct rte_ring *)((char *)s->ring + ring);
		s->pool = (char *)s->unused + ring;
		r = initialise(s->unused, count, single);
		for (uint32_t i = 0; r == 0 && i < POOL; i++)
			r = rte_ring_enqueue_elem(s->unused, &i, sizeof(i));
	}
	q->memory = s;
	(void)snprintf(q->setup, sizeof(q->setup),
		pooled ? "%u buffers, in place" : "capacity %u, elements",
		pooled ? POOL : count - 1);
	return r == 0 ? EXIT_DONE : say(EXIT_UNAVAILABLE, "rte_ring: cannot be initialised: %d", r);
}

static int open_mp(struct peer_queue *q)
{
	return queue_open(q, 0);
}

static int open_sp(struct peer_queue *q)
{
	return queue_open(q, 1);
}

static void queue_close(struct peer_queue *q)
{
	struct shared *s = q->memory;

	(void)munmap(s, s->bytes);
}

LOOPS_INLINE unsigned enqueue(const struct shared *s, const void *from, unsigned size, unsigned n)
{
	if (s->single)
		return rte_ring_sp_enqueue_burst_elem(s->ring, from, size, n, NULL);
	return rte_ring_mp_enqueue_burst_elem(s->ring, from, size, n, NULL);
}

LOOPS_INLINE unsigned dequeue(const struct shared *s, void *to, unsigned size, unsigned n)
{
	if (s->single)
		return rte_ring_sc_dequeue_burst_elem(s->ring, to, size, n, NULL);
	return rte_ring_mc_dequeue_burst_elem(s->ring, to, size, n, NULL);
}

LOOPS_INLINE int put_n(struct peer_queue *q, void *from, unsigned n)
{
	const struct shared *s = q->memory;

	switch (q->size) {
	case 8:
		return (int)enqueue(s, from, 8, n);
	case 64:
		return (int)enqueue(s, from, 64, n);
	case 256:
		return (int)enqueue(s, from, 256, n);
	case 1024:
		return (int)enqueue(s, from, 1024, n);
	default:
		return (int)enqueue(s, from, (unsigned)q->size, n);
	}
}

LOOPS_INLINE int get_n(struct peer_queue *q, void *to, unsigned n)
{
	const struct shared *s = q->memory;

	switch (q->size) {
	case 8:
		return (int)dequeue(s, to, 8, n);
	case 64:
		return (int)dequeue(s, to, 64, n);
	case 256:
		return (int)dequeue(s, to, 256, n);
	case 1024:
		return (int)dequeue(s, to, 1024, n);
	default:
		return (int)dequeue(s, to, (unsigned)q->size, n);
	}
}

LOOPS_INLINE int put(struct peer_queue *q, void *message)
{
	return put_n(q, message, 1);
}

LOOPS_INLINE int get(struct peer_queue *q, void *message)
{
	return get_n(q, message, 1);
}

LOOPS_INLINE int put_many(struct peer_queue *q, void *messages, unsigned n)
{
	return put_n(q, messages, n);
}

LOOPS_INLINE int get_many(struct peer_queue *q, void *messages, unsigned n)
{
	return get_n(q, messages, n);
}

/* The buffer in hand is the process's own, in q->end. */
LOOPS_INLINE int take_from(struct peer_queue *q, struct rte_ring *ring, void **ret)
{
	const struct shared *s = q->memory;
	uint32_t *at = q->end;

	if (rte_ring_dequeue_elem(ring, at, sizeof(*at)) != 0)
		return 0;
	*ret = s->pool + *at * q->size;
	return 1;
}

static int reserve(struct peer_queue *q, void **ret)
{
	return take_from(q, ((const struct shared *)q->memory)->unused, ret);
}

static int commit(struct peer_queue *q)
{
	const struct shared *s = q->memory;

	return rte_ring_enqueue_elem(s->ring, q->end, sizeof(uint32_t)) == 0;
}

static int take(struct peer_queue *q, void **ret)
{
	return take_from(q, ((const struct shared *)q->memory)->ring, ret);
}

static int done(struct peer_queue *q)
{
	const struct shared *s = q->memory;

	return rte_ring_enqueue_elem(s->unused, q->end, sizeof(uint32_t)) == 0;
}

static int queue_join(struct peer_queue *q, int producing)
{
	q->end = calloc(1, sizeof(uint32_t));
	return q->end ? EXIT_DONE : say(EXIT_UNAVAILABLE, "no memory");
}

static int produce(struct work *w)
{
	if (w->queue->size > ELEMENT_MAX)
		return loops_produce_place(w, reserve, commit);
	return loops_produce_any(w, put, put_many);
}

static int consume(struct work *w)
{
	if (w->queue->size > ELEMENT_MAX)
		return loops_consume_place(w, take, done);
	return loops_consume_any(w, put, get, get_many);
}

LOOPS_TRIPS()

const struct peer peer_rte_mp = {
	.name = "rte_ring mp/mc",
	.can = PEER_SPINS | PEER_BATCH,
	.open = open_mp,
	.join = queue_join,
	.produce = produce,
	.consume = consume,
	.ask = ask,
	.answer = answer,
	.close = queue_close,
};

const struct peer peer_rte_sp = {
	.name = "rte_ring sp/sc",
	.can = PEER_SPINS | PEER_BATCH | PEER_ONE_EACH,
	.open = open_sp,
	.join = queue_join,
	.produce = produce,
	.consume = consume,
	.ask = ask,
	.answer = answer,
	.close = queue_close,
};
