/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "now.h"
#include "rng.h"
#include "soak.h"

/*
 * The workers of the long stress. Each may be killed anywhere, so what it does with a message is
 * written down in the order in which it must be believed: first in hand, then done, then settled,
 * then no more in hand.
 */

#define NACK_ONE_OF    24
#define POISON_ONE_OF  200 /* values that nobody can work on: they die */
#define WORK_ONE_OF    64  /* messages that take long, some longer than the lease time */
#define TOUCH_ONE_OF   8
#define WORK_NS_MAX    (20 * CREW_MS)
#define PAUSE_NS_MAX   (4 * CREW_MS)
#define BURST_MAX      400
#define ODD_PAUSE_NS   (10 * CREW_MS)
#define SWEEP_ONE_OF   64
#define FOREVER_ONE_OF 16

static struct soak *soak;
static struct soak_seat *me;
static uint64_t dice;
static uint64_t last_seen[SOAK_QUEUES][SOAK_IDENTITIES]; /* number plus one, in order */

static uint64_t chance(uint64_t n)
{
	return (rng_next(&dice) >> 24) % n;
}

/* As must_succeed(); says of which queue. */
static void must_here(const char *call, int r)
{
	if (r < 0)
		crew_die("%s of %s: %s", call, soak_names[me->queue], sq_strerror(r));
}

static bool leaving(void)
{
	return me->leave || soak->enough;
}

/* Sleepers of all kinds, and those that only look. Those for ever have to be killed. */
static int64_t some_time(void)
{
	switch (chance(4)) {
	case 0:
		return SQ_NOWAIT;
	case 1:
		return (int64_t)chance(2 * CREW_MS);
	default:
		return chance(FOREVER_ONE_OF) ? (int64_t)chance(60 * CREW_MS) : SQ_FOREVER;
	}
}

static bool on_strike(void)
{
	if (!(soak->strike >> me->queue & 1))
		return false;
	sleep_ns(CREW_MS);
	return true;
}

/* Neither an error nor a message. */
static bool nothing(int64_t r)
{
	return r == -EAGAIN || r == -ETIMEDOUT;
}

/* Half of them small. */
static size_t size_of(uint64_t value)
{
	uint64_t r = rng_mix(value ^ soak->seed) >> 16;

	return r % 2 ? CREW_HEAD + r / 2 % 24 : r / 2 % (SOAK_SIZE_MAX + 1);
}

static bool poisoned(uint64_t value)
{
	return rng_mix(value + soak->seed) % POISON_ONE_OF == 0;
}

/* Up to n values from `value` on, in one way or another. How many went in. */
static int put_some(struct sq *h, uint64_t value, int n)
{
	static unsigned char buf[SOAK_BATCH][SOAK_SIZE_MAX];
	struct iovec iov[SOAK_BATCH];
	int64_t timeout = some_time();
	void *at;
	int r;

	if (n > 1) {
		for (int i = 0; i < n; i++) {
			iov[i].iov_base = buf[i];
			iov[i].iov_len = crew_write(
				buf[i], value + (uint64_t)i, size_of(value + (uint64_t)i));
		}
		return sq_put_many(h, iov, n, timeout);
	}
	if (chance(2)) {
		r = sq_put(h, buf, crew_write(buf, value, size_of(value)), timeout);
		return r < 0 ? r : 1;
	}
	r = sq_reserve(h, SOAK_SIZE_MAX, &at);
	if (r == 0 && chance(8) == 0) {
		sq_abort(h);
		r = sq_reserve(h, SOAK_SIZE_MAX, &at);
	}
	if (r == 0)
		r = sq_commit(h, crew_write(at, value, size_of(value)), timeout);
	if (r < 0)
		sq_abort(h);
	return r < 0 ? r : 1;
}

static void produce(struct sq *h, unsigned seat)
{
	bool bound = me->role == SOAK_BOUND;
	unsigned identity = 2 * seat + !bound;
	struct soak_line *line = &soak->line[me->queue][identity];
	uint64_t number, burst = 0;

	if (bound) {
		must_here("sq_count_bind", sq_count_bind(h, identity + 1, &number));
		if (number < line->put || number > line->put + line->in_flight)
			crew_die("%s: the durable count of %u says %" PRIu64 ", but %" PRIu64
				 " puts had returned and %" PRIu64 " were under way",
				soak_names[me->queue], identity, number, line->put,
				line->in_flight);
		line->put = number;
		line->in_flight = 0;
	}
	while (!leaving()) {
		int n = chance(4) == 0 ? (int)chance(SOAK_BATCH) + 1 : 1, r;

		number = line->put;
		if (soak->silence || number - line->base > SOAK_VALUES_MAX - SOAK_BATCH) {
			sleep_ns(CREW_MS);
			continue;
		}
		if (burst-- == 0) {
			burst = chance(BURST_MAX);
			sleep_ns((int64_t)chance(PAUSE_NS_MAX));
		}
		line->in_flight = (uint64_t)n;
		r = put_some(h, soak_value_of(me->queue, identity, number), n);
		if (r > 0)
			line->put = number + (uint64_t)r;
		line->in_flight = 0;
		if (r == -EPIPE && me->queue == SOAK_BRIEF)
			return;
		if (r < 0 && !nothing(r))
			crew_die("a put to %s: %s", soak_names[me->queue], sq_strerror(r));
	}
}

/* Values of one producer come in its order, but those that had been in somebody's hands. */
static bool in_order(uint64_t value)
{
	uint64_t *last = &last_seen[value >> SOAK_QUEUE_SHIFT][value >> SOAK_NUMBER_BITS & 0xffff];
	uint64_t number = value & (((uint64_t)1 << SOAK_NUMBER_BITS) - 1);

	if (number + 1 <= *last)
		return false;
	*last = number + 1;
	return true;
}

/* A message that is ours for good. */
static void got(unsigned char *at, size_t len)
{
	uint64_t value = crew_read(at, len);
	struct soak_value *v = soak_value(soak, value);

	if (me->role == SOAK_UNDERTAKER) {
		v->buried++;
	} else {
		if (!in_order(value))
			v->late++;
		v->done++;
		v->settled++;
	}
	soak->moved++;
	/* No excuse any more for its being missing. */
	memset(at, 0, CREW_HEAD);
}

static void get(struct sq *h)
{
	while (!leaving()) {
		struct iovec iov[SOAK_BATCH];
		int64_t timeout = some_time();
		int n = chance(3) == 0 ? (int)chance(SOAK_BATCH) + 1 : 1, r;

		if (on_strike())
			continue;
		/* What is left in the buffer of a try in which another was faster is not ours. */
		memset(me->buffer, 0, CREW_HEAD);
		me->calling = true;
		if (n > 1) {
			r = sq_get_many(h, me->buffer, sizeof(me->buffer), iov, n, timeout);
		} else {
			ssize_t len = sq_get(h, me->buffer, sizeof(me->buffer), timeout);

			iov[0].iov_base = me->buffer;
			iov[0].iov_len = (size_t)len;
			r = len < 0 ? (int)len : 1;
		}
		me->calling = false;
		for (int i = 0; i < r; i++)
			got(iov[i].iov_base, iov[i].iov_len);
		if (r == -EPIPE && me->queue == SOAK_BRIEF)
			return;
		if (r < 0 && !nothing(r))
			crew_die("a get from %s: %s", soak_names[me->queue], sq_strerror(r));
		if (nothing(r) && timeout == SQ_NOWAIT && chance(4))
			sleep_ns((int64_t)chance(CREW_MS));
	}
}

static void stale(struct soak_value *v, bool done)
{
	v->stale++;
	if (done)
		v->redo++;
}

/* Is this hand's message in another one, too? It was overdue, and came to us again. */
static bool also_in(unsigned n, unsigned from, unsigned to)
{
	for (unsigned i = from; i < to; i++)
		if (me->hand[i] == me->hand[n])
			return true;
	return false;
}

/*
 * Work on a leased message, and settle it. If it had ended and came to us again, it is the later
 * lease that counts; and when the earlier is told so, our claim on the memory may be gone.
 */
static void settle(struct sq *h, unsigned n, const struct sq_lease *lease, bool earlier, bool later)
{
	uint64_t value = me->hand[n] - 1;
	struct soak_value *v = soak_value(soak, value);
	int r;

	if (chance(WORK_ONE_OF) == 0)
		sleep_ns((int64_t)chance(WORK_NS_MAX));
	if (chance(TOUCH_ONE_OF) == 0) {
		r = sq_touch(h, lease);
		if (r == -ESTALE) {
			stale(v, false);
			me->hand[n] = 0;
			return;
		}
		must_here("sq_touch", r);
	}
	/* Perhaps overdue by now, but nobody has told us, so it must still be there. */
	if (!earlier && crew_read(lease->data, lease->len) != value)
		crew_die("a message changed while it was leased");
	if (chance(NACK_ONE_OF) == 0 || (me->queue == SOAK_TIMED && poisoned(value))) {
		v->given_back++;
		r = sq_nack(h, lease);
		if (r == -ESTALE)
			stale(v, false);
	} else {
		v->done++;
		r = sq_ack(h, lease);
		if (r == 0) {
			v->settled++;
			soak->moved++;
		}
		if (r == -ESTALE)
			stale(v, true);
	}
	if (r != -ESTALE)
		must_here("settling", r);
	if (r == 0 && later)
		crew_die("a lease of %" PRIx64 " that had ended was settled", value);
	me->hand[n] = 0;
}

static void lease(struct sq *h)
{
	while (!leaving()) {
		struct sq_lease leases[SOAK_HANDS];
		int64_t timeout = some_time();
		bool earlier[SOAK_HANDS];
		unsigned n = 0;
		int r;

		if (on_strike())
			continue;
		do {
			me->calling = true;
			r = sq_lease(h, &leases[n], n ? SQ_NOWAIT : timeout);
			if (r == 0) {
				uint64_t value = crew_read(leases[n].data, leases[n].len);
				struct soak_value *v = soak_value(soak, value);

				if (leases[n].attempts > 1)
					v->late++;
				else if (!in_order(value))
					crew_die("%" PRIx64 " comes before its turn, or again",
						value);
				else
					v->first++;
				me->hand[n++] = value + 1;
			}
			me->calling = false;
			if (r == 0 && chance(WORK_ONE_OF) == 0)
				sleep_ns((int64_t)chance(2 * WORK_NS_MAX));
		} while (r == 0 && n < SOAK_HANDS && chance(2));
		if (r == -EPIPE && me->queue == SOAK_BRIEF && n == 0)
			return;
		if (r < 0 && !nothing(r) && r != -EPIPE)
			crew_die("sq_lease of %s: %s", soak_names[me->queue], sq_strerror(r));
		/* A worker may leave with messages in hand. */
		if (leaving() && chance(2)) {
			for (unsigned i = 0; i < n; i++)
				soak_value(soak, me->hand[i] - 1)->given_back++;
			return;
		}
		/* The later ones first would hide that the earlier have ended. */
		for (unsigned i = 0; i < n; i++)
			earlier[i] = also_in(i, 0, i);
		for (unsigned i = 0; i < n; i++)
			settle(h, i, &leases[i], earlier[i], also_in(i, i + 1, n));
		if (nothing(r) && timeout == SQ_NOWAIT && chance(4))
			sleep_ns((int64_t)chance(CREW_MS));
	}
}

static int count_one(const char *name, void *data)
{
	++*(unsigned *)data;
	return 0;
}

/* A worker that takes no messages, but looks, asks and tidies up, all the time. */
static void be_odd(struct sq *h)
{
	while (!leaving()) {
		struct sq_stat st;
		unsigned n = 0;
		uint64_t count;
		int r = 0;

		switch (chance(8)) {
		case 0:
			if (!soak->shy)
				r = sq_recover(h);
			break;
		case 1:
			/* Of all users of this machine: seldom. */
			if (chance(SWEEP_ONE_OF) == 0)
				r = sq_sweep();
			break;
		case 2:
			if (!soak->shy)
				r = sq_gc(soak_names[me->queue]);
			if (r > 0)
				crew_die("%s was removed, and we are here", soak_names[me->queue]);
			break;
		case 3:
			r = sq_join(h, (int64_t)chance(5 * CREW_MS));
			break;
		case 4:
			r = sq_count_read(h, chance(SOAK_IDENTITIES) + 1, &count);
			if (r == -ENOENT)
				r = 0;
			break;
		case 5:
			r = sq_list(NULL, count_one, &n);
			if (r == 0 && n < SOAK_ALL_QUEUES)
				crew_die("only %u of our queues are listed", n);
			break;
		case 6:
			sq_close(crew_open(soak_names[me->queue]));
			break;
		default:
			must_here("sq_stat", sq_stat(h, &st));
			if (st.damaged)
				crew_die("%s is damaged", soak_names[me->queue]);
			break;
		}
		if (r < 0 && !nothing(r))
			crew_die("an odd call on %s: %s", soak_names[me->queue], sq_strerror(r));
		soak->oddities++;
		sleep_ns((int64_t)chance(ODD_PAUSE_NS));
	}
}

void soak_work(struct soak *s, unsigned seat)
{
	struct sq *h;

	soak = s;
	me = &s->seat[seat];
	dice = rng_mix(s->seed + atomic_fetch_add(&s->lives, 1));
	h = crew_open(soak_names[me->queue]);
	switch (me->role) {
	case SOAK_BOUND:
	case SOAK_UNBOUND:
		produce(h, seat);
		break;
	case SOAK_GETTER:
	case SOAK_UNDERTAKER:
		get(h);
		break;
	case SOAK_LEASER:
		lease(h);
		break;
	case SOAK_LOOKER:
		be_odd(h);
		break;
	}
	sq_close(h);
}
