/* SPDX-License-Identifier: ISC */
#include "loop_futex.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

/*
 * Watches of futex words: by the driver where it can (IORING_OP_FUTEX_WAIT), else by a thread.
 */

static const struct thing_type watch_type;

int loop_watch_new(struct loop *l, uint32_t *word, void (*woken)(void *ctx), void *ctx,
	struct loop_watch **ret)
{
	struct loop_watch *w;
	int r;

	assert(woken);
	if (l->watches >= LOOP_WATCHES_MAX)
		return -ENOSPC;
	w = calloc(1, sizeof(*w));
	if (!w)
		return -ENOMEM;
	r = loop_thing_init(l, &w->thing, &watch_type);
	if (r < 0) {
		free(w);
		return r;
	}
	w->word = word;
	w->woken = woken;
	w->ctx = ctx;
	l->watches++;
	*ret = w;
	return 0;
}

void loop_watch_arm(struct loop_watch *w, uint32_t value)
{
	if (w->wanted || w->armed || w->threaded || w->thing.closing)
		return;
	w->value = value;
	w->wanted = true;
	loop_want(&w->thing);
}

void loop_watch_close(struct loop_watch *w)
{
	if (w->thing.closing)
		return;
	if (w->threaded)
		loop_thread_remove(w->thing.loop, w);
	w->threaded = false;
	w->wanted = false;
	loop_thing_close(&w->thing);
}

static bool flush_close(struct loop *l, struct loop_watch *w)
{
	if (w->threaded) /* closed by loop_free() */
		loop_thread_remove(w->thing.loop, w);
	w->threaded = false;
	if (w->thing.inflight == 0 || w->cancelled)
		return true;
	w->cancelled = l->driver->cancel(&w->thing, OP_FUTEX);
	return w->cancelled;
}

static bool watch_flush(struct loop *l, struct thing *t)
{
	struct loop_watch *w = (struct loop_watch *)t;

	if (t->closing)
		return flush_close(l, w);
	if (!w->wanted)
		return true;
	if (!l->stats.futex) {
		w->wanted = false;
		w->threaded = loop_thread_add(l, w) == 0;
		if (!w->threaded) {
			l->called = true;
			w->woken(w->ctx); /* no thread: the user looks again, and sweeps */
		}
		return true;
	}
	w->armed = l->driver->futex(t, w->word, w->value);
	w->wanted = !w->armed;
	return w->armed;
}

void loop_thread_fired(struct loop_watch *w)
{
	w->threaded = false;
	w->woken(w->ctx);
}

static void watch_complete(struct loop *l, struct thing *t, enum op op, int res, unsigned flags)
{
	struct loop_watch *w = (struct loop_watch *)t;

	if (op != OP_FUTEX)
		return;
	w->armed = false;
	if (t->closing)
		return;
	if (res == -EINVAL || res == -ENOSYS || res == -EPERM || res == -EOPNOTSUPP) {
		/* The kernel cannot do it, though the probe said so. The thread can. */
		l->stats.futex = false;
		loop_watch_arm(w, w->value);
		return;
	}
	w->woken(w->ctx);
}

static void watch_release(struct loop *l, struct thing *t)
{
	l->watches--;
	free(t);
}

static const struct thing_type watch_type = {watch_flush, watch_complete, watch_release};
