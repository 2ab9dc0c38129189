/* SPDX-License-Identifier: ISC */
#include "scene.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "guard.h"
#include "ring/position.h"
#include "ring/transition.h"
#include "segment/name.h"
#include "watch.h"

#define MS          ((int64_t)1000000)
#define CALLS_FIRST 24
#define DEAD_MAX    2

struct sq_config scene_config(struct chance *c)
{
	static const uint32_t smalls[] = {16, 48, 64, 192};
	static const uint64_t messages[] = {1, 40, 200, 256, 1000, 1500, 5000};
	static const int64_t leases[] = {0, 0, 1 * MS, 30 * MS, 3600 * 1000 * MS};
	struct sq_config config = {
		.capacity = 2 + chance_below(c, chance_in(c, 2) ? 63 : 7),
		.small_message = smalls[chance_below(c, 4)],
		.max_message = messages[chance_below(c, 7)],
		.participants = (uint32_t)(PLAYERS + chance_below(c, 5)),
		.lease_time = leases[chance_below(c, 5)],
		.block_memory = 1 + chance_below(c, 8192),
	};

	if (chance_in(c, 3)) {
		config.max_attempts = (uint32_t)(1 + chance_below(c, 3));
		config.dead_letter = "d";
	}
	if (chance_in(c, 8))
		config.flags = SQ_EPHEMERAL;
	return config;
}

static void make(struct victim *v, const char *name, const struct sq_config *config)
{
	char path[SQI_PATH_MAX];
	struct sqi_inputs in;
	int r = sq_create(name, config);

	if (r < 0 || sqi_name_path(path, name) < 0)
		watch_broken("create: %d", r);
	if (sqi_inputs_init(&in, config) < 0 || sqi_geometry_init(&v->g, &in) < 0)
		watch_broken("create: made what cannot be");
	v->name = name;
	v->raw = guard_map_file(path, v->g.total);
	if (!v->raw)
		watch_broken("create: nothing is there");
	/* As it is in the file: the other queue's name has got its prefix there. */
	v->g.in = ((const struct sqi_head *)v->raw)->in;
	memcpy(v->description, v->raw, sizeof(v->description));
}

static struct sqi_cell *cell_of(const struct victim *v, uint64_t position)
{
	return (struct sqi_cell *)(v->raw + v->g.cells +
				   (position & (v->g.capacity - 1)) * v->g.cell_size);
}

/* As if so many messages had come and gone. */
static void start_at(const struct victim *v, uint64_t position)
{
	struct sqi_head *head = (struct sqi_head *)v->raw;

	for (uint64_t i = 0; i < v->g.capacity; i++)
		sqi_store_relaxed(&cell_of(v, position + i)->word,
			sqi_word(SQI_FREE, 0, 0, (position + i) >> v->g.in.capacity_log2));
	sqi_store_relaxed(&head->tail, position);
	sqi_store_relaxed(&head->front, position);
}

void scene_queues(struct scene *s, struct chance *c, const struct sq_config *config)
{
	struct sq_config other = {.capacity = 2, .participants = 3, .max_message = 300};

	*s = (struct scene){.config = *config};
	make(&s->queue, "q", config);
	switch (chance_below(c, 4)) {
	case 0:
		start_at(&s->queue, chance_u64(c));
		break;
	case 1: /* the turn, or the position, is about to wrap around */
		start_at(&s->queue, 0 - chance_below(c, 200));
		break;
	default:
		break;
	}
	/* Sometimes there is none, though there should be. */
	if (config->max_attempts && !chance_in(c, 6))
		make(&s->dead_letters, "d", &other);
}

/* A put that was killed between claim and commit; a writer that was passed, and never learnt it. */
static void half_a_put(struct player *p, struct chance *c)
{
	struct sq *h = p->h;
	struct sqi_cell *cell;
	uint64_t pos, w;

	if (sqi_tail(&h->ring, &pos) < 0)
		return;
	cell = sqi_cell(&h->ring, pos);
	w = sqi_load_seq(&cell->word);
	if (sqi_word_state(w) != SQI_FREE || sqi_word_ahead(w, pos >> h->ring.shift) != 0)
		return;
	if (!sqi_cell_claim(cell, w, h->ring.owner, 1, &w) ||
		(!chance_in(c, 2) && !sqi_cell_revoke(cell, w)))
		return;
	sqi_store_relaxed(
		&cell->meta, pos >> h->ring.shift << SQI_TURN_SHIFT | chance_below(c, 17));
	sqi_store_relaxed(sqi_intent(h->ring.slot, h->member.puts), pos);
	sqi_store_relaxed(&h->ring.slot->intent_base, h->member.puts);
}

/* An ack that was killed while it freed the block. */
static void half_an_ack(const struct player *p)
{
	for (unsigned i = 0; i < p->leases; i++) {
		struct sqi_cell *cell = sqi_cell(&p->h->ring, p->lease[i].id);
		uint64_t w = sqi_load_seq(&cell->word);

		if (sqi_word_state(w) == SQI_TAKEN && sqi_word_owner(w) == p->h->ring.owner &&
			(sqi_load_relaxed(&cell->meta) & SQI_META_BLOCK))
			(void)sqi_cell_begin_release(cell, w, p->h->ring.owner);
	}
}

/* A participant comes, does this and that, and is gone with it in hand. */
static void die_here(const struct player *like, struct chance *c)
{
	static const enum call calls[] = {
		CALL_LEASE, CALL_LEASE, CALL_RESERVE, CALL_BIND, CALL_PUT, CALL_NACK, CALL_TOUCH};
	struct player p = {.name = like->name,
		.alone = like->alone,
		.span_max_ns = like->span_max_ns,
		.key = chance_in(c, 3) ? 1 + chance_below(c, 3) : 0,
		.grace = (int64_t)chance_below(c, 4) - 1};

	if (player_open(&p) < 0)
		return;
	for (uint64_t n = chance_below(c, 5); n > 0; n--)
		(void)player_call(&p, calls[chance_below(c, sizeof(calls) / sizeof(calls[0]))], c);
	switch (chance_below(c, 3)) {
	case 0:
		half_a_put(&p, c);
		break;
	case 1:
		half_an_ack(&p);
		break;
	default:
		break;
	}
	player_die(&p);
}

void scene_play(struct scene *s, struct chance *c, bool alone, int64_t span_max_ns)
{
	/* Mostly calls that fill a queue and leave something leased or reserved. */
	static const enum call calls[] = {CALL_PUT, CALL_PUT, CALL_PUT, CALL_PUT_MANY, CALL_RESERVE,
		CALL_COMMIT, CALL_GET, CALL_LEASE, CALL_LEASE, CALL_LEASE, CALL_NACK, CALL_NACK,
		CALL_ACK, CALL_TOUCH, CALL_BIND, CALL_RECOVER, CALL_STAT, CALL_LAST_PUT, CALL_MARK,
		CALL_LEASE_ID};

	for (unsigned i = 0; i < PLAYERS; i++) {
		struct player *p = &s->player[i];
		int r;

		*p = (struct player){
			.name = s->queue.name,
			.alone = alone,
			.span_max_ns = span_max_ns,
			.shown = s->queue.raw,
			.made = s->queue.description,
		};
		r = player_open(p);
		if (r < 0)
			watch_broken("open: %d, of a new queue", r);
	}
	for (uint64_t n = chance_below(c, CALLS_FIRST); n > 0; n--)
		(void)player_call(&s->player[chance_below(c, PLAYERS)],
			calls[chance_below(c, sizeof(calls) / sizeof(calls[0]))], c);
	for (uint64_t n = chance_below(c, DEAD_MAX + 1); n > 0; n--)
		die_here(&s->player[0], c);
	if (chance_in(c, 12))
		(void)player_call(&s->player[0], CALL_SHUTDOWN, c);
}

static void unmake(struct victim *v)
{
	if (v->raw)
		guard_unmap_file(v->raw, v->g.total);
	v->raw = NULL;
	if (v->name) {
		int r = sq_unlink(v->name);

		if (r < 0 && r != -ENOENT)
			watch_broken("unlink: %d", r);
	}
	v->name = NULL;
}

void scene_end(struct scene *s)
{
	for (unsigned i = 0; i < PLAYERS; i++)
		if (s->player[i].h)
			player_close(&s->player[i]);
	unmake(&s->queue);
	unmake(&s->dead_letters);
}
