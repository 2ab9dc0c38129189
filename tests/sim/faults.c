/* SPDX-License-Identifier: ISC */
#include "sim.h"

/*
 * What goes wrong. Each seed has some of the kinds, so that each kind is met with and without each
 * of the others; and a number of faults; and then it heals.
 */

static struct bridge *some_bridge(unsigned i)
{
	return &sim.host[sim_chance(3) ? HUB : i].bridge;
}

static int64_t in_ms(uint64_t least, uint64_t more)
{
	return sim.now_ns + (int64_t)(least + sim_below(more)) * MS;
}

static void cut(unsigned i)
{
	net_cut(i);
}

static void kill_between(unsigned i)
{
	struct bridge *b = some_bridge(i);

	if (!b->alive)
		return;
	sim_count(b->host == HUB ? T_KILLED_HUB : T_KILLED_LEAF);
	if (sim_chance(2))
		net_cut(i);
	if (b->alive)
		bridge_kill(b);
}

/* At some access of what it does next; or of its next start, whoever is killed before it; or of a kind. */
static void kill_at(unsigned i)
{
	struct bridge *b = some_bridge(i);

	switch (sim_below(5)) {
	case 0:
		if (b->alive)
			bridge_kill(b);
		b->arm = (struct arm){.left = 1 + sim_below(sim_chance(2) ? 100 : 2000)};
		break;
	case 1:
		b->arm = (struct arm){.left = 1 + sim_below(2 * b->steps + 1)};
		break;
	case 2:
		/* In what it does because the connection has ended. */
		b->arm = (struct arm){.left = 1 + sim_below(8)};
		sim.net[i].cut = true;
		net_close(i, b->host == HUB);
		break;
	default:
		b->arm = (struct arm){.op = (enum op)(1 + sim_below(OPS - 1)),
			.left = 1 + sim_below(sim_chance(2) ? 4 : 16)};
		break;
	}
}

static void stop(unsigned i)
{
	some_bridge(i)->stopped_ns = in_ms(0, 300);
	sim_count(T_STOPPED);
}

static void stop_long(unsigned i)
{
	some_bridge(i)->stopped_ns = in_ms(REDELIVER_AFTER_MS, 2 * REDELIVER_AFTER_MS);
	sim_count(T_STOPPED);
}

static void partition(unsigned i)
{
	net_cut(i);
	sim.net[i].retry_ns = in_ms(0, 500);
	sim_count(T_PARTITIONED);
}

static void partition_long(unsigned i)
{
	net_cut(i);
	sim.net[i].retry_ns = in_ms(REDELIVER_AFTER_MS, REDELIVER_AFTER_MS);
	sim_count(T_PARTITIONED_LONG);
}

static void stall(unsigned i)
{
	sim.net[i].stall_ns[sim_below(2)] = in_ms(0, sim_chance(2) ? 300 : 2000);
}

static struct worker *some_worker(unsigned i)
{
	struct host *host = &sim.host[i];

	return host->workers > 0 ? &host->worker[sim_below(host->workers)] : NULL;
}

static void worker(unsigned i)
{
	struct worker *w = some_worker(i);

	if (w && w->q[PQ])
		worker_die(i, w);
}

static void worker_at(unsigned i)
{
	struct worker *w = some_worker(i);

	if (w)
		w->arm = (struct arm){.left = 1 + sim_below(40)};
}

static void wipe(unsigned i)
{
	host_wipe(i);
}

/* The first one stays, that there be somebody. */
static void vanish(unsigned i)
{
	if (i > 0)
		host_vanish(i);
}

static void drain(unsigned i)
{
	struct bridge *b = some_bridge(i);

	if (b->alive && !b->draining && b->stopped_ns <= sim.now_ns)
		bridge_drain(b);
}

static void show_out(void *arg)
{
	link_bye(arg, WIRE_E_DENIED, "the key was revoked", 0);
}

/* The hub reads its keys again, and this one is not among them. */
static void revoke(unsigned i)
{
	struct bridge *hub = &sim.host[HUB].bridge;

	if (!hub->alive || hub->stopped_ns > sim.now_ns || sim.net[i].revoked)
		return;
	sim_say("the key of leaf %u is revoked", i);
	sim.net[i].revoked = true;
	sim.host[i].out = i > 0 && sim_chance(4);
	sim_count(sim.host[i].out ? T_REVOKED_EVER : T_REVOKED);
	if (sim.host[i].out)
		books_out(i);
	if (!sim.net[i].there[1])
		return;
	if (bridge_run(hub, show_out, link_of(i, 1)))
		net_flush(i, 1);
	if (hub->alive)
		net_close(i, 1);
}

static void queue(unsigned i)
{
	enum queue q = (enum queue)sim_below(sim.queues);

	if (host_carries(i, q, WIRE_PULL) || host_carries(i, q, WIRE_PUSH))
		host_remake(i, q);
}

static void lose_hub(unsigned i)
{
	(void)i;
	if (sim_chance(2))
		host_wipe(HUB);
	else
		host_remake(HUB, (enum queue)sim_below(sim.queues));
}

/* All its workers are at tasks that do not end before it heals. */
static void hang(unsigned i)
{
	struct host *host = &sim.host[i];

	if (i == 0 || sim.hung > 0 || host->workers == 0)
		return;
	sim_say("the workers of leaf %u hang", i);
	sim.hung = i;
	host->hung = true;
	host->hung_ns = sim.now_ns;
	sim_count(T_HUNG);
}

static const struct {
	void (*f)(unsigned i);
	unsigned one_in; /* seeds that have it */
} kinds[] = {{cut, 2}, {cut, 2}, {kill_between, 2}, {kill_at, 2}, {kill_at, 2}, {kill_at, 2},
	{stop, 2}, {stop_long, 3}, {partition, 2}, {partition_long, 3}, {stall, 2}, {worker, 2},
	{worker_at, 2}, {wipe, 3}, {vanish, 3}, {drain, 2}, {revoke, 4}, {queue, 6}, {lose_hub, 16},
	{hang, 6}};
#define KINDS (sizeof(kinds) / sizeof(*kinds))

_Static_assert(KINDS <= 32, "a bit each");

void faults_choose(void)
{
	sim.faults = sim_chance(10) ? 0 : 1 + (unsigned)sim_below(30);
	for (unsigned k = 0; k < KINDS; k++)
		if (sim_chance(kinds[k].one_in))
			sim.kinds |= 1u << k;
	if (sim.kinds == 0)
		sim.faults = 0;
}

void fault(void)
{
	unsigned i = (unsigned)sim_below(sim.leaves), k;

	if (sim.host[i].gone)
		return;
	do
		k = (unsigned)sim_below(KINDS);
	while (!(sim.kinds & 1u << k));
	sim.faults--;
	kinds[k].f(i);
}

void heal(void)
{
	sim.faults = 0;
	for (unsigned i = 0; i < HOSTS; i++) {
		struct host *host = &sim.host[i];

		host->bridge.arm.left = 0;
		host->bridge.stopped_ns = host->bridge.restart_ns = 0;
		for (unsigned k = 0; k < WORKERS_MAX; k++)
			host->worker[k].arm.left = 0;
		if (i == HUB)
			continue;
		sim.net[i].retry_ns = 0;
		sim.net[i].stall_ns[0] = sim.net[i].stall_ns[1] = 0;
		sim.net[i].revoked = host->out;
	}
	sim_say("it heals");
}

void unhang(void)
{
	struct host *host = &sim.host[sim.hung];

	host->hung = false;
	for (unsigned k = 0; k < WORKERS_MAX; k++)
		host->worker[k].busy_ns = 0;
	sim.hung = 0;
	sim_say("nobody hangs any more");
}
