/* SPDX-License-Identifier: ISC */
#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "loop_in.h"

/* Descriptors that become readable, and signals by way of one. */

struct loop_poll {
	struct thing thing; /* first */
	int fd;
	bool armed, cancelled, broken;
	void (*readable)(void *ctx);
	void *ctx;
};

static const struct thing_type poll_type;

int loop_poll_new(
	struct loop *l, int fd, void (*readable)(void *ctx), void *ctx, struct loop_poll **ret)
{
	struct loop_poll *p = calloc(1, sizeof(*p));
	int r;

	assert(readable);
	if (!p)
		return -ENOMEM;
	r = loop_thing_init(l, &p->thing, &poll_type);
	if (r < 0) {
		free(p);
		return r;
	}
	p->fd = fd;
	p->readable = readable;
	p->ctx = ctx;
	loop_want(&p->thing);
	*ret = p;
	return 0;
}

void loop_poll_close(struct loop_poll *p)
{
	if (!p->thing.closing)
		loop_thing_close(&p->thing);
}

static bool poll_flush(struct loop *l, struct thing *t)
{
	struct loop_poll *p = (struct loop_poll *)t;

	if (t->closing ? t->inflight == 0 || p->cancelled : p->armed || p->broken)
		return true;
	if (t->closing) {
		/*
		 * Cancel not by descriptor: its owner may have closed it, and its number may belong
		 * to another file.
		 */
		p->cancelled = l->driver->cancel(t, OP_POLL);
		return p->cancelled;
	}
	p->armed = l->driver->poll(t, p->fd);
	return p->armed;
}

static void poll_complete(struct loop *l, struct thing *t, enum op op, int res, unsigned flags)
{
	struct loop_poll *p = (struct loop_poll *)t;

	if (op != OP_POLL)
		return;
	p->armed = false;
	if (t->closing)
		return;
	p->broken = res < 0 && res != -EINTR && res != -EAGAIN;
	loop_want(t);
	p->readable(p->ctx); /* also on an error: the callee's read() reports it */
}

static void poll_release(struct loop *l, struct thing *t)
{
	free(t);
}

static const struct thing_type poll_type = {poll_flush, poll_complete, poll_release};

/* Signals. */

struct loop_signal {
	struct loop *loop;
	struct loop_poll *poll;
	int fd;
	sigset_t before;
	void (*caught)(void *ctx, int signal_number);
	void *ctx;
};

static void signal_came(void *ctx)
{
	struct loop_signal *s = ctx;
	struct signalfd_siginfo info;

	/* One signal a turn: the callee may stop the loop. */
	if (read(s->fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
		s->caught(s->ctx, (int)info.ssi_signo);
}

int loop_signals(struct loop *l, const sigset_t *set, void (*caught)(void *ctx, int signal_number),
	void *ctx)
{
	struct loop_signal *s;
	int r;

	assert(caught);
	if (l->signals)
		return -EALREADY;
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->caught = caught;
	s->ctx = ctx;
	s->fd = signalfd(-1, set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (s->fd < 0) {
		r = -errno;
		goto fail;
	}
	r = loop_poll_new(l, s->fd, signal_came, s, &s->poll);
	if (r < 0)
		goto fail_fd;
	r = -pthread_sigmask(SIG_BLOCK, set, &s->before);
	if (r < 0)
		goto fail_poll;
	l->signals = s;
	return 0;
fail_poll:
	loop_poll_close(s->poll);
fail_fd:
	(void)close(s->fd);
fail:
	free(s);
	return r;
}

void loop_signals_free(struct loop *l)
{
	struct loop_signal *s = l->signals;

	if (!s)
		return;
	loop_poll_close(s->poll);
	(void)close(s->fd);
	(void)pthread_sigmask(SIG_SETMASK, &s->before, NULL);
	free(s);
	l->signals = NULL;
}
