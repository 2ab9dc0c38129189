/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "end.h"
#include "sim.h"

/*
 * Bridges as daemons: how they start, with what is in their ledgers; what a stream's ends are; how
 * they drain, and leave.
 */

enum queue queue_of(const char *name)
{
	return name[0] == 'p' ? PQ : name[0] == 'c' ? CQ : DQ;
}

const char *queue_name(enum queue queue)
{
	static const char *const names[QUEUES] = {"pq", "cq", "dq"};

	return names[queue];
}

static void end_setup(struct end_setup *ret, char *local, size_t cap, char *peer, unsigned host,
	unsigned leaf, enum wire_direction direction, enum queue queue)
{
	hosts_name(local, cap, &sim.host[host], queue);
	(void)snprintf(peer, 8, "leaf%u", leaf);
	*ret = (struct end_setup){.prefix = sim.host[host].prefix,
		.name = host == HUB ? "hub" : "leaf",
		.peer = peer,
		.queue = queue_name(queue),
		.local = local,
		.direction = direction,
		.window = sim.window,
		.window_bytes = sim.window_bytes,
		.grace = SQ_FOREVER};
}

static int open_end(struct link_end *ret, unsigned host, unsigned leaf, bool sending,
	enum wire_direction direction, enum queue queue)
{
	char local[80], peer[8];
	struct end_setup setup;

	end_setup(&setup, local, sizeof(local), peer, host, leaf, direction, queue);
	calls_opening(leaf, sending);
	return sending ? end_sender(ret, &setup) : end_receiver(ret, &setup);
}

static unsigned number_of(const struct link *l)
{
	return (unsigned)(link_peer(l)[4] - '0');
}

static int hub_open(void *context, struct link *l, enum wire_direction direction, const char *queue,
	struct link_end *ret, const char **ret_why)
{
	int r;

	(void)context;
	if (ret->sender || ret->receiver)
		return 0;
	r = open_end(ret, HUB, number_of(l), direction == WIRE_PULL, direction, queue_of(queue));
	*ret_why = "";
	if (r < 0)
		sim_fail("hub's end of %s: %d", queue, r);
	return r;
}

static bool leaf_absent(void *context, const char *queue)
{
	const struct bridge *b = context;
	struct link_end none = {0};
	char local[80];

	hosts_name(local, sizeof(local), &sim.host[b->host], queue_of(queue));
	return end_look(&none, local) == END_REMOVED;
}

/* The local queue is made if it is not there. */
static int leaf_opened(void *context, struct link *l, enum wire_direction direction,
	const char *queue, const struct wire_opened *opened, struct link_end *ret,
	const char **ret_why)
{
	unsigned i = number_of(l);
	int r;

	(void)context;
	(void)opened;
	if (ret->sender || ret->receiver)
		return 0;
	hosts_queue(&sim.host[i], queue_of(queue));
	r = open_end(ret, i, i, direction == WIRE_PUSH, direction, queue_of(queue));
	*ret_why = "";
	if (r < 0)
		sim_fail("leaf's end of %s: %d", queue, r);
	return r;
}

static void told_stale(unsigned leaf, enum queue queue)
{
	sim_count(sim.hub_lost ? T_HUB_LOST_OWED : T_STALE);
	if (sim.host[leaf].bridge.late)
		sim_count(T_STOPPED_PAST);
	sim.host[leaf].bridge.late = false;
	books_withdrawn(leaf, queue);
}

static void on_event(
	void *context, struct link *l, const char *event, const char *queue, const char *detail)
{
	const struct bridge *b = context;
	unsigned i = number_of(l);
	bool hub = b->host == HUB;

	sim_say("%s %s: %s %s %s", hub ? "hub" : "leaf", link_peer(l), event, queue ? queue : "",
		detail ? detail : "");
	if (strcmp(event, "silent") == 0)
		sim_count(sim.net[i].there[hub ? 0 : 1] ? T_STALLED
			  : hub                         ? T_HALF_HUB
							: T_HALF_LEAF);
	else if (strcmp(event, "epoch_stale") == 0 && !hub)
		told_stale(i, queue_of(queue));
	else if (strcmp(event, "renumbered") == 0)
		sim_count(T_RENUMBERED);
	else if (strcmp(event, "internal") == 0)
		sim_fail("a frame could not be made: %s", detail);
}

static uint64_t next_epoch(void *context)
{
	(void)context;
	return sim_random() | 1;
}

/* Has the hub a ledger of this leaf's? */
static bool has_ledger(unsigned leaf, enum queue queue)
{
	char path[160];

	(void)snprintf(path, sizeof(path), "/dev/shm/sqb.%s.hub.leaf%u.%s.pull",
		sim.host[HUB].prefix, leaf, queue_name(queue));
	return access(path, F_OK) == 0;
}

/* What it was carrying is found in its ledgers. */
static int adopt(struct bridge *b, unsigned i)
{
	int r = 0;

	for (unsigned q = PQ; r == 0 && q < QUEUES; q++) {
		struct link_end end = {0};

		if (!has_ledger(i, (enum queue)q))
			continue;
		r = open_end(&end, HUB, i, true, WIRE_PULL, (enum queue)q);
		if (r == 0)
			r = link_adopt(
				b->link[i], WIRE_PULL, queue_name((enum queue)q), &end, sim.now_ns);
	}
	return r;
}

static int add_streams(struct bridge *b, unsigned i)
{
	static const enum wire_direction directions[] = {WIRE_PULL, WIRE_PUSH};
	int r = 0;

	for (unsigned d = 0; d < 2; d++)
		for (unsigned q = PQ; r == 0 && q < QUEUES; q++) {
			struct link_end end = {0};

			if (!host_carries(i, (enum queue)q, directions[d]))
				continue;
			r = open_end(&end, i, i, directions[d] == WIRE_PUSH, directions[d],
				(enum queue)q);
			if (r == -ENOENT)
				r = 0; /* it is made when the hub's is known */
			if (r == 0)
				r = link_add(
					b->link[0], directions[d], queue_name((enum queue)q), &end);
		}
	return r;
}

static void start(void *arg)
{
	struct bridge *b = arg;
	bool hub = b->host == HUB;
	static const char *const names[LEAVES_MAX] = {"leaf0", "leaf1", "leaf2", "leaf3", "leaf4"};

	for (unsigned i = 0; i < sim.leaves; i++) {
		struct link_setup setup = {.peer = names[i],
			.hub = hub,
			.heartbeat_ms = HEARTBEAT_MS,
			.redeliver_after_ms = REDELIVER_AFTER_MS,
			.context = b,
			.open = hub_open,
			.opened = leaf_opened,
			.absent = leaf_absent,
			.event = on_event,
			.random = next_epoch};
		int r;

		if (!hub && b->host != i)
			continue;
		memcpy(setup.instance, b->instance, sizeof(setup.instance));
		r = link_new(&b->link[hub ? i : 0], &setup);
		if (r == 0)
			r = hub ? adopt(b, i) : add_streams(b, i);
		if (r < 0)
			sim_fail("the bridge of host %u cannot start: %d", b->host, r);
	}
}

void bridge_start(struct bridge *b)
{
	life_starting(true);
	b->alive = bridge_run(b, start, b);
	life_starting(false);
	if (b->alive)
		sim_say("bridge of host %u has started", b->host);
}

static void drain(void *arg)
{
	struct bridge *b = arg;

	for (unsigned i = 0; i < LEAVES_MAX; i++)
		if (b->link[i])
			link_drain(b->link[i]);
}

void bridge_drain(struct bridge *b)
{
	sim_say("bridge of host %u drains", b->host);
	b->draining = true;
	b->drain_ns = sim.now_ns + (int64_t)sim_below(sim_chance(2) ? 100 : 3000) * MS;
	(void)bridge_run(b, drain, b);
}

static void leave(void *arg)
{
	struct bridge *b = arg;

	for (unsigned i = 0; i < LEAVES_MAX; i++)
		if (b->link[i])
			link_free(b->link[i]);
}

static void say_bye(void *arg)
{
	link_bye(arg, 0, "", 0);
}

/* It says bye to the peers that are connected, and ends as a process does. */
void bridge_leave(struct bridge *b)
{
	for (unsigned i = 0; i < sim.leaves && b->alive; i++) {
		unsigned side = b->host == HUB;

		if ((!side && b->host != i) || !sim.net[i].there[side])
			continue;
		if (bridge_run(b, say_bye, link_of(i, side)))
			net_flush(i, side);
		if (b->alive)
			net_close(i, side);
	}
	if (!b->alive || !bridge_run(b, leave, b))
		return;
	if (b->heap > 0)
		sim_fail("a bridge left, and %zu bytes of its memory were not freed", b->heap);
	sim_say("bridge of host %u has left", b->host);
	life_over(b);
}
