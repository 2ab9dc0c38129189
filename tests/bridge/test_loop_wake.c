/* SPDX-License-Identifier: ISC */
#include <linux/futex.h>
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ends.h"
#include "now.h"
#include "loop_in.h"

/* What wakes the loop but connections: timers, words, signals, descriptors. */

/* Timers. */

enum {
	TIMERS = 5000,
};

struct tick {
	struct loop_timer timer;
	int64_t due_ns;
	int order, fired;
};
static struct tick ticks[TIMERS];
static int fired_n, fired_wrong;
static int64_t last_due_ns;
static int last_order;

static void ticked(void *ctx)
{
	struct tick *t = ctx;

	fired_n++;
	t->fired++;
	if (t->timer.due_ns > now_ns() || t->timer.due_ns < last_due_ns)
		fired_wrong++;
	if (t->timer.due_ns == last_due_ns && t->order < last_order)
		fired_wrong++;
	last_due_ns = t->timer.due_ns;
	last_order = t->order;
	/* One in ten stops one that is still to come, or is gone; one in ten sets it again. */
	if (t->order % 10 == 0)
		loop_timer_stop(ends_the_loop, &ticks[(t->order * 7 + 13) % TIMERS].timer);
}

static void test_timers(void **state)
{
	int stopped = 0;

	ends_loop(NULL);
	memset(ticks, 0, sizeof(ticks));
	fired_n = fired_wrong = 0;
	last_due_ns = 0;
	srandom(1);
	for (int i = 0; i < TIMERS; i++) {
		ticks[i].order = i;
		loop_timer_set(
			ends_the_loop, &ticks[i].timer, random() % 100 * MS, ticked, &ticks[i]);
	}
	/* Set again, for another time; stopped, and stopped again. */
	for (int i = 0; i < TIMERS; i += 17)
		loop_timer_set(
			ends_the_loop, &ticks[i].timer, random() % 50 * MS, ticked, &ticks[i]);
	for (int i = 5; i < TIMERS; i += 100) {
		loop_timer_stop(ends_the_loop, &ticks[i].timer);
		loop_timer_stop(ends_the_loop, &ticks[i].timer);
		stopped++;
	}
	ENDS_UNTIL(loop_timers_wait_ns(ends_the_loop) < 0);
	assert_int_equal(0, fired_wrong);
	assert_true(fired_n <= TIMERS - stopped && fired_n > TIMERS / 2);
	for (int i = 0; i < TIMERS; i++) {
		assert_true(ticks[i].fired <= 1);
		assert_false(ticks[i].timer.armed);
		if (i % 100 == 5)
			assert_int_equal(0, ticks[i].fired);
	}
}

static int again_n, turn_n, other_n;
static struct loop_timer again_timer;

static void again(void *ctx)
{
	again_n++;
	loop_timer_set(ends_the_loop, &again_timer, 0, again, NULL);
}

static void other(void *ctx)
{
	other_n++;
	if (ctx)
		loop_stop(ends_the_loop);
}

/* One that sets itself for now does not keep the others from their turn. */
static void test_timer_again(void **state)
{
	struct loop_timer timer = {0};

	ends_loop(NULL);
	again_n = other_n = 0;
	loop_timer_set(ends_the_loop, &again_timer, 0, again, NULL);
	loop_timer_set(ends_the_loop, &timer, 20 * MS, other, &timer);
	assert_int_equal(0, loop_run(ends_the_loop));
	assert_int_equal(1, other_n);
	assert_true(again_n > 1);
	turn_n = again_n;
	assert_int_equal(0, loop_turn(ends_the_loop, 0));
	assert_int_equal(turn_n + 1, again_n);
	loop_timer_stop(ends_the_loop, &again_timer);
	/* Far in the future, and in the past. */
	loop_timer_set(ends_the_loop, &timer, INT64_MAX, other, NULL);
	assert_int_equal(0, loop_turn(ends_the_loop, MS));
	assert_int_equal(1, other_n);
	loop_timer_set(ends_the_loop, &timer, -5, other, NULL);
	ENDS_UNTIL(other_n == 2);
}

/* Words. */

static uint32_t *words; /* shared with the children */
static int woken_n;

static void woken(void *ctx)
{
	woken_n++;
	if (ctx)
		(*(int *)ctx)++;
}

static long wake(uint32_t *word)
{
	return syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

static void words_new(unsigned mask)
{
	struct loop_config config = {.mask = mask};
	struct loop_stats stats;

	words = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(words != MAP_FAILED);
	ends_loop(&config);
	woken_n = 0;
	loop_stats(ends_the_loop, &stats);
	if (mask & LOOP_NO_FUTEX)
		assert_false(stats.futex);
}

static void words_free(void)
{
	ends_loop_free();
	assert_int_equal(0, munmap(words, 4096));
}

/* Another process changes the word, a thousand times, each when the loop has seen the last one. */
static void woken_by_another(unsigned mask)
{
	enum { TIMES = 1000 };
	struct loop_watch *w = NULL;
	uint32_t seen = 0;
	pid_t pid;

	words_new(mask);
	assert_int_equal(0, loop_watch_new(ends_the_loop, &words[0], woken, NULL, &w));
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		for (uint32_t i = 1; i <= TIMES; i++) {
			int64_t until = now_ns() + 30000 * MS;

			while (__atomic_load_n(&words[1], __ATOMIC_ACQUIRE) != i - 1)
				CHILD_CHECK(now_ns() < until);
			if (i % 3 == 0) /* so that it is asleep, and not only about to be */
				(void)usleep(300);
			__atomic_store_n(&words[0], i, __ATOMIC_RELEASE);
			(void)wake(&words[0]);
		}
		_exit(0);
	}
	while (seen < TIMES) {
		int before = woken_n;

		loop_watch_arm(w, seen);
		loop_watch_arm(w, seen);
		ENDS_UNTIL(woken_n > before);
		seen = __atomic_load_n(&words[0], __ATOMIC_ACQUIRE);
		__atomic_store_n(&words[1], seen, __ATOMIC_RELEASE);
	}
	assert_int_equal(0, ends_child_status(pid));
	/* Not armed: not called. */
	(void)__atomic_add_fetch(&words[0], 1, __ATOMIC_RELEASE);
	(void)wake(&words[0]);
	ends_idle(3);
	assert_true(woken_n >= TIMES && woken_n <= 2 * TIMES);
	words_free();
}

static void test_word_of_another(void **state)
{
	woken_by_another(0);
	woken_by_another(LOOP_NO_FUTEX);
	woken_by_another(LOOP_NO_FUTEX | LOOP_NO_SINGLE);
}

/* All that there may be, each woken alone; one more is refused. */
static void many_words(unsigned mask)
{
	struct loop_watch *w[LOOP_WATCHES_MAX], *more = NULL;
	int count[LOOP_WATCHES_MAX] = {0};

	words_new(mask);
	for (int i = 0; i < LOOP_WATCHES_MAX; i++) {
		assert_int_equal(
			0, loop_watch_new(ends_the_loop, &words[i], woken, &count[i], &w[i]));
		loop_watch_arm(w[i], 0);
	}
	assert_int_equal(-ENOSPC, loop_watch_new(ends_the_loop, &words[0], woken, NULL, &more));
	ends_idle(3);
	assert_int_equal(0, woken_n);
	/* By a wake-up without a change; by a change before it is armed; by a change and a wake-up. */
	for (int i = 0; i < LOOP_WATCHES_MAX; i++) {
		int64_t until = now_ns() + 30000 * MS;

		if (i % 3 == 1)
			__atomic_store_n(&words[i], 5, __ATOMIC_RELEASE);
		/* The thread may be between two sleeps. */
		while (count[i] == 0 && now_ns() < until) {
			(void)wake(&words[i]);
			assert_int_equal(0, loop_turn(ends_the_loop, MS));
		}
		assert_int_equal(1, count[i]);
		assert_int_equal(i + 1, woken_n);
	}
	__atomic_store_n(&words[3], 9, __ATOMIC_RELEASE);
	loop_watch_arm(w[3], 8);
	ENDS_UNTIL(count[3] == 2);
	/* Closed when armed: never called, and the place is free for another. */
	for (int i = 0; i < LOOP_WATCHES_MAX; i++)
		loop_watch_arm(w[i], words[i]);
	ends_idle(2);
	for (int i = 0; i < LOOP_WATCHES_MAX; i++) {
		loop_watch_close(w[i]);
		loop_watch_close(w[i]);
		(void)wake(&words[i]);
	}
	ends_idle(3);
	assert_int_equal(LOOP_WATCHES_MAX + 1, woken_n);
	assert_int_equal(0, loop_watch_new(ends_the_loop, &words[0], woken, NULL, &more));
	loop_watch_arm(more, words[0]);
	words_free();
}

static void test_many_words(void **state)
{
	many_words(0);
	many_words(LOOP_NO_FUTEX);
}

/* A word that is unmapped after its watch was closed, while others are watched. */
static void unmapped_word(unsigned mask)
{
	struct loop_watch *w = NULL, *stays = NULL;
	int count = 0;

	words_new(mask);
	assert_int_equal(0, loop_watch_new(ends_the_loop, &words[0], woken, &count, &stays));
	loop_watch_arm(stays, 0);
	for (int i = 0; i < 200; i++) {
		uint32_t *page = mmap(
			NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

		assert_true(page != MAP_FAILED);
		assert_int_equal(0, loop_watch_new(ends_the_loop, page, woken, NULL, &w));
		loop_watch_arm(w, 0);
		if (i % 2)
			ends_idle(1);
		loop_watch_close(w);
		assert_int_equal(0, munmap(page, 4096));
		assert_int_equal(0, loop_turn(ends_the_loop, 0));
	}
	assert_int_equal(0, woken_n);
	__atomic_store_n(&words[0], 1, __ATOMIC_RELEASE);
	(void)wake(&words[0]);
	ENDS_UNTIL(count == 1);
	words_free();
}

static void test_unmapped_word(void **state)
{
	unmapped_word(0);
	unmapped_word(LOOP_NO_FUTEX);
}

/* Signals and descriptors. */

static int caught_n, caught_last;

static void caught(void *ctx, int signal_number)
{
	caught_n++;
	caught_last = signal_number;
}

static void test_signals(void **state)
{
	sigset_t set, before, after;

	ends_loop(NULL);
	caught_n = 0;
	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGHUP);
	assert_int_equal(0, pthread_sigmask(SIG_BLOCK, NULL, &before));
	assert_int_equal(0, loop_signals(ends_the_loop, &set, caught, NULL));
	assert_int_equal(-EALREADY, loop_signals(ends_the_loop, &set, caught, NULL));
	assert_int_equal(0, raise(SIGTERM));
	ENDS_UNTIL(caught_n == 1);
	assert_int_equal(SIGTERM, caught_last);
	assert_int_equal(0, kill(getpid(), SIGHUP));
	ENDS_UNTIL(caught_n == 2);
	assert_int_equal(SIGHUP, caught_last);
	assert_int_equal(0, raise(SIGTERM));
	assert_int_equal(0, raise(SIGHUP));
	ENDS_UNTIL(caught_n == 4);
	ends_loop_free();
	assert_int_equal(0, pthread_sigmask(SIG_BLOCK, NULL, &after));
	assert_int_equal(sigismember(&before, SIGTERM), sigismember(&after, SIGTERM));
}

struct reader {
	int fd, n;
	struct loop_poll *poll;
	bool closes;
};

static void readable(void *ctx)
{
	struct reader *r = ctx;
	uint64_t count;

	r->n++;
	if (r->closes)
		loop_poll_close(r->poll);
	else if (r->n % 2 == 0) /* every other time it leaves it there: called again */
		(void)read(r->fd, &count, sizeof(count));
}

static void test_poll(void **state)
{
	struct reader r = {.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
	uint64_t one = 1;
	int other;

	ends_loop(NULL);
	assert_true(r.fd >= 0);
	assert_int_equal(0, loop_poll_new(ends_the_loop, r.fd, readable, &r, &r.poll));
	ends_idle(3);
	assert_int_equal(0, r.n);
	for (int i = 1; i <= 5; i++) {
		assert_int_equal(sizeof(one), write(r.fd, &one, sizeof(one)));
		ENDS_UNTIL(r.n == i * 2);
	}
	ends_idle(3);
	assert_int_equal(10, r.n);
	r.closes = true;
	assert_int_equal(sizeof(one), write(r.fd, &one, sizeof(one)));
	ENDS_UNTIL(r.n == 11);
	ends_idle(3);
	assert_int_equal(11, r.n);
	(void)close(r.fd);
	/* Given back when the turn ends: nothing is heard of it any more, though another has it too. */
	r = (struct reader){.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
	other = dup(r.fd);
	assert_true(r.fd >= 0 && other >= 0);
	assert_int_equal(0, loop_poll_new(ends_the_loop, r.fd, readable, &r, &r.poll));
	ends_idle(2);
	loop_poll_close(r.poll);
	ends_idle(1);
	(void)close(r.fd);
	assert_int_equal(sizeof(one), write(other, &one, sizeof(one)));
	ends_asleep();
	assert_int_equal(0, r.n);
	(void)close(other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_timers),
		TEST(test_timer_again),
		TEST(test_word_of_another),
		TEST(test_many_words),
		TEST(test_unmapped_word),
		TEST(test_signals),
		TEST(test_poll),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
