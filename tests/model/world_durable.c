/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <linux/futex.h>
#include <string.h>
#include <sys/syscall.h>

#include "ring/message.h"
#include "world.h"

/*
 * The calls for forwarders, which keep books of their own about messages, or wait in loops of their
 * own.
 */

#define LOOK_AGAIN_NS 10000000

static struct sq *handle(unsigned who)
{
	return &world.handle[0][who];
}

bool world_is_durable_call(enum op_kind kind)
{
	return kind >= OP_OPEN;
}

/* The leases that it has, in place of those it knew of. */
static void held(unsigned who, struct result *r)
{
	struct hand *hand = &world.hand[who];
	int n;

	memset(hand->lease, 0, sizeof(hand->lease));
	memset(hand->value, 0, sizeof(hand->value));
	n = sq_held(handle(who), hand->lease, LEASES_MAX);
	if (n < 0 || n > LEASES_MAX) {
		explore_fail("a call failed oddly");
		return;
	}
	for (int k = 0; k < n; k++) {
		r->value[k] = world_value(hand->lease[k].data, hand->lease[k].len);
		hand->value[k] = r->value[k];
	}
	r->done = (unsigned)n;
	r->attempts = hand->lease[0].attempts;
	r->count = hand->lease[1].attempts;
}

/* Of those that were there at first the order is known; else it is its own. */
static uint64_t id_of(unsigned who, unsigned value)
{
	uint64_t position = world.first + value - 1;

	return value <= world.scenario->filled ? sqi_position_id(position, handle(who)->ring.shift)
					       : world.hand[who].id - 1;
}

static void lease_id(unsigned who, unsigned value, struct result *r)
{
	struct hand *hand = &world.hand[who];
	unsigned which = hand->lease[0].data != NULL;
	int e = sq_lease_id(handle(who), id_of(who, value), &hand->lease[which]);

	r->done = e == 0;
	r->count = (unsigned)-e;
	if (e < 0)
		return;
	r->value[0] = world_value(hand->lease[which].data, hand->lease[which].len);
	hand->value[which] = r->value[0];
	r->attempts = hand->lease[which].attempts;
	if (hand->lease[which].id != id_of(who, value))
		explore_fail("a lease has another id than was asked for");
}

/* By the id to the cell, which says what is there or was there last. */
static unsigned value_at(const struct sq *h, uint64_t id)
{
	const struct sqi_cell *c = sqi_cell(&h->ring, id);
	uint64_t meta = c->meta, cap;
	unsigned char first;

	if (sqi_message_id(meta, id, h->ring.mask, h->ring.shift) != id)
		return (int64_t)((meta >> SQI_TURN_SHIFT) - (id >> h->ring.shift)) > 0
			       ? VALUE_UNKNOWN
			       : 0;
	if (meta & SQI_META_BLOCK)
		memcpy(&first, sqi_block_data(&h->ring, c->data[1] >> 32, &cap), 1);
	else
		memcpy(&first, (const void *)c->data, 1);
	return first;
}

static void last_put(unsigned who, struct result *r)
{
	uint64_t id;
	int e = sq_last_put(handle(who), &id);

	r->done = e == 0;
	r->count = e == 0 ? value_at(handle(who), id) : (unsigned)-e;
}

static int try_get(unsigned who, unsigned value, struct result *r)
{
	unsigned char buf[BLOCK_LEN];
	ssize_t n = sq_get(handle(who), buf, sizeof(buf), SQ_NOWAIT);

	(void)value;
	if (n >= 0)
		r->value[0] = world_value(buf, (size_t)n);
	return n < 0 ? (int)n : 0;
}

static int put_of(unsigned who, unsigned value, size_t len)
{
	unsigned char buf[BLOCK_LEN];

	memset(buf, (int)value, sizeof(buf));
	return sq_put(handle(who), buf, len, SQ_NOWAIT);
}

static int try_put(unsigned who, unsigned value, struct result *r)
{
	(void)r;
	return put_of(who, value, 8);
}

static int try_put_block(unsigned who, unsigned value, struct result *r)
{
	(void)r;
	return put_of(who, value, BLOCK_LEN);
}

/* As sq.h tells it: arm, look once more, then wait on the futex, and not for long. */
static void armed(unsigned who, unsigned value, enum sq_news news, struct result *r,
	int (*attempt)(unsigned who, unsigned value, struct result *r))
{
	int e = attempt(who, value, r);

	while (e == -EAGAIN) {
		struct timespec until;
		struct sq_watch watch;
		int64_t ns;

		if (sq_arm(handle(who), news, &watch) < 0)
			explore_fail("a call failed oddly");
		e = attempt(who, value, r);
		if (e != -EAGAIN)
			break;
		ns = run.now_ns + LOOK_AGAIN_NS;
		until = (struct timespec){.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
		model_step(NULL, "sleep");
		(void)model_syscall(SYS_futex, watch.word, FUTEX_WAIT_BITSET, watch.value, &until,
			NULL, FUTEX_BITSET_MATCH_ANY); /* whatever it says: look again */
		e = attempt(who, value, r);
	}
	r->done = e == 0;
	r->count = (unsigned)-e;
}

/* 1: with the leases of the one before; 0: as the first of a run. */
static int open_durable(unsigned who, unsigned key)
{
	uint64_t number = 0;
	int e = world_enter(who, key);

	if (e < 0)
		return e;
	if (sq_durable_run(handle(who), &number) < 0)
		explore_fail("a call failed oddly");
	return number != handle(who)->member.id;
}

void world_durable_call(unsigned who, const struct op *op, struct result *r)
{
	int e = 0;

	switch (op->kind) {
	case OP_OPEN:
		e = open_durable(who, op->value);
		break;
	case OP_RETIRE:
		e = sq_retire(handle(who));
		break;
	case OP_HELD:
		held(who, r);
		return;
	case OP_FIND:
		e = sq_find(handle(who), id_of(who, op->value));
		break;
	case OP_LEASE_ID:
		lease_id(who, op->value, r);
		return;
	case OP_MARK:
		e = sq_mark(handle(who), &world.hand[who].mark);
		break;
	case OP_PASSED:
		e = sq_passed(handle(who), world.hand[who].mark);
		break;
	case OP_WANTED:
		e = sq_wanted(handle(who));
		break;
	case OP_LAST_PUT:
		last_put(who, r);
		return;
	case OP_GET_ARMED:
		armed(who, 0, SQ_NEWS_MESSAGE, r, try_get);
		return;
	case OP_PUT_ARMED:
		armed(who, op->value, SQ_NEWS_ROOM, r, try_put);
		return;
	case OP_BLOCK_ARMED:
		armed(who, op->value, SQ_NEWS_BLOCK, r, try_put_block);
		return;
	default:
		explore_fail("a call that is none");
		return;
	}
	r->done = e >= 0;
	r->count = (unsigned)(e >= 0 ? e : -e);
}
