/* SPDX-License-Identifier: ISC */
#include "spec.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The rules: what an abstract queue can do. The sets of them, and the automaton, are in sets.c. */

#include "sets.h"

struct rules rules;

bool spec_is_block(unsigned value)
{
	return rules.block >> value & 1;
}

static bool is_put(unsigned call)
{
	return call == CALL_PUT || call == CALL_PUT_BLOCK;
}

static bool is_settling(unsigned call)
{
	return call == CALL_ACK || call == CALL_NACK || call == CALL_TOUCH || call == CALL_RETURN;
}

/* Does this call have the message delivered again? */
static bool gives_back(unsigned call)
{
	return call == CALL_NACK || call == CALL_RETURN;
}

/* A put that may have a cell, and has put nothing there yet. */
static bool is_putting(const struct pending *p)
{
	return is_put(p->call) && p->done < p->count && !p->stop;
}

bool spec_present(const struct queue *q, unsigned v)
{
	return q->place[v] != PLACE_NOWHERE && q->place[v] != PLACE_GONE;
}

static bool deliverable(const struct queue *q, unsigned v)
{
	return q->place[v] == PLACE_BACK &&
	       (!rules.max_attempts || q->attempts[v] < rules.max_attempts);
}

static bool nothing_to_take(const struct queue *q)
{
	for (unsigned v = 1; v < VALUES_MAX; v++)
		if (q->place[v] == PLACE_QUEUED || deliverable(q, v))
			return false;
	return true;
}

/*
 * A lease that was ended by others, which its holder does not know. It may have the message again
 * by another lease: then the numbers tell them apart.
 */
static bool is_stale(const struct queue *q, unsigned who, unsigned which)
{
	const struct claim *c = &q->claim[who][which];

	return c->value &&
	       (q->place[c->value] != PLACE_HELD + who || q->number[c->value] != c->number);
}

/*
 * Cells that this one has in its hands beside those of messages: of a put under way, or of a whole
 * group of them; of a block being freed by the getter or acker, or of a group got.
 */
static unsigned hands_of(const struct pending *p)
{
	bool groups = rules.capacity > MANY_MAX; /* else none is made */
	unsigned more = is_putting(p) ? p->count - p->done : p->done;

	if (is_putting(p) || ((p->call == CALL_GET || p->call == CALL_ACK) && p->done > 0))
		return groups ? more : 1;
	return 0;
}

/* The same of all others, and what the dead have left. */
static unsigned other_hands(const struct queue *q, unsigned except)
{
	unsigned n = q->left;

	for (unsigned i = 0; i < ACTORS; i++) {
		if (i != except)
			n += hands_of(&q->pending[i]);
	}
	return n;
}

static unsigned holes(const struct queue *q)
{
	unsigned n = 0;

	for (unsigned i = 0; i < q->length; i++)
		n += q->order[i] == HOLE;
	return n;
}

/* Is there no room for what this one would put? Cells and blocks in others' hands cost room. */
static bool is_full(const struct queue *q, unsigned who)
{
	const struct pending *p = &q->pending[who];
	unsigned in = 0, blocks = 0, hands = other_hands(q, who);

	for (unsigned v = 1; v < VALUES_MAX; v++) {
		in += spec_present(q, v);
		blocks += spec_present(q, v) && spec_is_block(v);
	}
	/* A put that found no room frees its block only afterwards: until then the block costs room. */
	for (unsigned i = 0; i < ACTORS; i++)
		blocks += i != who && q->pending[i].call == CALL_PUT_BLOCK && q->pending[i].stop;
	return in + hands + holes(q) >= rules.capacity ||
	       (spec_is_block(p->value[p->done]) && blocks + hands >= rules.blocks);
}

static void drop(struct queue *q, unsigned at)
{
	memmove(&q->order[at], &q->order[at + 1], q->length - at - 1u);
	q->order[--q->length] = 0;
	/* A hole with nothing before it has been passed. */
	if (at == 0 && q->length > 0 && q->order[0] == HOLE)
		drop(q, 0);
}

/* Not yet announced as to be redelivered, or not even given back. */
static bool is_limbo(unsigned place)
{
	return place == PLACE_LIMBO_DEAD || place == PLACE_LIMBO_OVER || place == PLACE_LIMBO_BACK;
}

/* Does this call bring something back from there before it ends? */
static bool must_end(unsigned call)
{
	return call == CALL_RECOVER || call == CALL_SWEEP || gives_back(call);
}

/* The message leaves its place for another. */
void spec_move(struct queue *q, unsigned v, unsigned to)
{
	if (q->place[v] == PLACE_QUEUED)
		for (unsigned i = 0; i < q->length; i++)
			if (q->order[i] == v) {
				drop(q, i);
				break;
			}
	if (is_limbo(q->place[v]))
		for (unsigned i = 0; i < ACTORS; i++)
			if (must_end(q->pending[i].call))
				q->pending[i].must &= (uint16_t) ~(1u << v);
	q->place[v] = (uint8_t)to;
	if (to < PLACE_HELD && (q->returned >> v & 1)) {
		q->returned &= (uint16_t) ~(1u << v);
		q->attempts[v]--;
	}
	if (to == PLACE_GONE)
		q->attempts[v] = q->number[v] = 0;
	if (to < PLACE_HELD)
		q->due &= (uint16_t) ~(1u << v);
}

static void hold(struct queue *q, unsigned v, unsigned who)
{
	q->attempts[v] = (uint8_t)(q->attempts[v] < 255 ? q->attempts[v] + 1 : 128);
	q->number[v] = (uint8_t)(q->number[v] < 255 ? q->number[v] + 1 : 128);
	spec_move(q, v, PLACE_HELD + who);
}

void spec_stop(const struct queue *q, unsigned who, enum stop why)
{
	struct queue next = *q;
	struct pending *p = &next.pending[who];

	p->stop = (uint8_t)why;
	if (rules.wants && why == STOP_AGAIN && (p->call == CALL_GET || p->call == CALL_LEASE))
		p->want = WANT_OWED;
	set_add(&next);
}

static void put(const struct queue *q, unsigned who)
{
	const struct pending *p = &q->pending[who];
	struct queue next = *q;
	unsigned in = 0, held = 0, v = p->value[p->done];

	if (q->closed)
		spec_stop(q, who, STOP_PIPE);
	/* One that was under way at the shutdown may still go in, until the end is sealed. */
	if (q->closed && (!p->early || q->sealed))
		return;
	for (unsigned i = 1; i < VALUES_MAX; i++) {
		in += spec_present(q, i);
		held += spec_present(q, i) && q->place[i] != PLACE_QUEUED;
	}
	if (is_full(q, who))
		spec_stop(q, who, STOP_AGAIN);
	/* Another put may have passed over a cell that is in somebody's hands: it is lost for a lap. */
	if (q->length > 0 && q->length < ORDER_MAX && holes(q) < held + other_hands(q, who)) {
		next.order[next.length++] = HOLE;
		set_add(&next);
		next = *q;
	}
	if (in >= rules.capacity || q->length == ORDER_MAX)
		return;
	next.order[next.length++] = (uint8_t)v;
	next.place[v] = PLACE_QUEUED;
	next.count[0]++;
	if (next.key[who]) {
		next.count[next.key[who]]++;
		next.last[next.key[who]] = (uint8_t)v;
	}
	next.last_put[who] = (uint8_t)v;
	next.pending[who].done++;
	set_add(&next);
}

/* One message less to get. A block's is held while it is copied. */
static void deliver(const struct queue *q, unsigned who, unsigned v)
{
	struct queue next = *q;
	struct pending *p = &next.pending[who];

	if (spec_is_block(v)) {
		hold(&next, v, who);
		p->holding = (uint8_t)v;
	} else {
		spec_move(&next, v, PLACE_GONE);
		p->value[p->done++] = (uint8_t)v;
	}
	set_add(&next);
}

/* It is the user's from now on, and so is all its time. */
void spec_begin_lease(struct queue *next, unsigned who, unsigned v)
{
	struct pending *p = &next->pending[who];

	next->claim[who][next->claim[who][0].value != 0] = (struct claim){
		.value = (uint8_t)v, .number = next->number[v]};
	next->due &= (uint16_t) ~(1u << v);
	p->value[p->done++] = (uint8_t)v;
	p->attempts = next->attempts[v];
}

/* In a queue with a lease time it is copied first, and the lease may have ended before that is done. */
void spec_lease(const struct queue *q, unsigned who, unsigned v)
{
	struct queue next = *q;
	struct pending *p = &next.pending[who];

	hold(&next, v, who);
	if (rules.timed)
		p->holding = (uint8_t)v;
	else
		spec_begin_lease(&next, who, v);
	set_add(&next);
}

/* The end of a queue that was shut down. */
static void drained(const struct queue *q, unsigned who)
{
	bool others = false, own = false;

	for (unsigned v = 1; v < VALUES_MAX; v++) {
		if (q->place[v] == PLACE_BACK)
			return;
		own |= q->place[v] == PLACE_HELD + who;
		others |= q->place[v] >= PLACE_HELD && q->place[v] != PLACE_HELD + who;
		others |= q->place[v] == PLACE_LIMBO_DEAD || q->place[v] == PLACE_LIMBO_OVER;
	}
	/* Who holds a lease himself is not kept waiting for those of others. */
	if (!others || own) {
		struct queue next = *q;

		next.pending[who].stop = STOP_PIPE;
		next.sealed = 1;
		set_add(&next);
	}
}

static void take(const struct queue *q, unsigned who)
{
	const struct pending *p = &q->pending[who];
	void (*f)(const struct queue *, unsigned, unsigned) = p->call == CALL_LEASE ? spec_lease
										    : deliver;

	if (p->holding) {
		struct queue next = *q;
		struct pending *n = &next.pending[who];

		n->holding = 0;
		if (q->place[p->holding] == PLACE_HELD + who && p->call == CALL_GET) {
			spec_move(&next, p->holding, PLACE_GONE);
			n->value[n->done++] = p->holding;
		} else if (q->place[p->holding] == PLACE_HELD + who) {
			spec_begin_lease(&next, who, p->holding);
		}
		set_add(&next); /* else it was overdue, and is looked for again */
		return;
	}
	if (q->closed == 2)
		spec_stop(q, who, STOP_PIPE);
	/* The first; or any that is to be redelivered: those lie outside the order. */
	if (q->length > 0)
		f(q, who, q->order[0]);
	for (unsigned v = 1; v < VALUES_MAX; v++)
		if (deliverable(q, v))
			f(q, who, v);
	if (!nothing_to_take(q) && p->call == CALL_GET)
		spec_stop(q, who, STOP_SIZE);
	if (!nothing_to_take(q))
		return;
	if (rules.wants && !p->want) {
		/* It looked, and looks again. */
		struct queue next = *q;

		next.pending[who].want = WANT_MAYBE;
		set_add(&next);
	}
	if (q->closed == 1)
		drained(q, who);
	/*
	 * A queue that was shut down is empty, but not drained, while a participant has something
	 * in hand.
	 */
	for (unsigned v = 1; v < VALUES_MAX && q->closed; v++)
		if (spec_present(q, v))
			spec_stop(q, who, STOP_AGAIN);
	if (!q->closed || other_hands(q, who) > 0)
		spec_stop(q, who, STOP_AGAIN);
}

/*
 * From now on this lease does not count: before it is given back, or when it ended just now, and no
 * other of the message has begun.
 */
static void discount(const struct queue *q, unsigned who, unsigned v)
{
	struct queue next = *q;

	next.pending[who].told = 1;
	if (q->place[v] >= PLACE_HELD)
		next.returned |= (uint16_t)(1u << v);
	else
		next.attempts[v]--;
	set_add(&next);
}

static void settle(const struct queue *q, unsigned who)
{
	struct queue next = *q;
	struct pending *p = &next.pending[who];
	struct claim *c = &next.claim[who][p->value[0]];
	unsigned v = c->value;

	if (p->call == CALL_RETURN && rules.max_attempts && !p->told && q->number[v] == c->number &&
		spec_present(q, v)) {
		discount(q, who, v);
		if (!is_stale(q, who, p->value[0]))
			return;
	}
	if (is_stale(q, who, p->value[0])) {
		*c = (struct claim){0};
		p->stop = STOP_STALE;
	} else {
		p->done = 1;
		if (p->call == CALL_ACK)
			spec_move(&next, v, PLACE_GONE);
		else if (gives_back(p->call))
			/* It is back, and this is announced before the call ends. */
			spec_move(&next, v, PLACE_LIMBO_BACK);
		else
			next.due &= (uint16_t) ~(1u << v);
		if (gives_back(p->call))
			p->must = (uint16_t)(1u << v);
		if (p->call != CALL_TOUCH)
			*c = (struct claim){0};
	}
	set_add(&next);
}

/* What it leased goes there, but for a durable one's, which stays. */
void spec_leave(struct queue *q, unsigned who, unsigned to)
{
	for (unsigned v = 1; v < VALUES_MAX; v++) {
		if (q->place[v] != PLACE_HELD + who)
			continue;
		if (q->durable[who] & KEEPS)
			q->place[v] = (uint8_t)(PLACE_KEPT + (q->durable[who] & (KEEPS - 1)));
		else
			spec_move(q, v, to);
	}
	if (q->durable[who] & KEEPS)
		q->away |= AWAY(q->durable[who] & (KEEPS - 1));
	memset(q->claim[who], 0, sizeof(q->claim[who]));
	q->key[who] = q->durable[who] = q->last_put[who] = 0;
	q->must_pass[who] = q->may_pass[who] = 0;
}

/* Is this call about to take the key, or to let go of it? */
static bool key_in_hand(const struct pending *p, unsigned key)
{
	return ((p->call == CALL_BIND || p->call == CALL_OPEN || p->call == CALL_CLOSE) &&
		       p->value[0] == key) ||
	       (p->call == CALL_CLOSE && p->value[1] == key);
}

/* Does another hold this key, as far as this one can see? */
bool spec_is_taken(const struct queue *q, unsigned who, unsigned key)
{
	for (unsigned i = 0; i < ACTORS; i++) {
		const struct pending *p = &q->pending[i];

		if ((q->durable[i] & (KEEPS - 1)) == key || (i != who && q->key[i] == key)) {
			spec_stop(q, who, STOP_BUSY);
			return true;
		}
		/*
		 * Another participant that is binding may have the key already, or never get it;
		 * one that is leaving may still have it.
		 */
		if (i != who && key_in_hand(p, key))
			spec_stop(q, who, STOP_BUSY);
	}
	return false;
}

static void bind(const struct queue *q, unsigned who)
{
	struct queue next = *q;
	struct pending *p = &next.pending[who];
	unsigned key = p->value[0];

	if (spec_is_taken(q, who, key))
		return;
	next.key[who] = (uint8_t)key;
	next.last_put[who] = q->last[key];
	p->done = 1;
	p->told = q->count[key];
	set_add(&next);
}

/* All that the call of this one can do next. */
static void act(const struct queue *q, unsigned who)
{
	const struct pending *p = &q->pending[who];
	struct queue next = *q;

	if (p->call == CALL_NONE || p->stop || p->done == p->count)
		return;
	next.pending[who].done = 1;
	switch ((enum call)p->call) {
	case CALL_NONE:
		return;
	case CALL_PUT:
	case CALL_PUT_BLOCK:
		put(q, who);
		return;
	case CALL_GET:
	case CALL_LEASE:
		take(q, who);
		return;
	case CALL_ACK:
	case CALL_NACK:
	case CALL_RETURN:
	case CALL_TOUCH:
		settle(q, who);
		return;
	case CALL_BIND:
		bind(q, who);
		return;
	case CALL_OPEN:
	case CALL_RETIRE:
	case CALL_HELD:
	case CALL_FIND:
	case CALL_LEASE_ID:
	case CALL_MARK:
	case CALL_PASSED:
	case CALL_WANTED:
	case CALL_LAST_PUT:
		spec_durable_act(q, who);
		return;
	case CALL_CLOSE:
		next.pending[who].value[0] = q->key[who];
		next.pending[who].value[1] = (uint8_t)(q->durable[who] & (KEEPS - 1));
		spec_leave(&next, who, PLACE_BACK);
		break;
	case CALL_SHUTDOWN:
	case CALL_SHUTDOWN_NOW:
		if (next.closed < (p->call == CALL_SHUTDOWN ? 1 : 2))
			next.closed = p->call == CALL_SHUTDOWN ? 1 : 2;
		break;
	case CALL_WAIT_EMPTY:
		for (unsigned v = 1; v < VALUES_MAX; v++)
			if (spec_present(q, v)) {
				spec_stop(q, who, STOP_AGAIN);
				break;
			}
		for (unsigned v = 1; v < VALUES_MAX; v++)
			if (spec_present(q, v) && (p->must >> v & 1))
				return;
		break;
	case CALL_RECOVER:
	case CALL_SWEEP:
	case CALL_OTHER:
		break;
	}
	set_add(&next);
}

/*
 * What happens at any time: participants reclaim what the dead held, and end overdue leases, in
 * passing.
 */
static void happen(const struct queue *q)
{
	for (unsigned v = 1; v < VALUES_MAX; v++) {
		struct queue next = *q;

		/* At some time, which a recovery or a sweep ends: a killed holder's message is late. */
		if (is_limbo(q->place[v])) {
			spec_move(&next, v, PLACE_BACK);
			set_add(&next);
		} else if (q->place[v] >= PLACE_HELD && (q->due >> v & 1)) {
			/* Overdue: it may be ended; and then it is in the ender's hands. */
			spec_move(&next, v, PLACE_LIMBO_OVER);
			set_add(&next);
		}
		/* Tried too often: taken, put among the dead letters, and removed. */
		if (rules.max_attempts && q->place[v] == PLACE_BACK && !deliverable(q, v))
			for (unsigned i = 0; i < ACTORS; i++)
				if (q->pending[i].call == CALL_GET ||
					q->pending[i].call == CALL_LEASE) {
					next = *q;
					hold(&next, v, i);
					next.pending[i].burying = (uint8_t)v;
					set_add(&next);
				}
	}
	for (unsigned i = 0; i < ACTORS; i++) {
		unsigned v = q->pending[i].burying;
		struct queue next = *q;

		if (q->pending[i].want == WANT_OWED || (q->pending[i].want && !q->wanted)) {
			next.pending[i].want = 0;
			next.wanted = 1;
			set_add(&next);
			next = *q;
		}
		if (!v)
			continue;
		/* A death between these two leaves it in both queues. */
		if (v < BURIED) {
			next.copies[v]++;
			next.pending[i].burying |= BURIED;
			/* Unless its lease had ended before it was copied. */
			if (q->place[v] != PLACE_HELD + i) {
				set_add(&next);
				next = *q;
				next.pending[i].burying = 0;
			}
		} else {
			next.pending[i].burying = 0;
			if (q->place[v - BURIED] == PLACE_HELD + i)
				spec_move(&next, v - BURIED, PLACE_GONE);
		}
		set_add(&next);
	}
}

void spec_step(const struct queue *q)
{
	for (unsigned i = 0; i < ACTORS; i++)
		act(q, i);
	happen(q);
	spec_durable_happen(q);
}

void spec_apply_begin(struct queue *q, const struct event *e)
{
	struct pending *p = &q->pending[e->who];

	*p = (struct pending){.call = e->call, .count = e->count};
	p->early = is_put(e->call) && !q->closed;
	for (unsigned i = 0; i < MANY_MAX; i++)
		if (is_put(e->call) || is_settling(e->call) || e->call == CALL_BIND ||
			spec_is_durable_call(e->call))
			p->value[i] = e->value[i];
	for (unsigned v = 1; v < VALUES_MAX; v++)
		/* What a recovery or a sweep finds at its begin is back at its end. */
		if ((e->call == CALL_RECOVER && q->place[v] == PLACE_LIMBO_DEAD) ||
			(e->call == CALL_SWEEP && q->place[v] == PLACE_LIMBO_OVER) ||
			(e->call == CALL_WAIT_EMPTY && spec_present(q, v)))
			p->must |= (uint16_t)(1u << v);
	spec_durable_begin(q, p, e->who);
}

/* Does this queue explain the end of the call? Then the call is over. */
bool spec_apply_end(struct queue *q, const struct event *e)
{
	struct pending *p = &q->pending[e->who];

	if (spec_is_durable_call(p->call))
		return spec_durable_end(q, e);
	if (p->holding || p->burying || p->want == WANT_OWED || p->done != e->count)
		return false;
	/* Of many, some: what stopped it is not told. */
	if (p->stop != e->stop && !(p->stop && p->done > 0 && !e->stop))
		return false;
	for (unsigned i = 0; i < p->done; i++)
		if ((p->call == CALL_GET || p->call == CALL_LEASE) && p->value[i] != e->value[i])
			return false;
	if (p->call == CALL_LEASE && p->done && p->attempts != e->attempts)
		return false;
	if (p->call == CALL_BIND && p->done && p->told != e->number)
		return false;
	if (must_end(p->call) && p->must)
		return false;
	*p = (struct pending){0};
	return true;
}

void spec_apply_kill(struct queue *q, const struct event *e)
{
	const struct pending *p = &q->pending[e->who];
	unsigned hands = hands_of(p);

	/* Given back, and not yet announced. */
	for (unsigned v = 1; v < VALUES_MAX; v++)
		if (gives_back(p->call) && (p->must >> v & 1) && q->place[v] == PLACE_LIMBO_BACK)
			spec_move(q, v, PLACE_LIMBO_DEAD);
	q->pending[e->who] = (struct pending){0};
	/* Until it is recovered: the cells of its call. */
	q->left = (uint8_t)(q->left + (hands > 1 ? hands : 1));
	spec_leave(q, e->who, PLACE_LIMBO_DEAD);
}

void spec_apply_expire(struct queue *q)
{
	for (unsigned v = 1; v < VALUES_MAX; v++)
		if (q->place[v] >= PLACE_HELD)
			q->due |= (uint16_t)(1u << v);
}

void spec_apply_elapse(struct queue *q)
{
	for (unsigned key = 1; key < KEYS; key++)
		if (q->away & AWAY(key))
			q->away |= OVER(key);
}

bool spec_apply_count(const struct queue *q, const struct event *e)
{
	return q->count[e->call] == e->number;
}

bool spec_apply_dead_letter(struct queue *q, const struct event *e)
{
	unsigned v = e->value[0];

	for (unsigned i = 1; v == 0 && i < VALUES_MAX; i++)
		if (q->copies[i])
			return false;
	return v == 0 || q->copies[v]-- > 0;
}

/* May this participant sleep, when no other is left that could make news? */
bool spec_apply_starve(const struct queue *q, const struct event *e)
{
	const struct pending *p = &q->pending[e->who];
	unsigned in = 0;

	if (p->done == p->count || p->stop)
		return false;
	for (unsigned v = 1; v < VALUES_MAX; v++) {
		in += spec_present(q, v);
		/* Sleepers look after the dead. */
		if (q->place[v] == PLACE_LIMBO_DEAD)
			return false;
	}
	if (is_put(p->call))
		return is_full(q, e->who) && !q->closed;
	if (p->call == CALL_WAIT_EMPTY)
		return in > 0;
	return nothing_to_take(q) && q->closed < 2;
}
