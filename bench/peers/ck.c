/* SPDX-License-Identifier: ISC */
#include <ck_ring.h>

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "crew.h"
#include "loops.h"

/*
 * Concurrency Kit's ring in shared memory. It is made for a type; these are the types of the usual
 * sizes, and there are no others.
 */

struct ck8 {
	char bytes[8];
};
struct ck64 {
	char bytes[64];
};
struct ck256 {
	char bytes[256];
};
struct ck1024 {
	char bytes[1024];
};
CK_RING_PROTOTYPE(m8, ck8)
CK_RING_PROTOTYPE(m64, ck64)
CK_RING_PROTOTYPE(m256, ck256)
CK_RING_PROTOTYPE(m1024, ck1024)

struct shared {
	_Alignas(128) ck_ring_t ring;
	_Alignas(128) char buffer[];
};

static size_t bytes(const struct peer_queue *q)
{
	return sizeof(struct shared) + q->size * q->capacity;
}

static int queue_open(struct peer_queue *q)
{
	struct shared *s;

	if (q->size != 8 && q->size != 64 && q->size != 256 && q->size != 1024)
		return say(EXIT_UNAVAILABLE, "ck_ring: built for 8, 64, 256 and 1024 bytes");
	s = crew_memory(bytes(q));
	if (!s)
		return say(EXIT_UNAVAILABLE, "no memory");
	ck_ring_init(&s->ring, (unsigned)q->capacity);
	(void)snprintf(
		q->setup, sizeof(q->setup), "capacity %u, elements", (unsigned)q->capacity - 1);
	q->memory = s;
	return EXIT_DONE;
}

static void queue_close(struct peer_queue *q)
{
	(void)munmap(q->memory, bytes(q));
}

LOOPS_INLINE int put_mpmc(struct peer_queue *q, void *message)
{
	struct shared *s = q->memory;
	void *at = s->buffer;

	switch (q->size) {
	case 8:
		return CK_RING_ENQUEUE_MPMC(m8, &s->ring, at, message);
	case 64:
		return CK_RING_ENQUEUE_MPMC(m64, &s->ring, at, message);
	case 256:
		return CK_RING_ENQUEUE_MPMC(m256, &s->ring, at, message);
	default:
		return CK_RING_ENQUEUE_MPMC(m1024, &s->ring, at, message);
	}
}

LOOPS_INLINE int get_mpmc(struct peer_queue *q, void *message)
{
	struct shared *s = q->memory;
	void *at = s->buffer;

	switch (q->size) {
	case 8:
		return CK_RING_DEQUEUE_MPMC(m8, &s->ring, at, message);
	case 64:
		return CK_RING_DEQUEUE_MPMC(m64, &s->ring, at, message);
	case 256:
		return CK_RING_DEQUEUE_MPMC(m256, &s->ring, at, message);
	default:
		return CK_RING_DEQUEUE_MPMC(m1024, &s->ring, at, message);
	}
}

LOOPS_INLINE int put_spsc(struct peer_queue *q, void *message)
{
	struct shared *s = q->memory;
	void *at = s->buffer;

	switch (q->size) {
	case 8:
		return CK_RING_ENQUEUE_SPSC(m8, &s->ring, at, message);
	case 64:
		return CK_RING_ENQUEUE_SPSC(m64, &s->ring, at, message);
	case 256:
		return CK_RING_ENQUEUE_SPSC(m256, &s->ring, at, message);
	default:
		return CK_RING_ENQUEUE_SPSC(m1024, &s->ring, at, message);
	}
}

LOOPS_INLINE int get_spsc(struct peer_queue *q, void *message)
{
	struct shared *s = q->memory;
	void *at = s->buffer;

	switch (q->size) {
	case 8:
		return CK_RING_DEQUEUE_SPSC(m8, &s->ring, at, message);
	case 64:
		return CK_RING_DEQUEUE_SPSC(m64, &s->ring, at, message);
	case 256:
		return CK_RING_DEQUEUE_SPSC(m256, &s->ring, at, message);
	default:
		return CK_RING_DEQUEUE_SPSC(m1024, &s->ring, at, message);
	}
}

LOOPS_SINGLE(_mpmc)
LOOPS_SINGLE(_spsc)

const struct peer peer_ck_mpmc = {
	.name = "ck_ring mpmc",
	.can = PEER_SPINS,
	.size_max = 1024,
	.open = queue_open,
	.produce = produce_mpmc,
	.consume = consume_mpmc,
	.ask = ask_mpmc,
	.answer = answer_mpmc,
	.close = queue_close,
};

const struct peer peer_ck_spsc = {
	.name = "ck_ring spsc",
	.can = PEER_SPINS | PEER_ONE_EACH,
	.size_max = 1024,
	.open = queue_open,
	.produce = produce_spsc,
	.consume = consume_spsc,
	.ask = ask_spsc,
	.answer = answer_spsc,
	.close = queue_close,
};
