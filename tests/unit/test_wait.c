/* SPDX-License-Identifier: ISC */
#include "fixture.h"
#include "now.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

/* Sleeping: not too short, not too long, and no wake-up is lost, whichever process dies. */

#define LATE   (500 * MS) /* what a busy machine may add, but not each time */
#define TRIES  20
#define PLAYS  3
#define ROUNDS 2000

static const struct sq_config pair = {.capacity = 2, .participants = 8, .max_message = 48};

static int get_in_vain(struct sq *h, int64_t span)
{
	uint64_t v;

	return (int)sq_get(h, &v, 8, span);
}

static int lease_in_vain(struct sq *h, int64_t span)
{
	struct sq_lease lease;

	return sq_lease(h, &lease, span);
}

static int put_in_vain(struct sq *h, int64_t span)
{
	return sq_put(h, "x", 1, span);
}

static int join_in_vain(struct sq *h, int64_t span)
{
	return sq_join(h, span);
}

/* Never too early; and, where time is judged, late as the machine is, which it is not each time. */
static void times_out(int (*call)(struct sq *h, int64_t span), struct sq *h, int64_t span)
{
	for (int tries = 0; tries < TRIES; tries++) {
		int64_t from = sqi_now_ns(), took;

		assert_int_equal(call(h, span), -ETIMEDOUT);
		took = sqi_now_ns() - from;
		assert_true(took >= span);
		if (took < span + LATE || !time_is_judged())
			return;
	}
	fail_msg("%d times out of %d it timed out late", TRIES, TRIES);
}

static void test_timeouts(void **state)
{
	static const int64_t spans[] = {1, 1000, 1 * MS, 7 * MS, 60 * MS};
	struct sq *h = fx_make("a", &pair);

	for (size_t i = 0; i < sizeof(spans) / sizeof(spans[0]); i++) {
		times_out(get_in_vain, h, spans[i]);
		times_out(lease_in_vain, h, spans[i]);
	}
	fx_put(h, 1);
	fx_put(h, 2);
	for (size_t i = 0; i < sizeof(spans) / sizeof(spans[0]); i++) {
		times_out(put_in_vain, h, spans[i]);
		times_out(join_in_vain, h, spans[i]);
	}
	/* Nothing half done: the two are still the only ones. */
	fx_get(h, 1);
	fx_get(h, 2);
	fx_empty(h);
}

static void test_longest_timeout_does_not_overflow(void **state)
{
	struct sq *h = fx_make("a", &pair);
	uint64_t v;

	fx_put(h, 1);
	assert_int_equal(sq_get(h, &v, 8, INT64_MAX), 8);
	assert_int_equal(sq_put(h, &v, 8, INT64_MAX), 0);
	assert_int_equal(sq_get(h, &v, 8, INT64_MAX - 1), 8);
}

static void test_nowait_does_not_wait(void **state)
{
	struct sq *h = fx_make("a", &pair);
	int64_t soonest = INT64_MAX;

	for (int tries = 0; tries < TRIES && soonest >= 10000 * MS; tries++) {
		int64_t from = sqi_now_ns(), took;

		for (int i = 0; i < 1000; i++)
			fx_empty(h);
		took = sqi_now_ns() - from;
		if (took < soonest)
			soonest = took;
	}
	/* A thousand ticks would be ten seconds at the least, each time. */
	assert_true(soonest < 10000 * MS);
	/* Nor does it make others call the kernel. */
	assert_int_equal(h->ring.head->message_event.word & 1, 0);
}

struct echo {
	struct sq *in, *out;
	int rounds;
	int64_t nap_ns;
};

static void *echo(void *arg)
{
	struct echo *e = arg;

	for (int i = 0; i < e->rounds; i++) {
		uint64_t v;

		if (sq_get(e->in, &v, 8, SQ_FOREVER) != 8)
			return arg;
		/* Long enough for the other to go to sleep, now and then. */
		if (e->nap_ns && i % 100 == 0)
			fx_nap(e->nap_ns);
		if (sq_put(e->out, &v, 8, SQ_FOREVER) != 0)
			return arg;
	}
	return NULL;
}

/* The same over pipes: what the machine makes of as many hand-overs. */
struct piped {
	int in, out;
	const struct echo *e;
};

static void *echo_piped(void *arg)
{
	struct piped *p = arg;

	for (int i = 0; i < p->e->rounds; i++) {
		char c;

		if (read(p->in, &c, 1) != 1)
			return arg;
		if (p->e->nap_ns && i % 100 == 0)
			fx_nap(p->e->nap_ns);
		if (write(p->out, &c, 1) != 1)
			return arg;
	}
	return NULL;
}

static int64_t ping_pong_piped(int rounds, int64_t nap_ns)
{
	const struct echo e = {.rounds = rounds, .nap_ns = nap_ns};
	int there[2], back[2];
	struct piped p = {.e = &e};
	int64_t from = sqi_now_ns();
	pthread_t thread;
	void *failed;

	assert_int_equal(pipe(there), 0);
	assert_int_equal(pipe(back), 0);
	p.in = there[0];
	p.out = back[1];
	assert_int_equal(pthread_create(&thread, NULL, echo_piped, &p), 0);
	for (int i = 0; i < rounds; i++) {
		char c = 'x';

		assert_int_equal(write(there[1], &c, 1), 1);
		assert_int_equal(read(back[0], &c, 1), 1);
	}
	assert_int_equal(pthread_join(thread, &failed), 0);
	assert_null(failed);
	for (int i = 0; i < 2; i++) {
		(void)close(there[i]);
		(void)close(back[i]);
	}
	return sqi_now_ns() - from;
}

static void ping_pong(int rounds, int64_t nap_ns)
{
	struct sq *there = fx_make("there", &pair), *back = fx_make("back", &pair);
	struct echo e = {fx_open("there"), fx_open("back"), rounds, nap_ns};
	pthread_t thread;
	void *failed;

	assert_int_equal(pthread_create(&thread, NULL, echo, &e), 0);
	for (uint64_t i = 0; i < (uint64_t)rounds; i++) {
		uint64_t v = i;

		assert_int_equal(sq_put(there, &v, 8, SQ_FOREVER), 0);
		assert_int_equal(sq_get(back, &v, 8, SQ_FOREVER), 8);
		assert_int_equal(v, i);
	}
	assert_int_equal(pthread_join(thread, &failed), 0);
	assert_null(failed);
}

static void test_ping_pong(void **state)
{
	for (int tries = 0; tries < PLAYS; tries++) {
		int64_t from = sqi_now_ns(), took, piped;

		ping_pong(ROUNDS, 1 * MS);
		took = sqi_now_ns() - from;
		fx_end(NULL);
		if (!time_is_judged())
			return;
		piped = ping_pong_piped(ROUNDS, 1 * MS);
		/*
		 * A lost wake-up costs a tick of 10 ms: a few may be the machine's, not hundreds, and
		 * what is the machine's, pipes see as well.
		 */
		if (took < ROUNDS * 3 * MS + 3 * piped)
			return;
	}
	fail_msg("%d times out of %d wake-ups were late", PLAYS, PLAYS);
}

static void child_echo(struct sq *in, void *arg)
{
	struct sq *out;
	pid_t pid;

	CHILD_CHECK(sq_open(&out, "back") == 0);
	/* fx_child() waits for us to return; the echo goes on in a child of our own. */
	(void)in;
	(void)arg;
	pid = fork();
	CHILD_CHECK(pid >= 0);
	if (pid == 0) {
		struct echo e = {.rounds = 300};

		(void)alarm(FX_HANG_S);
		CHILD_CHECK(sq_open(&e.in, "there") == 0 && sq_open(&e.out, "back") == 0);
		CHILD_CHECK(echo(&e) == NULL);
		_exit(0);
	}
	sq_close(out);
}

static void test_ping_pong_between_processes(void **state)
{
	struct sq *there = fx_make("there", &pair), *back = fx_make("back", &pair);
	pid_t pid = fx_child("there", child_echo, NULL);

	for (uint64_t i = 0; i < 300; i++) {
		uint64_t v = i;

		assert_int_equal(sq_put(there, &v, 8, SQ_FOREVER), 0);
		assert_int_equal(sq_get(back, &v, 8, SQ_FOREVER), 8);
		assert_int_equal(v, i);
	}
	fx_end_child(pid);
}

struct sleeper {
	struct sq *h;
	uint64_t v;
	ssize_t r;
	int64_t woke_ns;
	int64_t timeout;
};

static void *sleep_in_get(void *arg)
{
	struct sleeper *s = arg;

	s->r = sq_get(s->h, &s->v, 8, s->timeout);
	s->woke_ns = sqi_now_ns();
	return NULL;
}

static void *sleep_in_put(void *arg)
{
	struct sleeper *s = arg;

	s->r = sq_put(s->h, &s->v, 8, s->timeout);
	s->woke_ns = sqi_now_ns();
	return NULL;
}

static bool armed(void *arg)
{
	return sqi_load_seq32(arg) & 1;
}

/* The waker is killed after its commit: no wake-up ever comes, only the tick. */
static void test_waker_killed(void **state)
{
	struct sq *h = fx_make("a", &pair);
	struct sleeper s = {.h = fx_open("a"), .timeout = SQ_FOREVER};
	int64_t soonest = INT64_MAX;

	for (uint64_t i = 0; i < 3; i++) {
		uint64_t p = i, t = p >> h->ring.shift;
		pthread_t thread;
		int64_t from;

		assert_int_equal(pthread_create(&thread, NULL, sleep_in_get, &s), 0);
		assert_true(fx_soon(armed, &h->ring.head->message_event, FX_SOON));
		fx_nap(5 *
			MS); /* so that it most likely sleeps; either way it must get the message */
		sqi_cell(&h->ring, p)->meta = t << SQI_TURN_SHIFT | 8;
		sqi_cell(&h->ring, p)->data[0] = 40 + i;
		from = sqi_now_ns();
		fx_set(h, p, sqi_word(SQI_FULL, 0, 0, t));
		assert_int_equal(pthread_join(thread, NULL), 0);
		assert_int_equal(s.r, 8);
		assert_int_equal(s.v, 40 + i);
		if (s.woke_ns - from < soonest)
			soonest = s.woke_ns - from;
	}
	assert_true(soonest < 100 * MS + LATE || !time_is_judged());
}

static void test_shutdown_ends_for_ever(void **state)
{
	for (int immediate = 0; immediate < 2; immediate++) {
		struct sq *h = fx_make("a", &pair), *other = fx_make("b", &pair);
		struct sleeper get[2] = {{.h = fx_open("a"), .timeout = SQ_FOREVER},
			{.h = fx_open("a"), .timeout = SQ_FOREVER}};
		struct sleeper put[2] = {{.h = fx_open("b"), .timeout = SQ_FOREVER},
			{.h = fx_open("b"), .timeout = SQ_FOREVER}};
		pthread_t threads[4];

		fx_put(other, 1);
		fx_put(other, 2);
		for (int i = 0; i < 2; i++) {
			assert_int_equal(
				pthread_create(&threads[i], NULL, sleep_in_get, &get[i]), 0);
			assert_int_equal(
				pthread_create(&threads[2 + i], NULL, sleep_in_put, &put[i]), 0);
		}
		assert_true(fx_soon(armed, &h->ring.head->message_event, FX_SOON));
		assert_true(fx_soon(armed, &other->ring.head->room_event, FX_SOON));
		assert_int_equal(sq_shutdown(h, immediate), 0);
		assert_int_equal(sq_shutdown(other, immediate), 0);
		for (int i = 0; i < 4; i++)
			assert_int_equal(pthread_join(threads[i], NULL), 0);
		for (int i = 0; i < 2; i++) {
			assert_int_equal(get[i].r, -EPIPE);
			assert_int_equal(put[i].r, -EPIPE);
		}
		assert_int_equal(fx_stat(other).depth, 2);
		fx_end(NULL);
	}
}

/* What others do that gives a sleeper work: each wakes it. */
static void test_what_wakes(void **state)
{
	for (int how = 0; how < 3; how++) {
		struct sq *h = fx_make("a", &pair);
		struct sleeper s = {.h = fx_open("a"), .timeout = SQ_FOREVER, .v = 7};
		struct sq_lease lease;
		pthread_t thread;
		struct sqi_head *head = h->ring.head;
		sqi_u32 *event = how < 2 ? &head->room_event.word : &head->message_event.word;

		fx_put(h, 1);
		if (how < 2)
			fx_put(h, 2);
		lease = fx_lease(h, 1);
		assert_int_equal(
			pthread_create(&thread, NULL, how < 2 ? sleep_in_put : sleep_in_get, &s),
			0);
		assert_true(fx_soon(armed, event, FX_SOON));
		switch (how) {
		case 0:
			assert_int_equal(sq_ack(h, &lease), 0);
			break;
		case 1:
			fx_get(h, 2);
			break;
		default:
			assert_int_equal(sq_nack(h, &lease), 0);
			break;
		}
		assert_int_equal(pthread_join(thread, NULL), 0);
		assert_int_equal(s.r, how < 2 ? 0 : 8);
		assert_int_equal(s.v, how < 2 ? 7 : 1);
		fx_end(NULL);
	}
}

/* Two wait, and what comes is of use to one of them. */
#define PROMPT (10 * MS) /* a tick is 50 ms by then */
#define TIMES  7

static const struct sq_config small_and_large = {
	.capacity = 2, .participants = 8, .max_message = 4096, .block_memory = 1};

struct waiter {
	struct sq *h;
	bool puts;
	size_t len;
	ssize_t r;
	int64_t woke_ns;
	pthread_t thread;
};

static void *wait_for_it(void *arg)
{
	unsigned char buf[4096] = {0};
	struct waiter *w = arg;

	w->r = w->puts ? sq_put(w->h, buf, w->len, SQ_FOREVER)
		       : sq_get(w->h, buf, w->len, SQ_FOREVER);
	w->woke_ns = sqi_now_ns();
	return NULL;
}

static void start(struct waiter *w, bool puts, size_t len)
{
	*w = (struct waiter){.h = fx_open("a"), .puts = puts, .len = len};
	assert_int_equal(pthread_create(&w->thread, NULL, wait_for_it, w), 0);
}

static int64_t joined(struct waiter *w, int64_t from)
{
	assert_int_equal(pthread_join(w->thread, NULL), 0);
	return w->woke_ns - from;
}

/*
 * Was the middle one of so many prompt? A machine may be late for a while: so this is asked again and
 * again, and each time of as many. A waker that forgets is late each time.
 */
static bool prompt(int64_t took[static TIMES])
{
	for (int i = 0; i < TIMES; i++)
		for (int k = i; k > 0 && took[k] < took[k - 1]; k--) {
			int64_t v = took[k];

			took[k] = took[k - 1];
			took[k - 1] = v;
		}
	return took[TIMES / 2] < PROMPT;
}

static void be_prompt(bool (*once)(void))
{
	for (int tries = 0; tries < TRIES; tries++)
		if (once() || !time_is_judged())
			return;
	fail_msg("%d times out of %d the news came late", TRIES, TRIES);
}

/*
 * Their ticks are 10, 20, 40 and then 50 ms. The first one is the first to be woken, for 45 ms from
 * here.
 */
static void two_wait(struct waiter *first, struct waiter *then, bool puts, size_t len, size_t other)
{
	start(first, puts, len);
	fx_nap(5 * MS);
	start(then, puts, other);
	fx_nap(73 * MS);
}

static unsigned take_blocks(struct sq *h, struct sqi_ref refs[static 64])
{
	unsigned n = 0;

	while (sqi_block_get(&h->ring, 300, &refs[n]) == 0)
		assert_in_range(++n, 1, 63);
	return n;
}

/*
 * Cause: sleepers for a cell and sleepers for a block slept on one word, and a free cell's only
 * wake-up went to one that could not use it.
 */
static bool cell_and_block(void)
{
	int64_t cell[TIMES], block[TIMES];

	for (int i = 0; i < TIMES; i++) {
		struct sq *h = fx_make("a", &small_and_large);
		struct waiter large, small;
		struct sqi_ref refs[64];
		int64_t from;

		fx_put(h, 1);
		fx_put(h, 2);
		(void)take_blocks(h, refs);
		two_wait(&large, &small, true, 300, 8);
		from = sqi_now_ns();
		fx_get(h, 1);
		cell[i] = joined(&small, from);
		assert_int_equal(small.r, 0);
		/* There is a cell now, and it still waits for a block. */
		fx_get(h, 2);
		from = sqi_now_ns();
		sqi_block_free(&h->ring, &refs[0]);
		block[i] = joined(&large, from);
		assert_int_equal(large.r, 0);
		fx_end(NULL);
	}
	return prompt(cell) && prompt(block);
}

static void test_cell_and_block(void **state)
{
	be_prompt(cell_and_block);
}

/*
 * Cause: a consumer whose buffer was too small kept the wake-up to itself, though there was a
 * message.
 */
static bool too_large_for_the_first(void)
{
	int64_t took[TIMES];

	for (int i = 0; i < TIMES; i++) {
		struct sq *h = fx_make("a", &small_and_large);
		struct waiter small, large;
		int64_t from;

		two_wait(&small, &large, false, 8, 48);
		from = sqi_now_ns();
		fx_put_large(h, 40, 1);
		took[i] = joined(&large, from);
		assert_int_equal(large.r, 40);
		fx_put_large(h, 40, 1);
		(void)joined(&small, from);
		assert_int_equal(small.r, -EMSGSIZE);
		fx_end(NULL);
	}
	return prompt(took);
}

static void test_too_large_for_the_first(void **state)
{
	be_prompt(too_large_for_the_first);
}

/* Cause: a shutdown woke all but those who wait for a block. */
static bool shutdown_wakes_who_waits_for_a_block(void)
{
	int64_t took[TIMES];

	for (int i = 0; i < TIMES; i++) {
		struct sq *h = fx_make("a", &small_and_large);
		struct waiter large, other;
		struct sqi_ref refs[64];
		int64_t from;

		(void)take_blocks(h, refs);
		two_wait(&large, &other, true, 300, 300);
		from = sqi_now_ns();
		assert_int_equal(sq_shutdown(h, false), 0);
		took[i] = joined(&large, from);
		assert_int_equal(large.r, -EPIPE);
		(void)joined(&other, from);
		assert_int_equal(other.r, -EPIPE);
		fx_end(NULL);
	}
	return prompt(took);
}

static void test_shutdown_wakes_who_waits_for_a_block(void **state)
{
	be_prompt(shutdown_wakes_who_waits_for_a_block);
}

static void on_signal(int sig)
{
	(void)sig;
}

static void test_signals_do_not_end_it(void **state)
{
	struct sigaction act = {.sa_handler = on_signal};
	struct sq *h = fx_make("a", &pair);
	struct sleeper s = {.h = fx_open("a"), .timeout = SQ_FOREVER};
	pthread_t thread;

	assert_int_equal(sigaction(SIGUSR1, &act, NULL), 0);
	assert_int_equal(pthread_create(&thread, NULL, sleep_in_get, &s), 0);
	assert_true(fx_soon(armed, &h->ring.head->message_event, FX_SOON));
	for (int i = 0; i < 20; i++) {
		assert_int_equal(pthread_kill(thread, SIGUSR1), 0);
		fx_nap(MS / 10);
	}
	fx_put(h, 3);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(s.r, 8);
	assert_int_equal(s.v, 3);
}

struct idler {
	pthread_t thread;
	struct sq *h;
	atomic_int tid;
};

static void *idle(void *arg)
{
	struct idler *s = arg;

	atomic_store(&s->tid, gettid());
	(void)get_in_vain(s->h, SQ_FOREVER);
	return NULL;
}

static void begin_idling(struct idler *s)
{
	s->h = fx_open("a");
	atomic_store(&s->tid, 0);
	assert_int_equal(pthread_create(&s->thread, NULL, idle, s), 0);
	while (atomic_load(&s->tid) == 0)
		fx_nap(MS);
}

/* How often it went to sleep. */
static long sleeps(const struct idler *s)
{
	char path[64], line[128];
	long n = -1;
	FILE *f;

	(void)snprintf(path, sizeof(path), "/proc/self/task/%d/status", atomic_load(&s->tid));
	f = fopen(path, "re");
	assert_non_null(f);
	while (n < 0 && fgets(line, sizeof(line), f))
		(void)sscanf(line, "voluntary_ctxt_switches: %ld", &n);
	(void)fclose(f);
	assert_true(n >= 0);
	return n;
}

static bool is_watched(void *arg)
{
	struct sq *h = arg;

	return sqi_load_seq(&h->ring.head->message_watch) != 0;
}

static bool watches(void *arg)
{
	struct idler *s = arg;

	return sqi_load_seq(&s->h->ring.head->message_watch) == s->h->member.id;
}

/* Of the sleepers one looks for the dead many times a second, and the others hardly ever. */
static void test_one_keeps_watch(void **state)
{
	struct sq *h = fx_make("a", &pair);
	struct idler s[4];
	long before[4], watcher = 0, others = 0;
	unsigned watchers = 0;

	for (int i = 0; i < 4; i++)
		begin_idling(&s[i]);
	assert_true(fx_soon(is_watched, h, 60000 * MS));
	fx_nap(1000 * MS); /* they have begun to sleep by then, or it shows as a few sleeps more */
	for (int i = 0; i < 4; i++)
		before[i] = sleeps(&s[i]);
	/* Till the watcher has had 100 ticks, however long that takes: others have four or five. */
	while (watcher < 100) {
		fx_nap(100 * MS);
		for (int i = 0; i < 4; i++)
			if (watches(&s[i]))
				watcher = sleeps(&s[i]) - before[i];
	}
	for (int i = 0; i < 4; i++) {
		watchers += watches(&s[i]);
		if (!watches(&s[i]))
			others += sleeps(&s[i]) - before[i];
	}
	assert_int_equal(watchers, 1);
	assert_true(others < 100);
	assert_int_equal(sq_shutdown(h, true), 0);
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_join(s[i].thread, NULL), 0);
}

/* The participant that kept watch is dead, and has not given the watch up. */
static void test_dead_watch_is_taken_over(void **state)
{
	struct sq *h = fx_make("a", &pair), *dead = fx_open("a");
	struct idler s;

	sqi_store_release(&h->ring.head->message_watch, dead->member.id);
	fx_die(dead);
	begin_idling(&s);
	assert_true(fx_soon(watches, &s, 60000 * MS));
	assert_int_equal(sq_shutdown(h, true), 0);
	assert_int_equal(pthread_join(s.thread, NULL), 0);
}

static void test_event_words(void **state)
{
	struct sq *h = fx_make("a", &pair);
	struct sqi_event *event = &h->ring.head->message_event;

	/* No sleeper: the bit is cleared, so that the next waker makes no system call. */
	atomic_store(&event->word, 1);
	sqi_event_wake(event);
	assert_int_equal(event->word, 2);
	assert_int_equal(event->waking, 0);
	sqi_event_wake(event);
	assert_int_equal(event->word, 2);
	atomic_store(&event->word, UINT32_MAX);
	sqi_event_wake(event);
	assert_int_equal(event->word, 0);
	atomic_store(&event->word, UINT32_MAX);
	sqi_event_wake_all(event);
	assert_int_equal(event->word, 0);
}

/* A sleeper that was woken just now and has not come yet: no other is woken, for a while. */
static void test_one_wake_up_at_a_time(void **state)
{
	struct sq *h = fx_make("a", &pair);
	struct sqi_event *event = &h->ring.head->message_event;
	uint32_t now = (uint32_t)sqi_coarse_ms() << 1 | 1;

	atomic_store(&event->waking, now + (3600000 << 1)); /* in the future: damage */
	atomic_store(&event->word, 1);
	sqi_event_wake(event);
	assert_int_equal(event->word, 2);
	atomic_store(&event->waking, now - (1000 << 1)); /* it does not come */
	atomic_store(&event->word, 1);
	sqi_event_wake(event);
	assert_int_equal(event->word, 2);
	assert_int_equal(event->waking, 0);
	/* Ten milliseconds may pass between these; not each time. */
	for (int i = 0; i < 100; i++) {
		atomic_store(&event->waking, (uint32_t)sqi_coarse_ms() << 1 | 1);
		atomic_store(&event->word, 1);
		sqi_event_wake(event);
		if (event->word == 1)
			break;
	}
	assert_int_equal(event->word, 1);
	/* It came: the next may be woken. */
	sqi_event_arrive(event);
	assert_int_equal(event->waking, 0);
	sqi_event_wake(event);
	assert_int_equal(event->word, 2);
}

static const struct CMUnitTest tests[] = {
	TEST(test_timeouts),
	TEST(test_longest_timeout_does_not_overflow),
	TEST(test_nowait_does_not_wait),
	TEST(test_ping_pong),
	TEST(test_ping_pong_between_processes),
	TEST(test_waker_killed),
	TEST(test_shutdown_ends_for_ever),
	TEST(test_what_wakes),
	TEST(test_cell_and_block),
	TEST(test_too_large_for_the_first),
	TEST(test_shutdown_wakes_who_waits_for_a_block),
	TEST(test_signals_do_not_end_it),
	TEST(test_one_keeps_watch),
	TEST(test_dead_watch_is_taken_over),
	TEST(test_event_words),
	TEST(test_one_wake_up_at_a_time),
};

FX_MAIN(tests)
