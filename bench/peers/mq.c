/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "loops.h"

/* A POSIX message queue, as deep as the system's limits and our own privileges let it be. */

#define DEPTH_MAX  500
#define SIZE_LIMIT 8192 /* the system's, unless its administrator says otherwise */

static int wrong(const char *what)
{
	return say(EXIT_BROKEN, "posix mq: %s: %s", what, strerror(errno));
}

static int queue_open(struct peer_queue *q)
{
	struct mq_attr attr = {.mq_maxmsg = DEPTH_MAX, .mq_msgsize = (long)q->size};
	struct rlimit all = {RLIM_INFINITY, RLIM_INFINITY};
	mqd_t *mq = malloc(sizeof(*mq));
	char name[64];

	if (!mq)
		return say(EXIT_UNAVAILABLE, "no memory");
	(void)setrlimit(RLIMIT_MSGQUEUE, &all);
	(void)snprintf(name, sizeof(name), "/sqbench-%ld-%u", (long)getpid(), q->number);
	do
		*mq = mq_open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600, &attr);
	while (*mq == (mqd_t)-1 && errno != EEXIST && (attr.mq_maxmsg /= 2) > 0);
	if (*mq == (mqd_t)-1) {
		free(mq);
		return wrong("open");
	}
	(void)mq_unlink(name); /* children inherit it */
	(void)snprintf(q->setup, sizeof(q->setup), "depth %ld", attr.mq_maxmsg);
	q->memory = mq;
	return EXIT_DONE;
}

static void queue_close(struct peer_queue *q)
{
	(void)mq_close(*(mqd_t *)q->memory);
	free(q->memory);
}

static int put(struct peer_queue *q, void *message)
{
	return mq_send(*(mqd_t *)q->memory, message, q->size, 0) == 0 ? 1 : -wrong("send");
}

static int get(struct peer_queue *q, void *message)
{
	ssize_t n = mq_receive(*(mqd_t *)q->memory, message, q->size, NULL);

	return n == (ssize_t)q->size ? 1 : -wrong("receive");
}

LOOPS_SINGLE()

const struct peer peer_mq = {
	.name = "posix mq",
	.size_max = SIZE_LIMIT,
	.open = queue_open,
	.produce = produce,
	.consume = consume,
	.ask = ask,
	.answer = answer,
	.close = queue_close,
};
