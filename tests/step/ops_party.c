/* SPDX-License-Identifier: ISC */
#include <errno.h>

#include "crew.h"
#include "ring/transition.h"
#include "step.h"

/* Participants coming, going, dying and being recovered; and calls that only look. */

#define DEAD_KEY 9

static int64_t run_open(struct me *m)
{
	return sq_open(&m->h, m->name);
}

static int64_t run_close(struct me *m)
{
	struct sq *h = m->h;

	m->h = NULL;
	sq_close(h);
	return 0;
}

static void hold_much(struct me *m)
{
	if (sq_lease(m->h, &m->lease[0], SQ_NOWAIT) < 0 || sq_reserve(m->h, BLOCK, &m->at) < 0)
		crew_die("nothing to hold");
}

static unsigned slots_taken(struct scene *s)
{
	unsigned n = 0;

	for (unsigned i = 0; i < s->o->ring.g.in.participants; i++)
		n += sqi_load_seq(&sqi_slot(&s->o->ring, i)->id) != 0;
	return n;
}

static unsigned stage_left(struct scene *s)
{
	return 8 - slots_taken(s);
}

static int64_t run_bind(struct me *m)
{
	return sq_count_bind(m->h, KEY, &m->count);
}

static int64_t run_bound(struct me *m)
{
	return sq_count_read(m->h, KEY, &m->count);
}

static void finish_bind(struct me *m)
{
	if (m->count != m->op->first)
		m->report->finish = -EPROTO;
}

/* The next participant has the count, and the key. */
static void settle_bind(struct scene *s)
{
	uint64_t count;

	if (sq_count_bind(s->o, KEY, &count) < 0 || count != s->op->first)
		crew_die("the key has another count, or cannot be had");
}

static int64_t run_shutdown(struct me *m)
{
	return sq_shutdown(m->h, m->op->timeout == 2);
}

static unsigned stage_closed(struct scene *s)
{
	return (unsigned)sqi_load_seq(&s->o->ring.head->closed);
}

static void close_softly(struct scene *s)
{
	if (sq_shutdown(s->o, false) < 0)
		crew_die("sq_shutdown failed");
}

static int64_t run_put(struct me *m)
{
	return sq_put(m->h, m->buf[0], m->len, SQ_NOWAIT);
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

/* x has leased the message of a queue that is then shut down; it may come back. */
static void hold_and_close(struct scene *s)
{
	s->x = crew_open(s->name);
	if (sq_lease(s->x, &s->x_lease[0], SQ_NOWAIT) < 0)
		crew_die("nothing to lease");
	close_softly(s);
}

static void give_back(struct scene *s)
{
	if (sq_nack(s->x, &s->x_lease[0]) < 0)
		crew_die("the lease was lost");
	sq_close(s->x);
	s->x = NULL;
}

/* Others have heard that nothing will ever come; so nothing may. */
static void close_and_drain(struct scene *s)
{
	unsigned char buf[64];

	close_softly(s);
	if (sq_get(s->o, buf, sizeof(buf), SQ_NOWAIT) != -EPIPE)
		crew_die("it is not drained");
}

static int64_t run_stat(struct me *m)
{
	return sq_stat(m->h, &m->stat);
}

static int64_t run_join(struct me *m)
{
	return sq_join(m->h, m->op->timeout);
}

static int64_t run_recover(struct me *m)
{
	return sq_recover(m->h);
}

static int64_t run_gc(struct me *m)
{
	return sq_gc(m->name);
}

/* Lives that end badly. */

static void life_leases(struct scene *s, struct sq *h)
{
	struct sq_lease lease;

	for (unsigned i = 0; i < s->op->first; i++)
		if (sq_lease(h, &lease, SQ_NOWAIT) < 0)
			crew_die("nothing to lease");
}

static void life_bound(struct scene *s, struct sq *h)
{
	uint64_t count;

	if (sq_count_bind(h, KEY, &count) < 0)
		crew_die("the key cannot be bound");
	for (unsigned i = 0; i < s->op->first; i++)
		scene_put(s, h, FIRST + i, s->op->size);
}

/* Killed between claim and commit, with a block in hand. */
static void life_writing(struct scene *s, struct sq *h)
{
	uint64_t count;
	void *at;

	(void)s;
	if (sq_count_bind(h, DEAD_KEY, &count) < 0 || sq_reserve(h, BLOCK, &at) < 0)
		crew_die("nothing to hold");
	(void)scene_claim(h);
}

/* Killed between commit and count. */
static void life_uncounted(struct scene *s, struct sq *h)
{
	uint64_t count;

	if (sq_count_bind(h, DEAD_KEY, &count) < 0)
		crew_die("the key cannot be bound");
	scene_put(s, h, FIRST, s->op->size);
	sqi_store_relaxed(&h->ring.slot->puts, h->member.puts - 1);
}

/* Killed between the two steps of letting a block go. */
static void life_releasing(struct scene *s, struct sq *h)
{
	struct sq_lease lease;
	uint64_t w;

	(void)s;
	if (sq_lease(h, &lease, SQ_NOWAIT) < 0)
		crew_die("nothing to lease");
	w = sqi_load_seq(&sqi_cell(&h->ring, lease.id)->word);
	if (!sqi_cell_begin_release(sqi_cell(&h->ring, lease.id), w, h->ring.owner))
		crew_die("the leased message is not the holder's");
}

static void set_dead_leases(struct scene *s)
{
	scene_corpse(s, life_leases);
}

static void set_dead_bound(struct scene *s)
{
	scene_corpse(s, life_bound);
	s->dead_put = s->op->first;
}

static void set_dead_writing(struct scene *s)
{
	scene_corpse(s, life_writing);
}

static void set_dead_void(struct scene *s)
{
	scene_corpse(s, life_writing);
	scene_put(s, s->o, s->next++, SMALL);
	if (!scene_take(s, s->o, true) || !scene_state(s, SQI_VOID))
		crew_die("the dead writer was not passed");
}

static void set_dead_uncounted(struct scene *s)
{
	scene_corpse(s, life_uncounted);
	s->dead_put = 1;
}

static void set_dead_releasing(struct scene *s)
{
	scene_put(s, s->o, s->next, BLOCK);
	scene_note(s, s->next++, 1);
	scene_corpse(s, life_releasing);
}

static void settle_dead_key(struct scene *s)
{
	uint64_t count;

	if (sq_count_read(s->o, DEAD_KEY, &count) < 0 || count != s->dead_put)
		crew_die("the put of the dead is not counted right");
}

/*
 * A newcomer takes the slot of the dead as soon as it is free, and holds something by it: that
 * slow recoverers must leave alone.
 */
static void besides_newcomer(struct scene *s)
{
	if (s->n)
		return;
	s->n = crew_open(s->name);
	scene_put(s, s->n, s->next++, BLOCK);
	if (sq_lease(s->n, &s->n_lease, SQ_NOWAIT) < 0)
		crew_die("a newcomer finds nothing");
	s->n_has_lease = true;
	s->n_value = crew_read(s->n_lease.data, s->n_lease.len);
	scene_note(s, s->n_value, s->n_lease.attempts);
}

#define RECOVERS(more)                                                                             \
	.flags = DEAD | CLOCKED | DEEP | (more), .holds = 2, .besides = besides_newcomer,          \
	.run = run_recover, .nresults = 2, .results = {0, 1}, .config = &plain

const struct op ops_party[] = {
	{.name = "open",
		.flags = BARE | CLOCKED,
		.size = SMALL,
		.first = 1,
		.run = run_open,
		.stage = slots_taken,
		.nresults = 1,
		.config = &plain},
	{.name = "open in place of the dead",
		.flags = BARE | DEAD | CLOCKED,
		.size = SMALL,
		.first = 1,
		.takes = 1,
		.set = set_dead_leases,
		.run = run_open,
		.nresults = 1,
		.config = &narrow},
	{.name = "close",
		.flags = LEAVES | CLOCKED,
		.size = SMALL,
		.first = 1,
		.run = run_close,
		.stage = stage_left,
		.nresults = 1,
		.config = &plain},
	{.name = "close with lease and reservation",
		.final = 2,
		.flags = LEAVES | CLOCKED,
		.size = BLOCK,
		.first = 2,
		.takes = 1,
		.prepare = hold_much,
		.run = run_close,
		.stage = stage_left,
		.nresults = 1,
		.config = &plain},
	{.name = "close with lease, lease time",
		.final = 2,
		.flags = LEAVES | CLOCKED,
		.size = BLOCK,
		.first = 2,
		.takes = 1,
		.prepare = hold_much,
		.run = run_close,
		.stage = stage_left,
		.nresults = 1,
		.config = &timed},
	{.name = "bind",
		.flags = NO_KEY,
		.size = SMALL,
		.run = run_bind,
		.finish = finish_bind,
		.settle = settle_bind,
		.nresults = 1,
		.config = &plain},
	{.name = "bind the key of the dead",
		.flags = NO_KEY | DEAD | SETS | CLOCKED,
		.size = SMALL,
		.first = 2,
		.set = set_dead_bound,
		.run = run_bind,
		.finish = finish_bind,
		.settle = settle_bind,
		.nresults = 1,
		.config = &plain},
	{.name = "bound, the key of the dead",
		.flags = NO_KEY | DEAD | SETS | CLOCKED,
		.size = SMALL,
		.first = 2,
		.set = set_dead_bound,
		.run = run_bound,
		.finish = finish_bind,
		.settle = settle_bind,
		.nresults = 1,
		.config = &plain},
	{.name = "recover leases of the dead",
		.final = 4,
		.size = BLOCK,
		.first = 2,
		.takes = 2,
		.set = set_dead_leases,
		RECOVERS(0)},
	{.name = "recover a dead writer",
		.size = SMALL,
		.set = set_dead_writing,
		.settle = settle_dead_key,
		RECOVERS(0)},
	{.name = "recover a late dead writer",
		.size = SMALL,
		.set = set_dead_void,
		.settle = settle_dead_key,
		RECOVERS(0)},
	{.name = "recover a put not counted",
		.size = BLOCK,
		.first = 1,
		.set = set_dead_uncounted,
		.settle = settle_dead_key,
		RECOVERS(SETS)},
	{.name = "recover a block half freed",
		.size = BLOCK,
		.set = set_dead_releasing,
		RECOVERS(0)},
	{.name = "gc",
		.final = 4,
		.flags = BARE | LEAVES | DEAD | CLOCKED,
		.size = BLOCK,
		.first = 2,
		.takes = 2,
		.holds = 2,
		.set = set_dead_leases,
		.run = run_gc,
		.nresults = 1,
		.config = &plain},
	{.name = "shutdown",
		.shuts = true,
		.flags = CLOSING,
		.size = BLOCK,
		.first = 2,
		.run = run_shutdown,
		.stage = stage_closed,
		.verify = check_closing,
		.nresults = 1,
		.config = &plain},
	{.name = "shutdown at once",
		.shuts = true,
		.flags = CLOSING,
		.size = BLOCK,
		.first = 2,
		.timeout = 2,
		.run = run_shutdown,
		.stage = stage_closed,
		.verify = check_closing,
		.nresults = 1,
		.config = &plain},
	{.name = "put, shut down",
		.flags = CLOSING,
		.size = BLOCK,
		.first = 2,
		.set = close_softly,
		.run = run_put,
		.verify = check_closing,
		.nresults = 1,
		.results = {-EPIPE},
		.config = &plain},
	{.name = "get, shut down",
		.flags = CLOSING,
		.size = BLOCK,
		.first = 2,
		.takes = 1,
		.set = close_softly,
		.run = run_get,
		.finish = finish_get,
		.verify = check_closing,
		.nresults = 2,
		.results = {BLOCK, -EPIPE},
		.config = &plain},
	{.name = "get, shut down, another holds",
		.flags = CLOSING | CLOCKED,
		.size = BLOCK,
		.first = 1,
		.set = hold_and_close,
		.run = run_get,
		.finish = finish_get,
		.settle = give_back,
		.verify = check_closing,
		.nresults = 1,
		.results = {-EAGAIN},
		.config = &plain},
	{.name = "put, shut down and drained meanwhile",
		.flags = CLOSING,
		.size = SMALL,
		.before = 1,
		.meanwhile = close_and_drain,
		.run = run_put,
		.verify = check_closing,
		.nresults = 1,
		.results = {-EPIPE},
		.config = &plain},
	{.name = "get, shut down and drained",
		.flags = CLOSING,
		.size = BLOCK,
		.start = close_softly,
		.run = run_get,
		.verify = check_closing,
		.nresults = 1,
		.results = {-EPIPE},
		.config = &plain},
	{.name = "stat",
		.size = BLOCK,
		.first = 2,
		.run = run_stat,
		.nresults = 1,
		.config = &plain},
	{.name = "join",
		.flags = CLOCKED,
		.size = BLOCK,
		.first = 2,
		.run = run_join,
		.nresults = 2,
		.results = {0, -EAGAIN},
		.config = &plain},
	{.name = "join, 1 ns",
		.flags = CLOCKED,
		.size = BLOCK,
		.first = 2,
		.timeout = 1,
		.run = run_join,
		.nresults = 2,
		.results = {0, -ETIMEDOUT},
		.config = &plain},
	{0},
};
