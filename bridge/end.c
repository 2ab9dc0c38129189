/* SPDX-License-Identifier: ISC */
#include "end.h"

#include <bsd/string.h>
#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "ledger.h"
#include "recv.h"
#include "send.h"
#include "sq.h"

#define QUEUES "/dev/shm/sq."

int end_ledger(char *ret, size_t cap, const struct end_setup *s)
{
	int n = snprintf(ret, cap, "sqb.%s.%s.%s.%s.%s", s->prefix, s->name, s->peer, s->queue,
		wire_direction_name(s->direction));

	return n < 0 || (size_t)n >= cap ? -ENAMETOOLONG : 0;
}

/*
 * The key under which the queue counts our puts and knows us: of all the names, so that two daemons
 * of one host that share a queue are two. Even, for the receiver has two.
 */
static int key_of(const struct end_setup *s, uint64_t *ret)
{
	char text[LEDGER_NAME_MAX + 1];
	unsigned char digest[EVP_MAX_MD_SIZE];
	int r = end_ledger(text, sizeof(text), s);
	uint64_t key = 0;

	if (r < 0)
		return r;
	if (!EVP_Digest(text, strlen(text), digest, NULL, EVP_sha256(), NULL))
		return -ENOMEM;
	memcpy(&key, digest, sizeof(key));
	key &= ~(uint64_t)1;
	*ret = key ? key : 2;
	return 0;
}

/* A queue's file, before it is opened: if another takes the name meanwhile, end_look() tells. 0: none. */
static uint64_t look(const char *local, uint64_t *ret_device)
{
	char path[sizeof(QUEUES) + 2 * SQ_NAME_MAX + 1];
	struct stat st;

	(void)snprintf(path, sizeof(path), QUEUES "%s", local);
	if (lstat(path, &st) < 0)
		return 0;
	*ret_device = st.st_dev;
	return st.st_ino;
}

enum end_state end_look(const struct link_end *end, const char *local)
{
	uint64_t device = 0, file = look(local, &device);

	if (file == 0)
		return END_REMOVED;
	return file == end->file && device == end->device ? END_STANDS : END_REMADE;
}

static void name(struct link_end *ret, const struct end_setup *s)
{
	(void)strlcpy(ret->local, s->local, sizeof(ret->local)); /* a longer one cannot be opened */
	ret->file = look(s->local, &ret->device);
}

/*
 * A pull's receiver: a dead letter of such a queue would leave it as a task that is done does, and count
 * as done at the hub, whose queue is the one to say how often a task may be tried. A push's sender: a
 * message whose lease ends while its number is on the way would be sent again under another one.
 */
static int describe(struct link_end *ret, struct sq *q, bool pull, bool sends)
{
	struct sq_stat st;
	int r = sq_stat(q, &st);

	if (r < 0)
		return r;
	if (pull && !sends && st.max_attempts > 0)
		return -EOPNOTSUPP;
	if (!pull && sends && st.lease_time > 0)
		return -EOPNOTSUPP;
	ret->max_message = st.max_message;
	ret->capacity = st.capacity;
	ret->small = (uint32_t)st.small_message;
	return 0;
}

/*
 * Which count of puts this is: of one key in one queue, of which there may be another with its name, or
 * with the same messages counted under another key.
 */
static uint64_t identity(const struct link_end *end, uint64_t key)
{
	/* An odd factor: other files of one key have other numbers. */
	uint64_t n = key ^ end->device ^ end->file * 0x9e3779b97f4a7c15;

	return n == 0 || n > WIRE_EPOCH_MAX ? 1 : n;
}

int end_sender(struct link_end *ret, const struct end_setup *s)
{
	char ledger[LEDGER_NAME_MAX + 1];
	struct sender_setup setup = {
		.queue = s->local, .ledger = ledger, .window = s->window, .grace = s->grace};
	struct link_end end = {0};
	int r = end_ledger(ledger, sizeof(ledger), s);

	name(&end, s);
	if (r == 0)
		r = key_of(s, &setup.key);
	if (r == 0)
		r = sender_open(&end.sender, &setup);
	if (r == 0)
		r = describe(&end, sender_queue(end.sender), s->direction == WIRE_PULL, true);
	if (r < 0) {
		sender_close(end.sender);
		return r;
	}
	*ret = end;
	return 0;
}

int end_receiver(struct link_end *ret, const struct end_setup *s)
{
	char ledger[LEDGER_NAME_MAX + 1];
	struct receiver_setup setup = {.queue = s->local,
		.ledger = s->direction == WIRE_PULL ? ledger : NULL,
		.window = s->window,
		.window_bytes = s->window_bytes};
	struct link_end end = {0};
	int r = end_ledger(ledger, sizeof(ledger), s);

	name(&end, s);
	if (r == 0)
		r = key_of(s, &setup.key);
	if (r == 0)
		end.identity = identity(&end, setup.key);
	if (r == 0)
		r = receiver_open(&end.receiver, &setup);
	if (r == 0)
		r = describe(&end, receiver_queue(end.receiver), s->direction == WIRE_PULL, false);
	if (r < 0) {
		receiver_close(end.receiver);
		return r;
	}
	*ret = end;
	return 0;
}

int end_retire(uint32_t *ret, struct sq *q, const struct end_setup *s)
{
	uint64_t key, count;
	uint32_t all = 0;
	int r = key_of(s, &key);

	/* The sender's participant, and a pull's receiver's: one of the two was here. */
	for (int i = 0; r == 0 && i < 2; i++) {
		struct sq *durable;
		int n = sq_count_read(q, key + (unsigned)i, &count);

		if (n == -ENOENT)
			continue;
		r = n < 0 ? n : sq_open_durable(&durable, s->local, key + (unsigned)i, SQ_FOREVER);
		if (r < 0)
			break;
		do
			n = sq_held(durable, NULL, 0);
		while (n == -EBADMSG);
		r = n < 0 ? n : sq_retire(durable);
		sq_close(durable); /* and they are the queue's */
		all += r == 0 ? (uint32_t)n : 0;
	}
	*ret = all;
	return r;
}
