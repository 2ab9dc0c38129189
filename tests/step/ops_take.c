/* SPDX-License-Identifier: ISC */
#include <errno.h>

#include "crew.h"
#include "ring/transition.h"
#include "step.h"

/* Calls that take messages out. */

static int64_t run_get(struct me *m)
{
	return sq_get(m->h, m->buf[0], sizeof(m->buf[0]), m->op->timeout);
}

static int64_t run_get_many(struct me *m)
{
	return sq_get_many(m->h, m->buf, sizeof(m->buf), m->iov, MANY, m->op->timeout);
}

static int64_t run_lease(struct me *m)
{
	return sq_lease(m->h, &m->lease[0], m->op->timeout);
}

static int64_t run_get_short(struct me *m)
{
	return sq_get(m->h, m->buf[0], 8, SQ_NOWAIT);
}

static void finish_get(struct me *m)
{
	if (m->report->result >= 0)
		me_take(m, m->buf[0], (size_t)m->report->result);
}

static void finish_get_many(struct me *m)
{
	for (int64_t i = 0; i < m->report->result; i++)
		me_take(m, m->iov[i].iov_base, m->iov[i].iov_len);
}

static void finish_lease(struct me *m)
{
	if (m->report->result < 0)
		return;
	/* Read in place, before anybody may have it. */
	me_take(m, m->lease[0].data, m->lease[0].len);
	m->report->finish = sq_ack(m->h, &m->lease[0]);
}

/* The first message has been leased once before, and waits for redelivery. */
static void set_back(struct scene *s)
{
	struct sq_lease lease;

	if (sq_lease(s->o, &lease, SQ_NOWAIT) < 0 || sq_nack(s->o, &lease) < 0)
		crew_die("nothing to give back");
}

/* A writer that was stopped between claim and commit, and messages behind it. */
static void set_late(struct scene *s)
{
	s->x = crew_open(s->name);
	(void)scene_claim(s->x);
	scene_put(s, s->o, FIRST, s->op->size);
}

/* It goes on: frees the cell that it lost, or finds that it still has it. */
static void settle_late(struct scene *s)
{
	for (uint64_t i = 0; i < CAPACITY; i++) {
		struct sqi_cell *c = sqi_cell(&s->o->ring, i);
		uint64_t w = sqi_load_seq(&c->word);

		if (sqi_word_owner(w) != s->x->ring.owner)
			continue;
		if (sqi_word_state(w) != SQI_VOID)
			crew_die("the late writer was not passed");
		sqi_store_relaxed(&s->x->ring.slot->intent_base, ~(uint64_t)0);
		if (!sqi_cell_free(c, w))
			crew_die("the late writer's cell is another's");
	}
}

const struct op ops_take[] = {
	{.name = "get",
		.final = 3,
		.flags = QUICK,
		.size = SMALL,
		.first = 2,
		.takes = 1,
		.run = run_get,
		.finish = finish_get,
		.nresults = 1,
		.results = {SMALL},
		.config = &plain},
	{.name = "get, first call of a handle",
		.flags = COLD | CLOCKED,
		.size = SMALL,
		.first = 2,
		.takes = 1,
		.run = run_get,
		.finish = finish_get,
		.nresults = 1,
		.results = {SMALL},
		.config = &plain},
	{.name = "get block",
		.final = 3,
		.size = BLOCK,
		.first = 2,
		.takes = 1,
		.run = run_get,
		.finish = finish_get,
		.nresults = 2,
		.results = {BLOCK, SMALL},
		.config = &plain},
	{.name = "get block, lease time",
		.final = 3,
		.flags = CLOCKED,
		.size = BLOCK,
		.first = 2,
		.takes = 1,
		.run = run_get,
		.finish = finish_get,
		.nresults = 2,
		.results = {BLOCK, SMALL},
		.config = &timed},
	{.name = "get, does not fit",
		.size = SMALL,
		.first = 2,
		.run = run_get_short,
		.nresults = 1,
		.results = {-EMSGSIZE},
		.config = &plain},
	{.name = "get, empty",
		.flags = CLOCKED,
		.size = SMALL,
		.run = run_get,
		.finish = finish_get,
		.nresults = 2,
		.results = {SMALL, -EAGAIN},
		.config = &plain},
	{.name = "get, empty, 1 ns",
		.flags = CLOCKED,
		.size = SMALL,
		.timeout = 1,
		.run = run_get,
		.finish = finish_get,
		.nresults = 2,
		.results = {SMALL, -ETIMEDOUT},
		.config = &plain},
	{.name = "get, empty, looks for the dead",
		.flags = CLOCKED | RESCUE,
		.size = SMALL,
		.run = run_get,
		.finish = finish_get,
		.nresults = 2,
		.results = {SMALL, -EAGAIN},
		.config = &timed},
	{.name = "get, redelivered",
		.final = 3,
		.size = SMALL,
		.first = 1,
		.takes = 1,
		.base = 1,
		.set = set_back,
		.run = run_get,
		.finish = finish_get,
		.nresults = 1,
		.results = {SMALL},
		.config = &plain},
	{.name = "get block, redelivered",
		.final = 3,
		.size = BLOCK,
		.first = 1,
		.takes = 1,
		.base = 1,
		.set = set_back,
		.run = run_get,
		.finish = finish_get,
		.nresults = 2,
		.results = {BLOCK, SMALL},
		.config = &plain},
	{.name = "get past a late writer",
		.final = 3,
		.flags = SETS,
		.size = SMALL,
		.first = 1,
		.takes = 1,
		.holds = 1,
		.start = set_late,
		.settle = settle_late,
		.run = run_get,
		.finish = finish_get,
		.nresults = 1,
		.results = {SMALL},
		.config = &plain},
	{.name = "get_many",
		.final = 9,
		.flags = QUICK,
		.size = SMALL,
		.first = CAPACITY,
		.takes = MANY,
		.group = 2,
		.run = run_get_many,
		.finish = finish_get_many,
		.nresults = 3,
		.results = {1, 2, 3},
		.config = &plain},
	{.name = "get_many blocks",
		.final = 9,
		.size = BLOCK,
		.first = CAPACITY,
		.takes = MANY,
		.run = run_get_many,
		.finish = finish_get_many,
		.nresults = 3,
		.results = {1, 2, 3},
		.config = &plain},
	{.name = "lease",
		.final = 1,
		.flags = QUICK,
		.size = SMALL,
		.first = 2,
		.takes = 1,
		.run = run_lease,
		.finish = finish_lease,
		.nresults = 1,
		.config = &plain},
	{.name = "lease block",
		.final = 1,
		.size = BLOCK,
		.first = 2,
		.takes = 1,
		.run = run_lease,
		.finish = finish_lease,
		.nresults = 1,
		.config = &plain},
	{.name = "lease, lease time",
		.flags = CLOCKED,
		.size = BLOCK,
		.first = 2,
		.takes = 1,
		.run = run_lease,
		.finish = finish_lease,
		.nresults = 1,
		.config = &timed},
	{.name = "lease, redelivered",
		.final = 1,
		.size = BLOCK,
		.first = 1,
		.takes = 1,
		.base = 1,
		.set = set_back,
		.run = run_lease,
		.finish = finish_lease,
		.nresults = 1,
		.config = &plain},
	{.name = "lease, empty",
		.flags = CLOCKED,
		.size = SMALL,
		.run = run_lease,
		.finish = finish_lease,
		.nresults = 2,
		.results = {0, -EAGAIN},
		.config = &plain},
	{.name = "lease past a late writer",
		.final = 1,
		.flags = SETS,
		.size = BLOCK,
		.first = 1,
		.takes = 1,
		.holds = 1,
		.start = set_late,
		.settle = settle_late,
		.run = run_lease,
		.finish = finish_lease,
		.nresults = 1,
		.config = &plain},
	{0},
};
