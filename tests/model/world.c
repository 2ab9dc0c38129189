/* SPDX-License-Identifier: ISC */
#include "world.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "member/join.h"
#include "member/recovery.h"
#include "member/removal.h"
#include "member/upkeep.h"
#include "ring/lease_time.h"
#include "ring/redelivery.h"
#include "segment/closed.h"
#include "share.h"
#include "state.h"

#define SMALL          16
#define BLOCKS         4             /* of the eight there are at least: each costs steps */
#define SOON_MS        50000         /* no upkeep in passing before that, unless somebody died */
#define A_WHILE_NS     15000000      /* more than one tick */
#define SLICE_NS_APART 2000000000    /* longer than any lap that is under way counts */
#define GRACE_NS       1000000000000 /* longer than all else that takes time, together */
/* What changes of a handle: two parts of it. */
#define MUTABLE      offsetof(struct sq, ring)
#define RING_AT      offsetof(struct sqi_ring, slot)
#define RING_MUTABLE (offsetof(struct sqi_ring, g) - RING_AT)

/* As the build has it: lists so short that three participants fill them. */
_Static_assert(SQI_RECOVERY_MAX == 2 && SQI_WAITING_MAX == 2, "see meson.build");

struct world world;

static struct sqi_head *head(void)
{
	return (struct sqi_head *)world.segment[0].memory;
}

static struct sq *handle(unsigned who)
{
	return &world.handle[0][who];
}

/* Into a slot of one segment. */
static int enter(unsigned who, unsigned file, uint64_t key)
{
	struct sq *h = &world.handle[file][who];
	int r;

	memset(h, 0, sizeof(*h));
	h->ring.g = world.segment[file].g;
	h->ring.base = world.segment[file].memory;
	h->file.fd = kernel_fd(who, file);
	h->file.ino = file;
	h->file.tag = 1 + file * ACTORS + who;
	r = sqi_handle_init(h, key, world.scenario->grace ? GRACE_NS : SQ_FOREVER);
	h->member.counted = true;
	h->member.ops_to_upkeep = 1 << 30;
	return r;
}

int world_enter(unsigned who, uint64_t key)
{
	int r = enter(who, 0, key);

	if (r == 0 && world.scenario->max_attempts) {
		r = enter(who, 1, 0);
		handle(who)->dead_letters = &world.handle[1][who];
	}
	handle(who)->buffer = world.hand[who].buffer;
	world.hand[who].present = r == 0;
	if (r < 0)
		kernel_unlock(who, 0);
	return r;
}

static int join(unsigned who)
{
	return world_enter(who, 0);
}

static void leave(unsigned who)
{
	for (unsigned file = 0; file < SEGMENTS; file++)
		if (world.handle[file][who].ring.slot) {
			if (sqi_leaves_at_once(&world.handle[file][who].member))
				sq_abort(&world.handle[file][who]);
			sqi_leave(&world.handle[file][who].member);
			kernel_unlock(who, file);
		}
	world.hand[who] = (struct hand){0};
}

void world_killed(unsigned who)
{
	for (unsigned file = 0; file < SEGMENTS; file++) {
		kernel_unlock(who, file);
		memset(&world.handle[file][who], 0, MUTABLE);
		memset((char *)&world.handle[file][who].ring + RING_AT, 0, RING_MUTABLE);
	}
	world.hand[who] = (struct hand){0};
	/* From now on sleepers look for the dead in passing. */
	share_set_mode(SHARE_ALL);
	share_note(AUDITOR, &head()->upkeep_ms, "killed");
	share_note(AUDITOR, &head()->find_dead_ms, "killed");
	share_set_mode(SHARE_OFF);
	head()->upkeep_ms = head()->find_dead_ms = 0;
	spec_kill(who);
}

bool world_matters(unsigned who)
{
	return world.hand[who].lease[0].data || world.hand[who].lease[1].data;
}

bool world_idle(const void *address)
{
	for (unsigned file = 0; file < SEGMENTS; file++) {
		const struct segment *seg = &world.segment[file];
		size_t at = (size_t)((const unsigned char *)address - seg->memory);

		if (!seg->memory || (const unsigned char *)address < seg->memory ||
			at >= seg->g.counts)
			continue;
		if (at < seg->g.slots)
			return at >= offsetof(struct sqi_head, overdue);
		at = (at - seg->g.slots) % sizeof(struct sqi_slot);
		return (at >= offsetof(struct sqi_slot, gots) &&
			       at <= offsetof(struct sqi_slot, pid)) ||
		       at == offsetof(struct sqi_slot, returned);
	}
	return false;
}

static void make_segment(unsigned file, const struct scenario *s)
{
	struct segment *seg = &world.segment[file];
	bool blocks = false;
	struct sq_config config = {
		.capacity = file ? 4 : s->capacity,
		.small_message = SMALL,
		.participants = explorer.count + 1,
		.lease_time = file ? 0 : s->lease_time,
		.max_attempts = file ? 0 : s->max_attempts,
		.dead_letter = !file && s->max_attempts ? "dead" : NULL,
		.block_memory = 1,
	};
	struct sqi_inputs in;
	struct sqi_head *to;

	for (unsigned i = 0; i < CO_MAX; i++)
		for (unsigned k = 0; k < CALLS_MAX; k++) {
			enum op_kind kind = s->ops[i][k].kind;

			blocks |= kind == OP_PUT_BLOCK || kind == OP_RESERVE ||
				  kind == OP_RESERVE_LESS || kind == OP_BLOCK_ARMED;
			if (kind == OP_WANTED)
				spec_note_wanted();
		}
	/* Without blocks there is less to look after, so fewer steps. */
	config.max_message = blocks || s->filled_block ? BLOCK_LEN : SMALL;
	if (sqi_inputs_init(&in, &config) < 0 || sqi_geometry_init(&seg->g, &in) < 0)
		abort();
	if (seg->g.classes > 0)
		seg->g.blocks = seg->g.class[0].count = BLOCKS;
	if (!seg->memory)
		seg->memory = aligned_alloc(SQI_PAGE, SEGMENT_MAX);
	if (!seg->memory || seg->g.total > SEGMENT_MAX)
		abort();
	memset(seg->memory, 0, SEGMENT_MAX);
	to = (struct sqi_head *)seg->memory;
	to->in = in;
	state_add_region(REGION_SHARED, 0, (unsigned char *)to + offsetof(struct sqi_head, closed),
		sizeof(*to) - offsetof(struct sqi_head, closed));
	/* All that is used of it, without the rests of pages. */
	state_add_region(REGION_SHARED, 0, seg->memory + seg->g.slots,
		seg->g.block_words + seg->g.blocks * sizeof(struct sqi_block) - seg->g.slots);
	state_add_region(
		REGION_SHARED, 0, seg->memory + seg->g.cells, seg->g.capacity * seg->g.cell_size);
	if (seg->g.classes > 0)
		state_add_region(REGION_SHARED, 0, seg->memory + seg->g.class[0].data,
			BLOCKS * seg->g.class[0].size);
}

static void set_counters(const struct scenario *s)
{
	const struct segment *seg = &world.segment[0];
	struct sqi_head *h = head();
	uint64_t turn = s->wraps & WRAP_TURN ? ((uint64_t)1 << SQI_TURN_BITS) - 2 : 0;

	h->upkeep_ms = sqi_upkeep_at((uint64_t)run.now_ns / 1000000, SOON_MS);
	for (uint64_t i = 0; i < seg->g.capacity; i++) {
		struct sqi_cell *c = (void *)(seg->memory + seg->g.cells + i * seg->g.cell_size);

		c->word = sqi_word(SQI_FREE, 0, 0, turn);
	}
	h->tail = h->front = world.first = turn << seg->g.in.capacity_log2;
	if (s->wraps & WRAP_EVENTS)
		h->message_event.word = h->room_event.word = h->block_event.word = UINT32_MAX - 3;
	if (s->wraps & WRAP_GENERATION)
		for (uint64_t i = 0; i < seg->g.blocks; i++) {
			struct sqi_block *b = (void *)(seg->memory + seg->g.block_words);

			b[i].word = (((uint64_t)1 << 48) - 2) << 16;
		}
	if (s->wraps & WRAP_ID)
		h->next_id = ((uint64_t)1 << 60) - 12;
}

void world_reset(const struct scenario *s)
{
	const struct op put = {.kind = s->filled_block ? OP_PUT_BLOCK : OP_PUT};
	const struct op lease = {.kind = OP_LEASE}, nack = {.kind = OP_NACK};

	world.scenario = s;
	explorer.failure = NULL;
	memset(&run, 0, sizeof(run));
	memset(world.handle, 0, sizeof(world.handle));
	memset(world.hand, 0, sizeof(world.hand));
	run.now_ns = 1000000000;
	spec_reset(s->capacity, BLOCKS, s->max_attempts, s->lease_time != 0);
	state_forget_regions();
	for (unsigned file = 0; file < (s->max_attempts ? 2 : 1); file++)
		make_segment(file, s);
	set_counters(s);
	if (join(AUDITOR) < 0)
		abort();
	for (unsigned v = 1; v <= s->filled; v++)
		world_call(AUDITOR, &(struct op){.kind = put.kind, .value = v});
	for (unsigned n = 0; n < s->nacked; n++) {
		world_call(AUDITOR, &lease);
		world_call(AUDITOR, &nack);
	}
	for (unsigned i = 0; i < explorer.count; i++)
		if (s->durable[i])
			world_call(i, &(struct op){.kind = OP_OPEN, .value = s->durable[i]});
		else if (s->ops[i][0].kind != OP_OPEN && s->ops[i][0].kind != OP_JOIN &&
			 join(i) < 0)
			abort();
	for (unsigned i = 0; i < ACTORS; i++) {
		for (unsigned file = 0; file < SEGMENTS; file++)
			if (file == 0 || s->max_attempts) {
				struct sq *h = &world.handle[file][i];

				state_add_region(REGION_PRIVATE, i, h, MUTABLE);
				state_add_region(REGION_PRIVATE, i, (char *)&h->ring + RING_AT,
					RING_MUTABLE);
			}
		state_add_region(REGION_PRIVATE, i, &world.hand[i], sizeof(struct hand));
	}
	if (explorer.failure)
		abort();
}

static size_t length_of(enum op_kind kind)
{
	if (kind == OP_PUT_BLOCK || kind == OP_RESERVE || kind == OP_BLOCK_ARMED)
		return BLOCK_LEN;
	return world.scenario->wide ? 16 : 8;
}

/* A message must be whole. */
unsigned world_value(const void *message, size_t len)
{
	const unsigned char *data = message;

	if (len != 8 && len != 16 && len != BLOCK_LEN) {
		explore_fail("a message has a wrong length");
		return 0;
	}
	for (size_t i = 1; i < len; i++)
		if (data[i] != data[0])
			explore_fail("a message is torn");
	return data[0] % VALUES_MAX;
}

static void put(unsigned who, const struct op *op, int64_t timeout, struct result *r)
{
	unsigned char buf[BLOCK_LEN];
	size_t len = length_of(op->kind);
	int e;

	memset(buf, (int)op->value, sizeof(buf));
	e = sq_put(handle(who), buf, len, timeout);
	world.hand[who].puts += e == 0;
	if (e == 0 && sq_last_put(handle(who), &world.hand[who].id) == 0)
		world.hand[who].id++;
	r->done = e == 0;
	r->count = (unsigned)-e;
}

static void put_many(unsigned who, const struct op *op, int64_t timeout, struct result *r)
{
	unsigned char buf[MANY_MAX][16];
	struct iovec iov[MANY_MAX];
	int e;

	for (unsigned i = 0; i < MANY_MAX; i++) {
		memset(buf[i], (int)(op->value + i), sizeof(buf[i]));
		iov[i] = (struct iovec){.iov_base = buf[i], .iov_len = length_of(op->kind)};
	}
	e = sq_put_many(handle(who), iov, MANY_MAX, timeout);
	r->done = e > 0 ? (unsigned)e : 0;
	r->count = e < 0 ? (unsigned)-e : 0;
}

static void reserve(unsigned who, const struct op *op, int64_t timeout, struct result *r)
{
	size_t len = op->kind == OP_RESERVE_SMALL ? 8 : BLOCK_LEN;
	void *data;
	int e = sq_reserve(handle(who), len, &data);

	if (e == 0) {
		memset(data, (int)op->value, len);
		e = sq_commit(handle(who), op->kind == OP_RESERVE ? BLOCK_LEN : 8, timeout);
		if (e < 0)
			sq_abort(handle(who));
	}
	r->done = e == 0;
	r->count = (unsigned)-e;
}

static void get(unsigned who, int64_t timeout, struct result *r)
{
	unsigned char buf[BLOCK_LEN];
	ssize_t n = sq_get(handle(who), buf, sizeof(buf), timeout);

	if (n < 0) {
		r->count = (unsigned)-n;
		return;
	}
	r->done = 1;
	r->value[0] = world_value(buf, (size_t)n);
}

/* It stays where it is. */
static void get_tiny(unsigned who, int64_t timeout, struct result *r)
{
	ssize_t n = sq_get(handle(who), NULL, 0, timeout);

	if (n >= 0)
		explore_fail("a message went into no room");
	r->count = (unsigned)-n;
}

static void get_many(unsigned who, int64_t timeout, struct result *r)
{
	unsigned char buf[MANY_MAX * BLOCK_LEN];
	struct iovec iov[MANY_MAX];
	int e = sq_get_many(handle(who), buf, sizeof(buf), iov, MANY_MAX, timeout);

	if (e < 0) {
		r->count = (unsigned)-e;
		return;
	}
	r->done = (unsigned)e;
	for (unsigned i = 0; i < r->done; i++)
		r->value[i] = world_value(iov[i].iov_base, iov[i].iov_len);
}

static void lease(unsigned who, int64_t timeout, struct result *r)
{
	unsigned which = world.hand[who].lease[0].data != NULL;
	struct sq_lease *l = &world.hand[who].lease[which];
	int e = sq_lease(handle(who), l, timeout);

	r->done = e == 0;
	r->count = (unsigned)-e;
	if (e < 0)
		return;
	r->value[0] = world_value(l->data, l->len);
	r->attempts = l->attempts;
	world.hand[who].value[which] = r->value[0];
}

/* The lease may have ended; as long as nobody said so, what it points to must stand. */
static void settle(unsigned who, const struct op *op, struct result *r)
{
	struct hand *hand = &world.hand[who];
	struct sq_lease *l = &hand->lease[op->value];
	enum op_kind kind = op->kind;
	int e;

	if (hand->value[op->value] && world_value(l->data, l->len) != hand->value[op->value])
		explore_fail("what a lease points to has changed");
	e = (kind == OP_ACK         ? sq_ack
		: kind == OP_NACK   ? sq_nack
		: kind == OP_RETURN ? sq_return
				    : sq_touch)(handle(who), l);
	r->done = e == 0;
	r->count = (unsigned)-e;
	if (kind == OP_TOUCH && e == 0)
		return;
	*l = (struct sq_lease){0};
	hand->value[op->value] = 0;
}

static void bind(unsigned who, const struct op *op, struct result *r)
{
	uint64_t count = 0;
	int e = sq_count_bind(handle(who), op->value, &count);

	r->done = e == 0;
	r->count = e == 0 ? (unsigned)count : (unsigned)-e;
}

static const enum call call_of[] = {
	[OP_PUT] = CALL_PUT,
	[OP_PUT_MANY] = CALL_PUT,
	[OP_PUT_BLOCK] = CALL_PUT_BLOCK,
	[OP_RESERVE] = CALL_PUT_BLOCK,
	[OP_RESERVE_SMALL] = CALL_PUT,
	[OP_RESERVE_LESS] = CALL_PUT,
	[OP_GET] = CALL_GET,
	[OP_GET_MANY] = CALL_GET,
	[OP_GET_TINY] = CALL_GET,
	[OP_LEASE] = CALL_LEASE,
	[OP_ACK] = CALL_ACK,
	[OP_NACK] = CALL_NACK,
	[OP_RETURN] = CALL_RETURN,
	[OP_TOUCH] = CALL_TOUCH,
	[OP_RECOVER] = CALL_RECOVER,
	[OP_SLICE] = CALL_OTHER,
	[OP_SWEEP] = CALL_SWEEP,
	[OP_EXPIRE] = CALL_OTHER,
	[OP_ELAPSE] = CALL_OTHER,
	[OP_CLOSE] = CALL_CLOSE,
	[OP_JOIN] = CALL_OTHER,
	[OP_COLLECT] = CALL_OTHER,
	[OP_GONE] = CALL_SHUTDOWN,
	[OP_SHUTDOWN] = CALL_SHUTDOWN,
	[OP_SHUTDOWN_NOW] = CALL_SHUTDOWN_NOW,
	[OP_BIND] = CALL_BIND,
	[OP_WAIT_EMPTY] = CALL_WAIT_EMPTY,
	[OP_STAT] = CALL_OTHER,
	[OP_OPEN] = CALL_OPEN,
	[OP_RETIRE] = CALL_RETIRE,
	[OP_HELD] = CALL_HELD,
	[OP_FIND] = CALL_FIND,
	[OP_LEASE_ID] = CALL_LEASE_ID,
	[OP_MARK] = CALL_MARK,
	[OP_PASSED] = CALL_PASSED,
	[OP_WANTED] = CALL_WANTED,
	[OP_LAST_PUT] = CALL_LAST_PUT,
	[OP_GET_ARMED] = CALL_GET,
	[OP_PUT_ARMED] = CALL_PUT,
	[OP_BLOCK_ARMED] = CALL_PUT_BLOCK,
};

/* From what the engine returned to what the specification knows. */
static void translate(enum op_kind kind, struct result *r)
{
	unsigned e = r->count;

	r->count = 0;
	switch (e) {
	case 0:
		return;
	case EAGAIN:
	case ETIMEDOUT:
		r->stop = STOP_AGAIN;
		return;
	case EPIPE:
	case EIDRM:
		r->stop = STOP_PIPE;
		return;
	case ESTALE:
		r->stop = STOP_STALE;
		return;
	case EMSGSIZE:
		if (kind != OP_GET_TINY)
			explore_fail("a message was too large for where there was room");
		r->stop = STOP_SIZE;
		return;
	case EBUSY:
		r->stop = STOP_BUSY;
		return;
	case ENOENT:
		r->stop = STOP_NOENT;
		return;
	default:
		explore_fail("a call failed oddly");
	}
}

/* No participant is alive in this queue but its collectors; the auditor does not count. */
static bool nobody_else(const struct sqi_member *m)
{
	for (unsigned n = 0; n < m->ring->g.in.participants; n++) {
		uint64_t id = sqi_load_seq(&sqi_slot(m->ring, n)->id);
		bool counts = id != 0 && id != handle(AUDITOR)->member.id;

		for (unsigned i = 0; i < explorer.count; i++)
			counts &= world.scenario->ops[i][0].kind != OP_COLLECT ||
				  id != handle(i)->member.id;
		if (counts && !sqi_is_dead(m, id))
			return false;
	}
	return true;
}

/*
 * Redeliveries and the ring take turns: a participant whose last message was a redelivery does not
 * get another while a message of the ring waits, as `waited` did from the beginning of this call to
 * its end. Of several messages that one call got, which was the last is known if all were
 * redeliveries.
 */
static void check_turn(
	unsigned who, const struct op *op, uint64_t redelivered, unsigned taken, unsigned waited)
{
	struct hand *hand = &world.hand[who];
	uint64_t n = sqi_load_relaxed(&handle(who)->ring.slot->redelivered) - redelivered;

	if (world.scenario->lease_time || world.scenario->max_attempts || !handle(who)->ring.slot)
		return;
	if ((op->kind == OP_GET || op->kind == OP_LEASE) && n > 0 && hand->was_back &&
		(waited & spec_surely_queued()))
		explore_fail("a redelivery came before the ring's turn");
	hand->was_back = n > 0 && n == taken;
}

static bool is_taking(enum op_kind kind)
{
	return kind == OP_GET || kind == OP_LEASE || kind == OP_GET_MANY || kind == OP_LEASE_ID ||
	       kind == OP_GET_ARMED;
}

static bool is_settling(enum op_kind kind)
{
	return kind == OP_ACK || kind == OP_NACK || kind == OP_RETURN || kind == OP_TOUCH;
}

void world_call(unsigned who, const struct op *op)
{
	unsigned value[MANY_MAX] = {op->value, op->kind == OP_PUT_MANY ? op->value + 1 : 0};
	unsigned count = op->kind == OP_PUT_MANY || op->kind == OP_GET_MANY ? 2 : 1;
	int64_t timeout = op->wait == FOR_EVER ? SQ_FOREVER : op->wait ? A_WHILE_NS : SQ_NOWAIT;
	struct result r = {0};
	struct sq_stat st;
	uint64_t redelivered = 0;
	unsigned waited = 0;

	if (is_settling(op->kind) && !world.hand[who].lease[op->value].data)
		return; /* there was nothing to lease */
	if (op->kind == OP_GONE && !world.hand[who].collected)
		return;
	if (!world.hand[who].present && op->kind != OP_OPEN && op->kind != OP_JOIN)
		return; /* another had its key */
	if ((op->kind == OP_FIND || op->kind == OP_LEASE_ID) &&
		op->value > world.scenario->filled && !world.hand[who].id)
		return; /* it could not put it */
	if (is_taking(op->kind)) {
		redelivered = sqi_load_relaxed(&handle(who)->ring.slot->redelivered);
		waited = spec_surely_queued();
	}
	spec_begin(who, call_of[op->kind], count, value);
	switch (op->kind) {
	case OP_END:
		break;
	case OP_PUT:
	case OP_PUT_BLOCK:
		put(who, op, timeout, &r);
		break;
	case OP_PUT_MANY:
		put_many(who, op, timeout, &r);
		break;
	case OP_RESERVE:
	case OP_RESERVE_SMALL:
	case OP_RESERVE_LESS:
		reserve(who, op, timeout, &r);
		break;
	case OP_GET:
		get(who, timeout, &r);
		break;
	case OP_GET_MANY:
		get_many(who, timeout, &r);
		break;
	case OP_GET_TINY:
		get_tiny(who, timeout, &r);
		break;
	case OP_LEASE:
		lease(who, timeout, &r);
		break;
	case OP_ACK:
	case OP_NACK:
	case OP_RETURN:
	case OP_TOUCH:
		settle(who, op, &r);
		break;
	case OP_RECOVER:
		r.done = sqi_recover_dead(&handle(who)->member) >= 0;
		break;
	case OP_SLICE:
		run.now_ns += SLICE_NS_APART;
		sqi_upkeep(&handle(who)->member);
		r.done = 1;
		break;
	case OP_SWEEP:
		sqi_lease_time_expire(&handle(who)->ring, 0, handle(who)->ring.mask + 1);
		sqi_redelivery_announce_all(&handle(who)->ring, 0, handle(who)->ring.mask + 1);
		r.done = 1;
		break;
	case OP_EXPIRE:
		run.now_ns += 2 * world.scenario->lease_time;
		spec_expire();
		r.done = 1;
		break;
	case OP_ELAPSE:
		run.now_ns += GRACE_NS;
		spec_elapse();
		r.done = 1;
		break;
	case OP_CLOSE:
		leave(who);
		r.done = 1;
		break;
	case OP_JOIN:
		r.count = (unsigned)-join(who);
		if (r.count == 0 && sqi_check_present(&handle(who)->member) < 0)
			leave(who);
		r.done = 1;
		break;
	case OP_COLLECT:
		world.hand[who].collected = sqi_remove_if(&handle(who)->member, nobody_else);
		r.done = 1;
		break;
	case OP_GONE:
		sqi_note_removed(head());
		r.done = 1;
		break;
	case OP_SHUTDOWN:
	case OP_SHUTDOWN_NOW:
		r.count = (unsigned)-sq_shutdown(handle(who), op->kind == OP_SHUTDOWN_NOW);
		r.done = 1;
		break;
	case OP_BIND:
		bind(who, op, &r);
		break;
	case OP_WAIT_EMPTY:
		r.count = (unsigned)-sq_join(handle(who), timeout);
		r.done = r.count == 0;
		break;
	case OP_STAT:
		r.count = (unsigned)-sq_stat(handle(who), &st);
		r.done = 1;
		break;
	default:
		world_durable_call(who, op, &r);
		break;
	}
	if (is_taking(op->kind) && r.done)
		check_turn(who, op, redelivered, r.done, waited);
	if (!r.done || (op->kind != OP_BIND && !world_is_durable_call(op->kind)))
		translate(op->kind, &r);
	spec_end(who, call_of[op->kind], &r);
}

void world_body(unsigned who)
{
	for (unsigned i = 0; i < CALLS_MAX; i++) {
		const struct op *op = &world.scenario->ops[who][i];
		struct person *p = &run.person[who];

		if (op->kind == OP_END)
			return;
		explore_pause();
		world_call(who, op);
		/* WAIT_EMPTY naps, and arms no eventcount. */
		if (op->wait == FOR_EVER && op->kind != OP_WAIT_EMPTY && p->timed_out &&
			run.kills == 0 && run.stops == 0 && run.ticks == 0)
			explore_fail("a wake-up was lost: only its tick woke it");
		p->timed_out = false;
	}
}
