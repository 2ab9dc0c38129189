/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "rng.h"
#include "send.h"
#include "sim.h"

/* A whole run of one seed: random turns and faults, then healing, then the reckoning. */

#define HEAL_MAX  10000  /* turns, before it heals */
#define TURNS_MAX 300000 /* from then on, until all is done; and again, until all is at rest */

struct sim sim;

uint64_t sim_random(void)
{
	return rng_shift(&sim.random) * 0x2545f4914f6cdd1d;
}

uint64_t sim_below(uint64_t n)
{
	return (sim_random() >> 11) % n;
}

bool sim_chance(unsigned one_in)
{
	return sim_below(one_in) == 0;
}

void sim_say(const char *format, ...)
{
	va_list args;

	if (!sim.verbose)
		return;
	printf("%9.3f ", (double)sim.now_ns / 1e6);
	va_start(args, format);
	(void)vprintf(format, args);
	va_end(args);
	(void)putchar('\n');
}

void sim_fail(const char *format, ...)
{
	va_list args;

	if (sim.failure[0])
		return;
	va_start(args, format);
	(void)vsnprintf(sim.failure, sizeof(sim.failure), format, args);
	va_end(args);
	sim_say("FAILED: %s", sim.failure);
}

static void start_if_due(struct bridge *b)
{
	if (!b->alive && !sim.host[b->host].gone && b->restart_ns <= sim.now_ns &&
		b->stopped_ns <= sim.now_ns)
		bridge_start(b);
}

static void turn(void)
{
	unsigned i = (unsigned)sim_below(sim.leaves);

	sim_count(T_TURNS);
	switch (sim_below(8)) {
	case 0:
		sim.now_ns += (int64_t)sim_below(2 * MS * sim.pace);
		break;
	case 1:
		net_deliver(i, 0);
		break;
	case 2:
		net_deliver(i, 1);
		break;
	case 3:
		net_pump(i, 0);
		break;
	case 4:
		net_pump(i, 1);
		break;
	case 5:
		workers_turn(i);
		break;
	case 6:
		workers_turn(HUB);
		break;
	default:
		start_if_due(&sim.host[i].bridge);
		start_if_due(&sim.host[HUB].bridge);
		net_connect(i);
		if (sim.net[i].revoked && !sim.host[i].out && sim_chance(50))
			sim.net[i].revoked = false;
		break;
	}
	if (sim.faults > 0 && sim_chance(60))
		fault();
}

static bool all_done(void)
{
	return books_made() == sim.tasks && books_unfinished() == 0;
}

/* All is done but what the leaf that hangs was given. */
static bool others_done(void)
{
	const struct link *l = sim.host[HUB].bridge.link[sim.hung];
	unsigned given = 0;

	for (unsigned k = 0; l && k < link_streams(l); k++) {
		enum wire_direction direction;
		struct link_end end;
		const char *queue;

		link_stream(l, k, &direction, &queue, &end);
		if (end.sender && queue_of(queue) == PQ)
			given = sender_in_flight(end.sender);
	}
	return books_made() == sim.tasks && books_unfinished() <= given;
}

/* Turns, until it is so. That it comes to that, and in how many turns, is a promise from now on. */
static void until(bool (*so)(void), const char *what)
{
	int64_t since = sim.now_ns;

	for (unsigned long n = 0; !sim.failure[0]; n++) {
		if (n % 16 == 0 && so()) {
			if (n > sim.worst_turns)
				sim.worst_turns = n;
			if (sim.now_ns - since > sim.worst_ns)
				sim.worst_ns = sim.now_ns - since;
			return;
		}
		if (n == TURNS_MAX)
			sim_fail("%s: not after %lu turns and %lld ms; %u of %u made, %u not done, "
				 "task %lld",
				what, n, (long long)((sim.now_ns - since) / MS), books_made(),
				sim.tasks, books_unfinished(), (long long)books_an_unfinished());
		turn();
		if (n % 64 == 0)
			check_bounds();
	}
}

static void choose(void)
{
	static const unsigned paces[] = {4, 8, 16};

	sim.leaves = 1 + (unsigned)sim_below(LEAVES_MAX);
	sim.tasks = 20 + (unsigned)sim_below(sim_chance(3) ? TASKS_MAX - 20 : 100);
	sim.window = 1u << (2 + sim_below(7));
	sim.window_bytes = 1u << (10 + sim_below(8));
	sim.pace = paces[sim_below(3)];
	sim.slow = sim_chance(4) ? 30 : 1;
	sim.queues = sim_chance(3) ? 3 : 2;
	sim.max_message = sim_chance(8) ? LARGE_MAX : SMALLER_MAX;
	faults_choose();
	if (sim.faults == 0)
		sim_count(T_CALM);
}

static void note_digest(void)
{
	uint64_t h = sim.random;

	for (unsigned i = 0; i < TALLIES; i++)
		h = (h ^ sim.count[i]) * 0x100000001b3;
	sim.digest = h ^ (uint64_t)sim.now_ns;
}

static void tell_all(void)
{
	uint64_t m = books_an_unfinished();

	if (m != NO_MESSAGE)
		books_tell(m);
	tell_links();
}

void run(uint64_t seed, bool verbose)
{
	unsigned long heal_at;

	memset(&sim.random, 0, sizeof(sim) - offsetof(struct sim, random));
	sim.seed = seed;
	sim.random = seed * 0x9e3779b97f4a7c15 + 0x1234567;
	sim.verbose = verbose;
	sim.now_ns = 1000 * MS;
	for (int i = 0; i < 8; i++)
		(void)sim_random();
	choose();
	books_open();
	hosts_make();
	heal_at = sim_below(HEAL_MAX);
	for (unsigned long n = 0; n < heal_at && !sim.failure[0]; n++) {
		turn();
		if (n % 64 == 0)
			check_bounds();
	}
	heal();
	if (sim.hung > 0) {
		until(others_done, "others go on beside a leaf that hangs");
		unhang();
	}
	until(all_done, "every task is done");
	until(at_rest, "it comes to rest");
	if (sim.failure[0])
		tell_all();
	note_digest();
	hosts_unmake();
}
