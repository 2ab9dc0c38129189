/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "carry.h"
#include "command.h"
#include "hosts.h"
#include "iperf.h"
#include "out.h"
#include "pin.h"
#include "run.h"
#include "sample.h"
#include "say.h"
#include "tcp.h"

/*
 * sqbench bridge: two hosts on this machine. The hub's daemon and its producers are on the one CPU,
 * the leaf's and its workers on the other, and so are the two ends of what stands beside it.
 */

#define TASK_SIZE      64
#define BULK_SIZE      16384
#define TASK_CAPACITY  65536
#define BULK_CAPACITY  4096
#define BULK_MEMORY    ((uint64_t)64 << 20)
#define BUSY_SPAN_NS   ((int64_t)3 * 1000000000)
#define DELAY_STANDARD ((int64_t)50 * 1000000)

struct bench {
	const struct options *o;
	struct hosts hosts;
	struct carry_load load;
	struct row ours, theirs;
	uint32_t *ns;
};

static void describe(
	struct bench *b, struct row *row, const char *work, const char *side, const char *unit)
{
	*row = (struct row){.bench = "bridge", .unit = unit, .size = b->load.size};
	(void)snprintf(row->work, sizeof(row->work), "%s", work);
	(void)snprintf(row->side, sizeof(row->side), "%s", side);
	(void)snprintf(row->spin, sizeof(row->spin), "its own way");
	if (b->o->free_cpus)
		(void)snprintf(row->where, sizeof(row->where), "not pinned");
	else
		(void)snprintf(row->where, sizeof(row->where), "CPUs %d, %d", b->o->cpus[0],
			b->o->cpus[1]);
}

static int open_hosts(struct bench *b, size_t size, int64_t delay_ns)
{
	const struct options *o = b->o;
	struct hosts_setup setup = {.window = o->window, .delay_ns = delay_ns};

	/* If we are killed, `sqctl gc` removes them: those of the hub when it has given up the leaf. */
	setup.queue.flags = SQ_EPHEMERAL;
	setup.queue.capacity = size > SQ_SMALL_MAX ? BULK_CAPACITY : TASK_CAPACITY;
	setup.queue.small_message = size > SQ_SMALL_MAX ? 0 : (uint32_t)size;
	setup.queue.block_memory = size > SQ_SMALL_MAX ? BULK_MEMORY : 0;
	setup.hub_cpu = o->free_cpus ? PIN_FREE : o->cpus[0];
	setup.leaf_cpu = o->free_cpus ? PIN_FREE : o->cpus[1];
	b->load = (struct carry_load){.size = size,
		.messages = o->messages,
		.span_ns = o->span_ns,
		.hub_cpu = setup.hub_cpu,
		.leaf_cpu = setup.leaf_cpu};
	return hosts_open(&b->hosts, &setup);
}

/* Messages a second, or bytes: the row's unit says which. */
static int carry(void *arg, double *ret)
{
	struct bench *b = arg;
	struct carry_result result;
	int code = carry_tasks(&b->hosts, &b->load, &result);

	if (code != EXIT_DONE)
		return code;
	*ret = result.per_second * (strcmp(b->ours.unit, "B/s") == 0 ? (double)b->load.size : 1);
	b->ours.messages += result.messages;
	(void)snprintf(b->ours.setup, sizeof(b->ours.setup),
		"window %u; CPU a message: hub %.0f ns, leaf %.0f ns", (unsigned)b->o->window,
		result.hub_ns, result.leaf_ns);
	return code;
}

#ifdef HAVE_ZMQ
static struct side zmq_side(const struct bench *b)
{
	struct side side = {.peer = &peer_zmq_tcp,
		.ends = {1, 1},
		.size = b->load.size,
		.batch = 1,
		.messages = b->o->messages,
		.span_ns = b->o->span_ns,
		.spin = {SPIN_OWN, 0},
		.free_cpus = b->o->free_cpus};

	run_describe(&side, "bridge", b->o);
	(void)snprintf(side.row.side, sizeof(side.row.side), "zmq tcp, clear, no acks");
	return side;
}
#endif

/* Ours and ZeroMQ's, in turns. */
static int tasks(struct bench *b)
{
	static const struct bar bar = {
		"bridge: 64 B tasks settled / ZeroMQ tcp, no acks", 0.5, 1, false};
	int code = open_hosts(b, TASK_SIZE, 0);

	describe(b, &b->ours, "64 B tasks, settled", "sqbridge", "msg/s");
#ifdef HAVE_ZMQ
	struct side zmq = zmq_side(b);
	(void)snprintf(zmq.row.work, sizeof(zmq.row.work), "64 B PUSH/PULL");

	for (unsigned i = 0; i < b->o->runs && code == EXIT_DONE; i++) {
		code = sample_add(&b->ours, b->o, carry, b);
		if (code == EXIT_DONE)
			code = run_add(&zmq, b->o);
	}
	if (code != EXIT_DONE)
		return code;
	out_row(&b->ours);
	out_row(&zmq.row);
	if (b->o->bars)
		out_bar(&bar, &b->ours, &zmq.row);
#else
	for (unsigned i = 0; i < b->o->runs && code == EXIT_DONE; i++)
		code = sample_add(&b->ours, b->o, carry, b);
	if (code != EXIT_DONE)
		return code;
	out_row(&b->ours);
	if (b->o->bars)
		out_bar_unknown(&bar, "ZeroMQ (libzmq3-dev) was not there when sqbench was built");
#endif
	return code;
}

static int iperf(void *arg, double *ret)
{
	static const int anywhere[2] = {PIN_FREE, PIN_FREE};
	const struct bench *b = arg;

	return iperf_run(b->o->free_cpus ? anywhere : b->o->cpus, b->load.size, ret);
}

static int bulk(struct bench *b)
{
	static const struct bar bar = {"bridge: 16 KiB messages / iperf3", 0.35, 0.6, false};
	bool there = iperf_there();
	int code = open_hosts(b, BULK_SIZE, 0);

	describe(b, &b->ours, "16 KiB messages, settled", "sqbridge", "B/s");
	describe(b, &b->theirs, "16 KiB pieces", "iperf3", "B/s");
	for (unsigned i = 0; i < b->o->runs && code == EXIT_DONE; i++) {
		code = sample_add(&b->ours, b->o, carry, b);
		if (code == EXIT_DONE && there)
			code = sample_add(&b->theirs, b->o, iperf, b);
	}
	if (code != EXIT_DONE)
		return code;
	out_row(&b->ours);
	out_row(&b->theirs);
	if (b->o->bars && there)
		out_bar(&bar, &b->ours, &b->theirs);
	else if (b->o->bars)
		out_bar_unknown(&bar, "iperf3 is not installed");
	return code;
}

/* The median of a run is its value; p99 goes into the words beside it. */
static double middle(struct bench *b, struct row *row)
{
	unsigned n = (unsigned)b->o->idle;
	char p99[24], most[24];

	stats_sort(b->ns, n);
	(void)snprintf(row->setup, sizeof(row->setup), "p50 of %u; last run: p99 %s, max %s", n,
		out_number(p99, sizeof(p99), stats_percentile(b->ns, n, 0.99), "ns"),
		out_number(most, sizeof(most), stats_percentile(b->ns, n, 1), "ns"));
	row->messages += n;
	return stats_percentile(b->ns, n, 0.5);
}

static int trips_bridge(void *arg, double *ret)
{
	struct bench *b = arg;
	int code = carry_trips(&b->hosts, &b->load, b->ns, (unsigned)b->o->idle);

	*ret = middle(b, &b->ours);
	return code;
}

static int trips_tcp(void *arg, double *ret)
{
	static const int anywhere[2] = {PIN_FREE, PIN_FREE};
	struct bench *b = arg;
	int code = tcp_trips(
		b->o->free_cpus ? anywhere : b->o->cpus, b->load.size, b->ns, (unsigned)b->o->idle);

	*ret = middle(b, &b->theirs);
	return code;
}

static int idle(struct bench *b)
{
	static const struct bar bar = {"bridge: one task there and back / bare TCP", 3, 0, true};
	int code = open_hosts(b, TASK_SIZE, 0);

	describe(b, &b->ours, "64 B task there and back", "sqbridge", "ns");
	describe(b, &b->theirs, "64 B there and back", "bare tcp", "ns");
	for (unsigned i = 0; i < b->o->runs && code == EXIT_DONE; i++) {
		code = sample_add(&b->ours, b->o, trips_bridge, b);
		if (code == EXIT_DONE)
			code = sample_add(&b->theirs, b->o, trips_tcp, b);
	}
	if (code != EXIT_DONE)
		return code;
	out_row(&b->ours);
	out_row(&b->theirs);
	if (b->o->bars)
		out_bar(&bar, &b->ours, &b->theirs);
	return code;
}

/* The share of their time for which the workers are at work. */
static int busy(void *arg, double *ret)
{
	struct bench *b = arg;
	uint64_t n = 0;
	int code = carry_busy(&b->hosts, &b->load, (unsigned)b->o->workers, b->o->task_ns, ret, &n);

	b->ours.messages += n;
	return code;
}

/* A run here takes seconds: fewer of them. */
static int delay(struct bench *b)
{
	static const struct bar bar = {
		"bridge: workers busy, the hub far away, of 1", 0.95, 0, false};
	int64_t delay_ns = b->o->delay_ns ? b->o->delay_ns : DELAY_STANDARD;
	int code = open_hosts(b, TASK_SIZE, delay_ns);
	unsigned runs = b->o->runs < 3 ? (unsigned)b->o->runs : 3,
		 workers = (unsigned)b->o->workers;
	char work[64], said[64];
	double median;

	b->load.span_ns = BUSY_SPAN_NS > 20 * delay_ns ? BUSY_SPAN_NS : 20 * delay_ns;
	(void)snprintf(work, sizeof(work), "%u workers busy, %g ms there and back", workers,
		(double)delay_ns / 1e6);
	describe(b, &b->ours, work, "sqbridge", "of 1");
	(void)snprintf(b->ours.setup, sizeof(b->ours.setup), "window %u; a task takes %g ms",
		(unsigned)b->o->window, (double)b->o->task_ns / 1e6);
	for (unsigned i = 0; i < runs && code == EXIT_DONE; i++)
		code = sample_add(&b->ours, b->o, busy, b);
	if (code != EXIT_DONE)
		return code;
	out_row(&b->ours);
	median = stats_summary(&b->ours.series, true).n
			 ? stats_summary(&b->ours.series, true).median
			 : stats_summary(&b->ours.series, false).median;
	(void)snprintf(said, sizeof(said), "%.3f of their time", median);
	if (b->o->bars)
		out_bar_value(&bar, median, said);
	return code;
}

int cmd_bridge(const struct options *o)
{
	static const struct {
		unsigned part;
		int (*run)(struct bench *b);
	} parts[] = {
		{PART_TASKS, tasks}, {PART_BULK, bulk}, {PART_IDLE, idle}, {PART_DELAY, delay}};
	struct bench *b = calloc(1, sizeof(*b));
	int code = EXIT_DONE;

	if (!b || !(b->ns = calloc(o->idle, sizeof(*b->ns)))) {
		free(b);
		return say(EXIT_UNAVAILABLE, "no memory");
	}
	b->o = o;
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]) && code == EXIT_DONE; i++)
		if (o->parts & parts[i].part) {
			code = parts[i].run(b);
			hosts_close(&b->hosts);
		}
	free(b->ns);
	free(b);
	return code;
}
