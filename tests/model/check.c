/* SPDX-License-Identifier: ISC */
#include <errno.h>

#include "world.h"

/*
 * The checker. First what can be seen from outside: each value was delivered exactly as often as is
 * promised, in order, and "empty" was said only of an empty queue. Then the memory: all of it free
 * again, the counts right, and the ring turns.
 */

struct account {
	bool put_tried, put_done,
		put_died;               /* done: returned 0; died: under way when its process was */
	const struct deed *put, *taken; /* taken: the final delivery */
	unsigned finals;                /* gets and successful acks */
	unsigned leases;
};

static struct account account[VALUES_MAX];
static unsigned killed_gets, killed_others, flow_puts;

static bool is_put(enum op_kind kind)
{
	return kind == OP_PUT || kind == OP_PUT_BLOCK || kind == OP_RESERVE;
}

static void read_deed(const struct deed *d)
{
	struct account *a = &account[d->value];

	if (is_put(d->kind)) {
		a->put_tried = true;
		a->put = d;
		a->put_done = d->result == 0;
		a->put_died = d->result == PENDING;
		if (d->result < 0 && d->result != -EAGAIN && d->result != -EPIPE)
			explore_fail("a put failed oddly");
	} else if (d->kind == OP_GET) {
		if (d->result == 0) {
			a->finals++;
			a->taken = d;
		} else if (d->result == PENDING) {
			killed_gets++;
		} else if (d->result != -EAGAIN && d->result != -EPIPE) {
			explore_fail("a get failed oddly");
		}
	} else if (d->kind == OP_LEASE && d->result == 0) {
		a->leases++;
	} else if (d->kind == OP_ACK) {
		if (d->result == 0) {
			a->finals++;
			a->taken = d;
		} else if (d->result == PENDING) {
			killed_others++;
		} else if (d->result == -ESTALE && !world.scenario->lease_time) {
			explore_fail("a lease ended by itself");
		}
	}
}

static void read_history(void)
{
	for (unsigned v = 0; v < VALUES_MAX; v++)
		account[v] = (struct account){
			.put_tried = v >= 1 && v <= world.scenario->filled,
			.put_done = v >= 1 && v <= world.scenario->filled,
		};
	killed_gets = killed_others = 0;
	for (unsigned i = 0; i < explorer.count; i++)
		for (unsigned k = 0; k < OPS_MAX && world.deed[i][k].kind != OP_END; k++)
			read_deed(&world.deed[i][k]);
}

/* Of two values, the second put after the first was: it was not taken before the first. */
static void check_order(void)
{
	for (unsigned a = 1; a < VALUES_MAX; a++)
		for (unsigned b = 1; b < VALUES_MAX; b++) {
			const struct account *x = &account[a], *y = &account[b];
			unsigned long x_put = x->put ? x->put->end : 0;
			unsigned long y_put = y->put ? y->put->begin : 0;

			/* Those that were there at first are in the order of their values. */
			if (!x->put && !y->put && a >= b)
				continue;
			/*
			 * What is taken from a block by one who is killed is delivered again, late.
			 */
			if (explorer.kills > 0 && world.scenario->filled_block)
				continue;
			if (a == b || !x->put_done || !y->put_tried || x->leases || y->leases ||
				(y->put && x_put >= y_put) || (x->put && !y->put))
				continue;
			if (y->taken && x->taken && y->taken->end < x->taken->begin)
				explore_fail("a later message was taken first");
		}
}

/* "Empty" while a message was there all the time. */
static void check_empty(const struct deed *e)
{
	if ((e->kind != OP_GET && e->kind != OP_LEASE) || e->result != -EAGAIN)
		return;
	/* A message whose lease was ended by another is in that one's hands until it is announced. */
	if (world.scenario->lease_time)
		return;
	for (unsigned v = 1; v < VALUES_MAX; v++) {
		const struct account *a = &account[v];

		if (!a->put_done || a->leases || (a->put && a->put->end > e->begin))
			continue;
		if (killed_gets > 0 || explorer.kills + explorer.stops > 0)
			continue; /* one of those may have had it */
		if (!a->taken || a->taken->begin > e->end)
			explore_fail("said empty of a queue that was not");
	}
}

static void check_each_empty(void)
{
	for (unsigned i = 0; i < explorer.count; i++)
		for (unsigned k = 0; k < OPS_MAX; k++)
			check_empty(&world.deed[i][k]);
}

/* What is left, taken by the auditor. */
static unsigned drain(void)
{
	unsigned v, n = 0;
	int r;

	while ((r = world_get(&world.auditor, &v, SQ_NOWAIT)) == 0 && n < 100) {
		account[v].finals++;
		n++;
	}
	if (r != -EAGAIN && r != -EPIPE)
		explore_fail("what is left cannot be taken");
	return n;
}

/* Who sleeps for ever for a message sleeps rightly if there is none. */
static void check_starved(unsigned left)
{
	for (unsigned i = 0; i < explorer.count; i++)
		for (unsigned k = 0; k < OPS_MAX; k++) {
			const struct deed *d = &world.deed[i][k];

			if (explorer.state[i] == CO_STARVED && d->result == PENDING && left > 0 &&
				(d->kind == OP_GET || d->kind == OP_LEASE))
				explore_fail("slept though there was something");
		}
}

static void check_values(void)
{
	unsigned missing = 0;

	for (unsigned v = 1; v < VALUES_MAX; v++) {
		const struct account *a = &account[v];

		if (a->finals > 1)
			explore_fail("a message was delivered twice");
		if (a->finals > 0 && !a->put_tried)
			explore_fail("a message was delivered that nobody put");
		if (a->finals > 0 && a->put_tried && !a->put_done && !a->put_died)
			explore_fail("a put that failed was delivered");
		if (a->put_done && a->finals == 0)
			missing++;
	}
	/* The dead may have taken one each with them, in a get or an ack. */
	if (sqi_look(&world.auditor.head->closed) == 2)
		return; /* what was there stays there */
	if (missing > killed_gets + killed_others)
		explore_fail("a message was lost");
}

/* The durable count is what was put. */
static void check_count(void)
{
	unsigned least = 0, most = 0, uncertain = killed_gets + killed_others;
	uint64_t count = 0;

	for (unsigned v = 1; v < VALUES_MAX; v++) {
		least += account[v].put_done || (account[v].put_died && account[v].finals > 0);
		most += account[v].put_done ||
			(account[v].put_died && (account[v].finals > 0 || uncertain > 0));
	}
	for (unsigned i = 0; i < world.g.in.participants; i++)
		count += sqi_peek(&sqi_slot(&world.auditor, i)->puts);
	count -= flow_puts;
	if (count < least || count > most)
		explore_fail("the count of puts is wrong");
}

static void check_memory(void)
{
	const struct sq *h = &world.auditor;
	uint64_t blocks;

	for (uint64_t i = 0; i < world.g.capacity; i++) {
		enum sqi_state state = sqi_word_state(sqi_look(&sqi_cell(h, i)->word));

		if (state != SQI_FREE && state != SQI_SEALED &&
			sqi_look(&world.auditor.head->closed) < 2)
			explore_fail("a cell is not free at the end");
	}
	sqi_block_count(h, &blocks);
	if (blocks != world.g.blocks)
		explore_fail("a block is not free at the end");
	for (unsigned i = 0; i < world.g.in.participants; i++) {
		uint64_t id = sqi_look(&sqi_slot(h, i)->id);

		if (id != 0 && id != h->id)
			explore_fail("a slot is not free at the end");
	}
}

/* The ring is as good as new: it takes all it should, in order. */
static void check_ring(void)
{
	unsigned v;

	if (sqi_look(&world.auditor.head->closed))
		return;
	for (unsigned lap = 0; lap < 3; lap++) {
		unsigned n = 0;

		while (n < world.g.capacity &&
			world_put(&world.auditor, n % 10 + 1, false, SQ_NOWAIT) == 0)
			n++;
		/* Redeliveries may have cost cells a lap, but never all of them. */
		if (n == 0)
			explore_fail("the ring does not turn");
		for (unsigned k = 0; k < n; k++)
			if (world_get(&world.auditor, &v, SQ_NOWAIT) < 0 || v != k % 10 + 1)
				explore_fail("the ring lost its order");
	}
}

/* While some are stopped, the others' ring flows round what those hold. */
static void check_flow(void)
{
	unsigned v;

	if (sqi_look(&world.auditor.head->closed) || explorer.failure)
		return;
	for (unsigned lap = 0; lap < 3; lap++) {
		(void)drain();
		if (world.g.capacity <= (unsigned)explorer.stops)
			return;
		if (world_put(&world.auditor, 15, false, SQ_NOWAIT) < 0) {
			explore_fail("a stopped participant keeps the others from putting");
			return;
		}
		flow_puts++;
		if (world_get(&world.auditor, &v, SQ_NOWAIT) < 0)
			explore_fail("a stopped participant keeps the others from getting");
		else if (v != 15)
			account[v].finals++;
	}
}

void check_run(void)
{
	bool resumed = false;

	if (explorer.failure)
		return;
	flow_puts = 0;
	if (explorer.stops > 0) {
		/* Before the history is complete: deliveries are only counted. */
		read_history();
		struct account before[VALUES_MAX];

		for (unsigned v = 0; v < VALUES_MAX; v++)
			account[v].finals = 0;
		check_flow();
		for (unsigned v = 0; v < VALUES_MAX; v++)
			before[v] = account[v];
		explore_resume();
		resumed = true;
		if (explorer.failure)
			return;
		read_history();
		for (unsigned v = 0; v < VALUES_MAX; v++)
			if (v != 15)
				account[v].finals += before[v].finals;
	} else {
		read_history();
	}
	/* All leave: the living by the same steps by which the dead are reclaimed. */
	for (unsigned i = 0; i < explorer.count; i++)
		if (world.present[i])
			sqi_leave_party(&world.handle[i]);
	(void)sqi_rescue(&world.auditor);
	sqi_due_sweep(&world.auditor);
	if (!resumed) {
		check_order();
		check_each_empty();
	}
	check_starved(drain());
	sqi_due_sweep(&world.auditor); /* what the dead pinned */
	check_values();
	check_count();
	check_memory();
	check_ring();
}
