/* SPDX-License-Identifier: ISC */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "out.h"
#include "run.h"
#include "say.h"
#include "wants.h"

/*
 * sqbench peers: the same work over ours and over others, each waiting in the way that is best for
 * it, their runs turn about. With --bars: what is asked of ours, and only those that it needs.
 */

#define SIDES_MAX     24
#define IN_PLACE_FROM 4096 /* ours are in blocks then, and so are the others */

/* Can it do that? What it cannot is left out. */
static bool able(const struct peer *p, const struct spec *s)
{
	bool shared = s->ends.producers > 1 || s->ends.consumers > 1;

	if ((p->can & PEER_ONE_EACH) && shared)
		return false;
	if (s->batch > 1 && !(p->can & PEER_BATCH))
		return false;
	if (p->size_max && s->size > p->size_max)
		return false;
	return !shared || !p->size_max_shared || s->size <= p->size_max_shared;
}

static int add(struct side **sides, unsigned *n, const struct peer *peer, const struct spec *s,
	const struct options *o)
{
	struct side *side = calloc(1, sizeof(*side));
	int code;

	if (!side)
		return say(EXIT_UNAVAILABLE, "no memory");
	sides[(*n)++] = side;
	*side = (struct side){.peer = peer,
		.ends = s->ends,
		.size = s->size,
		.batch = s->batch,
		.place = s->place,
		.lease = s->lease,
		.idle = s->idle,
		.capacity = o->capacity,
		.messages = o->messages,
		.span_ns = o->span_ns};
	run_describe(side, "peers", o);
	code = run_choose_spin(side, o);
	run_describe(side, "peers", o);
	if (s->idle)
		(void)snprintf(
			side->row.side, sizeof(side->row.side), "%s, %u idle", peer->name, s->idle);
	return code;
}

static const struct peer *find(const char *name)
{
	for (unsigned i = 0; peers[i]; i++)
		if (strcmp(peers[i]->name, name) == 0)
			return peers[i];
	return NULL;
}

static void free_all(struct side **sides, unsigned n)
{
	while (n > 0)
		free(sides[--n]);
}

static int compare(const struct options *o, const struct spec *s)
{
	struct side *sides[SIDES_MAX];
	unsigned n = 0;
	int code = EXIT_DONE;

	for (unsigned i = 0; peers[i] && code == EXIT_DONE; i++) {
		bool ours = peers[i] == &peer_sq;

		if ((!ours && !options_peer(o, peers[i]->name)) || !able(peers[i], s))
			continue;
		code = add(sides, &n, peers[i], s, o);
		if (code == EXIT_DONE && ours && s->batch == 1) {
			struct spec leased = *s;

			leased.lease = 1;
			leased.place = s->size >= IN_PLACE_FROM;
			code = add(sides, &n, peers[i], &leased, o);
		}
	}
	if (code == EXIT_DONE)
		code = run_all(sides, n, o);
	for (unsigned i = 0; i < n && code == EXIT_DONE; i++)
		out_row(&sides[i]->row);
	for (unsigned i = 1; i < n && code == EXIT_DONE; i++)
		out_ratio(&sides[0]->row, &sides[i]->row);
	free_all(sides, n);
	return code;
}

/* The wants from `first` on that have the same side of ours. Returns how many they are. */
static unsigned alike(unsigned first)
{
	unsigned n = 1;

	while (first + n < wants_n &&
		memcmp(&wants[first].ours, &wants[first + n].ours, sizeof(wants[first].ours)) == 0)
		n++;
	return n;
}

static int settle(const struct options *o, const struct want *want, unsigned n)
{
	struct side *sides[SIDES_MAX], *theirs[SIDES_MAX] = {0};
	unsigned used = 0;
	int code = add(sides, &used, &peer_sq, &want->ours, o);

	for (unsigned i = 0; i < n && code == EXIT_DONE; i++) {
		const struct peer *peer = find(want[i].over);

		if (!peer)
			continue;
		code = add(sides, &used, peer, &want[i].theirs, o);
		theirs[i] = sides[used - 1];
	}
	if (code == EXIT_DONE)
		code = run_all(sides, used, o);
	for (unsigned i = 0; i < used && code == EXIT_DONE; i++)
		out_row(&sides[i]->row);
	for (unsigned i = 0; i < n && code == EXIT_DONE; i++)
		if (theirs[i])
			out_bar(&want[i].bar, &sides[0]->row, &theirs[i]->row);
		else
			out_bar_unknown(
				&want[i].bar, "its package was not there when sqbench was built");
	free_all(sides, used);
	return code;
}

static bool listed(const struct list *list, uint64_t v)
{
	for (unsigned i = 0; i < list->n; i++)
		if (list->v[i] == v)
			return true;
	return false;
}

/* Was this want asked for, by size, batch, ends and peer? A crowd goes by what it is compared with. */
static bool wanted(const struct options *o, const struct want *w)
{
	for (unsigned i = 0; i < o->ends_n; i++)
		if (o->ends[i].producers == w->theirs.ends.producers &&
			o->ends[i].consumers == w->theirs.ends.consumers)
			return (!o->sizes_given || listed(&o->size, w->ours.size)) &&
			       listed(&o->batch, w->ours.batch) && options_peer(o, w->over);
	return false;
}

static int bars(const struct options *o)
{
	int code = EXIT_DONE;
	unsigned n;

	for (unsigned i = 0; i < wants_n && code == EXIT_DONE; i += n) {
		/* Those alike that were asked for are one comparison. */
		for (n = 0; i + n < wants_n && alike(i) > n && wanted(o, &wants[i + n]);)
			n++;
		if (n > 0)
			code = settle(o, &wants[i], n);
		else
			n = 1;
	}
	return code;
}

static int check_peer(const struct options *o)
{
	const char *names[SIDES_MAX + 1];
	unsigned n = 0;

	while (n < SIDES_MAX && peers[n]) {
		names[n] = peers[n]->name;
		n++;
	}
	names[n] = NULL;
	return peers_check_named(o, "peers", names);
}

int cmd_peers(const struct options *o)
{
	int code = check_peer(o);

	if (code != EXIT_DONE)
		return code;

	if (!o->peer)
		peers_note_missing();
	if (o->bars)
		return bars(o);
	for (unsigned e = 0; e < o->ends_n; e++)
		for (unsigned i = 0; i < o->size.n; i++)
			for (unsigned b = 0; b < o->batch.n && code == EXIT_DONE; b++) {
				struct spec s = {.ends = o->ends[e],
					.size = o->size.v[i],
					.batch = (unsigned)o->batch.v[b]};

				code = compare(o, &s);
			}
	return code;
}
