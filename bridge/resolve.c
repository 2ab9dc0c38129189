/* SPDX-License-Identifier: ISC */
#include "resolve.h"

#include <bsd/string.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

/*
 * A thread for each question, because getaddrinfo() cannot be cancelled: it may wait for name
 * servers for minutes, and by then the question may be given up, or another one asked.
 *
 * Two kinds of threads may be in here: the loop's, and those of questions. What they share is under
 * the lock, and is freed by the last of them.
 */

struct resolve {
	struct loop_poll *poll;
	resolve_fn answer;
	void *ctx;
	int fd;

	pthread_mutex_t lock;
	unsigned holders;
	uint64_t asked,
		answered; /* the number of the last question, and of the one that has this answer */
	int error;
	struct addrinfo *addresses;
};

struct question {
	struct resolve *resolve;
	uint64_t number;
	char host[NI_MAXHOST], port[8];
};

static void let_go(struct resolve *r)
{
	bool last;

	(void)pthread_mutex_lock(&r->lock);
	last = --r->holders == 0;
	(void)pthread_mutex_unlock(&r->lock);
	if (!last)
		return;
	if (r->addresses)
		freeaddrinfo(r->addresses);
	(void)pthread_mutex_destroy(&r->lock);
	(void)close(r->fd);
	free(r);
}

/* If it is still this that is asked. */
static void tell(struct resolve *r, uint64_t number, int error, struct addrinfo *addresses)
{
	uint64_t one = 1;

	(void)pthread_mutex_lock(&r->lock);
	if (r->asked == number) {
		r->answered = number;
		r->error = error;
		r->addresses = addresses;
		addresses = NULL;
		(void)write(r->fd, &one, sizeof(one)); /* one answer a question: never full */
	}
	(void)pthread_mutex_unlock(&r->lock);
	if (addresses)
		freeaddrinfo(addresses);
}

static int look_up(const struct question *q, int flags, struct addrinfo **ret)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = flags};

	int error = getaddrinfo(q->host, q->port, &hints, ret);

	if (error != 0)
		*ret = NULL;
	return error;
}

static void *run(void *arg)
{
	struct question *q = arg;
	struct addrinfo *addresses;
	int error = look_up(q, 0, &addresses);

	tell(q->resolve, q->number, error, addresses);
	let_go(q->resolve);
	free(q);
	return NULL;
}

/* In the loop. */
static void readable(void *ctx)
{
	struct resolve *r = ctx;
	struct addrinfo *addresses;
	uint64_t count;
	bool news;
	int error;

	(void)read(r->fd, &count, sizeof(count));
	(void)pthread_mutex_lock(&r->lock);
	news = r->answered == r->asked && r->answered != 0;
	error = r->error;
	addresses = r->addresses;
	r->addresses = NULL;
	r->answered = 0;
	(void)pthread_mutex_unlock(&r->lock);
	if (news)
		r->answer(r->ctx, error, addresses);
	else if (addresses)
		freeaddrinfo(addresses);
}

int resolve_new(struct resolve **ret, struct loop *l, resolve_fn answer, void *ctx)
{
	struct resolve *r = calloc(1, sizeof(*r));
	int error;

	if (!r)
		return -ENOMEM;
	r->answer = answer;
	r->ctx = ctx;
	r->holders = 1;
	r->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	error = r->fd < 0 ? -errno : loop_poll_new(l, r->fd, readable, r, &r->poll);
	if (error < 0) {
		if (r->fd >= 0)
			(void)close(r->fd);
		free(r);
		return error;
	}
	(void)pthread_mutex_init(&r->lock, NULL); /* cannot fail on Linux */
	*ret = r;
	return 0;
}

void resolve_free(struct resolve *r)
{
	if (!r)
		return;
	(void)pthread_mutex_lock(&r->lock);
	r->asked++; /* the answer is not wanted any more */
	(void)pthread_mutex_unlock(&r->lock);
	let_go(r);
}

static int start(struct question *q)
{
	sigset_t all, before;
	pthread_attr_t attr;
	pthread_t thread;
	int error;

	(void)pthread_attr_init(&attr); /* cannot fail on Linux, nor can the next */
	(void)pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	/* Signals are for the loop. */
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	error = -pthread_create(&thread, &attr, run, q);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	(void)pthread_attr_destroy(&attr);
	return error;
}

int resolve_ask(struct resolve *r, const char *host, uint16_t port)
{
	struct question *q = calloc(1, sizeof(*q));
	struct addrinfo *addresses;
	int error = 0;

	if (!q)
		return -ENOMEM;
	q->resolve = r;
	(void)strlcpy(q->host, host, sizeof(q->host)); /* a longer one is no name */
	(void)snprintf(q->port, sizeof(q->port), "%u", port);
	(void)pthread_mutex_lock(&r->lock);
	q->number = ++r->asked;
	if (r->addresses)
		freeaddrinfo(r->addresses);
	r->addresses = NULL;
	r->answered = 0;
	(void)pthread_mutex_unlock(&r->lock);
	if (look_up(q, AI_NUMERICHOST | AI_NUMERICSERV, &addresses) == 0) {
		tell(r, q->number, 0, addresses);
		free(q);
		return 0;
	}
	(void)pthread_mutex_lock(&r->lock);
	r->holders++;
	(void)pthread_mutex_unlock(&r->lock);
	error = start(q);
	if (error < 0) {
		let_go(r);
		free(q);
	}
	return error;
}
