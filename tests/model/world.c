/* SPDX-License-Identifier: ISC */
#include "world.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "kernel.h"

#define SMALL    16
#define SLOTS    6
#define LOCKS    64
#define FIRST_FD 1000
#define SOON_NS  50000000000 /* no rescue in passing before that, unless somebody died */

struct world world;

static unsigned char *memory;
static struct {
	int fd;
	off_t byte;
} lock[LOCKS];
static int locks, next_fd;

/* Open-file-description locks: a table. */
int model_fcntl(int fd, int cmd, ...)
{
	struct flock *l;
	va_list args;
	int owner = -1;

	va_start(args, cmd);
	l = va_arg(args, struct flock *);
	va_end(args);
	for (int i = 0; i < locks; i++)
		if (lock[i].byte == l->l_start)
			owner = lock[i].fd;
	if (cmd == F_OFD_GETLK) {
		l->l_type = owner < 0 || owner == fd ? F_UNLCK : F_WRLCK;
		return 0;
	}
	if (owner >= 0 && owner != fd) {
		errno = EAGAIN;
		return -1;
	}
	if (locks == LOCKS)
		abort();
	lock[locks].fd = fd;
	lock[locks++].byte = l->l_start;
	return 0;
}

/* All descriptors are of the one segment. */
int model_fstat(int fd, struct stat *ret)
{
	(void)fd;
	memset(ret, 0, sizeof(*ret));
	return 0;
}

static void unlock_all(int fd)
{
	for (int i = 0; i < locks; i++)
		if (lock[i].fd == fd)
			lock[i--] = lock[--locks];
}

static int join(struct sq *h)
{
	memset(h, 0, sizeof(*h));
	h->g = world.g;
	h->base = memory;
	h->fd = next_fd++;
	return sqi_handle_init(h);
}

void world_killed(unsigned self)
{
	unlock_all(world.handle[self].fd);
	world.present[self] = false;
	/* From now on sleepers look for the dead in passing. */
	((struct sqi_head *)memory)->rescue_ms = 0;
}

static void fill_with(unsigned char *buf, unsigned value, size_t len)
{
	memset(buf, (int)value, len);
}

int world_put(struct sq *h, unsigned value, bool block, int64_t timeout)
{
	unsigned char buf[BLOCK_LEN];
	size_t len = block ? BLOCK_LEN : 8;

	fill_with(buf, value, len);
	return sq_put(h, buf, len, timeout);
}

/* A message is whole, or it is somebody's failure. */
static unsigned value_of(const unsigned char *data, size_t len)
{
	if (len != 8 && len != BLOCK_LEN)
		explore_fail("a message has a wrong length");
	for (size_t i = 1; i < len; i++)
		if (data[i] != data[0])
			explore_fail("a message is torn");
	if (data[0] == 0 || data[0] >= VALUES_MAX)
		explore_fail("a message that nobody put");
	return data[0] % VALUES_MAX;
}

int world_get(struct sq *h, unsigned *ret, int64_t timeout)
{
	unsigned char buf[BLOCK_LEN];
	ssize_t r = sq_get(h, buf, sizeof(buf), timeout);

	if (r < 0)
		return (int)r;
	*ret = value_of(buf, (size_t)r);
	return 0;
}

void world_reset(const struct scenario *s)
{
	const struct sq_config config = {
		.capacity = s->capacity,
		.max_message = BLOCK_LEN,
		.small_message = SMALL,
		.participants = SLOTS,
		.lease_time = s->lease_time,
		.block_memory = 1,
	};
	struct sqi_inputs in;
	struct sqi_head *head;

	world.scenario = s;
	if (sqi_inputs_init(&in, &config) < 0 || sqi_geometry_init(&world.g, &in) < 0)
		abort();
	if (!memory)
		memory = aligned_alloc(SQI_PAGE, 1 << 20);
	if (!memory || world.g.total > 1 << 20)
		abort();
	memset(memory, 0, world.g.total);
	memset(world.deed, 0, sizeof(world.deed));
	locks = 0;
	next_fd = FIRST_FD;
	explorer.now_ns = 1000000000;
	explorer.failure = NULL;
	head = (struct sqi_head *)memory;
	head->in = in;
	head->rescue_ms = (uint64_t)((explorer.now_ns + SOON_NS) / 1000000);
	for (uint64_t i = 0; i < world.g.capacity; i++) {
		struct sqi_cell *c = (struct sqi_cell *)(memory + world.g.cells +
							 i * world.g.cell_size);

		c->word = sqi_word(SQI_FREE, 0, 0, s->turn);
	}
	head->tail = head->head = s->turn << in.capacity_log2;
	if (join(&world.auditor) < 0)
		abort();
	world.auditor.counted = true;
	world.auditor.fuel = 1 << 30;
	for (unsigned v = 1; v <= s->filled; v++)
		if (world_put(&world.auditor, v, s->filled_block, SQ_NOWAIT) < 0)
			abort();
	for (unsigned i = 0; i < explorer.count; i++) {
		if (join(&world.handle[i]) < 0)
			abort();
		world.handle[i].counted = true;
		world.handle[i].fuel = 1 << 30;
		world.present[i] = true;
	}
}

static void lease(unsigned self, struct deed *d, int64_t timeout)
{
	struct sq_lease *l = &world.lease[self];

	d->result = sq_lease(&world.handle[self], l, timeout);
	if (d->result == 0) {
		d->value = value_of(l->data, l->len);
		d->attempts = l->attempts;
	}
}

/* The lease may have ended; as long as nobody said so, what it points to must stand. */
static void settle(unsigned self, struct deed *d, int (*f)(struct sq *, const struct sq_lease *))
{
	struct sq_lease *l = &world.lease[self];

	if (!l->data) {
		d->result = -EINVAL; /* there was nothing to lease */
		return;
	}
	d->value = value_of(l->data, l->len);
	d->result = f(&world.handle[self], l);
	if (d->kind != OP_TOUCH || d->result < 0)
		l->data = NULL;
}

static int reserve(struct sq *h, unsigned value, int64_t timeout)
{
	void *data;
	int r = sq_reserve(h, BLOCK_LEN, &data);

	if (r < 0)
		return r;
	fill_with(data, value, BLOCK_LEN);
	r = sq_commit(h, BLOCK_LEN, timeout);
	if (r < 0)
		sq_abort(h);
	return r;
}

static void rejoin(unsigned self, struct deed *d)
{
	d->result = join(&world.handle[self]);
	if (d->result == 0) {
		world.handle[self].counted = true;
		world.handle[self].fuel = 1 << 30;
		world.present[self] = true;
	}
}

static void leave(unsigned self, struct deed *d)
{
	struct sq *h = &world.handle[self];

	sqi_leave_party(h);
	unlock_all(h->fd);
	free(h->buffer);
	world.present[self] = false;
	world.lease[self].data = NULL;
	d->result = 0;
}

void world_body(unsigned self)
{
	struct sq *h = &world.handle[self];

	world.lease[self].data = NULL;
	for (unsigned i = 0; i < OPS_MAX; i++) {
		const struct op *op = &world.scenario->ops[self][i];
		struct deed *d = &world.deed[self][i];
		int64_t timeout = op->wait ? SQ_FOREVER : SQ_NOWAIT;
		struct sq_stat st;

		if (op->kind == OP_END)
			return;
		d->kind = op->kind;
		d->value = op->value;
		d->result = PENDING;
		d->begin = explore_moment();
		switch (op->kind) {
		case OP_PUT:
		case OP_PUT_BLOCK:
			d->result = world_put(h, op->value, op->kind == OP_PUT_BLOCK, timeout);
			break;
		case OP_RESERVE:
			d->result = reserve(h, op->value, timeout);
			break;
		case OP_GET:
			d->result = world_get(h, &d->value, timeout);
			break;
		case OP_LEASE:
			lease(self, d, timeout);
			break;
		case OP_ACK:
			settle(self, d, sq_ack);
			break;
		case OP_NACK:
			settle(self, d, sq_nack);
			break;
		case OP_TOUCH:
			settle(self, d, sq_touch);
			break;
		case OP_RECOVER:
			d->result = sqi_rescue(h);
			break;
		case OP_SWEEP:
			sqi_due_sweep(h);
			d->result = 0;
			break;
		case OP_EXPIRE:
			explorer.now_ns += 2 * world.scenario->lease_time;
			d->result = 0;
			break;
		case OP_CLOSE:
			leave(self, d);
			break;
		case OP_JOIN:
			rejoin(self, d);
			break;
		case OP_SHUTDOWN:
		case OP_SHUTDOWN_NOW:
			d->result = sq_shutdown(h, op->kind == OP_SHUTDOWN_NOW);
			break;
		case OP_STAT:
			d->result = sq_stat(h, &st);
			break;
		case OP_END:
			break;
		}
		d->end = explore_moment();
		if (op->wait && d->result == 0 && explorer.timed_out[self] && explorer.kills == 0 &&
			explorer.stops == 0)
			explore_fail("a wake-up was lost: only its tick woke it");
		explorer.timed_out[self] = false;
	}
}
