/* SPDX-License-Identifier: ISC */
#include "run.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crew.h"
#include "gate.h"
#include "now.h"
#include "payload.h"
#include "pin.h"
#include "sample.h"
#include "say.h"

#define WARM_BYTES   (4 << 20)
#define WARM_MIN     2000
#define WARM_MAX     50000
#define MESSAGES_MIN 1000
#define MESSAGES_MAX 500000000
#define CPUS         2
#define TRIALS       3  /* of each way to wait */
#define LATE         10 /* times the span: a run ends then */

struct member {
	const struct side *side;
	struct peer_queue *queue;
	struct gate *gate;
	unsigned number; /* among the producers, or the consumers */
	int producing;
};

static unsigned ends_of(const struct side *s)
{
	return s->ends.producers + s->ends.consumers;
}

/* How many of n messages are this producer's, and from which value on. */
static void portion(struct work *w, uint64_t n, unsigned number, unsigned producers)
{
	uint64_t from = n * number / producers, to = n * (number + 1) / producers;

	w->first = 1 + from;
	w->messages = to - from;
}

static int phase(const struct member *m, struct work *w, struct gate_end *end)
{
	int code;

	portion(w, m->gate->messages, m->number, m->side->ends.producers);
	w->count = w->sum = 0;
	gate_pass(m->gate);
	end->began_ns = now_ns();
	w->ends_ns = m->side->messages ? 0 : end->began_ns + LATE * m->side->span_ns;
	code = m->producing ? m->side->peer->produce(w) : m->side->peer->consume(w);
	end->ended_ns = now_ns();
	end->count = m->producing ? w->messages : w->count;
	end->sum = w->sum;
	gate_pass(m->gate);
	return code;
}

/* How many messages the producers put, and to *ret the sum of their words. */
static uint64_t sent(const struct side *s, const struct gate *gate, uint64_t *ret)
{
	uint64_t n = 0;

	*ret = 0;
	for (unsigned i = 0; i < s->ends.producers; i++) {
		struct work w;

		portion(&w, gate->messages, i, s->ends.producers);
		n += gate->end[i].count;
		*ret += payload_total(s->size, w.first, gate->end[i].count);
	}
	return n;
}

/* The warm-up has shown how fast it is. One of the consumers reports it for all. */
static void plan(const struct member *m, const struct gate_end *end)
{
	struct gate *gate = m->gate;
	int64_t took = end->ended_ns - end->began_ns;
	double n;
	uint64_t sum;

	atomic_store(&gate->producing, m->side->ends.producers);
	if (m->side->messages) {
		gate->messages = m->side->messages;
		return;
	}
	n = (double)sent(m->side, gate, &sum) * (double)m->side->span_ns /
	    (double)(took > 0 ? took : 1);
	gate->messages = n < MESSAGES_MIN   ? MESSAGES_MIN
			 : n > MESSAGES_MAX ? MESSAGES_MAX
					    : (uint64_t)n;
}

static int member_main(void *arg)
{
	const struct member *m = arg;
	const struct side *s = m->side;
	struct peer_queue queue = *m->queue;
	struct gate_end
		*end = &m->gate->end[m->producing ? m->number : s->ends.producers + m->number];
	struct work w = {
		.queue = &queue,
		.gate = m->gate,
		.spin = s->spin,
		.batch = s->batch,
		.place = s->place,
		.lease = s->lease,
	};
	int code = EXIT_DONE;

	w.buf = aligned_alloc(
		GATE_LINE, (s->size * s->batch + GATE_LINE - 1) / GATE_LINE * GATE_LINE);
	if (!w.buf)
		return say(EXIT_UNAVAILABLE, "no memory");
	memset(w.buf, 1, s->size * s->batch);
	if (s->peer->join)
		code = s->peer->join(&queue, m->producing);
	if (code == EXIT_DONE)
		code = phase(m, &w, end);
	if (code == EXIT_DONE && !m->producing && m->number == 0)
		plan(m, end);
	if (code != EXIT_DONE)
		return code;
	gate_pass(m->gate);
	return phase(m, &w, end);
}

static uint64_t warm_up(const struct side *s)
{
	uint64_t n = WARM_BYTES / s->size;

	n = n < WARM_MIN ? WARM_MIN : n > WARM_MAX ? WARM_MAX : n;
	return s->messages && s->messages < n ? s->messages : n;
}

/* Everything that was sent has come, once? The rate, then. */
static int judge(struct side *s, const struct gate *gate, double *ret)
{
	uint64_t count = 0, sum = 0, expected, n = sent(s, gate, &expected);
	int64_t began = INT64_MAX, ended = 0;

	for (unsigned i = 0; i < ends_of(s); i++) {
		const struct gate_end *end = &gate->end[i];

		if (end->began_ns < began)
			began = end->began_ns;
		if (i < s->ends.producers)
			continue;
		count += end->count;
		sum += end->sum;
		if (end->ended_ns > ended)
			ended = end->ended_ns;
	}
	if (count != n || sum != expected)
		return say(EXIT_BROKEN, "%s, %s: %llu messages sent, %llu came%s", s->row.side,
			s->row.work, (unsigned long long)n, (unsigned long long)count,
			count == n ? ", and not the same" : "");
	s->row.messages += n;
	*ret = (double)count * 1e9 / (double)(ended - began);
	return EXIT_DONE;
}

/* Producers and consumers are spread over both CPUs, and with one of each they are on two. */
static int start(const struct side *s, const int cpus[2], struct member *m, struct crew *crew,
	struct gate *gate, struct peer_queue *queue)
{
	int code = EXIT_DONE;

	for (unsigned i = 0; i < ends_of(s) && code == EXIT_DONE; i++) {
		int producing = i < s->ends.producers;
		unsigned number = producing ? i : i - s->ends.producers;
		int cpu = cpus[(producing ? number : number + 1) % CPUS];

		m[i] = (struct member){s, queue, gate, number, producing};
		code = crew_add(crew, producing ? "producer" : "consumer",
			s->free_cpus ? PIN_FREE : cpu, member_main, &m[i]);
	}
	return code;
}

static int run(struct side *s, const int cpus[2], double *ret)
{
	struct peer_queue queue = {.peer = s->peer,
		.size = s->size,
		.capacity = s->capacity,
		.producers = s->ends.producers,
		.consumers = s->ends.consumers,
		.idle = s->idle,
		.place = s->place};
	struct gate *gate = gate_new(ends_of(s));
	struct crew crew = {0};
	struct member members[CREW_MAX];
	int code;

	if (!gate)
		return say(EXIT_UNAVAILABLE, "no memory");
	gate->messages = warm_up(s);
	atomic_store(&gate->producing, s->ends.producers);
	code = s->peer->open(&queue);
	if (code == EXIT_DONE) {
		code = start(s, cpus, members, &crew, gate, &queue);
		if (code == EXIT_DONE)
			code = crew_wait(&crew);
		crew_kill(&crew);
		if (s->peer->close)
			s->peer->close(&queue);
		(void)snprintf(s->row.setup, sizeof(s->row.setup), "%s", queue.setup);
	}
	if (code == EXIT_DONE)
		code = judge(s, gate, ret);
	(void)gate_free(gate);
	return code;
}

/* A side to be run, and where. */
struct order {
	struct side *side;
	const int *cpus;
};

static int run_order(void *arg, double *ret)
{
	const struct order *order = arg;

	return run(order->side, order->cpus, ret);
}

int run_add(struct side *s, const struct options *o)
{
	struct order order = {s, o->cpus};

	return sample_add(&s->row, o, run_order, &order);
}

int run_all(struct side *const *sides, unsigned n, const struct options *o)
{
	for (unsigned run = 0; run < o->runs; run++)
		for (unsigned i = 0; i < n; i++) {
			int code = run_add(sides[i], o);

			if (code != EXIT_DONE)
				return code;
		}
	return EXIT_DONE;
}

void run_spin_text(char *buf, size_t cap, const struct peer *peer, const struct spin *spin)
{
	if (spin->pauses < 0 || !(peer->can & PEER_SPINS))
		(void)snprintf(buf, cap, "its own way");
	else
		(void)snprintf(buf, cap, "%d pause%s%s", spin->pauses, spin->pauses == 1 ? "" : "s",
			spin->yields ? ", yields" : "");
}

void run_describe(struct side *s, const char *bench, const struct options *o)
{
	struct row *r = &s->row;
	char size[24], batch[24] = "";

	if (s->size >= 1024 && s->size % 1024 == 0)
		(void)snprintf(size, sizeof(size), "%zu KiB", s->size / 1024);
	else
		(void)snprintf(size, sizeof(size), "%zu B", s->size);
	r->bench = bench;
	r->unit = "msg/s";
	if (s->batch > 1)
		(void)snprintf(batch, sizeof(batch), " batch %u", s->batch);
	(void)snprintf(r->work, sizeof(r->work), "%s %ux%u%s%s%s", size, s->ends.producers,
		s->ends.consumers, batch, s->place ? " in place" : "",
		s->lease ? " lease+ack" : "");
	(void)snprintf(r->side, sizeof(r->side), "%s", s->peer->name);
	run_spin_text(r->spin, sizeof(r->spin), s->peer, &s->spin);
	if (s->free_cpus)
		(void)snprintf(r->where, sizeof(r->where), "not pinned");
	else
		(void)snprintf(r->where, sizeof(r->where), "CPUs %d, %d", o->cpus[0], o->cpus[1]);
	r->size = s->size;
	r->producers = s->ends.producers;
	r->consumers = s->ends.consumers;
	r->batch = s->batch;
}

int run_choose_spin(struct side *s, const struct options *o)
{
	static const int pauses[] = {SPIN_OWN, 0, 1, 16, 64};
	bool crowded = ends_of(s) > CPUS || o->cpus[0] == o->cpus[1];
	double tried[sizeof(pauses) / sizeof(pauses[0])][TRIALS] = {0};
	double median[sizeof(pauses) / sizeof(pauses[0])] = {0};
	struct side trial = *s;
	char how[64];
	unsigned first = s->peer->can & PEER_OWN ? 0 : 1, chosen = first;

	if (!(s->peer->can & PEER_SPINS)) {
		s->spin = (struct spin){SPIN_OWN, 0};
		return EXIT_DONE;
	}
	if (o->spin != SPIN_BEST) {
		bool own = o->spin == SPIN_OWN;

		s->spin.pauses = own && first != 0 ? 0 : (int)o->spin;
		s->spin.yields = s->spin.pauses >= 0 && crowded;
		return EXIT_DONE;
	}
	trial.span_ns = s->span_ns / 2;
	for (unsigned round = 0; round < TRIALS; round++)
		for (unsigned i = first; i < sizeof(pauses) / sizeof(pauses[0]); i++) {
			struct order order = {&trial, o->cpus};
			struct sample sample;
			int code;

			trial.spin = (struct spin){pauses[i], pauses[i] >= 0 && crowded};
			run_spin_text(how, sizeof(how), s->peer, &trial.spin);
			out_progress("how to wait: %s, %s, %s", s->row.work, s->row.side, how);
			/* What is the best when they are far need not be so when they are near. */
			if (o->near_ns > 0)
				code = sample_take(&sample, o, &trial.row, run_order, &order);
			else
				code = run_order(&order, &sample.value);
			if (code != EXIT_DONE)
				return code;
			tried[i][round] = sample.value;
		}
	for (unsigned i = first; i < sizeof(pauses) / sizeof(pauses[0]); i++) {
		median[i] = stats_median(tried[i], TRIALS);
		if (median[i] > median[chosen])
			chosen = i;
	}
	s->spin = (struct spin){pauses[chosen], pauses[chosen] >= 0 && crowded};
	return EXIT_DONE;
}
