/* SPDX-License-Identifier: ISC */
#include <string.h>

#include "sets.h"

/*
 * The rules of the calls for forwarders: durable participants, messages by their ids, marks, and
 * whether a message is wanted.
 */

bool spec_is_durable_call(unsigned call)
{
	return call >= CALL_OPEN && call <= CALL_LAST_PUT;
}

/*
 * Opened with the leases of the participant before, if that one is away; also if its grace is over
 * and nobody had noted when it died.
 */
static void open_durable(const struct queue *q, unsigned who)
{
	unsigned key = q->pending[who].value[0];
	struct queue next = *q;

	if (spec_is_taken(q, who, key))
		return;
	next.pending[who].told = (q->away & AWAY(key)) != 0;
	next.away &= (uint8_t) ~(AWAY(key) | OVER(key));
	next.durable[who] = (uint8_t)(key | KEEPS);
	for (unsigned v = 1; v < VALUES_MAX; v++)
		if (next.place[v] == PLACE_KEPT + key)
			next.place[v] = (uint8_t)(PLACE_HELD + who);
	next.pending[who].done = 1;
	set_add(&next);
}

/* A participant whose grace is over may be given up at any time: then it is dead like any other. */
void spec_durable_happen(const struct queue *q)
{
	for (unsigned key = 1; key < KEYS; key++) {
		struct queue next = *q;

		if (!(q->away & OVER(key)))
			continue;
		next.away &= (uint8_t) ~(AWAY(key) | OVER(key));
		for (unsigned v = 1; v < VALUES_MAX; v++)
			if (q->place[v] == PLACE_KEPT + key)
				spec_move(&next, v, PLACE_LIMBO_DEAD);
		set_add(&next);
	}
}

static void told(const struct queue *q, unsigned who, unsigned what)
{
	struct queue next = *q;

	next.pending[who].told = (uint8_t)what;
	next.pending[who].done = 1;
	set_add(&next);
}

/* Of what the dead held it is not known whether it was given back already. */
static void find(const struct queue *q, unsigned who)
{
	unsigned place = q->place[q->pending[who].value[0]];

	if (place == PLACE_NOWHERE || place == PLACE_GONE)
		told(q, who, 0);
	else if (place < PLACE_HELD)
		told(q, who, 1);
	if (place >= PLACE_HELD || place == PLACE_LIMBO_DEAD)
		told(q, who, 2);
}

static void lease_id(const struct queue *q, unsigned who)
{
	unsigned v = q->pending[who].value[0], place = q->place[v];
	struct queue next = *q;

	if (q->pending[who].holding) {
		next.pending[who].holding = 0;
		if (place == PLACE_HELD + who)
			spec_begin_lease(&next, who, v);
		set_add(&next); /* else its lease had ended, and it is looked for again */
		return;
	}
	if (place == PLACE_NOWHERE || place == PLACE_GONE) {
		spec_stop(q, who, STOP_NOENT);
		return;
	}
	if (place >= PLACE_HELD || place == PLACE_LIMBO_DEAD)
		spec_stop(q, who, STOP_BUSY);
	if (place >= PLACE_HELD)
		return;
	/* Out of the middle: its cell is not to be had before the ring has come round. */
	for (unsigned i = 1; place == PLACE_QUEUED && i < q->length; i++)
		if (q->order[i] == v) {
			next.order[i] = HOLE;
			next.place[v] = PLACE_BACK;
		}
	spec_lease(&next, who, v);
}

void spec_durable_act(const struct queue *q, unsigned who)
{
	struct queue next = *q;

	next.pending[who].done = 1;
	switch ((enum call)q->pending[who].call) {
	case CALL_OPEN:
		open_durable(q, who);
		return;
	case CALL_RETIRE:
		next.durable[who] &= (uint8_t)~KEEPS;
		break;
	case CALL_FIND:
		find(q, who);
		return;
	case CALL_LEASE_ID:
		lease_id(q, who);
		return;
	case CALL_WANTED:
		next.pending[who].told = q->wanted;
		next.wanted = 0;
		break;
	case CALL_LAST_PUT:
		if (q->last_put[who])
			told(q, who, q->last_put[who]);
		else
			spec_stop(q, who, STOP_NOENT);
		return;
	default:
		break; /* held, mark, passed: of the whole call, not of a moment */
	}
	set_add(&next);
}

/* What is there, or may come by a put under way. */
static uint16_t about(const struct queue *q)
{
	unsigned mask = 0;

	for (unsigned v = 1; v < VALUES_MAX; v++)
		mask |= (unsigned)spec_present(q, v) << v;
	for (unsigned i = 0; i < ACTORS; i++) {
		const struct pending *p = &q->pending[i];

		for (unsigned k = p->done; k < p->count && !p->stop; k++)
			if (p->call == CALL_PUT || p->call == CALL_PUT_BLOCK)
				mask |= 1u << p->value[k];
	}
	return (uint16_t)mask;
}

void spec_durable_begin(const struct queue *q, struct pending *p, unsigned who)
{
	for (unsigned v = 1; v < VALUES_MAX; v++)
		if ((p->call == CALL_HELD && q->place[v] == PLACE_HELD + who) ||
			(p->call == CALL_MARK && spec_present(q, v)))
			p->must |= (uint16_t)(1u << v);
	if (p->call == CALL_PASSED)
		p->must = about(q) & q->may_pass[who];
}

/*
 * Leases are only lost meanwhile, to a sweep: those that it still has it had all the time, and they
 * are told; what is told it had at the beginning.
 */
static bool held_end(struct queue *q, const struct event *e)
{
	const uint8_t attempts[] = {e->attempts, e->number};
	unsigned mask = 0;

	memset(q->claim[e->who], 0, sizeof(q->claim[e->who]));
	for (unsigned k = 0; k < e->count; k++) {
		unsigned v = e->value[k];

		mask |= 1u << v;
		if (!(q->pending[e->who].must >> v & 1))
			return false;
		if (q->place[v] == PLACE_HELD + e->who && q->attempts[v] != attempts[k])
			return false;
		/* One that was lost meanwhile is stale. */
		q->claim[e->who][k] = (struct claim){.value = (uint8_t)v,
			.number = q->place[v] == PLACE_HELD + e->who ? q->number[v] : 0};
	}
	for (unsigned v = 1; v < VALUES_MAX; v++)
		if (q->place[v] == PLACE_HELD + e->who && !(mask >> v & 1))
			return false;
	return true;
}

/*
 * Passed: all that had been put before the mark is gone, and nothing comes back from there. Not
 * passed: of what may have been before it, something was there, or came.
 */
static bool passed_end(const struct queue *q, const struct event *e)
{
	if (!e->number)
		return q->pending[e->who].must != 0;
	for (unsigned v = 1; v < VALUES_MAX; v++)
		if ((q->must_pass[e->who] >> v & 1) && spec_present(q, v))
			return false;
	return true;
}

bool spec_durable_end(struct queue *q, const struct event *e)
{
	struct pending *p = &q->pending[e->who];
	bool good = true;

	if (p->stop != e->stop || (!p->done && !p->stop))
		return false;
	switch ((enum call)p->call) {
	case CALL_OPEN:
		good = p->stop || p->told == e->number;
		break;
	case CALL_HELD:
		good = held_end(q, e);
		break;
	case CALL_LEASE_ID:
		good = p->stop || (p->value[0] == e->value[0] && p->attempts == e->attempts);
		break;
	case CALL_MARK:
		q->must_pass[e->who] = p->must;
		q->may_pass[e->who] = about(q) | p->must;
		break;
	case CALL_PASSED:
		good = passed_end(q, e);
		break;
	case CALL_LAST_PUT:
		good = p->stop || e->number == VALUE_UNKNOWN || p->told == e->number;
		break;
	case CALL_FIND:
	case CALL_WANTED:
		good = p->told == e->number;
		break;
	default:
		break;
	}
	*p = (struct pending){0};
	return good;
}
