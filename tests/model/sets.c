/* SPDX-License-Identifier: ISC */
#include "sets.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "trace.h"

/*
 * The automaton: sets of abstract queues, numbered, and the transitions between them remembered. A
 * set is kept as its roots: those from which all others follow without an event.
 */

#define SET_MAX    (1u << 20)
#define SETS_MAX   (1u << 20)
#define MEMORY_MAX ((size_t)1 << 30)

struct set {
	uint32_t queues;
	struct queue *queue; /* sorted */
	uint64_t hash;
	/* The values that are in the ring in all of its queues, roots or not: a bit each. */
	uint32_t queued;
};

struct transition {
	struct event event;
	uint32_t from, to;
};

static struct set *set;
static uint32_t sets;
static uint32_t *set_index; /* open addressing; number plus one */
static struct transition *transition;
static uint32_t transitions;
static size_t memory;

static struct queue work[SET_MAX];
static uint32_t works, work_index[2 * SET_MAX], work_used[SET_MAX];
static bool is_root[SET_MAX];
static struct queue before[SET_MAX];

/* The scenario cannot be judged: that is no success. */
static _Noreturn void give_up(const char *why)
{
	fprintf(stderr, "model: the specification has %s than there is room for\n", why);
	abort();
}

static uint64_t hash_of(const void *data, size_t size)
{
	const unsigned char *at = data;
	uint64_t h = 0xcbf29ce484222325, w;

	for (; size >= 8; size -= 8, at += 8) {
		memcpy(&w, at, 8);
		h = (h ^ w) * 0x9fb21c651e98df25;
		h ^= h >> 29;
	}
	for (; size > 0; size--)
		h = (h ^ *at++) * 0x100000001b3;
	return h ^ h >> 32;
}

/* Put it into `work`, if it is not there. One that follows from another of them is not a root. */
static void add(const struct queue *q, bool root)
{
	uint32_t i = (uint32_t)hash_of(q, sizeof(*q)) & (2 * SET_MAX - 1);

	for (; work_index[i]; i = (i + 1) & (2 * SET_MAX - 1))
		if (memcmp(&work[work_index[i] - 1], q, sizeof(*q)) == 0) {
			is_root[work_index[i] - 1] &= root;
			return;
		}
	if (works == SET_MAX)
		give_up("more queues at once");
	work_used[works] = i;
	is_root[works] = root;
	work[works++] = *q;
	work_index[i] = works;
}

void set_add(const struct queue *q)
{
	add(q, false);
}

/* All that may happen next without an event. */
static void close_work(void)
{
	for (uint32_t k = 0; k < works; k++) {
		struct queue q = work[k];

		spec_step(&q);
	}
}

static void clear_work(void)
{
	while (works > 0)
		work_index[work_used[--works]] = 0;
}

static int compare(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct queue));
}

/* The values that are in the ring in all of `work`. */
static uint32_t always_queued(void)
{
	uint32_t queued = (1u << VALUES_MAX) - 1;

	for (uint32_t k = 0; k < works; k++)
		for (unsigned v = 0; v < VALUES_MAX; v++)
			if (work[k].place[v] != PLACE_QUEUED)
				queued &= ~(1u << v);
	return queued;
}

/* The number of the set in `work`: of its roots, from which all others follow. */
static uint32_t number(void)
{
	uint32_t i, roots = 0, queued;
	uint64_t hash;

	close_work();
	queued = always_queued();
	for (uint32_t k = 0; k < works; k++) {
		work_index[work_used[k]] = 0;
		if (is_root[k])
			work[roots++] = work[k];
	}
	works = roots;
	qsort(work, works, sizeof(work[0]), compare);
	hash = hash_of(work, works * sizeof(work[0]));
	for (i = (uint32_t)hash & (2 * SETS_MAX - 1); set_index[i];
		i = (i + 1) & (2 * SETS_MAX - 1)) {
		const struct set *s = &set[set_index[i] - 1];

		if (s->hash == hash && s->queues == works &&
			memcmp(s->queue, work, works * sizeof(work[0])) == 0) {
			works = 0;
			return set_index[i] - 1;
		}
	}
	memory += works * sizeof(work[0]);
	if (sets == SETS_MAX || memory > MEMORY_MAX)
		give_up("more sets of queues");
	set[sets].queues = works;
	set[sets].hash = hash;
	set[sets].queued = queued;
	set[sets].queue = malloc(works * sizeof(work[0]));
	if (!set[sets].queue)
		abort();
	memcpy(set[sets].queue, work, works * sizeof(work[0]));
	works = 0;
	set_index[i] = ++sets;
	return sets - 1;
}

void spec_reset(unsigned capacity, unsigned blocks, unsigned max_attempts, bool timed)
{
	static const struct queue empty;

	if (!set) {
		set = calloc(SETS_MAX, sizeof(*set));
		set_index = calloc(2 * SETS_MAX, sizeof(*set_index));
		transition = calloc(4 * SETS_MAX, sizeof(*transition));
		if (!set || !set_index || !transition)
			abort();
	}
	for (uint32_t i = 0; i < sets; i++)
		free(set[i].queue);
	memset(set_index, 0, 2 * SETS_MAX * sizeof(*set_index));
	memset(transition, 0, 4 * SETS_MAX * sizeof(*transition));
	sets = transitions = 0;
	memory = 0;
	rules = (struct rules){.capacity = capacity,
		.blocks = blocks,
		.max_attempts = max_attempts,
		.timed = timed};
	add(&empty, true);
	run.spec = number();
}

void spec_note_wanted(void)
{
	rules.wants = true;
}

unsigned spec_states(void)
{
	return sets;
}

/* What the event leaves of this queue goes to the next set. */
static void apply(struct queue q, const struct event *e)
{
	bool stays = true;

	switch ((enum event_kind)e->kind) {
	case EVENT_BEGIN:
		spec_apply_begin(&q, e);
		break;
	case EVENT_END:
		stays = spec_apply_end(&q, e);
		break;
	case EVENT_KILL:
		spec_apply_kill(&q, e);
		break;
	case EVENT_EXPIRE:
		spec_apply_expire(&q);
		break;
	case EVENT_ELAPSE:
		spec_apply_elapse(&q);
		break;
	case EVENT_STARVE:
		stays = spec_apply_starve(&q, e);
		break;
	case EVENT_COUNT:
		stays = spec_apply_count(&q, e);
		break;
	case EVENT_DEAD_LETTER:
		stays = spec_apply_dead_letter(&q, e);
		break;
	}
	if (stays)
		add(&q, true);
}

/* Was the value in this place in all queues that were possible? */
static bool always(unsigned v, enum place place)
{
	const struct set *s = &set[run.spec];

	for (uint32_t i = 0; i < s->queues; i++)
		if (s->queue[i].place[v] != place)
			return false;
	return true;
}

static bool is_message(const struct event *e)
{
	return (e->call == CALL_GET || e->call == CALL_LEASE || e->call == CALL_LEASE_ID) &&
	       e->count > 0;
}

static const char *reason(const struct event *e)
{
	unsigned v = e->value[0];

	switch ((enum event_kind)e->kind) {
	case EVENT_STARVE:
		return "slept though there was something to wake for";
	case EVENT_COUNT:
		return "the count of puts is wrong";
	case EVENT_DEAD_LETTER:
		return "the dead letters are not those that were tried too often";
	case EVENT_END:
		break;
	case EVENT_BEGIN:
	case EVENT_KILL:
	case EVENT_EXPIRE:
	case EVENT_ELAPSE:
		return "the specification contradicts itself";
	}
	if (is_message(e) && always(v, PLACE_NOWHERE))
		return "a message was delivered that nobody put";
	if (is_message(e) && always(v, PLACE_GONE))
		return "a message was delivered twice";
	if (is_message(e))
		return "a message was delivered out of order, or while another held it, or with "
		       "wrong attempts";
	if ((e->call == CALL_GET || e->call == CALL_LEASE) && e->stop == STOP_AGAIN)
		return e->who == AUDITOR ? "a message was lost"
					 : "said empty of a queue that was not";
	if (e->call == CALL_GET || e->call == CALL_LEASE)
		return "said drained of a queue that was not";
	if ((e->call == CALL_PUT || e->call == CALL_PUT_BLOCK) && e->stop == STOP_AGAIN)
		return "said full of a queue that was not";
	if (e->stop == STOP_STALE)
		return "a lease ended by itself";
	if (e->call == CALL_ACK || e->call == CALL_NACK || e->call == CALL_TOUCH ||
		e->call == CALL_RETURN)
		return "a lease was settled that had ended";
	if (e->call == CALL_OPEN)
		return "took over from one whose grace was over, or not from one whose was not";
	if (e->call == CALL_HELD)
		return "told of other leases than are held";
	if (e->call == CALL_LAST_PUT)
		return "the last put is another";
	if (e->call == CALL_WANTED)
		return "told wrongly whether something was wanted";
	if (e->call == CALL_PASSED)
		return "told wrongly whether all before the mark has gone";
	if (e->call == CALL_FIND || e->call == CALL_LEASE_ID)
		return "a message was not found where it was";
	return "a call returned what it cannot";
}

static void event(const struct event *e)
{
	uint64_t hash = hash_of(e, sizeof(*e)) ^ run.spec * 0x9e3779b97f4a7c15;
	uint32_t i = (uint32_t)(hash ^ hash >> 32) & (4 * SETS_MAX - 1), to, n;

	if (explorer.failure)
		return;
	for (; transition[i].to; i = (i + 1) & (4 * SETS_MAX - 1))
		if (transition[i].from == run.spec &&
			memcmp(&transition[i].event, e, sizeof(*e)) == 0) {
			run.spec = transition[i].to - 1;
			return;
		}
	for (uint32_t k = 0; k < set[run.spec].queues; k++)
		add(&set[run.spec].queue[k], true);
	close_work();
	n = works;
	memcpy(before, work, n * sizeof(before[0]));
	clear_work();
	for (uint32_t k = 0; k < n; k++)
		apply(before[k], e);
	if (works == 0) {
		explore_fail(reason(e));
		return;
	}
	if (++transitions == 3 * SETS_MAX)
		give_up("more transitions");
	to = number();
	transition[i] = (struct transition){.event = *e, .from = run.spec, .to = to + 1};
	run.spec = to;
}

void spec_begin(unsigned who, enum call call, unsigned count, const unsigned value[MANY_MAX])
{
	struct event e = {.kind = EVENT_BEGIN,
		.who = (uint8_t)who,
		.call = (uint8_t)call,
		.count = (uint8_t)count};

	for (unsigned i = 0; i < MANY_MAX; i++) {
		e.value[i] = (uint8_t)value[i];
		if (call == CALL_PUT_BLOCK)
			rules.block |= 1u << value[i];
	}
	trace_call(&e);
	event(&e);
}

void spec_end(unsigned who, enum call call, const struct result *r)
{
	struct event e = {
		.kind = EVENT_END,
		.who = (uint8_t)who,
		.call = (uint8_t)call,
		.stop = (uint8_t)r->stop,
		.count = (uint8_t)r->done,
		.attempts = (uint8_t)r->attempts,
		.number = (uint8_t)r->count,
	};

	for (unsigned i = 0; i < MANY_MAX; i++)
		e.value[i] = (uint8_t)r->value[i];
	trace_call(&e);
	event(&e);
}

void spec_kill(unsigned who)
{
	event(&(struct event){.kind = EVENT_KILL, .who = (uint8_t)who});
}

void spec_expire(void)
{
	event(&(struct event){.kind = EVENT_EXPIRE});
}

void spec_elapse(void)
{
	event(&(struct event){.kind = EVENT_ELAPSE});
}

void spec_starve(unsigned who)
{
	event(&(struct event){.kind = EVENT_STARVE, .who = (uint8_t)who});
}

void spec_count(unsigned key, unsigned puts)
{
	event(&(struct event){.kind = EVENT_COUNT, .call = (uint8_t)key, .number = (uint8_t)puts});
}

void spec_dead_letter(unsigned value)
{
	event(&(struct event){.kind = EVENT_DEAD_LETTER, .value = {(uint8_t)value}});
}

static void print_queue(const struct queue *q)
{
	printf("    in order");
	for (unsigned i = 0; i < q->length; i++)
		if (q->order[i] == HOLE)
			printf(" (hole)");
		else
			printf(" %u", q->order[i]);
	for (unsigned v = 1; v < VALUES_MAX; v++) {
		if (q->place[v] == PLACE_BACK)
			printf("; %u to be redelivered", v);
		if (q->place[v] == PLACE_LIMBO_DEAD || q->place[v] == PLACE_LIMBO_OVER ||
			q->place[v] == PLACE_LIMBO_BACK)
			printf("; %u to be found", v);
		if (q->place[v] >= PLACE_KEPT)
			printf("; %u kept for key %u", v, q->place[v] - PLACE_KEPT);
		else if (q->place[v] >= PLACE_HELD)
			printf("; %u held by %u", v, q->place[v] - PLACE_HELD);
	}
	for (unsigned key = 1; key < KEYS; key++)
		if (q->away & AWAY(key))
			printf("; key %u away%s", key, q->away & OVER(key) ? ", over" : "");
	for (unsigned i = 0; i < ACTORS; i++)
		if (q->pending[i].call)
			printf("; %u %s", i,
				q->pending[i].done || q->pending[i].stop ? "has acted"
									 : "will act");
	printf("; %u put\n", q->count[0]);
}

/*
 * The values that are in the ring, whichever way it went: a bit each. A call under way may have
 * taken a message already, so this is asked of what follows from the roots, too.
 */
unsigned spec_surely_queued(void)
{
	return set[run.spec].queued;
}

void spec_print(void)
{
	const struct set *s = &set[run.spec];

	printf("what could be in the queue before that (%u ways):\n", s->queues);
	for (uint32_t i = 0; i < s->queues && i < 12; i++)
		print_queue(&s->queue[i]);
}
