/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crew.h"
#include "now.h"
#include "options.h"
#include "rng.h"

/*
 * Many producers and consumers on one queue: every value arrives exactly once, whole, and in its
 * producer's order.
 *
 *	--producers 8 --consumers 8 --messages 10000000 --max-size 4096 --capacity 1024 --seed N
 *	--mode mixed|plain    all calls, or sq_put() and sq_get() only
 *	--threads             threads, each with a handle of its own, instead of processes
 *
 * A message bears producer << 40 | number. What was seen is a bitmap; a bit set twice is a
 * duplicate. A message that was given back may arrive late: it must be in a second bitmap, written
 * before sq_nack(), and no other may be late or say attempts > 1.
 */

#define WORKERS_MAX 64
#define BATCH       8
#define LEASES      4
#define EMPTY_EVERY 1024 /* messages, and then one of no bytes, which are only counted */
#define NACK_ONE_OF 16
#define TIMEOUT_NS  (20 * CREW_MS)
#define NUMBER_BITS 40
#define NUMBER_MASK (((uint64_t)1 << NUMBER_BITS) - 1)
#define TINY_SIZE   8 /* below CREW_HEAD: the value alone */
#define ALARM_S     3000

static struct {
	uint64_t producers, consumers, messages, size_max, capacity, seed;
	bool mixed, threads;
	/* Shared by all. */
	_Atomic uint64_t *seen, *given_back;
	struct tally {
		_Alignas(64) _Atomic uint64_t values, empties, redelivered;
	} * tally;
	atomic_bool *over;
} stress;

static uint64_t share_of(uint64_t producer)
{
	return stress.messages / stress.producers + (producer < stress.messages % stress.producers);
}

/* Where the producer's first value lies in the bitmaps. */
static uint64_t base_of(uint64_t producer)
{
	uint64_t rest = stress.messages % stress.producers;

	return producer * (stress.messages / stress.producers) +
	       (producer < rest ? producer : rest);
}

static size_t size_of(uint64_t value)
{
	return rng_mix(value ^ stress.seed) % (stress.size_max + 1);
}

static size_t make(void *buf, uint64_t value)
{
	size_t size = size_of(value);

	if (size >= CREW_HEAD)
		return crew_write(buf, value, size);
	memcpy(buf, &value, TINY_SIZE);
	return TINY_SIZE;
}

static void expect(const char *call, int64_t r, int64_t expected)
{
	if (r != expected)
		crew_die("%s returned %" PRId64 " (%s) and not %" PRId64, call, r,
			sq_strerror(r < 0 ? (int)r : 0), expected);
}

/* In place. False: no block was free. */
static bool put_reserved(struct sq *h, uint64_t value, uint64_t dice)
{
	void *at;
	int r;

	if (dice & 1) {
		r = sq_reserve(h, stress.size_max, &at);
		if (r == 0)
			sq_abort(h);
	}
	r = sq_reserve(h, stress.size_max + CREW_HEAD, &at);
	if (r == -EAGAIN)
		return false;
	expect("sq_reserve", r, 0);
	expect("sq_commit", sq_commit(h, make(at, value), SQ_FOREVER), 0);
	return true;
}

static void produce(struct sq *h, uint64_t me)
{
	uint64_t n = share_of(me), random = stress.seed ^ rng_mix(me), dice;
	size_t room = stress.size_max + CREW_HEAD;
	unsigned char *buf = malloc(room * BATCH);
	struct iovec iov[BATCH];
	int batch;

	for (uint64_t i = 0; i < n; i += (uint64_t)batch) {
		uint64_t value = me << NUMBER_BITS | i;

		batch = 1;
		dice = rng_next(&random) >> 32;
		if (stress.mixed && dice % 4 == 0) {
			for (batch = 0; batch < BATCH && i + (uint64_t)batch < n; batch++) {
				iov[batch].iov_base = buf + room * (size_t)batch;
				iov[batch].iov_len = make(
					iov[batch].iov_base, value + (uint64_t)batch);
			}
			expect("sq_put_many", sq_put_many(h, iov, batch, SQ_FOREVER), batch);
		} else if (!stress.mixed || dice % 4 != 1 || !put_reserved(h, value, dice >> 8)) {
			expect("sq_put", sq_put(h, buf, make(buf, value), SQ_FOREVER), 0);
		}
		if (i / EMPTY_EVERY != (i + (uint64_t)batch) / EMPTY_EVERY) {
			expect("sq_put of nothing", sq_put(h, NULL, 0, SQ_FOREVER), 0);
			stress.tally[stress.consumers + me].empties++;
		}
	}
	free(buf);
}

struct consumer {
	uint64_t last[WORKERS_MAX]; /* number plus one of each producer's newest */
	struct tally *tally;
	uint64_t random;
};

static bool bit(_Atomic uint64_t *map, uint64_t i)
{
	return atomic_load(&map[i / 64]) >> i % 64 & 1;
}

static bool set_bit(_Atomic uint64_t *map, uint64_t i)
{
	return atomic_fetch_or(&map[i / 64], (uint64_t)1 << i % 64) >> i % 64 & 1;
}

/*
 * Whole, and of whom? ~0: an empty one. Else its place in the bitmaps. `attempts` is 0 if the call
 * does not tell.
 */
static uint64_t inspect(struct consumer *c, const void *data, size_t len, unsigned attempts)
{
	uint64_t value, producer, number, place;

	if (len == 0)
		return ~(uint64_t)0;
	if (len == TINY_SIZE)
		memcpy(&value, data, TINY_SIZE);
	else
		value = crew_read(data, len);
	producer = value >> NUMBER_BITS;
	number = value & NUMBER_MASK;
	if (producer >= stress.producers || number >= share_of(producer))
		crew_die("value %" PRIx64 " was never put", value);
	if (len != (size_of(value) < CREW_HEAD ? TINY_SIZE : size_of(value)))
		crew_die("value %" PRIx64 " comes with %zu bytes", value, len);
	place = base_of(producer) + number;
	if (attempts > 1 && !bit(stress.given_back, place))
		crew_die("value %" PRIx64 " says attempts %u, but nobody gave it back", value,
			attempts);
	if (attempts == 1 && bit(stress.given_back, place))
		crew_die("value %" PRIx64 " was given back and says attempts 1", value);
	if (number + 1 > c->last[producer])
		c->last[producer] = number + 1;
	else if (!bit(stress.given_back, place))
		crew_die("producer %" PRIu64 ": number %" PRIu64 " came after %" PRIu64, producer,
			number, c->last[producer] - 1);
	return place;
}

/* It is ours for good. */
static void finish(struct consumer *c, uint64_t place)
{
	if (place == ~(uint64_t)0) {
		c->tally->empties++;
		return;
	}
	if (set_bit(stress.seen, place))
		crew_die("the value at %" PRIu64 " came twice", place);
	c->tally->values++;
}

static int consume_leases(struct sq *h, struct consumer *c)
{
	struct sq_lease lease[LEASES];
	uint64_t place;
	unsigned n = 0;
	int r;

	do
		r = sq_lease(h, &lease[n], n ? SQ_NOWAIT : TIMEOUT_NS);
	while (r == 0 && ++n < LEASES && rng_next(&c->random) % 2);
	for (unsigned i = 0; i < n; i++) {
		place = inspect(c, lease[i].data, lease[i].len, lease[i].attempts);
		expect("sq_touch", sq_touch(h, &lease[i]), 0);
		if (place != ~(uint64_t)0 && (rng_next(&c->random) >> 32) % NACK_ONE_OF == 0) {
			(void)set_bit(stress.given_back, place);
			expect("sq_nack", sq_nack(h, &lease[i]), 0);
			c->tally->redelivered++;
			continue;
		}
		finish(c, place);
		expect("sq_ack", sq_ack(h, &lease[i]), 0);
		if (i == 0)
			expect("a second sq_ack", sq_ack(h, &lease[i]), -ESTALE);
	}
	return n ? 0 : r;
}

static void consume(struct sq *h, uint64_t me)
{
	struct consumer c = {.tally = &stress.tally[me], .random = stress.seed + 1000 + me};
	size_t room = stress.size_max + CREW_HEAD;
	unsigned char *buf = malloc(room * BATCH);
	struct iovec iov[BATCH];
	int r;

	for (;;) {
		uint64_t dice = stress.mixed ? (rng_next(&c.random) >> 32) % 4 : 0;

		if (dice >= 2) {
			r = consume_leases(h, &c);
		} else if (dice == 1) {
			r = sq_get_many(h, buf, room * BATCH, iov, BATCH, TIMEOUT_NS);
			for (int i = 0; i < r; i++)
				finish(&c, inspect(&c, iov[i].iov_base, iov[i].iov_len, 0));
		} else {
			ssize_t len = sq_get(h, buf, room, TIMEOUT_NS);

			r = (int)len;
			if (len >= 0)
				finish(&c, inspect(&c, buf, (size_t)len, 0));
		}
		if (r == -ETIMEDOUT && *stress.over)
			break;
		if (r < 0 && r != -ETIMEDOUT)
			crew_die("a consumer's call: %s", sq_strerror(r));
	}
	free(buf);
}

static void work(uint64_t i)
{
	struct sq *h = crew_open("stress");

	if (i < stress.consumers)
		consume(h, i);
	else
		produce(h, i - stress.consumers);
	sq_close(h);
}

static void *work_thread(void *arg)
{
	work((uint64_t)(uintptr_t)arg);
	return NULL;
}

/* Consumers are the first of all workers. Joins the producers, then has the consumers end. */
static void run(struct sq *h)
{
	uint64_t n = stress.consumers + stress.producers;
	pthread_t thread[2 * WORKERS_MAX];
	pid_t pid[2 * WORKERS_MAX];
	int r;

	for (uint64_t i = 0; i < n; i++) {
		if (stress.threads) {
			if (pthread_create(&thread[i], NULL, work_thread, (void *)(uintptr_t)i))
				crew_die("pthread_create");
			continue;
		}
		pid[i] = crew_fork();
		if (pid[i] == 0) {
			work(i);
			exit(0);
		}
	}
	for (uint64_t i = n; i-- > 0;) {
		if (i + 1 == stress.consumers) {
			do
				r = sq_join(h, CREW_SECOND);
			while (r == -ETIMEDOUT && !crew_failed());
			expect("sq_join", r, 0);
			*stress.over = true;
		}
		if (stress.threads ? pthread_join(thread[i], NULL) : crew_wait(pid[i]))
			crew_die("worker %" PRIu64 " failed", i);
	}
}

/* The sums of all tallies, against what the queue itself says. */
static void check(struct sq *h, uint64_t *ret_redelivered)
{
	uint64_t values = 0, got = 0, put = 0, redelivered = 0, missing = 0;
	struct sq_stat st;

	for (uint64_t i = 0; i < stress.consumers + stress.producers; i++) {
		values += stress.tally[i].values;
		redelivered += stress.tally[i].redelivered;
		*(i < stress.consumers ? &got : &put) += stress.tally[i].empties;
	}
	for (uint64_t i = 0; i < stress.messages; i++)
		missing += !bit(stress.seen, i);
	if (missing || values != stress.messages)
		crew_die("%" PRIu64 " of %" PRIu64 " values never came", missing, stress.messages);
	if (got != put)
		crew_die("%" PRIu64 " empty messages were put, %" PRIu64 " came", put, got);
	(void)sq_stat(h, &st);
	if (st.got + st.acked != stress.messages + put || st.nacked != redelivered ||
		st.redelivered != redelivered)
		crew_die("sq_stat() says got %" PRIu64 ", acked %" PRIu64 ", nacked %" PRIu64
			 ", redelivered %" PRIu64 " (ours: %" PRIu64 ")",
			st.got, st.acked, st.nacked, st.redelivered, redelivered);
	crew_check_rest(h, stress.messages + put);
	*ret_redelivered = redelivered;
}

int main(int argc, char **argv)
{
	struct sq_config config = {0};
	uint64_t redelivered;
	int64_t began;
	double took;
	struct sq *h;

	stress.seed = option_number(argc, argv, "--seed", (uint64_t)now_ns());
	crew_init("stress", stress.seed, ALARM_S);
	stress.producers = option_number(argc, argv, "--producers", 8);
	stress.consumers = option_number(argc, argv, "--consumers", 8);
	stress.messages = option_number(argc, argv, "--messages", 10000000);
	stress.size_max = option_number(argc, argv, "--max-size", 4096);
	stress.capacity = option_number(argc, argv, "--capacity", 1024);
	stress.mixed = strcmp(option_text(argc, argv, "--mode", "mixed"), "plain") != 0;
	stress.threads = option_flag(argc, argv, "--threads");
	options_end(argc, argv);
	if (stress.producers - 1 >= WORKERS_MAX || stress.consumers - 1 >= WORKERS_MAX)
		crew_die("1 to %d producers and consumers", WORKERS_MAX);
	stress.seen = crew_share((stress.messages + 63) / 64 * 8);
	stress.given_back = crew_share((stress.messages + 63) / 64 * 8);
	stress.tally = crew_share(2 * WORKERS_MAX * sizeof(struct tally));
	stress.over = crew_share(sizeof(*stress.over));

	config.capacity = stress.capacity;
	config.max_message = stress.size_max + CREW_HEAD;
	crew_queue("stress", &config);
	h = crew_open("stress");
	began = now_ns();
	run(h);
	took = (double)(now_ns() - began) / CREW_SECOND;
	check(h, &redelivered);
	sq_close(h);
	return crew_finish("%" PRIu64 " messages passed, 0 failed: %" PRIu64 " x %" PRIu64
			   " %s, to %" PRIu64 " bytes, capacity %" PRIu64 ", %s, %" PRIu64
			   " redelivered, %.1f s, %.0f/s",
		stress.messages, stress.producers, stress.consumers,
		stress.threads ? "threads" : "processes", stress.size_max, stress.capacity,
		stress.mixed ? "mixed" : "plain", redelivered, took,
		(double)stress.messages / took);
}
