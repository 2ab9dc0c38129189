/* SPDX-License-Identifier: ISC */
#include <errno.h>

#include "base/clock.h"
#include "crew.h"
#include "step.h"

/* Calls that settle a lease, and what ends it otherwise. */

#define NS ((uint64_t)1000000000)

static void note(struct me *m)
{
	if (m->report->result == 0)
		me_take(m, m->buf[3], m->len);
}

static void lease(struct me *m)
{
	int r = sq_lease(m->h, &m->lease[0], SQ_NOWAIT);

	if (r < 0)
		crew_die("sq_lease: %s", sq_strerror(r));
	m->len = m->lease[0].len;
	if (m->len <= sizeof(m->buf[3]))
		__builtin_memcpy(m->buf[3], m->lease[0].data, m->len);
}

static int64_t run_ack(struct me *m)
{
	return sq_ack(m->h, &m->lease[0]);
}

static int64_t run_nack(struct me *m)
{
	return sq_nack(m->h, &m->lease[0]);
}

static int64_t run_touch(struct me *m)
{
	return sq_touch(m->h, &m->lease[0]);
}

/* After a touch the lease is as good as before, or it is stale for good. */
static void finish_touch(struct me *m)
{
	int r = sq_ack(m->h, &m->lease[0]);

	if (r != m->report->result)
		m->report->finish = -EPROTO;
	if (r == 0)
		me_take(m, m->buf[3], m->len);
}

/* The time of every lease is up. The clock has nothing to do with it. */
static void time_is_up(struct scene *s)
{
	for (uint64_t i = 0; i < CAPACITY; i++) {
		if (sqi_load_seq(sqi_deadline(&s->o->ring, i)))
			sqi_store_relaxed(sqi_deadline(&s->o->ring, i), 1 << 1);
	}
}

/* x has leased the first message, and has overstayed; it waits for redelivery. */
static void set_overdue(struct scene *s)
{
	s->x = crew_open(s->name);
	if (sq_lease(s->x, &s->x_lease[0], SQ_NOWAIT) < 0)
		crew_die("nothing to lease");
	time_is_up(s);
	if (sq_recover(s->o) != 0 || !scene_state(s, SQI_BACK))
		crew_die("the overdue lease was not ended");
}

/* x has leased the first message, and the time is up; nobody has noticed yet. */
static void set_overstayed(struct scene *s)
{
	s->x = crew_open(s->name);
	if (sq_lease(s->x, &s->x_lease[0], SQ_NOWAIT) < 0)
		crew_die("nothing to lease");
	time_is_up(s);
}

/* It comes back much later, and is told. */
static void settle_overdue(struct scene *s)
{
	int r;

	/* Its memory is still as it was, for it may be reading. */
	if (crew_read(s->x_lease[0].data, s->x_lease[0].len) != FIRST)
		crew_die("the message changed under its overdue reader");
	r = sq_ack(s->x, &s->x_lease[0]);
	if (r != -ESTALE)
		crew_die("the ack of an overdue lease says %d", r);
}

/* The child's lease ended while it slept: given to another, or not yet. */
static void lost(struct scene *s)
{
	time_is_up(s);
	if (sq_recover(s->o) != 0 || !scene_state(s, SQI_BACK))
		crew_die("the overdue lease was not ended");
}

static void lost_and_taken(struct scene *s)
{
	lost(s);
	if (!scene_take(s, s->o, true))
		crew_die("the overdue message did not come back");
}

/* The cell of the child's lease is skipped: its turn rises. */
static void skipped(struct scene *s)
{
	for (int i = 0; i < 2 * CAPACITY; i++) {
		scene_put(s, s->o, s->next++, SMALL);
		if (!scene_take(s, s->o, true))
			crew_die("what was put cannot be taken");
	}
}

static int64_t run_recover(struct me *m)
{
	return sq_recover(m->h);
}

static int64_t run_get(struct me *m)
{
	return sq_get(m->h, m->buf[0], sizeof(m->buf[0]), SQ_NOWAIT);
}

static void finish_get(struct me *m)
{
	if (m->report->result >= 0)
		me_take(m, m->buf[0], (size_t)m->report->result);
}

static unsigned stage_deadline(struct scene *s)
{
	uint64_t now = (uint64_t)sqi_now_ns();

	/* Touched: its end is far off, where it had been near. */
	for (uint64_t i = 0; i < CAPACITY; i++)
		if (sqi_load_seq(sqi_deadline(&s->o->ring, i)) >> 1 > now + 100 * NS)
			return 1;
	return 0;
}

/* Not much time is left, but enough. */
static void lease_near_its_end(struct me *m)
{
	lease(m);
	for (uint64_t i = 0; i < CAPACITY; i++) {
		if (sqi_load_seq(sqi_deadline(&m->h->ring, i)))
			sqi_store_relaxed(sqi_deadline(&m->h->ring, i),
				((uint64_t)sqi_now_ns() + 60 * NS) << 1);
	}
}

/* x, whose time was up, says in time that it needs more. */
static void x_touches(struct scene *s)
{
	int r = sq_touch(s->x, &s->x_lease[0]);

	if (r < 0)
		crew_die("a touch before its end was decided: %s", sq_strerror(r));
}

static void settle_touched(struct scene *s)
{
	int r = sq_ack(s->x, &s->x_lease[0]);

	if (r < 0)
		crew_die("a lease that was touched: %s", sq_strerror(r));
	scene_note(s, FIRST, 2);
}

/* The child has leased the message again which it had itself held too long. */
static void lease_twice(struct me *m)
{
	struct sq_lease first;

	lease(m);
	first = m->lease[0];
	for (uint64_t i = 0; i < CAPACITY; i++) {
		if (sqi_load_seq(sqi_deadline(&m->h->ring, i)))
			sqi_store_relaxed(sqi_deadline(&m->h->ring, i), 1 << 1);
	}
	if (sq_recover(m->h) != 0)
		crew_die("somebody was dead");
	lease(m);
	m->lease[1] = m->lease[0];
	m->lease[0] = first;
}

/* The child acked a message, and has leased the next one in the same cell. */
static void lease_next(struct me *m)
{
	struct sq *h = crew_open(m->name);
	struct sq_lease first;
	unsigned char buf[64];

	lease(m);
	me_take(m, m->buf[3], m->len);
	first = m->lease[0];
	if (sq_ack(m->h, &first) < 0)
		crew_die("sq_ack failed");
	for (uint64_t i = 1; i < CAPACITY; i++)
		if (sq_put(h, buf, crew_write(buf, VALUES + i, SMALL), SQ_NOWAIT) < 0 ||
			sq_get(h, buf, sizeof(buf), SQ_NOWAIT) < 0)
			crew_die("a lap failed");
	if (sq_put(h, buf, crew_write(buf, CHILD, SMALL), SQ_NOWAIT) < 0)
		crew_die("sq_put failed");
	lease(m);
	if ((m->lease[0].id & (CAPACITY - 1)) != (first.id & (CAPACITY - 1)))
		crew_die("it is another cell");
	m->lease[1] = m->lease[0];
	m->lease[0] = first;
	sq_close(h);
}

static void finish_second(struct me *m)
{
	m->report->finish = sq_ack(m->h, &m->lease[1]);
	if (m->report->finish == 0)
		me_take(m, m->buf[3], m->len);
}

static void set_lap(struct scene *s)
{
	s->dead_put = CAPACITY - 1;
}

const struct op ops_settle[] = {
	{.name = "ack",
		.final = 3,
		.flags = QUICK,
		.size = SMALL,
		.first = 2,
		.takes = 1,
		.prepare = lease,
		.run = run_ack,
		.finish = note,
		.nresults = 1,
		.config = &plain},
	{.name = "ack block",
		.final = 3,
		.flags = QUICK,
		.size = BLOCK,
		.first = 2,
		.takes = 1,
		.prepare = lease,
		.run = run_ack,
		.finish = note,
		.nresults = 1,
		.config = &plain},
	{.name = "ack, lease time",
		.final = 3,
		.size = BLOCK,
		.first = 2,
		.takes = 1,
		.prepare = lease,
		.run = run_ack,
		.finish = note,
		.nresults = 1,
		.config = &timed},
	{.name = "ack, another may still read",
		.final = 3,
		.size = SMALL,
		.first = 1,
		.takes = 1,
		.base = 1,
		.holds = 1,
		.set = set_overdue,
		.settle = settle_overdue,
		.prepare = lease,
		.run = run_ack,
		.finish = note,
		.nresults = 1,
		.config = &timed},
	{.name = "ack block, another may still read",
		.final = 3,
		.size = BLOCK,
		.first = 1,
		.takes = 1,
		.base = 1,
		.holds = 1,
		.set = set_overdue,
		.settle = settle_overdue,
		.prepare = lease,
		.run = run_ack,
		.finish = note,
		.nresults = 1,
		.config = &timed},
	{.name = "ack, stale",
		.size = BLOCK,
		.first = 1,
		.takes = 1,
		.prepare = lease,
		.start = lost_and_taken,
		.run = run_ack,
		.finish = note,
		.nresults = 1,
		.results = {-ESTALE},
		.config = &timed},
	{.name = "ack, stale, not yet another's",
		.size = SMALL,
		.first = 1,
		.takes = 1,
		.prepare = lease,
		.start = lost,
		.run = run_ack,
		.finish = note,
		.nresults = 1,
		.results = {-ESTALE},
		.config = &timed},
	{.name = "ack, skipped meanwhile",
		.final = 3,
		.size = BLOCK,
		.first = 1,
		.takes = 1,
		.prepare = lease,
		.start = skipped,
		.run = run_ack,
		.finish = note,
		.nresults = 1,
		.config = &plain},
	{.name = "ack, leased again by itself",
		.size = SMALL,
		.first = 1,
		.takes = 1,
		.base = 1,
		.prepare = lease_twice,
		.run = run_ack,
		.finish = finish_second,
		.nresults = 1,
		.results = {-ESTALE},
		.config = &timed},
	{.name = "ack, of an earlier message",
		.flags = NO_KEY | EITHER,
		.size = SMALL,
		.first = 1,
		.puts = 1,
		.takes = 1,
		.set = set_lap,
		.prepare = lease_next,
		.run = run_ack,
		.finish = finish_second,
		.nresults = 1,
		.results = {-ESTALE},
		.config = &plain},
	{.name = "nack",
		.final = 2,
		.flags = QUICK,
		.size = SMALL,
		.first = 1,
		.takes = 1,
		.prepare = lease,
		.run = run_nack,
		.nresults = 1,
		.config = &plain},
	{.name = "nack block",
		.final = 2,
		.size = BLOCK,
		.first = 1,
		.takes = 1,
		.prepare = lease,
		.run = run_nack,
		.nresults = 1,
		.config = &plain},
	{.name = "nack, lease time",
		.final = 2,
		.size = BLOCK,
		.first = 1,
		.takes = 1,
		.prepare = lease,
		.run = run_nack,
		.nresults = 1,
		.config = &timed},
	{.name = "nack, stale",
		.size = BLOCK,
		.first = 1,
		.takes = 1,
		.prepare = lease,
		.start = lost_and_taken,
		.run = run_nack,
		.nresults = 1,
		.results = {-ESTALE},
		.config = &timed},
	{.name = "touch",
		.flags = CLOCKED,
		.size = SMALL,
		.first = 1,
		.takes = 1,
		.prepare = lease_near_its_end,
		.run = run_touch,
		.finish = finish_touch,
		.stage = stage_deadline,
		.nresults = 1,
		.config = &timed},
	{.name = "touch, no lease time",
		.size = SMALL,
		.first = 1,
		.takes = 1,
		.prepare = lease,
		.run = run_touch,
		.finish = finish_touch,
		.nresults = 1,
		.config = &plain},
	{.name = "touch, stale",
		.flags = CLOCKED,
		.size = SMALL,
		.first = 1,
		.takes = 1,
		.prepare = lease,
		.start = lost,
		.run = run_touch,
		.finish = finish_touch,
		.nresults = 1,
		.results = {-ESTALE},
		.config = &timed},
	{.name = "sweep of an overdue lease",
		.final = 2,
		.flags = CLOCKED | DEEP,
		.size = SMALL,
		.first = 1,
		.takes = 1,
		.holds = 1,
		.set = set_overstayed,
		.settle = settle_overdue,
		.run = run_recover,
		.nresults = 1,
		.config = &timed},
	{.name = "sweep of an overdue lease, block",
		.final = 2,
		.flags = CLOCKED,
		.size = BLOCK,
		.first = 1,
		.takes = 1,
		.holds = 1,
		.set = set_overstayed,
		.settle = settle_overdue,
		.run = run_recover,
		.nresults = 1,
		.config = &timed},
	{.name = "sweep, touched meanwhile",
		.flags = CLOCKED,
		.size = SMALL,
		.first = 1,
		.holds = 1,
		.before = 1,
		.set = set_overstayed,
		.meanwhile = x_touches,
		.settle = settle_touched,
		.run = run_recover,
		.nresults = 1,
		.config = &timed},
	{.name = "get, sweeps an overdue lease",
		.final = 2,
		.flags = CLOCKED | RESCUE,
		.size = BLOCK,
		.first = 1,
		.takes = 1,
		.holds = 1,
		.set = set_overstayed,
		.settle = settle_overdue,
		.run = run_get,
		.finish = finish_get,
		.nresults = 3,
		.results = {-EAGAIN, SMALL, BLOCK},
		.config = &timed},
	{0},
};
