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
#include "threads_step.h"

/*
 * Threads of one process on one queue, doing everything at once: puts and gets of every kind,
 * leases kept too long, handles opened and closed, recovery, statistics and sweeps, shutdown in the
 * middle, and participants that die between any two accesses to shared words while others recover
 * them. Made for ThreadSanitizer, which sees all of it, for it is one process.
 *
 *	--rounds 63 --puts 2000 --deaths 12 --seed N
 *
 * A round lasts until so many messages were put, and so many participants died if any are to.
 *
 * What must hold: a message is taken once, whole, and was put; none is missing but what the dead
 * may have taken with them; at the end all cells and blocks are free.
 */

#define PRODUCERS   3
#define CONSUMERS   3
#define GUESTS      1
#define SWEEPERS    1
#define THREADS     (PRODUCERS + CONSUMERS + GUESTS + SWEEPERS)
#define NUMBERS     (1u << 16) /* messages of a producer in a round, at most */
#define NUMBER_BITS 32
#define SIZE_MAX_   3000
#define BATCH       4
#define LEASES      3
#define SPAN_NS     (2 * CREW_MS)
#define LIFE_STEPS  8000 /* of one who is to die: at most */
#define ALARM_S     5000
#define NACK_ONE_OF 8
#define LATE_ONE_OF 32
#define ALL_CAME_NS (300 * (int64_t)CREW_SECOND)
#define ROUND_NS    (20 * (int64_t)CREW_SECOND) /* at most */

enum ending { JOIN, SHUTDOWN, SHUTDOWN_NOW, ENDINGS };

static const struct kind {
	uint64_t capacity, size_max;
	int64_t lease_time;
	bool deaths;
} kinds[] = {
	{2, 40, 0, true},
	{4, SIZE_MAX_, 0, true},
	{8, SIZE_MAX_, 3 * CREW_MS, true},
	{64, 200, 0, false},
	{4, 40, 3 * CREW_MS, false},
	{512, SIZE_MAX_, 0, true},
	{2, SIZE_MAX_, 3 * CREW_MS, true},
};

#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

/* Where a message has got to. */
enum { TRIED = 1, PUT = 2, TAKEN = 4 };

static struct {
	uint64_t seed;
	const struct kind *kind;
	atomic_bool producing, consuming, running;
	_Atomic uint8_t (*marks)[NUMBERS]; /* of each producer */
	_Atomic uint64_t puts, takes, nacks, lates, reopened;
	/* Messages that the dead may have taken with them, or put and not told. */
	_Atomic uint64_t gone, untold;
} t;

struct me {
	unsigned number;
	void (*role)(struct me *me);
	uint64_t random;
	struct sq *h;
	jmp_buf death;
	uint64_t next; /* number of the next message to put */
	uint64_t held; /* messages in the hand of a call now, which die with us */
	unsigned char buf[BATCH][SIZE_MAX_ + CREW_HEAD];
};

static unsigned roll(struct me *me, unsigned n)
{
	return (unsigned)((rng_next(&me->random) >> 32) % n);
}

static size_t size_of(uint64_t value)
{
	return CREW_HEAD + rng_mix(value ^ t.seed) % (t.kind->size_max - CREW_HEAD + 1);
}

static uint64_t value_of(const struct me *me, uint64_t number)
{
	return (uint64_t)me->number << NUMBER_BITS | number;
}

static void die_unless(bool right, const char *call, int64_t r)
{
	if (!right)
		crew_die("%s returned %" PRId64 " (%s)", call, r, sq_strerror(r < 0 ? (int)r : 0));
}

/* The message `ahead` of the next, about to be put. */
static size_t make(struct me *me, unsigned ahead, void *buf)
{
	uint64_t value = value_of(me, me->next + ahead);

	t.marks[me->number][me->next + ahead] |= TRIED;
	return crew_write(buf, value, size_of(value));
}

static void made(struct me *me, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		t.marks[me->number][me->next++] |= PUT;
	t.puts += n;
	me->held = 0;
}

/* Whole, put by somebody, and never taken before. */
static void take(const void *data, size_t len)
{
	uint64_t value = crew_read(data, len), number = value & UINT32_MAX;
	uint64_t who = value >> NUMBER_BITS;

	if (who >= PRODUCERS || number >= NUMBERS || len != size_of(value))
		crew_die("value %" PRIx64 " of %zu bytes was never put", value, len);
	switch (atomic_fetch_or(&t.marks[who][number], TAKEN) & (TRIED | TAKEN)) {
	case TRIED:
		t.takes++;
		return;
	case TRIED | TAKEN:
		crew_die("value %" PRIx64 " was taken twice", value);
	default:
		crew_die("value %" PRIx64 " was never put", value);
	}
}

static void produce(struct me *me)
{
	struct iovec iov[BATCH];
	void *at;
	int r = 0;

	while (t.producing && me->next + BATCH <= NUMBERS && r != -EPIPE) {
		unsigned dice = roll(me, 8);

		me->held = 1;
		if (dice == 0) {
			for (unsigned i = 0; i < BATCH; i++) {
				iov[i].iov_base = me->buf[i];
				iov[i].iov_len = make(me, i, me->buf[i]);
			}
			me->held = BATCH;
			r = sq_put_many(me->h, iov, BATCH, SPAN_NS);
			made(me, r > 0 ? (unsigned)r : 0);
		} else if (dice <= 2) {
			r = sq_reserve(me->h, t.kind->size_max, &at);
			if (r == 0) {
				size_t len = make(me, 0, at);

				r = roll(me, 8) ? sq_commit(me->h, len, SPAN_NS) : -EAGAIN;
				made(me, r == 0);
				if (r < 0)
					sq_abort(me->h);
			}
		} else {
			r = sq_put(me->h, me->buf[0], make(me, 0, me->buf[0]),
				dice == 3 ? SQ_NOWAIT : SPAN_NS);
			made(me, r == 0);
		}
		die_unless(r >= 0 || r == -EAGAIN || r == -ETIMEDOUT || r == -EPIPE, "a put", r);
	}
	me->held = 0;
}

/* Keeps some too long, gives some back. */
static int consume_leases(struct me *me)
{
	struct sq_lease lease[LEASES];
	unsigned n = 0;
	bool late;
	int r;

	do
		r = sq_lease(me->h, &lease[n], n ? SQ_NOWAIT : SPAN_NS);
	while (r == 0 && ++n < LEASES && roll(me, 2));
	late = n && t.kind->lease_time && roll(me, LATE_ONE_OF) == 0;
	if (late)
		sleep_ns(2 * t.kind->lease_time);
	for (unsigned i = 0; i < n; i++) {
		uint64_t value = crew_read(lease[i].data, lease[i].len);
		int s = roll(me, 4) ? 0 : sq_touch(me->h, &lease[i]);

		if (s == 0 && crew_read(lease[i].data, lease[i].len) != value)
			crew_die("a leased message changed");
		if (s == 0) {
			size_t len = lease[i].len;
			bool nack = roll(me, NACK_ONE_OF) == 0;

			memcpy(me->buf[0], lease[i].data, len);
			me->held = 1;
			s = nack ? sq_nack(me->h, &lease[i]) : sq_ack(me->h, &lease[i]);
			if (s == 0 && !nack)
				take(me->buf[0], len);
			t.nacks += s == 0 && nack;
			me->held = 0;
		}
		t.lates += s == -ESTALE;
		die_unless(s == 0 || (s == -ESTALE && t.kind->lease_time), "an end of a lease", s);
	}
	return n ? 0 : r;
}

static void consume(struct me *me)
{
	struct iovec iov[BATCH];
	int r = 0;

	while (t.consuming && r != -EPIPE) {
		unsigned dice = roll(me, 4);

		if (dice < 2) {
			r = consume_leases(me);
		} else if (dice == 2) {
			me->held = BATCH;
			r = sq_get_many(me->h, me->buf, sizeof(me->buf), iov, BATCH, SPAN_NS);
			for (int i = 0; i < r; i++)
				take(iov[i].iov_base, iov[i].iov_len);
		} else {
			me->held = 1;
			r = (int)sq_get(me->h, me->buf[0], sizeof(me->buf[0]), SPAN_NS);
			if (r >= 0)
				take(me->buf[0], (size_t)r);
		}
		me->held = 0;
		die_unless(r >= 0 || r == -ETIMEDOUT || r == -EPIPE, "a get", r);
	}
}

/* Comes, takes something in its hands, and goes. */
static void visit(struct me *me)
{
	struct sq_lease lease;
	uint64_t count;
	void *at;
	int r;

	if (!t.running)
		return;
	r = sq_count_bind(me->h, me->number, &count);
	die_unless(r == 0 || r == -EBUSY, "sq_count_bind", r);
	(void)sq_count_read(me->h, me->number, &count);
	(void)sq_reserve(me->h, t.kind->size_max, &at);
	for (int i = 0; i < 2; i++)
		if (sq_lease(me->h, &lease, SQ_NOWAIT) == 0)
			(void)crew_read(lease.data, lease.len);
	t.reopened++;
}

static int seen(const char *name, void *data)
{
	return 0;
}

static void sweep(struct me *me)
{
	struct sq_stat st;
	int r;

	while (t.running) {
		r = sq_recover(me->h);
		die_unless(r >= 0, "sq_recover", r);
		r = sq_stat(me->h, &st);
		die_unless(r == 0 && st.damaged == 0, "sq_stat", r);
		threads_spare(true); /* these hold the process's lock at times */
		r = sq_gc("threads");
		die_unless(r == 0, "sq_gc", r);
		(void)sq_list(NULL, seen, NULL);
		(void)sq_sweep();
		threads_spare(false);
		sleep_ns(CREW_MS / 4);
	}
}

/* What a call in hand at the moment of a death may have done, nobody knows. */
static void account(struct me *me)
{
	if (me->role == produce) {
		t.untold += me->held;
		me->next += me->held;
	} else {
		t.gone += me->held;
	}
	me->held = 0;
}

/* A thread's life; and, if it dies as a participant, its next. */
static void *live(void *arg)
{
	struct me *me = arg;
	bool again;

	threads_unrest(me->random, 64);
	do {
		threads_spare(true);
		me->h = crew_open("threads");
		again = true;
		if (setjmp(me->death) == 0) {
			threads_doom(
				me->h, t.kind->deaths ? 1 + roll(me, LIFE_STEPS) : 0, &me->death);
			me->role(me);
			threads_spare(true);
			sq_close(me->h);
			again = me->role == visit && t.running;
		} else {
			account(me);
			if (roll(me, 2))
				sleep_ns(3 * CREW_MS);
			threads_bury(me->h);
		}
	} while (again);
	return NULL;
}

/* All of it has been taken, or was taken along: what do the marks say? */
static void check_marks(enum ending ending, uint64_t left)
{
	uint64_t missing = 0, unasked = 0;

	for (unsigned who = 0; who < PRODUCERS; who++) {
		for (unsigned i = 0; i < NUMBERS; i++) {
			uint8_t mark = t.marks[who][i];

			missing += (mark & (PUT | TAKEN)) == PUT;
			unasked += (mark & (PUT | TAKEN)) == TAKEN;
		}
	}
	if (missing > t.gone + left)
		crew_die("%" PRIu64 " messages are missing; the dead may have taken %" PRIu64
			 ", and %" PRIu64 " are still in the queue",
			missing, t.gone, left);
	if (unasked > t.untold)
		crew_die("%" PRIu64 " messages came whose put had not returned 0; it is unknown "
			 "of %" PRIu64,
			unasked, t.untold);
	if (left && ending != SHUTDOWN_NOW)
		crew_die("%" PRIu64 " messages stay in the queue", left);
}

static void check_end(struct sq *h, enum ending ending)
{
	struct sq_stat st;
	uint64_t n;
	char c;

	while (sq_recover(h) > 0)
		;
	(void)sq_stat(h, &st);
	check_marks(ending, st.depth);
	if (st.leased || st.participants != 1 || st.put - st.took != st.depth || st.damaged)
		crew_die("at the end: %" PRIu64 " leased, %u participants, %" PRIu64
			 " put, %" PRIu64 " took, %" PRIu64 " are there, %" PRIu64 " damaged",
			st.leased, st.participants, st.put, st.took, st.depth, st.damaged);
	if (!st.depth && st.blocks_free != st.blocks)
		crew_die("%" PRIu64 " blocks are lost", st.blocks - st.blocks_free);
	n = st.put - t.puts;
	if (st.put < t.puts || n > t.untold)
		crew_die("%" PRIu64 " puts returned 0 and %" PRIu64
			 " are unknown; the queue counts %" PRIu64,
			t.puts, t.untold, st.put);
	if (ending == JOIN)
		crew_check_rest(h, st.put);
	else
		die_unless(sq_put(h, &c, 1, SQ_NOWAIT) == -EPIPE, "sq_put after the end", 0);
}

/* Those whose role it is come to their end, or have been told to. */
static void join(void (*role)(struct me *me), struct me all[static THREADS],
	const pthread_t thread[static THREADS])
{
	for (unsigned i = 0; i < THREADS; i++)
		if (all[i].role == role)
			(void)pthread_join(thread[i], NULL);
}

static void end(struct sq *h, enum ending ending, struct me all[static THREADS],
	const pthread_t thread[static THREADS])
{
	int r;

	if (ending == JOIN) {
		t.producing = false;
		join(produce, all, thread);
		r = sq_join(h, ALL_CAME_NS);
		die_unless(r == 0, "sq_join", r);
		t.consuming = false;
		join(consume, all, thread);
	} else {
		r = sq_shutdown(h, ending == SHUTDOWN_NOW);
		die_unless(r == 0, "sq_shutdown", r);
		/* By themselves: they are told so by the queue. */
		join(produce, all, thread);
		join(consume, all, thread);
	}
	t.running = false;
	join(visit, all, thread);
	join(sweep, all, thread);
	/* What a visitor gave back when the consumers had gone. */
	while (ending == SHUTDOWN) {
		ssize_t len = sq_get(h, all[0].buf, sizeof(all[0].buf), SQ_NOWAIT);

		if (len == -EPIPE)
			break;
		die_unless(len >= 0, "sq_get of the last", len);
		take(all[0].buf, (size_t)len);
	}
}

static void play(uint64_t n, uint64_t puts, uint64_t deaths)
{
	static void (*const roles[THREADS])(struct me *) = {
		produce, produce, produce, consume, consume, consume, visit, sweep};
	static struct me all[THREADS];
	const struct kind *kind = &kinds[n % KINDS];
	struct sq_config config = {.capacity = kind->capacity,
		.max_message = kind->size_max,
		.lease_time = kind->lease_time,
		.participants = 4 * THREADS,
		.block_memory = 64 << 10};
	enum ending ending = (enum ending)(n / KINDS % ENDINGS);
	int64_t until = now_ns() + ROUND_NS;
	uint64_t died = threads_deaths();
	pthread_t thread[THREADS];
	struct sq *h;

	t.kind = kind;
	t.producing = t.consuming = t.running = true;
	t.puts = t.gone = t.untold = 0;
	memset(t.marks, 0, PRODUCERS * sizeof(*t.marks));
	memset(all, 0, sizeof(all));
	crew_queue("threads", &config);
	h = crew_open("threads");
	for (unsigned i = 0; i < THREADS; i++) {
		all[i].number = i;
		all[i].role = roles[i];
		all[i].random = rng_mix(t.seed + n * THREADS + i);
		if (pthread_create(&thread[i], NULL, live, &all[i]))
			crew_die("pthread_create");
	}
	while ((t.puts < puts || (kind->deaths && threads_deaths() < died + deaths)) &&
		now_ns() < until)
		sleep_ns(CREW_MS);
	end(h, ending, all, thread);
	check_end(h, ending);
	sq_close(h);
}

int main(int argc, char **argv)
{
	uint64_t rounds = option_number(argc, argv, "--rounds", KINDS * ENDINGS * 3), puts = 0;
	uint64_t puts_min = option_number(argc, argv, "--puts", 2000);
	uint64_t deaths_min = option_number(argc, argv, "--deaths", 12);

	t.seed = option_number(argc, argv, "--seed", (uint64_t)now_ns());
	options_end(argc, argv);
	crew_init("threads", t.seed, ALARM_S);
	t.marks = crew_share(PRODUCERS * sizeof(*t.marks));
	for (uint64_t n = 0; n < rounds; n++) {
		play(n, puts_min, deaths_min);
		puts += t.puts;
	}
	return crew_finish("%" PRIu64 " rounds passed, 0 failed: %" PRIu64 " messages put, %" PRIu64
			   " taken, %" PRIu64 " given back, %" PRIu64 " leases were late, %" PRIu64
			   " visits, %" PRIu64 " deaths between two steps",
		rounds, puts, t.takes, t.nacks, t.lates, t.reopened, threads_deaths());
}
