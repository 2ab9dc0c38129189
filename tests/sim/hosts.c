/* SPDX-License-Identifier: ISC */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "sim.h"

/* Hosts: what each is for, and its shared memory, which comes, goes, and is taken away by hand. */

void hosts_name(char *ret, size_t cap, const struct host *host, enum queue queue)
{
	(void)snprintf(ret, cap, "%s.%s", host->prefix, queue_name(queue));
}

bool host_carries(unsigned leaf, enum queue queue, enum wire_direction direction)
{
	unsigned role = sim.host[leaf].role;

	if ((unsigned)queue >= sim.queues)
		return false;
	if (queue == PQ)
		return direction == WIRE_PULL ? role & WORKS : role & MAKES;
	return direction == WIRE_PULL ? role & COLLECTS : role & WORKS;
}

void hosts_queue(const struct host *host, enum queue queue)
{
	bool hub = host == &sim.host[HUB];
	uint64_t capacity = (uint64_t)(hub ? 16 : 4) << sim_below(5);
	struct sq_config config = {.capacity = capacity,
		.max_message = sim.max_message,
		.participants = 32,
		.block_memory = 1};
	char name[80];
	int r;

	if (hub && queue != PQ && sim.cycle)
		config.capacity = MESSAGES_MAX;
	hosts_name(name, sizeof(name), host, queue);
	r = sq_create(name, &config);
	if (r < 0 && r != -EEXIST)
		sim_fail("cannot create %s: %d", name, r);
}

struct sq *must_open(const struct host *host, enum queue queue)
{
	char name[80];
	struct sq *q = NULL;
	int r;

	hosts_name(name, sizeof(name), host, queue);
	r = sq_open(&q, name);
	if (r < 0 && (r != -ENOENT || host == &sim.host[HUB]))
		sim_fail("cannot open %s: %d", name, r);
	return q;
}

static void new_instance(struct bridge *b)
{
	for (unsigned i = 0; i < sizeof(b->instance); i++)
		b->instance[i] = (uint8_t)(sim_random() | 1);
}

static bool uses(unsigned leaf, enum queue queue)
{
	return host_carries(leaf, queue, WIRE_PULL) || host_carries(leaf, queue, WIRE_PUSH);
}

/* Queues that a leaf lacks are made by its bridge. */
static void make(unsigned i)
{
	struct host *host = &sim.host[i];

	for (unsigned q = PQ; q < sim.queues; q++)
		if (i == HUB || (uses(i, (enum queue)q) && !sim_chance(4)))
			hosts_queue(host, (enum queue)q);
	new_instance(&host->bridge);
}

void hosts_sweep(const char *prefix)
{
	char path[512], queue[64], ledger[64];
	const struct dirent *e;
	DIR *dir = opendir("/dev/shm");

	(void)snprintf(queue, sizeof(queue), "sq.%s", prefix);
	(void)snprintf(ledger, sizeof(ledger), "sqb.%s", prefix);
	while (dir && (e = readdir(dir))) {
		if (strncmp(e->d_name, queue, strlen(queue)) != 0 &&
			strncmp(e->d_name, ledger, strlen(ledger)) != 0)
			continue;
		(void)snprintf(path, sizeof(path), "/dev/shm/%s", e->d_name);
		(void)unlink(path);
	}
	if (dir)
		(void)closedir(dir);
}

static void close_users(struct host *host)
{
	for (unsigned q = PQ; q < QUEUES; q++) {
		sq_close(host->q[q]);
		host->q[q] = NULL;
	}
}

static void lose_memory(unsigned i)
{
	struct host *host = &sim.host[i];

	/* No process is left that could tell. */
	for (unsigned k = 0; k < sim.leaves; k++)
		if (i == HUB || k == i)
			sim.net[k].cut = true;
	if (host->bridge.alive)
		bridge_kill(&host->bridge);
	workers_close(i, true);
	close_users(host);
	hosts_sweep(host->prefix);
}

void host_wipe(unsigned i)
{
	sim_say("the memory of host %u is gone", i);
	lose_memory(i);
	if (i == HUB) {
		books_hub_lost(QUEUES);
		sim.hub_lost = true;
		sim_count(T_HUB_LOST);
	} else {
		books_wiped(i);
		sim_count(T_WIPED);
	}
	make(i);
}

void host_vanish(unsigned i)
{
	sim_say("host %u vanishes", i);
	lose_memory(i);
	books_wiped(i);
	sim.host[i].gone = true;
	sim_count(T_VANISHED);
}

/* A queue is removed by hand, and may be made anew. */
void host_remake(unsigned i, enum queue queue)
{
	struct host *host = &sim.host[i];
	char name[80];

	sim_say("queue %s of host %u is made anew", queue_name(queue), i);
	hosts_name(name, sizeof(name), host, queue);
	if (sq_unlink(name) < 0)
		return; /* not made yet */
	host->removed[queue]++;
	if (i == HUB) {
		books_hub_lost(queue);
		sim.hub_lost = true;
		sim_count(T_REMADE_HUB);
	} else if (host_carries(i, queue, WIRE_PULL)) {
		books_remade(i, queue, false);
		sim_count(T_REMADE_PULL);
	} else {
		books_remade(i, queue, true);
		sim_count(T_REMADE_PUSH);
	}
	workers_close(i, host_carries(i, queue, WIRE_PULL));
	sq_close(host->q[queue]);
	host->q[queue] = NULL;
	if (i == HUB || sim_chance(2))
		hosts_queue(host, queue);
}

static unsigned role_of(unsigned leaf)
{
	if (leaf == 0 || !sim_chance(4))
		return WORKS;
	return 1 + (unsigned)sim_below(3) == 1 ? MAKES
	       : sim_chance(2)                 ? COLLECTS
					       : MAKES | COLLECTS;
}

/*
 * Where a host makes tasks and collects results, its results are settled when its tasks have come to
 * the hub, and these wait for room there, and that for results: if all queues on the way are full it
 * stands still, for ever (docs/PROTOCOL.md, Cycles). Not here: there is room for all results.
 */
static void choose_roles(void)
{
	for (unsigned i = 0; i < sim.leaves; i++) {
		sim.host[i].role = role_of(i);
		sim.cycle |= sim.host[i].role == (MAKES | COLLECTS);
	}
	sim.host[HUB].role = MAKES | COLLECTS;
	if (sim.cycle)
		sim.max_message = IN_CELL_MAX;
}

void hosts_make(void)
{
	choose_roles();
	for (unsigned i = 0; i < HOSTS; i++) {
		struct host *host = &sim.host[i];

		if (i >= sim.leaves && i != HUB)
			continue;
		(void)snprintf(host->prefix, sizeof(host->prefix), "sim%d-%c", (int)getpid(),
			i == HUB ? 'h' : '0' + (int)i);
		host->bridge.host = i;
		if (host->role & WORKS)
			host->workers = 1 + (unsigned)sim_below(WORKERS_MAX);
		make(i);
	}
}

void hosts_unmake(void)
{
	char prefix[40];

	for (unsigned i = 0; i < HOSTS; i++) {
		if (i >= sim.leaves && i != HUB)
			continue;
		workers_close(i, true);
		close_users(&sim.host[i]);
		life_forget(&sim.host[i].bridge);
		calls_forget(&sim.host[i].bridge);
	}
	(void)snprintf(prefix, sizeof(prefix), "sim%d-", (int)getpid());
	hosts_sweep(prefix);
}
