/* SPDX-License-Identifier: ISC */
#include <errno.h>

#include "crew.h"
#include "step.h"

/*
 * Durable participants: what they have leased outlives them, until a successor comes with their
 * key. And the other calls for forwarders, as far as they change the segment.
 */

#define DURABLE_KEY 11

static void be_durable(struct me *m)
{
	sq_close(m->h);
	m->h = NULL;
	if (sq_open_durable(&m->h, m->name, DURABLE_KEY, SQ_FOREVER) < 0)
		crew_die("the child cannot be durable");
}

static void be_durable_and_lease(struct me *m)
{
	be_durable(m);
	if (sq_lease(m->h, &m->lease[0], SQ_NOWAIT) < 0)
		crew_die("nothing to lease");
}

static int64_t run_open(struct me *m)
{
	return sq_open_durable(&m->h, m->name, DURABLE_KEY, SQ_FOREVER);
}

static int64_t run_put(struct me *m)
{
	return sq_put(m->h, m->buf[0], m->len, SQ_NOWAIT);
}

static int64_t run_lease(struct me *m)
{
	return sq_lease(m->h, &m->lease[0], SQ_NOWAIT);
}

/* The first message ever has the first id. */
static int64_t run_lease_id(struct me *m)
{
	return sq_lease_id(m->h, 0, &m->lease[0]);
}

static int64_t run_ack(struct me *m)
{
	return sq_ack(m->h, &m->lease[0]);
}

static int64_t run_nack(struct me *m)
{
	return sq_nack(m->h, &m->lease[0]);
}

static int64_t run_retire(struct me *m)
{
	return sq_retire(m->h);
}

static int64_t run_close(struct me *m)
{
	struct sq *h = m->h;

	m->h = NULL;
	sq_close(h);
	return 0;
}

static int64_t run_recover(struct me *m)
{
	return sq_recover(m->h);
}

static int64_t run_arm(struct me *m)
{
	struct sq_watch watch;

	return sq_arm(m->h, SQ_NEWS_MESSAGE, &watch);
}

static int64_t run_wanted(struct me *m)
{
	return sq_wanted(m->h);
}

static void take_lease(struct me *m)
{
	size_t len;

	if (m->report->result < 0)
		return;
	len = m->lease[0].len;
	if (len > sizeof(m->buf[3]))
		crew_die("a message of %zu bytes", len);
	__builtin_memcpy(m->buf[3], m->lease[0].data, len);
	if (sq_ack(m->h, &m->lease[0]) < 0)
		m->report->finish = -EPROTO;
	else
		me_take(m, m->buf[3], len);
}

/* The first message is the child's own now, for it leased nothing else. */
static void take_first(struct me *m)
{
	unsigned char buf[256];

	if (m->report->result == 0)
		me_take(m, buf, crew_write(buf, FIRST, m->op->size));
}

static unsigned slots_taken(struct scene *s)
{
	unsigned n = 0;

	for (unsigned i = 0; i < s->o->ring.g.in.participants; i++)
		n += sqi_load_seq(&sqi_slot(&s->o->ring, i)->id) != 0;
	return n;
}

static unsigned ordinary(struct scene *s)
{
	for (unsigned i = 0; i < s->o->ring.g.in.participants; i++)
		if (sqi_load_seq(&sqi_slot(&s->o->ring, i)->durable) != 0)
			return 0;
	return 1;
}

static unsigned armed(struct scene *s)
{
	return sqi_load_seq32(&s->o->ring.head->message_event.word) & 1;
}

static unsigned unwanted(struct scene *s)
{
	return sqi_load_seq(&s->o->ring.head->wanted) == 0;
}

static void want(struct scene *s)
{
	sqi_store_relaxed(&s->o->ring.head->wanted, 1);
}

/* The successor with the key has the lease, whole; and then gives it to the others. */
static void succeed(struct scene *s)
{
	struct sq_lease held[HELD_MAX];
	struct sq *h = NULL;
	int n;

	if (sq_open_durable(&h, s->name, DURABLE_KEY, SQ_FOREVER) < 0)
		crew_die("the durable one has no successor");
	n = sq_held(h, held, HELD_MAX);
	if (n < 0 || (unsigned)n > s->op->takes)
		crew_die("the successor holds %d leases", n);
	for (int i = 0; i < n; i++) {
		uint64_t value = crew_read(held[i].data, held[i].len);

		/* When others had come in between, it may have come to hold another message. */
		if ((value != FIRST && s->mode != LATE) || held[i].attempts != 1)
			crew_die("the successor holds %llu, attempt %u", (unsigned long long)value,
				(unsigned)held[i].attempts);
	}
	if (sq_retire(h) < 0)
		crew_die("sq_retire failed");
	sq_close(h);
}

/* While no successor has come with the key, no other has the message. */
static void succeed_to_one(struct scene *s)
{
	if (s->times[FIRST])
		crew_die("the lease did not outlive its holder");
	succeed(s);
}

/* It leases the first message, and is gone. */
static void live_for(struct scene *s, struct sq *h, int64_t grace)
{
	struct sq_lease lease;
	struct sq *d;

	sq_close(h);
	if (sq_open_durable(&d, s->name, DURABLE_KEY, grace) < 0 ||
		sq_lease(d, &lease, SQ_NOWAIT) < 0)
		crew_die("nothing to lease");
}

static void life_durable(struct scene *s, struct sq *h)
{
	live_for(s, h, SQ_FOREVER);
}

/* Its grace is over as soon as it begins. */
static void life_brief(struct scene *s, struct sq *h)
{
	live_for(s, h, 0);
}

static void set_dead_durable(struct scene *s)
{
	scene_corpse(s, life_durable);
}

static void set_dead_brief(struct scene *s)
{
	scene_corpse(s, life_brief);
}

const struct op ops_durable[] = {
	{.name = "open, durable",
		.flags = BARE | CLOCKED,
		.size = SMALL,
		.first = 1,
		.run = run_open,
		.stage = slots_taken,
		.settle = succeed,
		.nresults = 1,
		.config = &plain},
	{.name = "open, durable, after one who died",
		.final = 1,
		.flags = BARE | DEAD | CLOCKED | DEEP,
		.size = BLOCK,
		.first = 1,
		.takes = 1,
		.holds = 1,
		.set = set_dead_durable,
		.run = run_open,
		.settle = succeed_to_one,
		.nresults = 1,
		.config = &plain},
	{.name = "open, durable, lease time, after one who died",
		.final = 1,
		.flags = BARE | DEAD | CLOCKED,
		.size = BLOCK,
		.first = 1,
		.takes = 1,
		.holds = 1,
		.set = set_dead_durable,
		.run = run_open,
		.settle = succeed_to_one,
		.nresults = 1,
		.config = &timed},
	{.name = "put, durable",
		.flags = NO_KEY | CLOCKED,
		.size = BLOCK,
		.puts = 1,
		.prepare = be_durable,
		.run = run_put,
		.settle = succeed,
		.nresults = 1,
		.config = &plain},
	{.name = "lease, durable",
		.final = 1,
		.flags = NO_KEY,
		.size = BLOCK,
		.first = 2,
		.takes = 1,
		.prepare = be_durable,
		.run = run_lease,
		.finish = take_lease,
		.settle = succeed,
		.nresults = 2,
		.results = {0, -EAGAIN},
		.config = &plain},
	{.name = "ack, durable",
		.final = 3,
		.flags = NO_KEY,
		.size = BLOCK,
		.first = 2,
		.takes = 1,
		.prepare = be_durable_and_lease,
		.run = run_ack,
		.finish = take_first,
		.settle = succeed,
		.nresults = 1,
		.config = &plain},
	{.name = "nack, durable",
		.final = 2,
		.flags = NO_KEY | DEEP,
		.size = BLOCK,
		.first = 2,
		.takes = 1,
		.prepare = be_durable_and_lease,
		.run = run_nack,
		.settle = succeed,
		.nresults = 1,
		.config = &plain},
	{.name = "retire",
		.final = 1,
		.flags = NO_KEY,
		.size = BLOCK,
		.first = 2,
		.takes = 1,
		.prepare = be_durable_and_lease,
		.run = run_retire,
		.stage = ordinary,
		.settle = succeed,
		.nresults = 1,
		.config = &plain},
	{.name = "close, durable",
		.final = 1,
		.flags = NO_KEY | LEAVES | CLOCKED | DEEP,
		.size = BLOCK,
		.first = 2,
		.takes = 1,
		.holds = 1,
		.prepare = be_durable_and_lease,
		.run = run_close,
		.settle = succeed_to_one,
		.nresults = 1,
		.config = &plain},
	{.name = "recover a durable one",
		.final = 1,
		.flags = DEAD | CLOCKED | DEEP,
		.size = BLOCK,
		.first = 1,
		.takes = 1,
		.holds = 1,
		.set = set_dead_durable,
		.run = run_recover,
		.settle = succeed_to_one,
		.nresults = 2,
		.results = {0, 1},
		.config = &plain},
	{.name = "recover one whose grace is over",
		.final = 2,
		.flags = DEAD | CLOCKED | DEEP,
		.size = BLOCK,
		.first = 1,
		.takes = 1,
		.holds = 1,
		.set = set_dead_brief,
		.run = run_recover,
		.nresults = 2,
		.results = {0, 1},
		.config = &plain},
	{.name = "lease by id",
		.final = 1,
		.flags = DEEP,
		.size = BLOCK,
		.first = 2,
		.takes = 1,
		.run = run_lease_id,
		.finish = take_lease,
		.nresults = 3,
		.results = {0, -ENOENT, -EBUSY},
		.config = &plain},
	{.name = "lease by id, lease time",
		.final = 1,
		.size = SMALL,
		.first = 2,
		.takes = 1,
		.run = run_lease_id,
		.finish = take_lease,
		.nresults = 3,
		.results = {0, -ENOENT, -EBUSY},
		.config = &timed},
	{.name = "arm",
		.size = SMALL,
		.first = 1,
		.run = run_arm,
		.stage = armed,
		.nresults = 1,
		.config = &plain},
	{.name = "wanted",
		.size = SMALL,
		.first = 1,
		.start = want,
		.run = run_wanted,
		.stage = unwanted,
		.nresults = 2,
		.results = {1, 0},
		.config = &plain},
	{0},
};
