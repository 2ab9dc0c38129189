/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <inttypes.h>

#include "crew.h"
#include "step.h"

/*
 * Dead letters: a message that was leased too often is moved to another queue by the participant
 * that meets it. A death in between may leave it in both, and then it is moved again: at least
 * once, as sq.h says; and exactly once if no participant dies.
 */

#define LETTER (FIRST + 1)
#define FILLER (VALUES + 1)

static const struct sq_config small_grave = {
	.capacity = 2, .max_message = 256, .participants = 6, .block_memory = 4096};

static void set_grave(struct scene *s)
{
	crew_queue(scene_grave, &plain);
	s->g = crew_open(scene_grave);
	scene_put_off(s->g);
}

/* When the child is prepared, a message becomes a dead letter. */
static void write_letter(struct scene *s)
{
	struct sq_lease lease;

	scene_put(s, s->o, LETTER, s->op->size);
	for (uint32_t i = 0; i < s->op->config->max_attempts; i++)
		if (sq_lease(s->o, &lease, SQ_NOWAIT) < 0 || sq_nack(s->o, &lease) < 0)
			crew_die("nothing to give back");
	scene_put(s, s->o, FIRST, s->op->size);
}

static void set_full_grave(struct scene *s)
{
	unsigned char buf[64];

	crew_queue(scene_grave, &small_grave);
	s->g = crew_open(scene_grave);
	scene_put_off(s->g);
	for (uint64_t i = 0; i < small_grave.capacity; i++)
		if (sq_put(s->g, buf, crew_write(buf, FILLER + i, SMALL), SQ_NOWAIT) < 0)
			crew_die("the grave is full already");
}

static int64_t run_get(struct me *m)
{
	return sq_get(m->h, m->buf[0], sizeof(m->buf[0]), SQ_NOWAIT);
}

static int64_t run_lease(struct me *m)
{
	return sq_lease(m->h, &m->lease[0], SQ_NOWAIT);
}

static void finish_get(struct me *m)
{
	if (m->report->result >= 0)
		me_take(m, m->buf[0], (size_t)m->report->result);
}

static void finish_lease(struct me *m)
{
	if (m->report->result < 0)
		return;
	me_take(m, m->lease[0].data, m->lease[0].len);
	m->report->finish = sq_ack(m->h, &m->lease[0]);
}

/* It has buried before. */
static void open_grave(struct me *m)
{
	m->h->dead_letters = crew_open(m->h->ring.g.in.dead_letter);
}

/* Everything in the grave. How often the letter is there; its fillers are counted to *ret. */
static unsigned exhume(struct scene *s, unsigned *ret)
{
	unsigned char buf[256];
	unsigned letters = 0;
	ssize_t n;

	while ((n = sq_get(s->g, buf, sizeof(buf), SQ_NOWAIT)) >= 0) {
		uint64_t value = crew_read(buf, (size_t)n);

		if (value == LETTER)
			letters++;
		else if (value >= FILLER)
			++*ret;
		else
			crew_die("message %" PRIu64 " was buried alive", value);
	}
	return letters;
}

/* Is the letter in its grave? */
static unsigned stage_buried(struct scene *s)
{
	unsigned full = 0;

	for (uint64_t i = 0; i <= s->g->ring.mask; i++)
		full += sqi_word_state(sqi_load_seq(&sqi_cell(&s->g->ring, i)->word)) == SQI_FULL;
	return full;
}

static void settle_grave(struct scene *s)
{
	unsigned fillers = 0, letters;

	(void)sq_recover(s->g);
	letters = exhume(s, &fillers);
	if (fillers) {
		/* There was no room. The next sweep finds what was left, and there is room now. */
		if (letters)
			crew_die("a letter found room in a full grave");
		sqi_store_relaxed(&s->o->ring.head->upkeep_ms, 0);
		sqi_store_relaxed(&s->o->ring.head->find_dead_ms, 0);
		sqi_store_relaxed(&s->o->ring.head->announce_ms, 0);
	}
	scene_drain(s, s->o);
	scene_drain(s, s->o);
	letters += exhume(s, &fillers);
	if (letters == 0 || letters > 2 || (letters > 1 && s->mode == STOP))
		crew_die("the dead letter is there %u times", letters);
	scene_note(s, LETTER, s->op->config->max_attempts);
	crew_check_rest(s->g, letters + fillers);
}

const struct op ops_grave[] = {
	{.name = "get, buries a letter",
		.flags = SETS | CLOCKED,
		.size = BLOCK,
		.first = 2,
		.takes = 1,
		.set = set_grave,
		.start = write_letter,
		.settle = settle_grave,
		.stage = stage_buried,
		.prepare = open_grave,
		.run = run_get,
		.finish = finish_get,
		.nresults = 2,
		.results = {BLOCK, SMALL},
		.config = &buried},
	{.name = "lease, buries a letter",
		.flags = SETS | CLOCKED,
		.size = SMALL,
		.first = 2,
		.takes = 1,
		.set = set_grave,
		.start = write_letter,
		.settle = settle_grave,
		.stage = stage_buried,
		.prepare = open_grave,
		.run = run_lease,
		.finish = finish_lease,
		.nresults = 1,
		.config = &buried},
	{.name = "get, buries its first letter",
		.flags = SETS | CLOCKED,
		.size = SMALL,
		.first = 2,
		.takes = 1,
		.set = set_grave,
		.start = write_letter,
		.settle = settle_grave,
		.stage = stage_buried,
		.run = run_get,
		.finish = finish_get,
		.nresults = 1,
		.results = {SMALL},
		.config = &buried},
	{.name = "get, no room for a dead letter",
		.flags = SETS | CLOCKED,
		.size = BLOCK,
		.first = 2,
		.takes = 1,
		.holds = 1,
		.set = set_full_grave,
		.start = write_letter,
		.settle = settle_grave,
		.stage = stage_buried,
		.prepare = open_grave,
		.run = run_get,
		.finish = finish_get,
		.nresults = 2,
		.results = {BLOCK, SMALL},
		.config = &buried},
	{0},
};
