/* SPDX-License-Identifier: ISC */
#include "recv.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <bsd/sys/queue.h>

#include "ledger.h"
#include "recv_impl.h"
#include "send.h"

/*
 * Messages into the queue, and the books about them. When they are done is seen in recv_done.c, how
 * many are wanted is reckoned in recv_credit.c.
 */

static int by_sequence(const void *a, const void *b)
{
	const struct owed *x = *(struct owed *const *)a, *y = *(struct owed *const *)b;

	return (x->sequence > y->sequence) - (x->sequence < y->sequence);
}

/* One more that is owed. There is room: that was seen before it was put. */
static int enter(struct receiver *r, uint64_t sequence, uint64_t id)
{
	struct owed *o = TAILQ_FIRST(&r->unused);
	struct ledger_entry e = {.id = id, .sequence = sequence};
	int rc = o ? ledger_add(r->ledger, &e, &o->place) : -ENOSPC;

	if (rc < 0)
		return rc;
	ledger_set_entered(r->ledger, sequence);
	TAILQ_REMOVE(&r->unused, o, order);
	o->id = id;
	o->sequence = sequence;
	o->recalled = o->told = false;
	TAILQ_INSERT_TAIL(&r->owed, o, order);
	r->owed_count++;
	return 0;
}

/* The message is not owed any more: clear its entry. */
void receiver_forget(struct receiver *r, struct owed *o)
{
	ledger_clear(r->ledger, o->place);
	o->sequence = 0;
	TAILQ_INSERT_HEAD(&r->unused, o, order);
	r->owed_count--;
}

/* The ledger's entries, in the order of their sequences. */
static int load(struct receiver *r)
{
	struct owed **all = calloc((size_t)r->window + 1, sizeof(struct owed *));
	struct ledger_entry e;
	uint32_t n = 0;

	if (!all)
		return -ENOMEM;
	for (uint32_t place = 0; ledger_next(r->ledger, &place, &e) == 0; place++) {
		struct owed *o = TAILQ_FIRST(&r->unused);

		if (!o)
			break;
		TAILQ_REMOVE(&r->unused, o, order);
		*o = (struct owed){.id = e.id, .sequence = e.sequence, .place = place};
		all[n++] = o;
	}
	qsort(all, n, sizeof(struct owed *), by_sequence);
	for (uint32_t i = 0; i < n; i++)
		TAILQ_INSERT_TAIL(&r->owed, all[i], order);
	r->owed_count = n;
	free(all);
	return 0;
}

/*
 * Leases that this participant holds are messages that were recalled. Those still owed were to be
 * returned to the sender; the others had been given up or returned already, and are removed.
 */
static int load_recalled(struct receiver *r)
{
	struct sq_lease *leases;
	struct owed *o;
	int n;

	do
		n = sq_held(r->q, NULL, 0);
	while (n == -EBADMSG);
	if (n <= 0)
		return n;
	leases = calloc((size_t)n, sizeof(*leases));
	if (!leases)
		return -ENOMEM;
	n = sq_held(r->q, leases, n);
	for (int i = 0; i < n; i++) {
		TAILQ_FOREACH (o, &r->owed, order)
			if (o->id == leases[i].id)
				break;
		if (o) {
			o->recalled = true;
			o->lease = leases[i];
			TAILQ_REMOVE(&r->owed, o, order);
			TAILQ_INSERT_TAIL(&r->recalled, o, order);
		} else {
			(void)sq_ack(r->q, &leases[i]); /* stale: a lease time ended it */
		}
	}
	free(leases);
	return n < 0 ? n : 0;
}

/*
 * Take up where the last daemon stopped. The count and the ledger must be of one queue and one run.
 */
static int take_up(struct receiver *r)
{
	uint64_t entered = ledger_entered(r->ledger), last;
	const struct owed *o;
	uint64_t epoch = ledger_epoch(r->ledger);
	bool foreign;
	int rc = load(r);

	if (rc < 0)
		return rc;
	if (r->received == entered + 1 && epoch && epoch != LEDGER_DISOWNED) {
		/*
		 * It was killed between the put and its entry, or between the entry and `entered`.
		 */
		o = TAILQ_LAST(&r->owed, owed_list);
		if (o && o->sequence == r->received)
			ledger_set_entered(r->ledger, r->received);
		else if (sq_last_put(r->q, &last) == 0)
			rc = enter(r, r->received, last);
		else
			rc = -ERANGE;
	} else if (r->received != entered) {
		rc = -ERANGE;
	}
	/*
	 * If they do not fit, this is another queue of the same name: nothing is known about what
	 * was put into it, and the ids in the ledger may be those of other messages in it.
	 */
	foreign = rc < 0 || epoch == LEDGER_DISOWNED;
	if (foreign)
		ledger_set_epoch(r->ledger, LEDGER_DISOWNED);
	rc = load_recalled(r);
	if (rc == 0 && foreign)
		receiver_disown(r);
	else if (rc == 0 && !ledger_epoch(r->ledger))
		receiver_abandon(r);
	return rc;
}

int receiver_open(struct receiver **ret, const struct receiver_setup *setup)
{
	struct receiver *r = calloc(1, sizeof(*r));
	int rc;

	if (!r)
		return -ENOMEM;
	TAILQ_INIT(&r->owed);
	TAILQ_INIT(&r->found);
	TAILQ_INIT(&r->recalled);
	TAILQ_INIT(&r->unused);
	TAILQ_INIT(&r->held);
	TAILQ_INIT(&r->stages);
	r->window = setup->window;
	r->window_bytes = setup->window_bytes;
	rc = setup->ledger ? sq_open_durable(&r->q, setup->queue, setup->key + 1, SQ_FOREVER)
			   : sq_open(&r->q, setup->queue);
	if (rc == 0)
		rc = sq_count_bind(r->q, setup->key, &r->received);
	if (rc == 0 && setup->ledger)
		rc = ledger_open(&r->ledger, setup->ledger, r->window);
	if (rc == 0 && r->ledger) {
		r->window = ledger_room(r->ledger);
		r->pool = calloc(r->window, sizeof(*r->pool));
		r->told = calloc(r->window, sizeof(*r->told));
		rc = r->pool && r->told ? 0 : -ENOMEM;
		for (uint32_t i = 0; rc == 0 && i < r->window; i++)
			TAILQ_INSERT_TAIL(&r->unused, &r->pool[i], order);
		if (rc == 0)
			rc = take_up(r);
	}
	if (rc < 0) {
		receiver_close(r);
		return rc;
	}
	*ret = r;
	return 0;
}

static void drop(struct receiver *r, struct held *held)
{
	if (held->reserved)
		sq_abort(r->q);
	else
		free(held->data);
	r->counts.held_bytes -= held->cap;
	free(held);
}

void receiver_reset(struct receiver *r)
{
	struct held *held;

	if (r->part)
		drop(r, r->part);
	r->part = NULL;
	while ((held = TAILQ_FIRST(&r->held))) {
		TAILQ_REMOVE(&r->held, held, order);
		drop(r, held);
	}
	r->held_count = 0;
	r->told_first = r->told_count = 0;
	r->granted = r->granted_bytes = 0;
	r->put_bytes = 0;
	receiver_tell_again(r);
}

void receiver_close(struct receiver *r)
{
	if (!r)
		return;
	if (r->q)
		receiver_reset(r);
	receiver_free_stages(r);
	sq_close(r->q);
	ledger_close(r->ledger);
	free(r->pool);
	free(r->told);
	free(r);
}

uint64_t receiver_received(const struct receiver *r)
{
	return r->received;
}

/*
 * The message is in the queue. A death from here to the entry leaves the count one ahead of the
 * ledger, which take_up() mends.
 */
static int note_put(struct receiver *r, size_t len)
{
	uint64_t id;
	int rc = 0;

	r->received++;
	r->put_bytes += len;
	r->counts.put++;
	if (r->ledger) {
		rc = sq_last_put(r->q, &id);
		if (rc == 0)
			rc = enter(r, r->received, id);
	}
	return rc;
}

/* The first of those held. If the queue does not take it, it stays held. */
static int put_held(struct receiver *r, struct held *held)
{
	int rc = held->reserved ? sq_commit(r->q, held->len, SQ_NOWAIT)
				: sq_put(r->q, held->data, held->len, SQ_NOWAIT);

	if (rc < 0)
		return rc;
	TAILQ_REMOVE(&r->held, held, order);
	r->held_count--;
	if (held->reserved)
		held->data = NULL; /* it was the queue's memory, and belongs to the message now */
	r->counts.held_bytes -= held->cap;
	rc = note_put(r, held->len);
	free(held->data);
	free(held);
	return rc;
}

int receiver_flush(struct receiver *r)
{
	struct held *held;
	int rc = 0;

	while (rc == 0 && (held = TAILQ_FIRST(&r->held)))
		rc = put_held(r, held);
	return rc == -EAGAIN ? 0 : rc;
}

/* May the next one come, and be held or owed? */
static int expect(const struct receiver *r, uint64_t sequence)
{
	if (sequence != r->received + r->held_count + 1)
		return -EPROTO;
	if (r->ledger && !ledger_epoch(r->ledger))
		return -EPROTO;
	if (r->owed_count + r->held_count >= r->window)
		return -EPROTO; /* more than was granted: also empty messages take memory */
	return 0;
}

static struct held *hold(struct receiver *r, size_t len)
{
	struct held *held = calloc(1, sizeof(*held));

	if (!held)
		return NULL;
	held->data = malloc(len ? len : 1);
	if (!held->data) {
		free(held);
		return NULL;
	}
	held->len = held->cap = len;
	r->counts.held_bytes += len;
	return held;
}

static void keep(struct receiver *r, struct held *held)
{
	TAILQ_INSERT_TAIL(&r->held, held, order);
	r->held_count++;
}

int receiver_put(struct receiver *r, uint64_t sequence, const void *data, size_t len)
{
	struct held *held;
	int rc = expect(r, sequence);

	if (rc < 0 || r->part)
		return rc < 0 ? rc : -EPROTO;
	if (r->held_count == 0) {
		rc = sq_put(r->q, data, len, SQ_NOWAIT);
		if (rc == 0)
			return note_put(r, len);
		if (rc != -EAGAIN)
			return rc;
	}
	/* No more than what was granted, and the message that went over it. */
	if (r->counts.held_bytes > r->window_bytes)
		return -EPROTO;
	held = hold(r, len);
	if (!held)
		return -ENOMEM;
	memcpy(held->data, data, len);
	keep(r, held);
	return 0;
}

/* Where the pieces of a message of that length go: into the queue's own memory, if there is some. */
static int begin_part(struct receiver *r, uint64_t total)
{
	void *data;

	if (r->counts.held_bytes > r->window_bytes)
		return -EPROTO;
	if (r->held_count == 0 && sq_reserve(r->q, total, &data) == 0) {
		r->part = calloc(1, sizeof(*r->part));
		if (!r->part) {
			sq_abort(r->q);
			return -ENOMEM;
		}
		*r->part = (struct held){.data = data, .len = total, .reserved = true};
		return 0;
	}
	r->part = hold(r, total);
	return r->part ? 0 : -ENOMEM;
}

int receiver_part(struct receiver *r, uint64_t sequence, uint64_t total, uint64_t offset,
	const void *data, size_t len)
{
	struct held *part;
	struct sq_stat st;
	int rc = expect(r, sequence);

	if (rc < 0)
		return rc;
	if (!r->part) {
		if (offset != 0)
			return -EPROTO;
		if (r->max_message == 0) {
			rc = sq_stat(r->q, &st);
			if (rc < 0)
				return rc;
			r->max_message = st.max_message;
		}
		if (total > r->max_message)
			return -EMSGSIZE;
		rc = begin_part(r, total);
		if (rc < 0)
			return rc;
		r->part_filled = 0;
	}
	part = r->part;
	if (total != part->len || offset != r->part_filled || len > total - offset)
		return -EPROTO;
	memcpy((unsigned char *)part->data + offset, data, len);
	r->part_filled += len;
	if (r->part_filled < total)
		return 0;
	r->part = NULL;
	keep(r, part);
	return receiver_flush(r);
}

uint64_t receiver_epoch(const struct receiver *r)
{
	return r->ledger ? ledger_epoch(r->ledger) : 0;
}

void receiver_begin(struct receiver *r, uint64_t epoch)
{
	ledger_set_entered(r->ledger, r->received);
	ledger_set_epoch(r->ledger, epoch);
}

struct ledger *receiver_ledger(const struct receiver *r)
{
	return r->ledger;
}

struct sq *receiver_queue(const struct receiver *r)
{
	return r->q;
}

uint32_t receiver_owed_count(const struct receiver *r)
{
	return r->owed_count;
}

bool receiver_idle(const struct receiver *r)
{
	return r->owed_count == 0 && r->held_count == 0 && !r->part && r->told_count == 0;
}

const struct receiver_counts *receiver_counts(const struct receiver *r)
{
	return &r->counts;
}
