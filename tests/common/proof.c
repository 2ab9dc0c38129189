/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "crew.h"
#include "ops/handle.h"
#include "rng.h"

/*
 * Messages that prove themselves, and queues that prove to be whole. Used by the stress and kill
 * tests, by any process.
 *
 *	value, length, checksum of the rest | 64-bit words that follow from the value and nothing
 * else
 *
 * The content is checked word by word: a block that was reused too early, or two messages mixed,
 * show at once.
 */

#define LAPS 3

struct head {
	uint64_t value, len, sum;
};

_Static_assert(sizeof(struct head) == CREW_HEAD, "the head of a message");

/* Two words at a time: cheaper than the queue's own copy. */
static uint64_t next(uint64_t x)
{
	return x * 0xd1342543de82ef95 + 1;
}

size_t crew_write(void *buf, uint64_t value, size_t size)
{
	unsigned char *at = (unsigned char *)buf + CREW_HEAD;
	struct head head = {.value = value, .len = size < CREW_HEAD ? CREW_HEAD : size};
	size_t left = head.len - CREW_HEAD;
	uint64_t x = rng_mix(value), sum = x;

	for (; left >= 8; left -= 8, at += 8) {
		x = next(x);
		sum += x;
		memcpy(at, &x, 8);
	}
	memset(at, (int)(x & 0xff), left);
	head.sum = sum ^ head.len;
	memcpy(buf, &head, CREW_HEAD);
	return head.len;
}

/* Is the content what follows from the head? */
static bool right(const struct head *head, const unsigned char *at)
{
	size_t left = head->len - CREW_HEAD;
	uint64_t x, sum, word, wrong = 0;

	sum = x = rng_mix(head->value);
	for (; left >= 8; left -= 8, at += 8) {
		x = next(x);
		sum += x;
		memcpy(&word, at, 8);
		wrong |= word ^ x;
	}
	for (; left > 0; left--, at++)
		wrong |= *at ^ (x & 0xff);
	return !wrong && head->sum == (sum ^ head->len);
}

uint64_t crew_read(const void *buf, size_t len)
{
	struct head head;

	if (len < CREW_HEAD)
		crew_die("a message of %zu bytes, which nobody put", len);
	memcpy(&head, buf, CREW_HEAD);
	if (head.len != len)
		crew_die("message %" PRIx64 " is %zu bytes long and says %" PRIu64, head.value, len,
			head.len);
	if (!right(&head, (const unsigned char *)buf + CREW_HEAD))
		crew_die("message %" PRIx64 " of %zu bytes has other content than was put",
			head.value, len);
	return head.value;
}

bool crew_whole(const void *buf, size_t cap, uint64_t *ret_value, size_t *ret_len)
{
	struct head head;

	if (cap < CREW_HEAD)
		return false;
	memcpy(&head, buf, CREW_HEAD);
	if (head.len < CREW_HEAD || head.len > cap ||
		!right(&head, (const unsigned char *)buf + CREW_HEAD))
		return false;
	*ret_value = head.value;
	*ret_len = head.len;
	return true;
}

struct sq *crew_open(const char *name)
{
	struct sq *h;
	int r = sq_open(&h, name);

	if (r < 0)
		crew_die("open %s: %s", name, sq_strerror(r));
	return h;
}

void crew_queue(const char *name, const struct sq_config *config)
{
	int r;

	(void)sq_unlink(name);
	r = sq_create(name, config);
	if (r < 0)
		crew_die("create %s: %s", name, sq_strerror(r));
}

static void check_cells(struct sq *h)
{
	for (uint64_t i = 0; i <= h->ring.mask; i++) {
		uint64_t w = sqi_load_seq(&sqi_cell(&h->ring, i)->word);

		if (sqi_word_state(w) != SQI_FREE)
			crew_die("cell %" PRIu64
				 " is not free at the end: state %d, owner %u, turn %" PRIu64,
				i, (int)sqi_word_state(w), sqi_word_owner(w), sqi_word_turn(w));
	}
}

/* As many messages of this size as there is room for, and out again in order. How many. */
static uint64_t lap(struct sq *h, size_t size, unsigned char *buf)
{
	uint64_t n, cap = h->ring.g.in.max_message;
	int r = 0;

	for (n = 0; r == 0 && n <= h->ring.mask + 1; n += r == 0) {
		r = sq_put(h, buf, crew_write(buf, n, size), SQ_NOWAIT);
		if (r < 0 && r != -EAGAIN)
			crew_die("a put of %zu bytes to the drained queue: %s", size,
				sq_strerror(r));
	}
	if (n == 0 || n > h->ring.mask + 1)
		crew_die("the drained queue takes %" PRIu64 " messages of %zu bytes", n, size);
	for (uint64_t i = 0; i < n; i++) {
		ssize_t len = sq_get(h, buf, cap, SQ_NOWAIT);

		if (len < 0)
			crew_die("a get after the end: %s", sq_strerror((int)len));
		if (crew_read(buf, (size_t)len) != i)
			crew_die("the laps after the end came out of order");
	}
	return n;
}

/*
 * Laps of small messages until one takes as many as the queue's capacity, and one of large ones. A
 * cell whose message was redelivered may sit out a lap for each time, so that many laps are
 * allowed. How many messages.
 */
static uint64_t laps(struct sq *h, const struct sq_stat *st, unsigned char *buf)
{
	uint64_t left = st->redelivered + st->reclaimed + st->overdue + st->nacked + LAPS, n = 0,
		 one;

	do {
		if (left-- == 0)
			crew_die("the drained queue does not get its capacity back");
		one = lap(h, CREW_HEAD, buf);
		n += one;
	} while (one != h->ring.mask + 1);
	return n + lap(h, h->ring.g.in.max_message, buf);
}

void crew_check_rest(struct sq *h, uint64_t put)
{
	unsigned char *buf = malloc(h->ring.g.in.max_message + CREW_HEAD);
	struct sq_stat before, after;
	uint64_t n = 0;

	if (!buf)
		crew_die("out of memory");
	(void)sq_stat(h, &before);
	check_cells(h);
	if (put != ~(uint64_t)0 && before.put != put)
		crew_die("sq_stat() says that %" PRIu64 " were put; it was %" PRIu64, before.put,
			put);
	if (before.depth || before.leased || before.back || before.took != before.put)
		crew_die("drained, but sq_stat() says depth %" PRIu64 ", leased %" PRIu64
			 ", took %" PRIu64 " of %" PRIu64,
			before.depth, before.leased, before.took, before.put);
	if (before.blocks_free != before.blocks)
		crew_die("%" PRIu64 " of %" PRIu64 " blocks are lost",
			before.blocks - before.blocks_free, before.blocks);
	if (before.damaged)
		crew_die("%" PRIu64 " messages were reported damaged", before.damaged);
	for (int i = 0; i < LAPS; i++)
		n += laps(h, &before, buf);
	check_cells(h);
	(void)sq_stat(h, &after);
	if (after.put != before.put + n || after.blocks_free != after.blocks)
		crew_die("after the laps: put %" PRIu64 " and not %" PRIu64 ", %" PRIu64
			 " blocks lost",
			after.put, before.put + n, after.blocks - after.blocks_free);
	free(buf);
}
