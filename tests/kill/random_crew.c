/* SPDX-License-Identifier: ISC */
#include "random_crew.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>

#include "now.h"
#include "rng.h"

/*
 * The workers of kill_random. Each may be killed anywhere, so what it does with a message is
 * written to shared memory in the order in which it must be believed: first in hand, then done,
 * then settled, then no more in hand.
 */

#define TIMEOUT_NS    (20 * CREW_MS)
#define NACK_ONE_OF   32
#define WORK_ONE_OF   64 /* messages, so that leases are held for some time */
#define WORK_NS_MAX   (2 * CREW_MS)
#define EXCUSE_NS_MAX (60 * (int64_t)CREW_SECOND)

struct random_shared *random_share(uint64_t seed)
{
	struct random_shared *s = crew_share(sizeof(*s));

	s->seed = seed;
	return s;
}

void random_unshare(struct random_shared *s)
{
	(void)munmap(s, sizeof(*s));
}

struct random_value *random_value(struct random_shared *s, uint64_t value)
{
	uint64_t producer = value >> RANDOM_NUMBER_BITS;
	uint64_t number = value & (((uint64_t)1 << RANDOM_NUMBER_BITS) - 1);

	if (producer >= RANDOM_PRODUCERS || number > RANDOM_VALUES_MAX)
		crew_die("value %" PRIx64 " was never put", value);
	return &s->value[producer][number];
}

/* Half of them small. */
static size_t size_of(const struct random_shared *s, uint64_t value)
{
	uint64_t r = rng_mix(value ^ s->seed) >> 16;

	return r % 2 ? CREW_HEAD : r / 2 % (RANDOM_SIZE_MAX + 1);
}

/* Put up to `n` values from `number` on in one way or another. How many went in. */
static int put_some(struct random_shared *s, struct sq *h, uint64_t value, int n, uint64_t dice)
{
	static unsigned char buf[RANDOM_BATCH][RANDOM_SIZE_MAX];
	struct iovec iov[RANDOM_BATCH];
	void *at;
	int r;

	if (n > 1) {
		for (int i = 0; i < n; i++) {
			uint64_t v = value + (uint64_t)i;

			iov[i].iov_base = buf[i];
			iov[i].iov_len = crew_write(buf[i], v, size_of(s, v));
		}
		return sq_put_many(h, iov, n, TIMEOUT_NS);
	}
	if (dice % 2) {
		r = sq_reserve(h, RANDOM_SIZE_MAX, &at);
		if (r == 0 && dice % 16 == 1) {
			sq_abort(h);
			r = sq_reserve(h, RANDOM_SIZE_MAX, &at);
		}
		if (r == 0)
			r = sq_commit(h, crew_write(at, value, size_of(s, value)), TIMEOUT_NS);
		if (r < 0)
			sq_abort(h);
	} else {
		r = sq_put(h, buf, crew_write(buf, value, size_of(s, value)), TIMEOUT_NS);
	}
	return r < 0 ? r : 1;
}

static void produce(struct random_shared *s, unsigned i, struct sq *h, uint64_t *random)
{
	struct random_worker *w = &s->worker[i];
	uint64_t number;

	must_succeed("sq_count_bind", sq_count_bind(h, i + 1, &number));
	/* Between what the dead one knew had gone in, and what it was about to put. */
	if (number < w->put || number > w->put + w->in_flight)
		crew_die("producer %u: the durable count is %" PRIu64 ", but %" PRIu64
			 " puts had returned and %" PRIu64 " were under way",
			i, number, w->put, w->in_flight);
	w->put = number;
	w->in_flight = 0;
	while (!s->enough && number < RANDOM_VALUES_MAX) {
		uint64_t dice = rng_next(random) >> 32;
		int n = dice % 4 == 0 ? (int)(dice / 4 % RANDOM_BATCH) + 1 : 1, r;

		if ((uint64_t)n > RANDOM_VALUES_MAX - number)
			n = 1;
		w->in_flight = (uint64_t)n;
		r = put_some(s, h, (uint64_t)i << RANDOM_NUMBER_BITS | number, n, dice / 64);
		if (r < 0 && r != -ETIMEDOUT && r != -EAGAIN)
			crew_die("a put: %s", sq_strerror(r));
		if (r > 0)
			number += (uint64_t)r;
		w->put = number;
	}
	while (!s->enough)
		sleep_ns(CREW_MS);
}

/*
 * Cause: a leaser counts its work before it settles. If it is told that it was late, or is killed just
 * there, we may have the message before that is on record; but on record it will be.
 */
static bool excused(const struct random_value *v)
{
	int64_t until = now_ns() + EXCUSE_NS_MAX;

	while (v->done && !v->died_in_hand && !v->stale && !v->given_back) {
		if (now_ns() > until)
			return false;
		sleep_ns(CREW_MS);
	}
	return true;
}

static void get(struct random_shared *s, unsigned i, struct sq *h)
{
	static unsigned char buf[RANDOM_SIZE_MAX];
	struct random_worker *w = &s->worker[i];

	for (;;) {
		struct random_value *v;
		uint64_t value;
		ssize_t len;

		w->calling = 1;
		len = sq_get(h, buf, sizeof(buf), TIMEOUT_NS);
		if (len < 0) {
			w->calling = 0;
			if (len == -ETIMEDOUT && s->over)
				return;
			if (len != -ETIMEDOUT)
				crew_die("sq_get: %s", sq_strerror((int)len));
			continue;
		}
		/*
		 * Shown before it is checked: the moment in which a death loses it should be as
		 * short as can be.
		 */
		memcpy(&value, buf, sizeof(value));
		w->hand[0] = value + 1;
		w->calling = 0;
		if (crew_read(buf, (size_t)len) != value)
			crew_die("a value changed in our own memory");
		v = random_value(s, value);
		if (!excused(v))
			crew_die("value %" PRIx64 " had been done and nobody gave it back", value);
		v->done++;
		v->settled++;
		w->hand[0] = 0;
	}
}

/* Work on a leased message, and settle it. */
static void settle(struct random_shared *s, struct random_worker *w, struct sq *h, int n,
	const struct sq_lease *lease, uint64_t *random)
{
	uint64_t value = w->hand[n] - 1, dice = rng_next(random) >> 32;
	struct random_value *v = random_value(s, value);
	int r;

	if (dice / 64 % WORK_ONE_OF == 0)
		sleep_ns((int64_t)(dice / 64 / WORK_ONE_OF % WORK_NS_MAX));
	/* Perhaps overdue by now, but nobody has told us, so it must still be there. */
	if (crew_read(lease->data, lease->len) != value)
		crew_die("the message changed while it was leased");
	if (dice % NACK_ONE_OF == 0) {
		v->given_back++;
		r = sq_nack(h, lease);
	} else {
		v->done++;
		r = sq_ack(h, lease);
		if (r == 0)
			v->settled++;
	}
	if (r == -ESTALE)
		v->stale++;
	else
		must_succeed("settling", r);
	w->hand[n] = 0;
}

static void lease(struct random_shared *s, unsigned i, struct sq *h, uint64_t *random)
{
	struct random_worker *w = &s->worker[i];

	for (;;) {
		struct sq_lease leases[RANDOM_HANDS];
		int n = 0, r;

		do {
			uint64_t value;

			w->calling = 1;
			r = sq_lease(h, &leases[n], n ? SQ_NOWAIT : TIMEOUT_NS);
			if (r == 0) {
				value = crew_read(leases[n].data, leases[n].len);
				if (leases[n].attempts == 1)
					random_value(s, value)->first++;
				else
					random_value(s, value)->late++;
				w->hand[n++] = value + 1;
			}
			w->calling = 0;
		} while (r == 0 && n < RANDOM_HANDS && rng_next(random) >> 63);
		if (r == -ETIMEDOUT && s->over)
			return;
		if (r < 0 && r != -ETIMEDOUT && r != -EAGAIN)
			crew_die("sq_lease: %s", sq_strerror(r));
		while (n-- > 0)
			settle(s, w, h, n, &leases[n], random);
	}
}

void random_work(struct random_shared *s, unsigned i)
{
	uint64_t random = rng_mix(s->seed + atomic_fetch_add(&s->lives, 1));
	struct sq *h = crew_open(RANDOM_QUEUE);

	switch (random_role(i)) {
	case RANDOM_PRODUCER:
		produce(s, i, h, &random);
		break;
	case RANDOM_GETTER:
		get(s, i, h);
		break;
	case RANDOM_LEASER:
		lease(s, i, h, &random);
		break;
	}
	sq_close(h);
}
