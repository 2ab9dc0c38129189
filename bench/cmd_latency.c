/* SPDX-License-Identifier: ISC */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "command.h"
#include "crew.h"
#include "gate.h"
#include "now.h"
#include "out.h"
#include "probe.h"
#include "run.h"
#include "sample.h"
#include "say.h"

/*
 * sqbench latency: a message there on one queue and back on another, one at a time. Spinning: both
 * ends poll without a pause. Sleeping: before each message both have been idle for long enough to
 * sleep, and each way includes a wake-up.
 */

#define SIZE        64
#define REST_NS     300000 /* by then all sleep */
#define SLEEP_SHARE 20     /* one of so many trips is made when they sleep */
#define CAPACITY    1024

struct shared {
	struct gate *gate;
	struct peer_queue there, back;
	struct spin spin;
	int64_t rest_ns;
	unsigned warm, trips;
	uint32_t *ns;
};

struct contest {
	struct row row;
	const struct peer *peer; /* NULL: the probe's own two words */
	struct spin spin;
	bool sleeps;
	double p99, p999, max; /* sums over the runs */
	struct row tail;       /* the p99 of each run */
};

static int end_main(struct shared *s, bool asks)
{
	struct peer_queue there = s->there, back = s->back;
	struct work to = {.queue = &there, .gate = s->gate, .spin = s->spin, .batch = 1};
	struct work from = {.queue = &back, .gate = s->gate, .spin = s->spin, .batch = 1};
	const struct peer *peer = there.peer;
	unsigned all = s->warm + s->trips;
	int code = EXIT_DONE;

	to.buf = aligned_alloc(GATE_LINE, GATE_LINE);
	from.buf = aligned_alloc(GATE_LINE, GATE_LINE);
	if (!to.buf || !from.buf)
		return say(EXIT_UNAVAILABLE, "no memory");
	/* The end that binds must come before the one that connects: see zmq.c. */
	if (peer->join)
		code = peer->join(&there, asks);
	if (code == EXIT_DONE && peer->join)
		code = peer->join(&back, !asks);
	if (code != EXIT_DONE)
		return code;
	gate_pass(s->gate);
	code = asks ? peer->ask(&to, &from, s->ns, all, s->rest_ns) : peer->answer(&to, &from, all);
	/* The last message may still be on its way, in a thread of the sender. */
	if (code == EXIT_DONE)
		gate_pass(s->gate);
	return code;
}

static int asker(void *arg)
{
	return end_main(arg, true);
}

static int answerer(void *arg)
{
	return end_main(arg, false);
}

static int open_both(struct shared *s, const struct peer *peer)
{
	int code;

	s->there = (struct peer_queue){
		.peer = peer, .size = SIZE, .capacity = CAPACITY, .producers = 1, .consumers = 1};
	s->back = s->there;
	s->back.number = 1;
	code = peer->open(&s->there);
	if (code != EXIT_DONE)
		return code;
	code = peer->open(&s->back);
	if (code != EXIT_DONE && peer->close)
		peer->close(&s->there);
	return code;
}

/* ns: room for all trips, shared. What counts begins behind those of the warm-up. */
static int trips_over(
	struct contest *c, const int cpus[2], uint32_t *ns, unsigned warm, unsigned trips)
{
	struct shared s = {.gate = gate_new(2),
		.spin = c->spin,
		.rest_ns = c->sleeps ? REST_NS : 0,
		.warm = warm,
		.trips = trips,
		.ns = ns};
	struct crew crew = {0};
	int code;

	if (!s.gate)
		return say(EXIT_UNAVAILABLE, "no memory");
	code = open_both(&s, c->peer);
	if (code == EXIT_DONE) {
		code = crew_add(&crew, "asking process", cpus[0], asker, &s);
		if (code == EXIT_DONE)
			code = crew_add(&crew, "answering process", cpus[1], answerer, &s);
		if (code == EXIT_DONE)
			code = crew_wait(&crew);
		crew_kill(&crew);
		if (c->peer->close) {
			c->peer->close(&s.there);
			c->peer->close(&s.back);
		}
	}
	(void)gate_free(s.gate);
	return code;
}

/* A contest that is being run: its trips, sorted. */
struct order {
	struct contest *contest;
	const struct options *options;
	uint32_t *ns; /* room for all trips, shared */
	const uint32_t *sorted;
	unsigned trips;
};

static int once(void *arg, double *ret)
{
	struct order *order = arg;
	struct contest *c = order->contest;
	const struct options *o = order->options;
	unsigned trips = (unsigned)o->trips / (c->sleeps ? SLEEP_SHARE : 1), warm = trips / 10;
	int code;

	if (c->peer)
		code = trips_over(c, o->cpus, order->ns, warm, trips);
	else
		code = probe_trips(o->cpus, order->ns + warm, trips);
	if (code != EXIT_DONE)
		return code;
	stats_sort(order->ns + warm, trips);
	order->sorted = order->ns + warm;
	order->trips = trips;
	*ret = stats_percentile(order->sorted, trips, 0.5);
	return EXIT_DONE;
}

/* The last run of the row: what it says of the slowest trips. */
static void add_tail(struct contest *c, const uint32_t *sorted, unsigned trips)
{
	struct sample s = c->row.series.run[c->row.series.n - 1];
	char p99[24], p999[24], most[24];

	s.value = stats_percentile(sorted, trips, 0.99);
	stats_add(&c->tail.series, s);
	c->p99 += s.value;
	c->p999 += stats_percentile(sorted, trips, 0.999);
	if (stats_percentile(sorted, trips, 1) > c->max)
		c->max = stats_percentile(sorted, trips, 1);
	c->row.messages += trips;
	(void)snprintf(c->row.setup, sizeof(c->row.setup), "p50 of %u; p99 %s, p99.9 %s, max %s",
		trips, out_number(p99, sizeof(p99), c->p99 / c->row.series.n, "ns"),
		out_number(p999, sizeof(p999), c->p999 / c->row.series.n, "ns"),
		out_number(most, sizeof(most), c->max, "ns"));
}

static int sample(struct contest *c, const struct options *o, uint32_t *ns)
{
	struct order order = {.contest = c, .options = o, .ns = ns};
	int code = sample_add(&c->row, o, once, &order);

	if (code == EXIT_DONE)
		add_tail(c, order.sorted, order.trips);
	return code;
}

static void enter(struct contest *c, const struct options *o, const struct peer *peer,
	const char *side, bool sleeps)
{
	c->peer = peer;
	c->sleeps = sleeps;
	c->spin = (struct spin){sleeps ? SPIN_OWN : 0, 0};
	c->row = (struct row){.bench = "latency", .unit = "ns", .size = SIZE};
	(void)snprintf(c->row.work, sizeof(c->row.work), "64 B there and back, %s",
		sleeps ? "sleeping" : "spinning");
	(void)snprintf(c->row.side, sizeof(c->row.side), "%s", side);
	(void)snprintf(c->row.spin, sizeof(c->row.spin), "%s",
		sleeps ? "its own way, 300 us of rest before each" : "no pauses");
	(void)snprintf(c->row.where, sizeof(c->row.where), "CPUs %d, %d", o->cpus[0], o->cpus[1]);
	c->tail = c->row;
}

/* The sides, and where the three that bars are about stand among them. */
static unsigned line_up(struct contest *c, const struct options *o, unsigned *ret_pipe)
{
	unsigned n = 0;

	enter(&c[n++], o, NULL, "two atomics", false);
	enter(&c[n++], o, &peer_sq, "sq", false);
	for (unsigned i = 0; peers[i]; i++)
		if (peers[i] != &peer_sq && (peers[i]->can & PEER_SPINS) && !o->bars)
			enter(&c[n++], o, peers[i], peers[i]->name, false);
	enter(&c[n++], o, &peer_sq, "sq", true);
	*ret_pipe = n;
	enter(&c[n++], o, &peer_pipe, "pipe", true);
	for (unsigned i = 0; peers[i]; i++)
		if (peers[i] != &peer_sq && peers[i] != &peer_pipe && !o->bars &&
			(!(peers[i]->can & PEER_SPINS) || (peers[i]->can & PEER_OWN)))
			enter(&c[n++], o, peers[i], peers[i]->name, true);
	return n;
}

int cmd_latency(const struct options *o)
{
	static const struct bar spinning = {
		"64 B there and back, spinning / two atomics", 2.2, 1.6, true};
	static const struct bar tail = {
		"64 B there and back, spinning / two atomics: p99", 10, 3, true};
	static const struct bar sleeping = {
		"64 B there and back, sleeping / pipe", 0.95, 0.8, true};
	static struct contest contests[32];
	size_t size = (o->trips + o->trips / 10) * sizeof(uint32_t);
	uint32_t *ns = crew_memory(size);
	unsigned pipe = 0, n;
	int code = EXIT_DONE;

	if (!ns)
		return say(EXIT_UNAVAILABLE, "no memory");
	memset(contests, 0, sizeof(contests));
	n = line_up(contests, o, &pipe);
	for (unsigned run = 0; run < o->runs; run++)
		for (unsigned i = 0; i < n && code == EXIT_DONE; i++)
			code = sample(&contests[i], o, ns);
	for (unsigned i = 0; i < n && code == EXIT_DONE; i++)
		out_row(&contests[i].row);
	for (unsigned i = 0; i < n && code == EXIT_DONE && !o->bars; i++)
		if (contests[i].peer != &peer_sq)
			out_ratio(
				&contests[contests[i].sleeps ? pipe - 1 : 1].row, &contests[i].row);
	if (code == EXIT_DONE && o->bars) {
		out_bar(&spinning, &contests[1].row, &contests[0].row);
		out_bar(&tail, &contests[1].tail, &contests[0].tail);
		out_bar(&sleeping, &contests[pipe - 1].row, &contests[pipe].row);
	}
	(void)munmap(ns, size);
	return code;
}
