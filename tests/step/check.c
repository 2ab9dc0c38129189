/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <inttypes.h>

#include "crew.h"
#include "step.h"

/*
 * The contract, as the others see it: while a participant is stopped or dead in the middle of an
 * operation, after its recovery, and at the end.
 */

#define LAPS       3
#define TRIES_MAX  3
#define BLOCKS_MAX 20 /* there are fewer */

static void tried(struct scene *s, unsigned tries)
{
	if (tries > s->tries_max)
		s->tries_max = tries;
}

/* E2: at once, unless the ring is full; then at once when something was taken. */
static void put_one(struct scene *s, size_t size)
{
	unsigned char buf[256];
	size_t len = crew_write(buf, s->next, size);

	for (unsigned tries = 1;; tries++) {
		int r = sq_put(s->o, buf, len, SQ_NOWAIT);

		if (r == 0) {
			s->next++;
			s->put++;
			tried(s, tries);
			return;
		}
		if (r != -EAGAIN)
			crew_die("the others' put: %s", sq_strerror(r));
		if (tries == TRIES_MAX)
			crew_die("the others cannot put, though they take");
		if (!scene_take(s, s->o, true))
			crew_die("the others can neither put nor take");
	}
}

/* E2: what was put can be taken, at once. */
static void take_one(struct scene *s, bool lease)
{
	for (unsigned tries = 1; !scene_take(s, s->o, lease); tries++) {
		if (tries == TRIES_MAX)
			crew_die("the others cannot take, though they have put");
		tried(s, tries + 1);
	}
}

/* Until it is full. At most the cell, or the group, in the stopped one's hand may be missing. */
static void fill(struct scene *s)
{
	unsigned hand = s->op->group ? s->op->group : 1;
	unsigned room = CAPACITY - hand - s->op->holds, n = 0;
	unsigned char buf[256];

	while (n <= CAPACITY && sq_put(s->o, buf, crew_write(buf, s->next, n % 2 ? BLOCK : SMALL),
					SQ_NOWAIT) == 0) {
		s->next++;
		s->put++;
		n++;
	}
	if (n < room || n > CAPACITY)
		crew_die("the ring takes %u messages, and should take at least %u", n, room);
}

/* So many messages put and taken, by turns. */
void check_laps(struct scene *s, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		put_one(s, i % 2 ? BLOCK : SMALL);
		/* Leases tell what became of the first messages. */
		take_one(s, i < CAPACITY || i / 2 % 2);
	}
}

void check_others(struct scene *s)
{
	unsigned dead = scene_dead(s);

	scene_put_off(s->o);
	if (s->mode == STOP || s->mode == STOP_KILL) {
		/* A stopped participant is not dead. */
		int r = sq_recover(s->o);

		if (dead && !(s->op->flags & DEAD))
			crew_die("a stopped participant is found dead");
		if (r < 0 || (unsigned)r != dead || scene_dead(s))
			crew_die("%u were dead, and %d were found", dead, r);
	}
	if (s->op->besides)
		s->op->besides(s);
	check_laps(s, LAPS * CAPACITY);
	scene_drain(s, s->o);
	fill(s);
	scene_drain(s, s->o);
	put_one(s, SMALL);
}

void check_result(struct scene *s)
{
	for (unsigned i = 0; i < s->op->nresults; i++)
		if (s->report->result == s->op->results[i])
			return;
	crew_die("the operation says %" PRId64 " (%s)", s->report->result,
		s->report->result < 0 ? sq_strerror((int)s->report->result) : "a count");
}

void check_recovery(struct scene *s)
{
	unsigned dead = scene_dead(s);
	int r = sq_recover(s->o);

	if (r < 0 || (unsigned)r != dead || scene_dead(s))
		crew_die("%u are dead, sq_recover() says %d, and %u are left", dead, r,
			scene_dead(s));
	if (dead == 0 && !(s->op->flags & (BARE | LEAVES)))
		crew_die("the killed child is not dead");
	r = sq_recover(s->o);
	if (r != 0)
		crew_die("a second sq_recover() says %d", r);
	s->recovered = true;
}

static const struct delivery *delivery_of(const struct scene *s, uint64_t value)
{
	for (unsigned i = 0; i < s->listed; i++)
		if (s->list[i].value == value)
			return &s->list[i];
	return NULL;
}

static enum fate fate_of(const struct scene *s, uint64_t value)
{
	const struct delivery *d = delivery_of(s, value);

	if (!d)
		return FATE_GONE;
	if (d->attempts == s->op->base + 1) {
		if (d->recovered && s->mode != RECOVER)
			crew_die("message %" PRIu64
				 " was in nobody's hand, and could not be taken before recovery",
				value);
		return FATE_UNTOUCHED;
	}
	if (d->attempts != s->op->base + 2)
		crew_die("message %" PRIu64 " was delivered with attempts %u", value, d->attempts);
	return d->recovered ? FATE_RECLAIMED : FATE_GIVEN_BACK;
}

/* 0 first ones, 1 the child's, 2 what the others put when it was interrupted, 3 or shortly before. */
static unsigned class_of(const struct scene *s, uint64_t value)
{
	return value < CHILD ? 0 : value < OTHER ? 1 : value < s->interrupted ? 3 : 2;
}

/*
 * E1: in the order in which they were put, unless redelivered. When the child goes on, its put is
 * at the same time as the others' puts: then those two may come in any order.
 */
static void check_order(const struct scene *s)
{
	uint64_t last[4] = {0};

	for (unsigned i = 0; i < s->listed; i++) {
		uint64_t v = s->list[i].value;
		unsigned c = class_of(s, v);

		if (s->list[i].attempts > 1)
			continue;
		if (v < last[c] || (c == 0 && (last[1] || last[2])) ||
			(c == 1 && last[2] && s->mode != STOP))
			crew_die("message %" PRIu64 " came out of order", v);
		last[c] = v;
	}
}

/* E3, E4: nothing lost, nothing twice. How many of the child's own went in. */
static unsigned check_ledger(struct scene *s, unsigned *ret_fates)
{
	const struct op *op = s->op;
	unsigned in = 0, gone = 0, before = 0, late;

	for (uint64_t i = 0; i < s->report->takes; i++)
		if (++s->times[s->report->taken[i]] > 1)
			crew_die("message %" PRIu64 " was delivered twice, to the child too",
				s->report->taken[i]);
	for (uint64_t v = OTHER; v < s->next; v++) {
		const struct delivery *d = delivery_of(s, v);

		/* One who goes on late may take, and die with, one of those that came meanwhile. */
		if (s->mode == LATE && v < s->interrupted && !d) {
			gone++;
			continue;
		}
		if (s->times[v] != 1)
			crew_die("the others' message %" PRIu64 " was lost", v);
		if (d && d->attempts > 1 && !(s->mode == LATE && v < s->interrupted))
			crew_die("message %" PRIu64 " was delivered with attempts %u", v,
				d->attempts);
	}
	late = gone;
	for (unsigned i = 0; i < op->puts; i++) {
		if (s->times[CHILD + i] && in < i)
			crew_die("of the child's messages %u is there, and %u is not", i, in);
		in += s->times[CHILD + i];
	}
	*ret_fates = 0;
	for (unsigned i = 0; i < op->first; i++) {
		const struct delivery *d = delivery_of(s, FIRST + i);

		if (d && d < s->list + s->listed_before) {
			before++; /* others had it before the child could */
			continue;
		}
		if (i < op->takes && s->mode != STOP && s->mode != LATE)
			*ret_fates += fate_of(s, FIRST + i);
		if (s->times[FIRST + i])
			continue;
		if (i >= op->takes || s->mode == STOP || before + gone - late < i)
			crew_die("message %u was lost", FIRST + i);
		gone++;
	}
	if (gone > op->takes)
		crew_die("%u messages were lost", gone);
	return in;
}

/* E4: the successor of a dead producer learns exactly what went in. */
static void check_counts(struct scene *s, unsigned in)
{
	uint64_t bound, expected = s->report->key_base + in;
	struct sq_stat st;

	(void)sq_stat(s->o, &st);
	if (st.put != s->put + s->dead_put + in)
		crew_die("sq_stat() says that %" PRIu64 " were put; it was %" PRIu64, st.put,
			s->put + s->dead_put + in);
	if (st.damaged)
		crew_die("%" PRIu64 " messages were found damaged", st.damaged);
	if (s->op->flags & (NO_KEY | BARE))
		return;
	if (sq_count_read(s->o, KEY, &bound) < 0 || bound != expected)
		crew_die("sq_count_read() says %" PRIu64 ", and it was %" PRIu64, bound, expected);
	if (sq_count_bind(s->o, KEY, &bound) < 0 || bound != expected)
		crew_die("the key of the dead cannot be taken over");
}

/* No participant's id is left anywhere. */
void check_idle(struct scene *s)
{
	struct sq_stat st;

	(void)sq_stat(s->o, &st);
	if (st.participants != 1)
		crew_die("%u participants are left", st.participants);
	for (unsigned i = 0; i < s->o->ring.g.in.participants; i++) {
		uint64_t id = sqi_load_seq(&sqi_slot(&s->o->ring, i)->id),
			 who = sqi_load_seq(&sqi_count_entry(&s->o->ring, i)->holder);

		if ((id && id != s->o->member.id) || (who && who != s->o->member.id))
			crew_die("slot or count %u is still somebody's", i);
	}
}

/* Nothing is held by anybody but the newcomer, and not only because its holder closes. */
static void check_let_go(struct scene *s)
{
	struct sq_stat st;
	unsigned held = s->n_has_lease;

	scene_drain(s, s->o);
	(void)sq_stat(s->o, &st);
	if (st.leased != held ||
		st.blocks - st.blocks_free != (s->n_has_lease && s->n_lease.len > s->o->ring.small))
		crew_die("%" PRIu64 " leases and %" PRIu64 " blocks are held, and should be %u",
			st.leased, st.blocks - st.blocks_free, held);
	for (uint64_t i = 0; i < CAPACITY; i++)
		if (sqi_word_state(sqi_load_seq(&sqi_cell(&s->o->ring, i)->word)) != SQI_FREE &&
			held-- == 0)
			crew_die("cell %" PRIu64 " is not free", i);
}

/* What can be seen when all is over: in which of its stages the operation was. */
unsigned check_end(struct scene *s)
{
	unsigned fates, in;
	int r;

	if (s->op->settle)
		s->op->settle(s);
	check_let_go(s);
	if (s->n_has_lease) {
		/* Long enough for every block to be used that is free, or was freed wrongly. */
		check_laps(s, 2 * BLOCKS_MAX);
		if (crew_read(s->n_lease.data, s->n_lease.len) != s->n_value)
			crew_die("a newcomer's message was overwritten");
		r = sq_ack(s->n, &s->n_lease);
		if (r < 0)
			crew_die("a newcomer was robbed of its lease: %s", sq_strerror(r));
	}
	sq_close(s->n);
	sq_close(s->x);
	s->n = s->x = NULL;
	scene_drain(s, s->o);
	in = check_ledger(s, &fates);
	check_order(s);
	check_counts(s, in);
	check_idle(s);
	if (s->mode == STOP && !(s->op->flags & EITHER)) {
		int64_t r64 = s->report->result;
		unsigned expected = r64 < 0 ? 0 : s->op->puts > 1 ? (unsigned)r64 : s->op->puts;

		if (in != expected)
			crew_die("the operation says %" PRId64 ", and %u of its messages came", r64,
				in);
	}
	crew_check_rest(s->o, s->put + s->dead_put + in);
	return in + fates;
}
