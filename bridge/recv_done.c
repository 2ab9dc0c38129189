/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <stdlib.h>

#include "recv_impl.h"
#include "send.h"

/*
 * Seeing that messages are done, and when that may be told. A message is done when its cell holds
 * it no more. Its worker had put its results before: so they lie before the ends that the push
 * queues have at that moment (the marks), and when everything before those marks has left, the
 * results have arrived.
 */

#define ROW_MAX 32 /* after so many in a row that wait, the rest mostly waits, too */
#define LOOK_ALL_NS                                                                                \
	100000000 /* at all of them: what came back from a worker hides none behind it */
#define LOOK_AGAIN_NS 2000000 /* between two looks at the marks, if nothing has left */

/*
 * To see whether a mark is passed, sq_passed() goes over all cells of a push queue, at one to three
 * nanoseconds each. So after a look there is a rest of this for each cell: the looks take about a
 * twentieth of the time, however large the queue.
 */
#define REST_NS_EACH 50

/*
 * Mark where that queue ends now, if it is there. A later mark is as right, but is passed later.
 * That the queue still has its name is checked after the tasks were found done: so it had its name
 * when their results were put.
 */
static bool mark(struct stage *s, unsigned i, const struct receiver_push *push)
{
	if (!push->sender)
		return false;
	if (s->marked[i] != push->run) {
		if (push->stands && !push->stands(push->of))
			return false;
		if (sender_mark(push->sender, &s->mark[i]) < 0)
			return false;
		s->marked[i] = push->run;
	}
	return true;
}

/* Noticed as done, now. NULL: no memory. */
static struct stage *new_stage(struct receiver *r, const struct receiver_push *push, unsigned n)
{
	struct stage *s = NULL;

	if (r->stage_count < STAGES_MAX) {
		s = calloc(1, sizeof(*s));
		if (s) {
			TAILQ_INIT(&s->done);
			TAILQ_INSERT_TAIL(&r->stages, s, next);
			r->stage_count++;
		}
	}
	/* No room or no memory for another stage: add to the last one, with later marks. */
	if (!s)
		s = TAILQ_LAST(&r->stages, stage_list);
	if (!s)
		return NULL;
	for (unsigned i = 0; i < n; i++) {
		s->passed[i] = false;
		s->marked[i] = 0;
		(void)mark(s, i, &push[i]);
	}
	return s;
}

static void tell(struct receiver *r, uint64_t sequence)
{
	struct range *last;

	if (r->told_count > 0) {
		last = &r->told[(r->told_first + r->told_count - 1) % r->window];
		if (last->first + last->count == sequence && last->count < UINT32_MAX) {
			last->count++;
			return;
		}
	}
	r->told[(r->told_first + r->told_count++) % r->window] = (struct range){
		.first = sequence, .count = 1};
}

/* From here on it is not owed, whatever happens. */
static bool settle_all(struct receiver *r, struct owed_list *done)
{
	struct owed *o;
	bool any = false;

	while ((o = TAILQ_FIRST(done)) && r->told_count < r->window) {
		TAILQ_REMOVE(done, o, order);
		tell(r, o->sequence);
		receiver_forget(r, o);
		r->counts.settled++;
		any = true;
	}
	return any;
}

/*
 * Have the results left this push queue? A queue that cannot be used may hold results that are not
 * carried yet: all waits for it. A queue that does not exist holds none: what was put into one of
 * its name before these tasks were done was removed with it. A queue that was made anew holds what
 * was put into it since.
 */
static bool push_passed(struct stage *s, unsigned i, const struct receiver_push *push)
{
	if (!push->sender)
		return push->absent && push->absent(push->of);
	return mark(s, i, push) && sender_passed(push->sender, s->mark[i]);
}

static bool stage_passed(struct stage *s, const struct receiver_push *push, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		if (!s->passed[i])
			s->passed[i] = push_passed(s, i, &push[i]);
		if (!s->passed[i])
			return false;
	}
	return true;
}

static bool look_at_stages(
	struct receiver *r, const struct receiver_push *push, unsigned n, int64_t now_ns)
{
	uint64_t settled = 0;
	struct stage *s;
	bool any = false;

	for (unsigned i = 0; i < n; i++)
		settled += push[i].sender ? sender_counts(push[i].sender)->settled : 0;
	if (TAILQ_EMPTY(&r->stages) ||
		(settled == r->looked_count && now_ns - r->looked_ns < LOOK_AGAIN_NS))
		return false;
	r->looked_count = settled;
	r->looked_ns = now_ns;
	r->rest_until_ns = now_ns;
	for (unsigned i = 0; i < n; i++)
		r->rest_until_ns += (int64_t)push[i].capacity * REST_NS_EACH;
	while ((s = TAILQ_FIRST(&r->stages)) && stage_passed(s, push, n)) {
		any |= settle_all(r, &s->done);
		if (!TAILQ_EMPTY(&s->done))
			break;
		TAILQ_REMOVE(&r->stages, s, next);
		r->stage_count--;
		free(s);
	}
	return any;
}

/* Find those that are done, to *ret_done, and count those that wait and those that workers have. */
static void find_done(struct receiver *r, struct owed_list *ret_done, int64_t now_ns)
{
	struct owed *o = TAILQ_FIRST(&r->owed), *next;
	uint32_t row = 0, begun = 0, gone = 0;
	bool all = now_ns - r->looked_all_ns >= LOOK_ALL_NS;

	if (all)
		r->looked_all_ns = now_ns;
	for (; o && (all || row < ROW_MAX); o = next) {
		next = TAILQ_NEXT(o, order);
		switch (sq_find(r->q, o->id)) {
		case SQ_GONE:
			TAILQ_REMOVE(&r->owed, o, order);
			TAILQ_INSERT_TAIL(ret_done, o, order);
			gone++;
			break;
		case SQ_LEASED:
			begun++;
			row = 0;
			break;
		default:
			row++;
			break;
		}
	}
	r->done += gone;
	if (gone > 0)
		r->done_ns = now_ns;
	/* Of those not looked at, all are taken to be waiting. */
	r->waiting = r->owed_count > begun + gone ? r->owed_count - begun - gone : 0;
	for (struct stage *s = TAILQ_FIRST(&r->stages); s; s = TAILQ_NEXT(s, next))
		TAILQ_FOREACH (o, &s->done, order)
			r->waiting -= r->waiting > 0;
	TAILQ_FOREACH (o, &r->found, order)
		r->waiting -= r->waiting > 0;
	TAILQ_FOREACH (o, &r->recalled, order)
		r->waiting -= r->waiting > 0;
	r->scanned_at = r->received;
}

bool receiver_scan(struct receiver *r, const struct receiver_push *push, unsigned n, int64_t now_ns)
{
	struct owed_list done = TAILQ_HEAD_INITIALIZER(done);
	struct stage *s;
	bool any = false;

	if (!r->ledger)
		return false;
	find_done(r, &done, now_ns);
	TAILQ_CONCAT(&r->found, &done, order);
	if (n == 0)
		any = settle_all(r, &r->found);
	if (now_ns < r->rest_until_ns)
		return any;
	if (!TAILQ_EMPTY(&r->found)) {
		s = new_stage(r, push, n); /* NULL, no memory: next time */
		if (s) {
			TAILQ_CONCAT(&s->done, &r->found, order);
			r->looked_ns = 0; /* these marks may be passed already: look at them now */
		}
	}
	return look_at_stages(r, push, n, now_ns) || any;
}

int64_t receiver_scan_again(const struct receiver *r)
{
	return TAILQ_EMPTY(&r->found) && TAILQ_EMPTY(&r->stages) ? INT64_MAX : r->rest_until_ns;
}

size_t receiver_settled(struct receiver *r, struct range *ret, size_t max)
{
	size_t n = 0;

	while (n < max && r->told_count > 0) {
		ret[n++] = r->told[r->told_first];
		r->told_first = (r->told_first + 1) % r->window;
		r->told_count--;
	}
	return n;
}

void receiver_free_stages(struct receiver *r)
{
	struct stage *s;

	while ((s = TAILQ_FIRST(&r->stages))) {
		TAILQ_REMOVE(&r->stages, s, next);
		free(s);
	}
	r->stage_count = 0;
}

/* A range of sequences, in order, appended or made longer. False: no room. */
static bool add(struct range *ret, size_t max, size_t *n, uint64_t sequence)
{
	if (*n > 0 && ret[*n - 1].first + ret[*n - 1].count == sequence) {
		ret[*n - 1].count++;
		return true;
	}
	if (*n == max)
		return false;
	ret[(*n)++] = (struct range){.first = sequence, .count = 1};
	return true;
}

static int by_number(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

int receiver_owed(const struct receiver *r, struct range **ret, size_t *ret_n)
{
	uint64_t *all = calloc((size_t)r->owed_count + 1, sizeof(*all));
	struct range *ranges = calloc((size_t)r->owed_count + 1, sizeof(*ranges));
	size_t count = 0, n = 0;

	if (!all || !ranges) {
		free(all);
		free(ranges);
		return -ENOMEM;
	}
	/* In whatever list they are. */
	for (uint32_t i = 0; r->pool && i < r->window; i++)
		if (r->pool[i].sequence)
			all[count++] = r->pool[i].sequence;
	qsort(all, count, sizeof(*all), by_number);
	for (size_t i = 0; i < count; i++)
		(void)add(ranges, count, &n, all[i]); /* there is room for each */
	free(all);
	*ret = ranges;
	*ret_n = n;
	return 0;
}

void receiver_recall(struct receiver *r)
{
	struct owed *o = TAILQ_FIRST(&r->owed), *next;

	for (; o; o = next) {
		next = TAILQ_NEXT(o, order);
		if (sq_lease_id(r->q, o->id, &o->lease) < 0)
			continue;
		o->recalled = true;
		o->told = false;
		TAILQ_REMOVE(&r->owed, o, order);
		TAILQ_INSERT_TAIL(&r->recalled, o, order);
	}
}

size_t receiver_recalled(struct receiver *r, struct range *ret, size_t max)
{
	size_t n = 0;
	struct owed *o;

	TAILQ_FOREACH (o, &r->recalled, order) {
		if (o->told)
			continue;
		if (!add(ret, max, &n, o->sequence))
			break;
		o->told = true;
	}
	return n;
}

/* In a new connection. */
void receiver_tell_again(struct receiver *r)
{
	struct owed *o;

	TAILQ_FOREACH (o, &r->recalled, order)
		o->told = false;
}

void receiver_returned(struct receiver *r, uint64_t first, uint64_t count)
{
	struct owed *o = TAILQ_FIRST(&r->recalled), *next;
	uint64_t left = count; /* mostly they are the first ones */

	for (; o && left > 0; o = next) {
		next = TAILQ_NEXT(o, order);
		if (o->sequence - first >= count)
			continue;
		left--;
		TAILQ_REMOVE(&r->recalled, o, order);
		/* Removed while it is still owed: a death in between leaves a message that is gone. */
		(void)sq_ack(r->q, &o->lease);
		receiver_forget(r, o);
		r->counts.returned++;
	}
}

/*
 * Messages of this list are not owed any more. Those that no worker has begun are removed from the
 * queue, or stay there (keep).
 */
static void let_go(struct receiver *r, struct owed_list *list, bool keep)
{
	struct owed *o;

	while ((o = TAILQ_FIRST(list))) {
		struct sq_lease lease;

		TAILQ_REMOVE(list, o, order);
		if (o->recalled)
			(void)(keep ? sq_nack : sq_ack)(r->q, &o->lease); /* stale: it ended */
		else if (!keep && sq_lease_id(r->q, o->id, &lease) == 0 &&
			 sq_ack(r->q, &lease) == 0)
			r->counts.abandoned++;
		receiver_forget(r, o);
	}
}

static void let_all_go(struct receiver *r, bool keep)
{
	struct stage *s;

	/*
	 * Written first: if the daemon dies from here on, the next one lets go of the rest in the
	 * same way.
	 */
	ledger_set_epoch(r->ledger, keep ? LEDGER_DISOWNED : 0);
	let_go(r, &r->owed, keep);
	let_go(r, &r->found, keep);
	let_go(r, &r->recalled, keep);
	TAILQ_FOREACH (s, &r->stages, next)
		let_go(r, &s->done, keep);
	receiver_free_stages(r);
	r->told_first = r->told_count = 0;
	ledger_set_epoch(r->ledger, 0);
}

void receiver_abandon(struct receiver *r)
{
	let_all_go(r, false);
}

void receiver_disown(struct receiver *r)
{
	let_all_go(r, true);
}

/* Each list is of rising sequences, or nearly: what was recalled may be mixed after a restart. */
static uint64_t lower(uint64_t lowest, const struct owed *first)
{
	return first && (lowest == 0 || first->sequence < lowest) ? first->sequence : lowest;
}

uint64_t receiver_lowest(const struct receiver *r)
{
	uint64_t lowest = lower(lower(0, TAILQ_FIRST(&r->owed)), TAILQ_FIRST(&r->recalled));
	const struct stage *s;

	lowest = lower(lowest, TAILQ_FIRST(&r->found));
	TAILQ_FOREACH (s, &r->stages, next)
		lowest = lower(lowest, TAILQ_FIRST(&s->done));
	return lowest;
}
