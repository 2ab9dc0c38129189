/* SPDX-License-Identifier: ISC */
#include "send.h"

#include <errno.h>
#include <stdlib.h>
#include <bsd/sys/queue.h>

#include "ledger.h"

struct item {
	TAILQ_ENTRY(item) order; /* of sequences; or among the unnumbered, or the unused */
	struct item *chain;      /* of the same bucket */
	struct sq_lease lease;
	uint64_t sequence;
	uint32_t place;
	bool owed;
};

TAILQ_HEAD(items, item);

struct sender {
	struct sq *q;
	struct ledger *ledger;
	struct items flying, unnumbered, unused;
	struct item *next; /* of those flying, the first not sent in this connection */
	struct item *pool;
	struct item **bucket; /* by sequence */
	uint32_t buckets, window, in_flight;
	uint64_t next_sequence, received;
	uint64_t credit_sequence, credit_bytes, sent_bytes;
	bool connected, stopped;
	struct sender_counts counts;
};

static struct item **bucket_of(const struct sender *s, uint64_t sequence)
{
	return &s->bucket[sequence & (s->buckets - 1)];
}

static struct item *find(const struct sender *s, uint64_t sequence)
{
	struct item *i = *bucket_of(s, sequence);

	while (i && i->sequence != sequence)
		i = i->chain;
	return i;
}

static void file(struct sender *s, struct item *i)
{
	struct item **b = bucket_of(s, i->sequence);

	i->chain = *b;
	*b = i;
	TAILQ_INSERT_TAIL(&s->flying, i, order);
	s->in_flight++;
}

static void unfile(struct sender *s, struct item *i)
{
	struct item **b = bucket_of(s, i->sequence);

	while (*b != i)
		b = &(*b)->chain;
	*b = i->chain;
	if (s->next == i)
		s->next = TAILQ_NEXT(i, order);
	TAILQ_REMOVE(&s->flying, i, order);
	s->in_flight--;
}

/* The lease is settled; its entry is cleared after that. */
static void forget(struct sender *s, struct item *i)
{
	ledger_clear(s->ledger, i->place);
	unfile(s, i);
	TAILQ_INSERT_HEAD(&s->unused, i, order);
}

static struct item *take_unused(struct sender *s)
{
	struct item *i = TAILQ_FIRST(&s->unused);

	if (i)
		TAILQ_REMOVE(&s->unused, i, order);
	return i;
}

static int by_id(const void *a, const void *b)
{
	const struct sq_lease *x = a, *y = b;

	return (x->id > y->id) - (x->id < y->id);
}

static int by_sequence(const void *a, const void *b)
{
	const struct item *x = *(struct item *const *)a, *y = *(struct item *const *)b;

	return (x->sequence > y->sequence) - (x->sequence < y->sequence);
}

/* What we hold already, in the order of ids. */
static int held(struct sender *s, struct sq_lease **ret, int *ret_n)
{
	struct sq_lease *leases;
	int n, again;

	do
		n = sq_held(s->q, NULL, 0);
	while (n == -EBADMSG);
	if (n < 0)
		return n;
	leases = calloc((size_t)n + 1, sizeof(*leases));
	if (!leases)
		return -ENOMEM;
	/* It can become less, by damage and by lease times; never more. */
	do
		again = sq_held(s->q, leases, n);
	while (again == -EBADMSG);
	if (again < 0) {
		free(leases);
		return again;
	}
	n = again < n ? again : n;
	qsort(leases, (size_t)n, sizeof(*leases), by_id);
	*ret = leases;
	*ret_n = n;
	return 0;
}

/*
 * The ledger's entries and the leases we hold are brought together. An entry without a lease was
 * settled, or its lease ended; of two entries of one lease, the older one's had ended.
 */
static int match(struct sender *s, struct sq_lease *leases, int n)
{
	struct item **numbered = calloc((size_t)ledger_count(s->ledger) + 1, sizeof(*numbered));
	struct ledger_entry e;
	uint32_t count = 0;

	if (!numbered)
		return -ENOMEM;
	for (uint32_t place = 0; ledger_next(s->ledger, &place, &e) == 0; place++) {
		const struct sq_lease key = {.id = e.id};
		struct sq_lease *lease = bsearch(&key, leases, (size_t)n, sizeof(*leases), by_id);
		struct item *i;

		if (!lease || !lease->data || (lease->attempts & 0xff) != e.attempts ||
			!(i = take_unused(s))) {
			ledger_clear(s->ledger, place);
			continue;
		}
		*i = (struct item){.lease = *lease, .sequence = e.sequence, .place = place};
		lease->data = NULL; /* matched with an entry */
		numbered[count++] = i;
	}
	qsort(numbered, count, sizeof(struct item *), by_sequence);
	for (uint32_t i = 0; i < count; i++)
		file(s, numbered[i]);
	free(numbered);
	for (int k = 0; k < n; k++) {
		struct item *i;

		if (!leases[k].data)
			continue;
		i = take_unused(s);
		if (!i) {
			(void)sq_return(
				s->q, &leases[k]); /* there is room for all that were counted */
			continue;
		}
		*i = (struct item){.lease = leases[k]};
		TAILQ_INSERT_TAIL(&s->unnumbered, i, order);
	}
	return 0;
}

/*
 * Make room for the window that is configured, or for as many as are held: what is in flight stays
 * so, though the window was larger when it was sent.
 */
static int make_room(struct sender *s, uint32_t window, uint32_t n)
{
	s->window = window < ledger_room(s->ledger) ? window : ledger_room(s->ledger);
	if (s->window < n)
		s->window = n;
	for (s->buckets = 1; s->buckets < s->window;)
		s->buckets *= 2;
	s->pool = calloc(s->window, sizeof(*s->pool));
	s->bucket = calloc(s->buckets, sizeof(struct item *));
	if (!s->pool || !s->bucket)
		return -ENOMEM;
	for (uint32_t i = 0; i < s->window; i++)
		TAILQ_INSERT_TAIL(&s->unused, &s->pool[i], order);
	return 0;
}

int sender_open(struct sender **ret, const struct sender_setup *setup)
{
	struct sender *s = calloc(1, sizeof(*s));
	struct sq_lease *leases = NULL;
	uint64_t run = 0;
	int n = 0, r;

	if (!s)
		return -ENOMEM;
	TAILQ_INIT(&s->flying);
	TAILQ_INIT(&s->unnumbered);
	TAILQ_INIT(&s->unused);
	r = ledger_open(&s->ledger, setup->ledger, setup->window);
	if (r == 0)
		r = sq_open_durable(&s->q, setup->queue, setup->key, setup->grace);
	if (r == 0)
		r = sq_durable_run(s->q, &run);
	/*
	 * Another run: what the ledger says was leased has been given to others meanwhile, or was
	 * of another queue. So that epoch is over, and the word that says so is written first.
	 */
	if (r == 0 && ledger_run(s->ledger) != run)
		ledger_set_epoch(s->ledger, 0);
	if (r == 0)
		r = held(s, &leases, &n);
	if (r == 0)
		r = make_room(s, setup->window, (uint32_t)n);
	if (r == 0)
		r = match(s, leases, n);
	if (r == 0)
		ledger_set_run(s->ledger, run);
	free(leases);
	if (r < 0) {
		sender_close(s);
		return r;
	}
	*ret = s;
	return 0;
}

void sender_close(struct sender *s)
{
	if (!s)
		return;
	sq_close(s->q);
	ledger_close(s->ledger);
	free(s->bucket);
	free(s->pool);
	free(s);
}

int sender_resume(struct sender *s, uint64_t received)
{
	const struct item *last = TAILQ_LAST(&s->flying, items);
	struct item *i;

	/*
	 * All of a lower number than the lowest that flies were received. What flies and was not
	 * received is a row without holes, just behind R.
	 */
	TAILQ_FOREACH (i, &s->flying, order) {
		if (i->sequence > received)
			break;
		i->owed = false;
	}
	if (i && i->sequence != received + 1)
		return -ERANGE;
	if (s->next_sequence != 0 && (received >= s->next_sequence || received < s->received))
		return -ERANGE;
	s->next = i;
	s->received = received;
	s->next_sequence = i ? last->sequence + 1 : received + 1;
	s->credit_sequence = s->credit_bytes = s->sent_bytes = 0;
	s->connected = true;
	return 0;
}

int sender_renumber(struct sender *s, uint64_t received)
{
	struct items all = TAILQ_HEAD_INITIALIZER(all);
	struct item *i;

	s->next = NULL;
	/*
	 * Begin with the last: if the daemon dies in between, those that still have a number are
	 * the older ones.
	 */
	while ((i = TAILQ_LAST(&s->flying, items))) {
		ledger_clear(s->ledger, i->place);
		unfile(s, i);
		TAILQ_INSERT_HEAD(&all, i, order);
	}
	/* The older before those that never had a number. */
	TAILQ_CONCAT(&all, &s->unnumbered, order);
	TAILQ_CONCAT(&s->unnumbered, &all, order);
	s->received = 0;
	s->next_sequence = 0;
	return sender_resume(s, received);
}

void sender_credit(struct sender *s, uint64_t sequence, uint64_t bytes)
{
	s->credit_sequence = sequence;
	s->credit_bytes = bytes;
}

/* One more message of the queue. */
static int lease_one(struct sender *s)
{
	struct item *i = take_unused(s);
	int r;

	if (!i)
		return -EAGAIN;
	*i = (struct item){0};
	while ((r = sq_lease(s->q, &i->lease, SQ_NOWAIT)) == -EBADMSG)
		s->counts.damaged++;
	if (r < 0) {
		TAILQ_INSERT_HEAD(&s->unused, i, order);
		return r;
	}
	TAILQ_INSERT_TAIL(&s->unnumbered, i, order);
	return 0;
}

static int number_one(struct sender *s)
{
	struct item *i = TAILQ_FIRST(&s->unnumbered);
	struct ledger_entry e = {
		.id = i->lease.id, .sequence = s->next_sequence, .attempts = i->lease.attempts};
	int r = ledger_add(s->ledger, &e, &i->place);

	if (r < 0)
		return -EAGAIN;
	TAILQ_REMOVE(&s->unnumbered, i, order);
	i->sequence = s->next_sequence++;
	file(s, i);
	s->next = i;
	return 0;
}

int sender_next(struct sender *s, struct sender_message *ret)
{
	if (!s->connected || s->sent_bytes >= s->credit_bytes)
		return -EAGAIN;
	if (!s->next) {
		int r = 0;

		if (s->next_sequence > s->credit_sequence)
			return -EAGAIN;
		if (s->stopped && TAILQ_EMPTY(&s->unnumbered))
			return -EAGAIN;
		if (TAILQ_EMPTY(&s->unnumbered))
			r = lease_one(s);
		if (r == 0)
			r = number_one(s);
		if (r < 0)
			return r;
	}
	if (s->next->sequence > s->credit_sequence)
		return -EAGAIN;
	*ret = (struct sender_message){
		.data = s->next->lease.data,
		.len = s->next->lease.len,
		.sequence = s->next->sequence,
		.attempts = s->next->lease.attempts,
	};
	return 0;
}

void sender_sent(struct sender *s)
{
	s->sent_bytes += s->next->lease.len;
	s->next = TAILQ_NEXT(s->next, order);
	s->counts.sent++;
}

void sender_pause(struct sender *s)
{
	s->connected = false;
	s->credit_sequence = s->credit_bytes = 0;
}

void sender_stop(struct sender *s, bool stop)
{
	s->stopped = stop;
}

static void settle(struct sender *s, struct item *i)
{
	if (sq_ack(s->q, &i->lease) < 0)
		s->counts.lost_leases++; /* the lease had ended: the message is not ours */
	else
		s->counts.settled++;
	forget(s, i);
}

void sender_received(struct sender *s, uint64_t sequence)
{
	struct item *i;

	/* Only what was sent can have been received. */
	while ((i = TAILQ_FIRST(&s->flying)) && i != s->next && i->sequence <= sequence)
		settle(s, i);
	if (sequence > s->received && sequence < s->next_sequence)
		s->received = sequence;
}

/* Of a range that a peer named, at most as many as fly are looked for. */
static void each(struct sender *s, uint64_t first, uint64_t count,
	void (*f)(struct sender *s, struct item *i))
{
	if (count <= s->in_flight) {
		for (uint64_t k = 0; k < count; k++) {
			struct item *i = find(s, first + k);

			if (i && (!s->next || i->sequence < s->next->sequence))
				f(s, i);
		}
	} else {
		struct item *i = TAILQ_FIRST(&s->flying), *next;

		for (; i && i != s->next; i = next) {
			next = TAILQ_NEXT(i, order);
			if (i->sequence - first < count)
				f(s, i);
		}
	}
}

void sender_settle(struct sender *s, uint64_t first, uint64_t count)
{
	each(s, first, count, settle);
}

static void note_owed(struct sender *s, struct item *i)
{
	(void)s;
	i->owed = true;
}

void sender_owed(struct sender *s, uint64_t first, uint64_t count)
{
	each(s, first, count, note_owed);
}

void sender_reconcile(struct sender *s)
{
	struct item *i = TAILQ_FIRST(&s->flying), *next;

	for (; i && i != s->next; i = next) {
		next = TAILQ_NEXT(i, order);
		if (!i->owed)
			settle(s, i);
	}
}

static void given_back(struct sender *s, struct item *i, int r)
{
	if (r < 0)
		s->counts.lost_leases++;
	else
		s->counts.given_back++;
	forget(s, i);
}

/* Give back a message that no worker has begun: it does not count as an attempt. */
static void return_one(struct sender *s, struct item *i)
{
	given_back(s, i, sq_return(s->q, &i->lease));
}

/* Give back a message that a worker may have begun, and may have died of: it counts. */
static void give_back(struct sender *s, struct item *i)
{
	given_back(s, i, sq_nack(s->q, &i->lease));
}

void sender_return(struct sender *s, uint64_t first, uint64_t count)
{
	each(s, first, count, return_one);
}

static void give_back_unnumbered(struct sender *s)
{
	struct item *i;

	while ((i = TAILQ_FIRST(&s->unnumbered))) {
		if (sq_return(s->q, &i->lease) == 0) /* else it had ended, and is back already */
			s->counts.given_back++;
		TAILQ_REMOVE(&s->unnumbered, i, order);
		TAILQ_INSERT_HEAD(&s->unused, i, order);
	}
}

/*
 * Take their numbers away beginning with the last: if the daemon dies in between, the numbers that
 * are left have no hole. Then give them back in the order in which they came.
 */
void sender_withdraw(struct sender *s, bool begun)
{
	struct item *first = s->next, *last = NULL;

	if (first && begun)
		first = TAILQ_NEXT(first, order);
	while (first && last != first) {
		last = TAILQ_LAST(&s->flying, items);
		s->next_sequence = last->sequence;
		ledger_clear(s->ledger, last->place);
		unfile(s, last);
		TAILQ_INSERT_HEAD(&s->unnumbered, last, order);
	}
	give_back_unnumbered(s);
}

void sender_return_all(struct sender *s)
{
	struct item *i;

	s->next = NULL;
	s->connected = false;
	while ((i = TAILQ_FIRST(&s->flying)))
		give_back(s, i);
	give_back_unnumbered(s);
	s->next_sequence = 0;
	s->received = 0;
}

/*
 * A message whose lease has ended is in the queue again, or another participant's, and its memory
 * is not ours: no more of it may be sent. If it was still to be sent, so were those behind it:
 * their numbers would have a hole before them, so they go back too, and the numbers are free again.
 */
bool sender_touch(struct sender *s, bool begun)
{
	uint64_t from = s->next ? s->next->sequence : s->next_sequence;
	bool hole = false, whole = true;
	struct item *i, *next;

	for (i = TAILQ_FIRST(&s->flying); i; i = next) {
		next = TAILQ_NEXT(i, order);
		if (sq_touch(s->q, &i->lease) == 0)
			continue;
		hole |= i->sequence >= from;
		whole &= !begun || i->sequence != from;
		s->counts.lost_leases++;
		forget(s, i);
	}
	for (i = TAILQ_FIRST(&s->unnumbered); i; i = next) {
		next = TAILQ_NEXT(i, order);
		if (sq_touch(s->q, &i->lease) == 0)
			continue;
		s->counts.lost_leases++;
		TAILQ_REMOVE(&s->unnumbered, i, order);
		TAILQ_INSERT_HEAD(&s->unused, i, order);
	}
	if (hole) {
		sender_withdraw(s, begun && whole);
		s->next_sequence = begun && whole ? from + 1 : from;
	}
	return whole;
}

int sender_mark(struct sender *s, uint64_t *ret)
{
	return sq_mark(s->q, ret);
}

bool sender_passed(struct sender *s, uint64_t mark)
{
	return sq_passed(s->q, mark) == 1;
}

bool sender_wants(const struct sender *s)
{
	return s->connected && !s->stopped && !s->next && s->sent_bytes < s->credit_bytes &&
	       s->next_sequence <= s->credit_sequence && !TAILQ_EMPTY(&s->unused);
}

void sender_credit_left(const struct sender *s, uint64_t *ret_messages, uint64_t *ret_bytes)
{
	uint64_t next = s->next ? s->next->sequence : s->next_sequence;
	bool may = s->connected && s->credit_sequence >= next;

	*ret_messages = may ? s->credit_sequence - next + 1 : 0;
	*ret_bytes = s->connected && s->credit_bytes > s->sent_bytes
			     ? s->credit_bytes - s->sent_bytes
			     : 0;
}

struct sq *sender_queue(const struct sender *s)
{
	return s->q;
}

struct ledger *sender_ledger(const struct sender *s)
{
	return s->ledger;
}

uint32_t sender_in_flight(const struct sender *s)
{
	return s->in_flight;
}

uint64_t sender_lowest(const struct sender *s)
{
	const struct item *i = TAILQ_FIRST(&s->flying);

	return i ? i->sequence : s->next_sequence;
}

uint64_t sender_next_sequence(const struct sender *s)
{
	return s->next_sequence;
}

const struct sender_counts *sender_counts(const struct sender *s)
{
	return &s->counts;
}
