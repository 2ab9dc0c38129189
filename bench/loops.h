/* SPDX-License-Identifier: ISC */
#ifndef BENCH_LOOPS_H
#define BENCH_LOOPS_H

#include "now.h"
#include "payload.h"
#include "peer.h"
#include "say.h"

/*
 * What producers and consumers do, the same over every queue. An adapter calls these with its own
 * put and get, which the compiler puts in their place: no queue pays for an indirect call, and what
 * is inline in its library stays so.
 *
 * put:      1 it is in, 0 full, else minus an exit code. get: the same.
 * put_many: how many of the n, which lie one behind the other, went in; or minus an exit code.
 *           get_many: the same.
 *
 * The last producer to end puts a message of value 0 for each consumer. It is behind all the
 * others, so a consumer that gets it ends. A consumer that gets several of them in one batch puts
 * all but one back.
 */

#ifdef __cplusplus
extern "C" {
#endif
struct gate;
int gate_last(struct gate *gate);
#ifdef __cplusplus
}
#endif

#define LOOPS_INLINE static inline __attribute__((always_inline, unused))

typedef int loops_one(struct peer_queue *queue, void *message);
typedef int loops_many(struct peer_queue *queue, void *messages, unsigned n);

/* Until it has gone well. 0, or an exit code. */
LOOPS_INLINE int loops_until(
	struct peer_queue *q, const struct spin *spin, void *message, loops_one *one)
{
	for (;;) {
		int r = one(q, message);

		if (__builtin_expect(r > 0, 1))
			return 0;
		if (r < 0)
			return -r;
		spin_wait(spin);
	}
}

/*
 * Now and then: is it taking far too long? Where a process that holds up all others may lose its
 * CPU, it depends on luck how many messages pass in a second. Then this producer has put all.
 */
LOOPS_INLINE int loops_late(struct work *w, uint64_t done)
{
	if (__builtin_expect(++w->looks % 256 != 0 || !w->ends_ns || now_ns() < w->ends_ns, 1))
		return 0;
	w->messages = done;
	return 1;
}

LOOPS_INLINE int loops_farewell(struct work *w, unsigned n, loops_one *put)
{
	int code = 0;

	payload_write(w->buf, w->queue->size, 0);
	while (code == 0 && n-- > 0)
		code = loops_until(w->queue, &w->spin, w->buf, put);
	return code;
}

LOOPS_INLINE int loops_produce(struct work *w, loops_one *put)
{
	struct peer_queue *q = w->queue;
	int code = 0;

	for (uint64_t i = 0; i < w->messages && code == 0 && !loops_late(w, i); i++) {
		payload_write(w->buf, q->size, w->first + i);
		code = loops_until(q, &w->spin, w->buf, put);
	}
	if (code == 0 && gate_last(w->gate))
		code = loops_farewell(w, q->consumers, put);
	return code;
}

LOOPS_INLINE int loops_produce_many(struct work *w, loops_one *put, loops_many *put_many)
{
	struct peer_queue *q = w->queue;
	char *buf = (char *)w->buf;
	int code = 0;

	for (uint64_t i = 0; i < w->messages && code == 0 && !loops_late(w, i);) {
		uint64_t left = w->messages - i;
		unsigned n = left < w->batch ? (unsigned)left : w->batch, in = 0;

		for (unsigned k = 0; k < n; k++)
			payload_write(buf + k * q->size, q->size, w->first + i + k);
		while (in < n && code == 0) {
			int r = put_many(q, buf + in * q->size, n - in);

			if (r < 0)
				code = -r;
			else if (r == 0)
				spin_wait(&w->spin);
			else
				in += (unsigned)r;
		}
		i += n;
	}
	if (code == 0 && gate_last(w->gate))
		code = loops_farewell(w, q->consumers, put);
	return code;
}

LOOPS_INLINE int loops_consume(struct work *w, loops_one *get)
{
	uint64_t count = 0, sum = 0, value;

	for (;;) {
		int code = loops_until(w->queue, &w->spin, w->buf, get);

		if (code != 0)
			return code;
		sum += payload_read(w->buf, w->queue->size, &value);
		if (value == 0)
			break;
		count++;
	}
	/* The last one was none: its words count on from 0. */
	w->sum = sum - payload_total(w->queue->size, 0, 1);
	w->count = count;
	return 0;
}

LOOPS_INLINE int loops_consume_many(struct work *w, loops_one *put, loops_many *get_many)
{
	struct peer_queue *q = w->queue;
	const char *buf = (const char *)w->buf;
	uint64_t count = 0, sum = 0, value;
	unsigned ends = 0;

	while (ends == 0) {
		int r = get_many(q, w->buf, w->batch);

		if (r < 0)
			return -r;
		if (r == 0)
			spin_wait(&w->spin);
		for (int i = 0; i < r; i++) {
			sum += payload_read(buf + (size_t)i * q->size, q->size, &value);
			if (value == 0)
				ends++;
			else
				count++;
		}
	}
	w->sum = sum - ends * payload_total(q->size, 0, 1);
	w->count = count;
	return ends > 1 ? loops_farewell(w, ends - 1, put) : 0;
}

/*
 * In the queue's own memory. reserve and take: where the message is, or will be, to *ret; they
 * return as put and get do. commit and done end what these began.
 */
typedef int loops_reserve(struct peer_queue *queue, void **ret);
typedef int loops_commit(struct peer_queue *queue);

LOOPS_INLINE int loops_place(
	struct work *w, uint64_t value, loops_reserve *reserve, loops_commit *commit)
{
	void *at;
	int r;

	while ((r = reserve(w->queue, &at)) == 0)
		spin_wait(&w->spin);
	if (r < 0)
		return -r;
	payload_write(at, w->queue->size, value);
	while ((r = commit(w->queue)) == 0)
		spin_wait(&w->spin);
	return r < 0 ? -r : 0;
}

LOOPS_INLINE int loops_produce_place(struct work *w, loops_reserve *reserve, loops_commit *commit)
{
	int code = 0;

	for (uint64_t i = 0; i < w->messages && code == 0 && !loops_late(w, i); i++)
		code = loops_place(w, w->first + i, reserve, commit);
	if (code == 0 && gate_last(w->gate))
		for (unsigned i = 0; i < w->queue->consumers && code == 0; i++)
			code = loops_place(w, 0, reserve, commit);
	return code;
}

LOOPS_INLINE int loops_consume_place(struct work *w, loops_reserve *take, loops_commit *done)
{
	uint64_t count = 0, sum = 0, value;
	void *at;
	int r;

	do {
		while ((r = take(w->queue, &at)) == 0)
			spin_wait(&w->spin);
		if (r < 0)
			return -r;
		sum += payload_read(at, w->queue->size, &value);
		while ((r = done(w->queue)) == 0)
			spin_wait(&w->spin);
		if (r < 0)
			return -r;
		count++;
	} while (value != 0);
	/* The last one was none. */
	w->sum = sum - payload_total(w->queue->size, 0, 1);
	w->count = count - 1;
	return 0;
}

/* One message at a time there and back. rest_ns: between them, so that both ends fall asleep. */
LOOPS_INLINE int loops_ask(struct work *there, struct work *back, uint32_t *ret_ns, unsigned trips,
	int64_t rest_ns, loops_one *put, loops_one *get)
{
	size_t size = there->queue->size;
	int64_t began = now_ns();

	for (unsigned i = 0; i < trips; i++) {
		uint64_t value;
		int64_t now;
		int code;

		payload_write(there->buf, size, i + 1);
		if (rest_ns > 0) {
			sleep_ns(rest_ns);
			began = now_ns();
		}
		code = loops_until(there->queue, &there->spin, there->buf, put);
		if (code == 0)
			code = loops_until(back->queue, &back->spin, back->buf, get);
		if (code != 0)
			return code;
		back->sum += payload_read(back->buf, size, &value);
		if (value != i + 1)
			return say(EXIT_BROKEN, "%s: another message came back",
				there->queue->peer->name);
		now = now_ns();
		ret_ns[i] = (uint32_t)(now - began);
		began = now;
	}
	back->count = trips;
	return 0;
}

LOOPS_INLINE int loops_answer(
	struct work *there, struct work *back, unsigned trips, loops_one *put, loops_one *get)
{
	size_t size = there->queue->size;

	for (unsigned i = 0; i < trips; i++) {
		uint64_t value;
		int code = loops_until(there->queue, &there->spin, there->buf, get);

		if (code != 0)
			return code;
		there->sum += payload_read(there->buf, size, &value);
		payload_write(back->buf, size, value);
		code = loops_until(back->queue, &back->spin, back->buf, put);
		if (code != 0)
			return code;
	}
	there->count = trips;
	return 0;
}

/*
 * The functions of a `struct peer` that nearly all adapters have, from its put and get, and their
 * put_many and get_many. An adapter with two of each tells them apart by an ending of their names.
 */
#define LOOPS_TRIPS(ending)                                                                        \
	static int ask##ending(struct work *there, struct work *back, uint32_t *ret_ns,            \
		unsigned trips, int64_t rest_ns)                                                   \
	{                                                                                          \
		return loops_ask(there, back, ret_ns, trips, rest_ns, put##ending, get##ending);   \
	}                                                                                          \
	static int answer##ending(struct work *there, struct work *back, unsigned trips)           \
	{                                                                                          \
		return loops_answer(there, back, trips, put##ending, get##ending);                 \
	}

#define LOOPS_SINGLE(ending)                                                                       \
	static int produce##ending(struct work *w)                                                 \
	{                                                                                          \
		return loops_produce(w, put##ending);                                              \
	}                                                                                          \
	static int consume##ending(struct work *w)                                                 \
	{                                                                                          \
		return loops_consume(w, get##ending);                                              \
	}                                                                                          \
	LOOPS_TRIPS(ending)

/* One by one, or so many by one call. */
LOOPS_INLINE int loops_produce_any(struct work *w, loops_one *put, loops_many *put_many)
{
	return w->batch > 1 ? loops_produce_many(w, put, put_many) : loops_produce(w, put);
}

LOOPS_INLINE int loops_consume_any(
	struct work *w, loops_one *put, loops_one *get, loops_many *get_many)
{
	return w->batch > 1 ? loops_consume_many(w, put, get_many) : loops_consume(w, get);
}

#endif
