/* SPDX-License-Identifier: ISC */
#include <errno.h>

#include "crew.h"
#include "step.h"

/* Calls that put messages in. */

static int64_t run_put(struct me *m)
{
	return sq_put(m->h, m->buf[0], m->len, m->op->timeout);
}

static int64_t run_put_many(struct me *m)
{
	return sq_put_many(m->h, m->iov, MANY, m->op->timeout);
}

static int64_t run_put_nothing(struct me *m)
{
	return sq_put(m->h, m->buf[0], 1000, SQ_NOWAIT);
}

static int64_t run_reserve(struct me *m)
{
	return sq_reserve(m->h, m->len, &m->at);
}

static int64_t run_commit(struct me *m)
{
	return sq_commit(m->h, m->len, m->op->timeout);
}

static int64_t run_abort(struct me *m)
{
	sq_abort(m->h);
	return 0;
}

static void reserve(struct me *m)
{
	int r = sq_reserve(m->h, m->len, &m->at);

	if (r < 0)
		crew_die("sq_reserve: %s", sq_strerror(r));
	(void)crew_write(m->at, CHILD, m->len);
}

/* More is reserved than is used: the message fits in a cell, and is copied there. */
static void reserve_more(struct me *m)
{
	m->len = BLOCK;
	reserve(m);
	m->len = SMALL;
	(void)crew_write(m->at, CHILD, m->len);
}

static void finish_reserve(struct me *m)
{
	(void)crew_write(m->at, CHILD, m->len);
	m->report->finish = sq_commit(m->h, m->len, SQ_NOWAIT);
}

/* A lease in the way: the ring's end comes to a cell that is taken, and goes round it. */
static void set_lease_in_the_way(struct scene *s)
{
	s->x = crew_open(s->name);
	scene_put(s, s->o, FIRST, SMALL);
	if (sq_lease(s->x, &s->x_lease[0], SQ_NOWAIT) < 0)
		crew_die("nothing to lease");
	scene_note(s, FIRST, 1);
	for (int i = 0; i < CAPACITY - 1; i++) {
		scene_put(s, s->o, s->next++, SMALL);
		(void)scene_take(s, s->o, true);
	}
}

static void settle_lease(struct scene *s)
{
	int r = sq_ack(s->x, &s->x_lease[0]);

	if (r < 0)
		crew_die("the lease of another was lost: %s", sq_strerror(r));
}

/* No block is left. */
static void set_no_blocks(struct scene *s)
{
	s->x = crew_open(s->name);
	while (s->blocks_held < 16 &&
		sqi_block_get(&s->x->ring, BLOCK, &s->blocks[s->blocks_held]) == 0)
		s->blocks_held++;
}

static void besides_blocks(struct scene *s)
{
	while (s->blocks_held)
		sqi_block_free(&s->x->ring, &s->blocks[--s->blocks_held]);
}

/* The child has claimed a cell, and others put and take behind it: it is late. */
static void meanwhile_revoke(struct scene *s)
{
	scene_put(s, s->o, s->next++, SMALL);
	if (!scene_take(s, s->o, true) || !scene_state(s, SQI_VOID))
		crew_die("the late writer was not passed");
}

const struct op ops_put[] = {
	{.name = "put",
		.final = 1,
		.flags = QUICK,
		.size = SMALL,
		.first = 1,
		.puts = 1,
		.run = run_put,
		.nresults = 1,
		.config = &plain},
	{.name = "put, first call of a handle",
		.final = 1,
		.flags = COLD | CLOCKED,
		.size = SMALL,
		.first = 1,
		.puts = 1,
		.run = run_put,
		.nresults = 1,
		.config = &plain},
	{.name = "put, with a look for the dead",
		.flags = COLD | RESCUE | CLOCKED,
		.size = SMALL,
		.first = 1,
		.puts = 1,
		.run = run_put,
		.nresults = 1,
		.config = &plain},
	{.name = "put, 31 bytes, empty queue",
		.final = 1,
		.size = 31,
		.puts = 1,
		.run = run_put,
		.nresults = 1,
		.config = &plain},
	{.name = "put block",
		.final = 1,
		.flags = QUICK,
		.size = BLOCK,
		.first = 1,
		.puts = 1,
		.run = run_put,
		.nresults = 1,
		.config = &plain},
	{.name = "put too large",
		.size = SMALL,
		.first = 1,
		.run = run_put_nothing,
		.nresults = 1,
		.results = {-EMSGSIZE},
		.config = &plain},
	{.name = "put, full",
		.flags = CLOCKED,
		.size = SMALL,
		.first = CAPACITY,
		.puts = 1,
		.run = run_put,
		.nresults = 2,
		.results = {0, -EAGAIN},
		.config = &plain},
	{.name = "put block, full",
		.flags = CLOCKED,
		.size = BLOCK,
		.first = CAPACITY,
		.puts = 1,
		.run = run_put,
		.nresults = 2,
		.results = {0, -EAGAIN},
		.config = &plain},
	{.name = "put, full, 1 ns",
		.flags = CLOCKED,
		.size = SMALL,
		.first = CAPACITY,
		.puts = 1,
		.timeout = 1,
		.run = run_put,
		.nresults = 2,
		.results = {0, -ETIMEDOUT},
		.config = &plain},
	{.name = "put block, no block is free",
		.flags = CLOCKED,
		.size = BLOCK,
		.first = 1,
		.puts = 1,
		.set = set_no_blocks,
		.besides = besides_blocks,
		.run = run_put,
		.nresults = 2,
		.results = {0, -EAGAIN},
		.config = &plain},
	{.name = "put past a lease",
		.final = 1,
		.flags = SETS,
		.size = SMALL,
		.first = 1,
		.puts = 1,
		.holds = 1,
		.set = set_lease_in_the_way,
		.settle = settle_lease,
		.run = run_put,
		.nresults = 1,
		.config = &plain},
	{.name = "put, late",
		.final = 1,
		.flags = QUICK,
		.size = SMALL,
		.puts = 1,
		.run = run_put,
		.before = 3,
		.meanwhile = meanwhile_revoke,
		.nresults = 1,
		.config = &plain},
	{.name = "put_many",
		.final = 3,
		.size = SMALL,
		.first = 1,
		.puts = MANY,
		.run = run_put_many,
		.nresults = 1,
		.results = {MANY},
		.config = &plain},
	{.name = "put_many, a group",
		.final = 3,
		.flags = QUICK,
		.size = SMALL,
		.first = 1,
		.puts = MANY,
		.group = 2,
		.run = run_put_many,
		.nresults = 1,
		.results = {MANY},
		.config = &plain},
	{.name = "put_many, a late group",
		.final = 3,
		.flags = QUICK,
		.size = SMALL,
		.puts = MANY,
		.group = 2,
		.run = run_put_many,
		.before = 3,
		.meanwhile = meanwhile_revoke,
		.nresults = 3,
		.results = {1, 2, 3},
		.config = &plain},
	{.name = "put_many blocks",
		.final = 3,
		.size = BLOCK,
		.first = 1,
		.puts = MANY,
		.run = run_put_many,
		.nresults = 1,
		.results = {MANY},
		.config = &plain},
	{.name = "put_many blocks, room for one",
		.final = 1,
		.flags = CLOCKED,
		.size = BLOCK,
		.first = CAPACITY - 1,
		.puts = MANY,
		.run = run_put_many,
		.nresults = 3,
		.results = {1, 2, 3},
		.config = &plain},
	{.name = "put_many, room for one",
		.final = 1,
		.flags = CLOCKED,
		.size = SMALL,
		.first = CAPACITY - 1,
		.puts = MANY,
		.run = run_put_many,
		.nresults = 3,
		.results = {1, 2, 3},
		.config = &plain},
	{.name = "reserve",
		.flags = EITHER,
		.size = SMALL,
		.first = 1,
		.puts = 1,
		.run = run_reserve,
		.finish = finish_reserve,
		.nresults = 1,
		.config = &plain},
	{.name = "reserve block",
		.flags = EITHER,
		.size = BLOCK,
		.first = 1,
		.puts = 1,
		.run = run_reserve,
		.finish = finish_reserve,
		.nresults = 1,
		.config = &plain},
	{.name = "commit",
		.final = 1,
		.size = SMALL,
		.first = 1,
		.puts = 1,
		.prepare = reserve,
		.run = run_commit,
		.nresults = 1,
		.config = &plain},
	{.name = "commit block",
		.final = 1,
		.size = BLOCK,
		.first = 1,
		.puts = 1,
		.prepare = reserve,
		.run = run_commit,
		.nresults = 1,
		.config = &plain},
	{.name = "commit less than reserved",
		.final = 1,
		.size = SMALL,
		.first = 1,
		.puts = 1,
		.prepare = reserve_more,
		.run = run_commit,
		.nresults = 1,
		.config = &plain},
	{.name = "commit, full",
		.flags = CLOCKED,
		.size = SMALL,
		.first = CAPACITY,
		.puts = 1,
		.prepare = reserve,
		.run = run_commit,
		.nresults = 2,
		.results = {0, -EAGAIN},
		.config = &plain},
	{.name = "commit block, full",
		.flags = CLOCKED,
		.size = BLOCK,
		.first = CAPACITY,
		.puts = 1,
		.prepare = reserve,
		.run = run_commit,
		.nresults = 2,
		.results = {0, -EAGAIN},
		.config = &plain},
	{.name = "abort",
		.size = SMALL,
		.first = 1,
		.prepare = reserve,
		.run = run_abort,
		.nresults = 1,
		.config = &plain},
	{.name = "abort block",
		.size = BLOCK,
		.first = 1,
		.prepare = reserve,
		.run = run_abort,
		.nresults = 1,
		.config = &plain},
	{0},
};
