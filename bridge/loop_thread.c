/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "loop_futex.h"

/*
 * One thread that sleeps in futex_waitv() (kernel 5.16) for all watched words, and for one of its
 * own by which it is told that they have changed. It tells the loop by an eventfd.
 *
 * Two threads may be in here. `watched` and `fired` belong to the lock. The words are looked at with
 * the lock held only: loop_thread_remove() takes it, so that afterwards they may be unmapped. The
 * kernel may then still look, once, and say EFAULT, which is an answer like any other.
 */

#define DENIED_NS 10000000

struct futex_thread {
	pthread_t thread;
	pthread_mutex_t lock;
	_Atomic uint32_t changed; /* counts; the thread sleeps on it too */
	bool stop;
	struct loop_watch *watched[LOOP_WATCHES_MAX], *fired[LOOP_WATCHES_MAX];
	unsigned watched_n, fired_n;
	int event_fd;
	struct loop_poll *poll;
};

static bool take_out(struct loop_watch **list, unsigned *n, const struct loop_watch *w)
{
	for (unsigned i = 0; i < *n; i++)
		if (list[i] == w) {
			list[i] = list[--*n];
			return true;
		}
	return false;
}

/* Change what the thread waits for: with the lock held. */
static void changed(struct futex_thread *t)
{
	/* Release is more than enough: the change itself is read under the lock. */
	(void)atomic_fetch_add_explicit(&t->changed, 1, memory_order_release);
	(void)syscall(SYS_futex, &t->changed, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

static void nap(void)
{
	struct timespec ts = {.tv_nsec = DENIED_NS};

	(void)nanosleep(&ts, NULL);
}

/* Which of the watched were woken? The lock is held. */
static void sort_out(struct futex_thread *t, const struct loop_watch *woken)
{
	unsigned before = t->fired_n;
	uint64_t one = 1;

	for (unsigned i = 0; i < t->watched_n;) {
		struct loop_watch *w = t->watched[i];

		/*
		 * Acquire: woken() reads what the other process wrote before it changed the word.
		 */
		if (w != woken && __atomic_load_n(w->word, __ATOMIC_ACQUIRE) == w->value) {
			i++;
			continue;
		}
		t->watched[i] = t->watched[--t->watched_n];
		t->fired[t->fired_n++] = w;
	}
	if (t->fired_n > before)
		(void)write(t->event_fd, &one, sizeof(one)); /* full: then it is readable */
}

static void *run(void *arg)
{
	struct futex_thread *t = arg;

	(void)pthread_mutex_lock(&t->lock);
	while (!t->stop) {
		struct futex_waitv words[LOOP_WATCHES_MAX + 1] = {0};
		struct loop_watch *seen[LOOP_WATCHES_MAX + 1] = {0};
		unsigned n;
		long r;

		/* Relaxed: it changes under the lock only. */
		words[0] = (struct futex_waitv){
			.uaddr = (uintptr_t)&t->changed,
			.val = atomic_load_explicit(&t->changed, memory_order_relaxed),
			.flags = FUTEX_32,
		};
		for (unsigned i = 0; i < t->watched_n; i++) {
			seen[i + 1] = t->watched[i];
			words[i + 1] = (struct futex_waitv){
				.uaddr = (uintptr_t)seen[i + 1]->word,
				.val = seen[i + 1]->value,
				.flags = FUTEX_32,
			};
		}
		n = t->watched_n + 1;
		(void)pthread_mutex_unlock(&t->lock);
		r = syscall(SYS_futex_waitv, words, n, 0, NULL, 0);
		if (r < 0 && errno != EAGAIN && errno != EINTR)
			nap(); /* a sandbox without futex_waitv(): slow, but right */
		(void)pthread_mutex_lock(&t->lock);
		sort_out(t, r > 0 ? seen[r] : NULL);
	}
	(void)pthread_mutex_unlock(&t->lock);
	return NULL;
}

/* In the loop: the thread has signalled that watches fired. */
static void readable(void *ctx)
{
	struct futex_thread *t = ctx;
	uint64_t count;

	(void)read(t->event_fd, &count, sizeof(count));
	for (;;) {
		struct loop_watch *w = NULL;

		(void)pthread_mutex_lock(&t->lock);
		if (t->fired_n > 0)
			w = t->fired[--t->fired_n];
		(void)pthread_mutex_unlock(&t->lock);
		if (!w)
			return;
		loop_thread_fired(w);
	}
}

static int thread_new(struct loop *l)
{
	struct futex_thread *t = calloc(1, sizeof(*t));
	sigset_t all, before;
	int r;

	if (!t)
		return -ENOMEM;
	t->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (t->event_fd < 0) {
		r = -errno;
		goto fail;
	}
	r = loop_poll_new(l, t->event_fd, readable, t, &t->poll);
	if (r < 0)
		goto fail_fd;
	(void)pthread_mutex_init(&t->lock, NULL); /* cannot fail on Linux */
	/* Signals are for the loop. */
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	r = -pthread_create(&t->thread, NULL, run, t);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (r < 0)
		goto fail_poll;
	l->futex_thread = t;
	return 0;
fail_poll:
	loop_poll_close(t->poll);
fail_fd:
	(void)close(t->event_fd);
fail:
	free(t);
	return r;
}

int loop_thread_add(struct loop *l, struct loop_watch *w)
{
	struct futex_thread *t;
	int r;

	if (!l->futex_thread) {
		r = thread_new(l);
		if (r < 0)
			return r;
	}
	t = l->futex_thread;
	(void)pthread_mutex_lock(&t->lock);
	t->watched[t->watched_n++] = w; /* no more than LOOP_WATCHES_MAX exist */
	changed(t);
	(void)pthread_mutex_unlock(&t->lock);
	return 0;
}

void loop_thread_remove(struct loop *l, struct loop_watch *w)
{
	struct futex_thread *t = l->futex_thread;

	(void)pthread_mutex_lock(&t->lock);
	if (!take_out(t->fired, &t->fired_n, w) && take_out(t->watched, &t->watched_n, w))
		changed(t);
	(void)pthread_mutex_unlock(&t->lock);
}

void loop_futex_thread_free(struct loop *l)
{
	struct futex_thread *t = l->futex_thread;

	if (!t)
		return;
	(void)pthread_mutex_lock(&t->lock);
	t->stop = true;
	changed(t);
	(void)pthread_mutex_unlock(&t->lock);
	(void)pthread_join(t->thread, NULL);
	(void)pthread_mutex_destroy(&t->lock);
	(void)close(t->event_fd);
	free(t);
	l->futex_thread = NULL;
}
