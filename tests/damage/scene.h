/* SPDX-License-Identifier: ISC */
#ifndef SCENE_H
#define SCENE_H

/*
 * What is there before the damage: a queue of some configuration, perhaps one for its dead letters,
 * participants with messages, leases and reservations in hand, and what dead ones left behind. All
 * of it by chance.
 */

#include <stdbool.h>

#include "calls.h"
#include "chance.h"
#include "segment/layout.h"

#define PLAYERS 3

/* A queue as the damage sees it: its bytes, by a mapping of our own, without handles. */
struct victim {
	const char *name; /* NULL: there is none */
	struct sqi_geometry g;
	unsigned char *raw;
	unsigned char description[offsetof(struct sqi_head, closed)]; /* as it was made */
};

struct scene {
	struct sq_config config;
	struct victim queue, dead_letters;
	struct player player[PLAYERS]; /* those that run */
};

/* scene_config(): any small queue. */
struct sq_config scene_config(struct chance *c);

/* scene_queues(): make the queues, of positions that begin anywhere. Nobody takes part as yet. */
void scene_queues(struct scene *s, struct chance *c, const struct sq_config *config);

/*
 * scene_play(): participants come, use the queue, and some of them die. `alone` and `span_max_ns` as
 * in a player.
 */
void scene_play(struct scene *s, struct chance *c, bool alone, int64_t span_max_ns);

/* scene_end(): everybody leaves and the queues are removed. */
void scene_end(struct scene *s);

#endif
