/* SPDX-License-Identifier: ISC */
#include "books.h"

#include <string.h>

#include "sim.h"

enum copy_state {
	COPY_NONE,
	COPY_HERE, /* in a leaf's queue, or its worker's hands; or perhaps: its bridge died in the put */
	COPY_OURS, /* in the hands of the leaf's bridge */
	COPY_DONE, /* acknowledged, or collected; or perhaps: its worker died in that */
	COPY_LOST, /* with the leaf's memory */
};

/* Of a message of the hub's, at a leaf. */
struct copy {
	enum copy_state state;
	bool used;        /* somebody has put a result of it, or collected it */
	bool excused;     /* it was given to others while it was here */
	bool begun;       /* a worker took it */
	bool again;       /* what came before went with a queue that was removed */
	bool unsure;      /* its bridge was killed in the put: it may not be there */
	bool kept;        /* the hub that gave it to others has lost its memory since */
	unsigned since;   /* of this leaf's messages, the first of this memory */
	unsigned done_at; /* how many of them there were when it was acknowledged */
	uint64_t
		id; /* in its queue, where one of an epoch that ended may be in a worker's hands too */
};

struct message {
	enum queue queue;
	unsigned origin, run;
	unsigned order;     /* among those put at its origin, from 1 */
	unsigned hub_order; /* among those of the hub's queues; 0: not there yet */
	bool arriving, arrived;
	bool left;
	bool lost;   /* by hand */
	bool unsure; /* whether it was ever put */
	bool returned;
	bool finished, waived; /* a task */
	unsigned uses, excuses;
	struct copy copy[LEAVES_MAX];
};

struct work {
	uint64_t task, id;
	unsigned host, puts, collected;
	bool used, acked;
};

static struct {
	struct message m[MESSAGES_MAX];
	struct work run[RUNS_MAX];
	unsigned tasks, results, runs, unfinished, hub_orders;
	struct {
		uint16_t sent[MESSAGES_MAX]; /* put into its push queues, in order */
		unsigned sends, since, good; /* good: all below have arrived */
		unsigned last_out[QUEUES], last_in[QUEUES];
	} leaf[LEAVES_MAX];
} books;

void books_open(void)
{
	memset(&books, 0, sizeof(books));
}

void message_fill(void *data, size_t len, uint64_t m)
{
	memset(data, (int)(m * 37 + 1), len);
	memcpy(data, &m, sizeof(m));
}

uint64_t message_in(const void *data, size_t len)
{
	const unsigned char *p = data;
	uint64_t m;

	if (len < sizeof(m))
		return NO_MESSAGE;
	memcpy(&m, data, sizeof(m));
	for (size_t i = sizeof(m); i < len; i++)
		if (p[i] != (unsigned char)(m * 37 + 1))
			return NO_MESSAGE;
	return m < books.tasks || (m >= TASKS_MAX && m < TASKS_MAX + books.results) ? m
										    : NO_MESSAGE;
}

static struct message *at(uint64_t m)
{
	return &books.m[m];
}

static void waive(uint64_t task)
{
	struct message *t = at(task);

	if (t->finished || t->waived)
		return;
	t->waived = true;
	books.unfinished--;
	sim_count(T_WAIVED);
}

static void begin(uint64_t m, unsigned host, enum queue queue)
{
	*at(m) = (struct message){.queue = queue, .origin = host};
	if (host != HUB) {
		books.leaf[host].sent[books.leaf[host].sends++] = (uint16_t)m;
		at(m)->order = books.leaf[host].sends;
	}
}

uint64_t books_task(unsigned host, enum queue queue)
{
	if (books.tasks == TASKS_MAX)
		return NO_MESSAGE;
	begin(books.tasks, host, queue);
	books.unfinished++;
	return books.tasks++;
}

/* It may be done now if it was not done before, or if that has an excuse. */
static void use(uint64_t m, const char *what)
{
	if (++at(m)->uses > 1 + at(m)->excuses)
		sim_fail("%s %u was %s again, without an excuse", m < TASKS_MAX ? "task" : "result",
			(unsigned)m, what);
}

uint64_t books_result(unsigned host, enum queue queue, unsigned run)
{
	uint64_t m = TASKS_MAX + books.results;
	struct work *w = &books.run[run];

	if (m == MESSAGES_MAX) {
		sim_fail("more results than the books have room for");
		return NO_MESSAGE;
	}
	books.results++;
	begin(m, host, queue);
	at(m)->run = run;
	if (!w->used) {
		use(w->task, "done");
		w->used = true;
		at(w->task)->copy[host].used = true;
	}
	w->puts++;
	return m;
}

void books_put(uint64_t m, bool done)
{
	struct message *msg = at(m);
	struct work *w = &books.run[msg->run];

	if (done) {
		if (msg->origin == HUB)
			msg->hub_order = ++books.hub_orders;
		sim_count(m < TASKS_MAX ? T_TASKS : T_RESULTS);
		if (m < TASKS_MAX && msg->origin != HUB)
			sim_count(T_MADE_AT_LEAF);
		return;
	}
	/* As if it had never been. */
	if (msg->origin != HUB)
		books.leaf[msg->origin].sends--;
	if (m < TASKS_MAX) {
		books.tasks--;
		books.unfinished--;
		return;
	}
	books.results--;
	if (--w->puts == 0) {
		w->used = false;
		at(w->task)->uses--;
		at(w->task)->copy[w->host].used = false;
	}
}

void books_unsure(uint64_t m)
{
	at(m)->unsure = true;
}

/* Is it this copy that a worker has, and not one of before? */
static bool is_of(const struct copy *c, uint64_t id)
{
	return c->unsure || c->id == id;
}

unsigned books_run(unsigned host, uint64_t task, uint64_t id)
{
	struct copy *c = &at(task)->copy[host];

	if (books.runs == RUNS_MAX) {
		sim_fail("more runs than the books have room for");
		books.runs--;
	}
	if (is_of(c, id)) {
		c->state = COPY_HERE;
		c->begun = true;
	}
	sim_say("  a worker of host %u takes %u", host, (unsigned)task);
	books.run[books.runs] = (struct work){.task = task, .id = id, .host = host};
	return books.runs++;
}

static void finish_if(const struct work *w)
{
	struct message *t = at(w->task);

	if (!w->acked || w->collected < w->puts || t->finished)
		return;
	t->finished = true;
	if (!t->waived)
		books.unfinished--;
}

void books_acking(unsigned run)
{
	struct work *w = &books.run[run];
	struct copy *c = &at(w->task)->copy[w->host];

	w->acked = true;
	sim_say("  a worker of host %u acks %u", w->host, (unsigned)w->task);
	if (is_of(c, w->id)) {
		c->state = COPY_DONE;
		c->done_at = books.leaf[w->host].sends;
	}
	if (at(w->task)->uses > 1)
		sim_count(T_TWICE);
	finish_if(w);
}

void books_run_failed(unsigned run)
{
	const struct work *w = &books.run[run];

	/* What it has put is there, and will be put again. */
	if (w->used)
		at(w->task)->excuses++;
}

bool books_used(unsigned run)
{
	return books.run[run].used;
}

void books_collect(unsigned host, uint64_t m)
{
	struct message *msg = at(m);
	struct work *w = &books.run[msg->run];

	if (m < TASKS_MAX) {
		sim_fail("a task among the results");
		return;
	}
	use(m, "collected");
	if (host != HUB) {
		struct copy *c = &msg->copy[host];

		c->state = COPY_DONE;
		c->used = true;
		c->done_at = books.leaf[host].sends;
		sim_count(T_COLLECTED_AT_LEAF);
	}
	if (msg->uses > 1) {
		sim_count(T_AGAIN);
		return;
	}
	w->collected++;
	finish_if(w);
}

void books_arriving(unsigned leaf, uint64_t m)
{
	if (at(m)->origin != leaf)
		sim_fail("message %u comes from leaf %u, and was put elsewhere", (unsigned)m, leaf);
	at(m)->arriving = true;
	at(m)->hub_order = ++books.hub_orders;
}

void books_arrived(unsigned leaf, uint64_t m, bool done)
{
	struct message *msg = at(m);

	msg->arriving = false;
	if (!done)
		return;
	if (msg->order <= books.leaf[leaf].last_out[msg->queue] && msg->excuses == 0 && !msg->lost)
		sim_fail("message %u came to the hub out of order", (unsigned)m);
	books.leaf[leaf].last_out[msg->queue] = msg->order;
	msg->arrived = true;
}

void books_coming(unsigned leaf, uint64_t m)
{
	struct copy *c = &at(m)->copy[leaf];

	*c = (struct copy){.state = COPY_HERE,
		.since = books.leaf[leaf].since,
		.again = c->state == COPY_LOST,
		.unsure = true};
}

void books_came(unsigned leaf, uint64_t m, bool done, uint64_t id)
{
	struct message *msg = at(m);

	msg->copy[leaf].unsure = false;
	msg->copy[leaf].id = id;
	if (!done) {
		msg->copy[leaf].state = COPY_NONE;
		return;
	}
	if (msg->hub_order <= books.leaf[leaf].last_in[msg->queue] && !msg->returned &&
		!msg->copy[leaf].again)
		sim_fail("message %u came to leaf %u out of order", (unsigned)m, leaf);
	if (!msg->returned)
		books.leaf[leaf].last_in[msg->queue] = msg->hub_order;
}

static bool has_arrived(const struct message *m)
{
	return m->arrived || m->arriving || m->lost || m->unsure;
}

/* B4, at the instant. */
void books_settling(unsigned leaf, uint64_t m)
{
	const struct copy *c = &at(m)->copy[leaf];
	unsigned *good = &books.leaf[leaf].good, from = c->since;

	sim_count(T_SETTLED);
	if (c->state != COPY_DONE) {
		sim_fail("message %u is settled, and leaf %u has not done it (%d)", (unsigned)m,
			leaf, (int)c->state);
		return;
	}
	if (c->since == books.leaf[leaf].since) {
		while (*good < c->done_at && has_arrived(at(books.leaf[leaf].sent[*good])))
			++*good;
		from = *good;
	}
	for (unsigned i = from; i < c->done_at; i++)
		if (!has_arrived(at(books.leaf[leaf].sent[i]))) {
			sim_fail("message %u of leaf %u is settled before message %u, put there "
				 "before that, has arrived",
				(unsigned)m, leaf, books.leaf[leaf].sent[i]);
			return;
		}
}

void books_returning(unsigned leaf, uint64_t m, bool may_come)
{
	struct message *msg = at(m);
	struct copy *c = &msg->copy[leaf];

	msg->returned = true;
	switch (c->state) {
	case COPY_HERE:
		c->excused = true;
		msg->excuses++;
		break;
	case COPY_NONE:
		msg->excuses += may_come;
		break;
	case COPY_OURS:
		break;
	case COPY_DONE:
	case COPY_LOST:
		msg->excuses += c->used;
		break;
	}
}

/* In a queue that was removed it may still be taken, and is lost all the same. */
static void become(struct copy *c, enum copy_state state)
{
	if (c->state != COPY_LOST)
		c->state = state;
}

void books_held(unsigned leaf, uint64_t m)
{
	become(&at(m)->copy[leaf], COPY_OURS);
}

void books_released(unsigned leaf, uint64_t m)
{
	become(&at(m)->copy[leaf], COPY_HERE);
}

void books_removed(unsigned leaf, uint64_t m)
{
	struct copy *c = &at(m)->copy[leaf];

	/* Then it could not be done here after all. */
	if (c->excused && !c->used)
		at(m)->excuses--;
	c->excused = false;
	become(c, COPY_NONE);
}

/* The n-th of all messages there are; false behind the last. */
static bool nth(unsigned n, uint64_t *ret)
{
	if (n < books.tasks)
		*ret = n;
	else
		*ret = n - books.tasks + TASKS_MAX;
	return n < books.tasks + books.results;
}

void books_withdrawn(unsigned leaf, enum queue queue)
{
	uint64_t m;

	for (unsigned n = 0; nth(n, &m); n++) {
		const struct copy *c = &at(m)->copy[leaf];

		if (at(m)->queue == queue && c->state == COPY_HERE && c->excused && !c->begun &&
			!c->kept && !c->unsure)
			sim_fail("message %u was given to others, and leaf %u has not withdrawn it",
				(unsigned)m, leaf);
	}
}

void books_left(uint64_t m)
{
	at(m)->left = true;
}

void books_wiped(unsigned leaf)
{
	uint64_t m;

	for (unsigned n = 0; nth(n, &m); n++) {
		struct message *msg = at(m);
		struct copy *c = &msg->copy[leaf];

		if (c->state == COPY_HERE || c->state == COPY_OURS)
			c->state = COPY_LOST;
		if (msg->origin == leaf && !msg->arrived && m < TASKS_MAX)
			waive(m);
	}
	books.leaf[leaf].since = books.leaf[leaf].good = books.leaf[leaf].sends;
}

void books_out(unsigned leaf)
{
	for (unsigned n = 0; n < books.tasks; n++)
		if (at(n)->origin == leaf && !at(n)->arrived)
			waive(n);
}

static uint64_t task_of(uint64_t m)
{
	return m < TASKS_MAX ? m : books.run[at(m)->run].task;
}

void books_remade(unsigned leaf, enum queue queue, bool push)
{
	uint64_t m;

	for (unsigned n = 0; nth(n, &m); n++) {
		struct message *msg = at(m);
		struct copy *c = &msg->copy[leaf];

		if (msg->queue != queue)
			continue;
		if (!push && (c->state == COPY_HERE || c->state == COPY_OURS))
			c->state = COPY_LOST;
		if (push && msg->origin == leaf && !msg->arrived && !msg->lost) {
			msg->lost = true;
			waive(task_of(m));
		}
	}
}

void books_put_away(unsigned host, uint64_t m)
{
	if (host != HUB) {
		at(m)->copy[host].state = COPY_LOST;
		return;
	}
	at(m)->lost = true;
	waive(task_of(m));
}

void books_hub_lost(enum queue queue)
{
	uint64_t m;

	for (unsigned n = 0; nth(n, &m); n++) {
		struct message *msg = at(m);

		if (m < TASKS_MAX)
			waive(m);
		/* No other leaf has it any more: this one goes on with what it has. */
		for (unsigned i = 0; queue == QUEUES && i < LEAVES_MAX; i++)
			msg->copy[i].kept = true;
		/* Its leaf does not know yet that it was there. */
		if ((queue == QUEUES || msg->queue == queue) && msg->origin != HUB && !msg->left &&
			(msg->arrived || msg->arriving))
			msg->excuses++;
	}
}

unsigned books_made(void)
{
	return books.tasks;
}

unsigned books_unfinished(void)
{
	return books.unfinished;
}

uint64_t books_an_unfinished(void)
{
	for (unsigned n = 0; n < books.tasks; n++)
		if (!at(n)->finished && !at(n)->waived)
			return n;
	return NO_MESSAGE;
}

void books_tell(uint64_t m)
{
	const struct message *msg = at(m);

	sim_say("message %u of host %u: queue %s, order %u, hub's %u%s%s%s%s, used %u, excuses %u",
		(unsigned)m, msg->origin, queue_name(msg->queue), msg->order, msg->hub_order,
		msg->arriving ? ", arriving" : "", msg->arrived ? ", arrived" : "",
		msg->left ? ", left" : "", msg->finished ? ", finished" : "", msg->uses,
		msg->excuses);
	for (unsigned i = 0; i < LEAVES_MAX; i++)
		if (msg->copy[i].state)
			sim_say("  at leaf %u: state %d%s", i, (int)msg->copy[i].state,
				msg->copy[i].used ? ", used" : "");
	for (unsigned i = 0; i < books.runs; i++)
		if (books.run[i].task == m)
			sim_say("  run %u at %u: %u results, %u collected%s", i, books.run[i].host,
				books.run[i].puts, books.run[i].collected,
				books.run[i].acked ? ", acked" : "");
}
