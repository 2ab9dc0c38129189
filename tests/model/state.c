/* SPDX-License-Identifier: ISC */
#include "state.h"

#include <stdlib.h>
#include <string.h>

#include "explore.h"
#include "switch.h"

/*
 * A kept state is a copy of all regions and of all stacks, one behind the other in one growing
 * piece of memory. Hashes of what only one participant changes are computed anew only when that
 * one has moved.
 */

struct region {
	unsigned char *memory;
	size_t size;
	unsigned owner; /* ACTORS: everybody */
};

static struct region region[REGIONS_MAX];
static unsigned regions;

static unsigned char *kept;
static size_t kept_size, kept_room;
static uint64_t own_hash[ACTORS];
static bool own_known[ACTORS];

void state_forget_regions(void)
{
	regions = 0;
	kept_size = 0;
}

void state_add_region(enum region_kind kind, unsigned owner, void *memory, size_t size)
{
	if (regions == REGIONS_MAX || size % 8 != 0)
		abort();
	region[regions++] = (struct region){
		.memory = memory, .size = size, .owner = kind == REGION_SHARED ? ACTORS : owner};
}

void state_moved(int who)
{
	if (who >= 0)
		own_known[who] = false;
	else
		memset(own_known, 0, sizeof(own_known));
}

/* The idea is W. Yi's wyhash: multiply two words, fold the 128 bits. */
__extension__ typedef unsigned __int128 twice;

static uint64_t fold(uint64_t a, uint64_t b)
{
	twice m = (twice)a * b;

	return (uint64_t)m ^ (uint64_t)(m >> 64);
}

static uint64_t hash_of(const void *memory, size_t size, uint64_t seed)
{
	const unsigned char *at = memory;
	uint64_t a = seed ^ 0xa0761d6478bd642f, b = seed ^ 0xe7037ed1a0b428db, w[4];

	for (; size >= 32; size -= 32, at += 32) {
		memcpy(w, at, 32);
		a = fold(w[0] ^ 0x8ebc6af09c88c6e3, w[1] ^ a);
		b = fold(w[2] ^ 0x589965cc75374cc3, w[3] ^ b);
	}
	memset(w, 0, sizeof(w));
	memcpy(w, at, size);
	a = fold(w[0] ^ 0x8ebc6af09c88c6e3, w[1] ^ a);
	b = fold(w[2] ^ 0x589965cc75374cc3 ^ size, w[3] ^ b);
	return fold(a ^ 0x1d8e4e27c47d124f, b);
}

static uint64_t hash_of_own(unsigned who)
{
	uint64_t h = who + 1;

	for (unsigned i = 0; i < regions; i++)
		if (region[i].owner == who)
			h = hash_of(region[i].memory, region[i].size, h);
	if (who < explorer.count) {
		size_t size;
		const void *stack = switch_stack(who, &size);

		/* The dead and the done have nothing more to do with their stacks. */
		if (run.person[who].state != PERSON_KILLED && run.person[who].state != PERSON_DONE)
			h = hash_of(stack, size, h);
	}
	return h;
}

/*
 * Who ran last decides nothing unless preemptions are counted; what a step is to, for people to
 * see, follows from the stack.
 */
static uint64_t hash_of_run(uint64_t h)
{
	struct run r = run;

	if (explorer.bounds.preemptions == ALL)
		r.last = 0;
	for (unsigned i = 0; i < CO_MAX; i++) {
		r.person[i].next = NULL;
		r.person[i].how = NULL;
	}
	return hash_of(&r, sizeof(r), h);
}

uint64_t state_hash(void)
{
	uint64_t h = 0;

	for (unsigned i = 0; i < regions; i++)
		if (region[i].owner == ACTORS)
			h = hash_of(region[i].memory, region[i].size, h);
	for (unsigned i = 0; i < ACTORS; i++) {
		if (i != AUDITOR && i >= explorer.count)
			continue;
		if (!own_known[i]) {
			own_hash[i] = hash_of_own(i);
			own_known[i] = true;
		}
		h = fold(h ^ own_hash[i], 0x9e3779b97f4a7c15 + i);
	}
	h = hash_of_run(h);
	return h ? h : 1;
}

static unsigned char *room_for(size_t size)
{
	unsigned char *at;

	while (kept_size + size > kept_room) {
		kept_room = kept_room ? kept_room * 2 : 1 << 20;
		kept = realloc(kept, kept_room);
		if (!kept)
			abort();
	}
	at = kept + kept_size;
	kept_size += size;
	return at;
}

/* Each kept state ends with its own size, so that it can be found from the end. */
void state_push(void)
{
	size_t from = kept_size, size;

	for (unsigned i = 0; i < regions; i++)
		memcpy(room_for(region[i].size), region[i].memory, region[i].size);
	for (unsigned i = 0; i < explorer.count; i++) {
		const void *stack = switch_stack(i, &size);

		memcpy(room_for(sizeof(size)), &size, sizeof(size));
		memcpy(room_for(size), stack, size);
	}
	memcpy(room_for(sizeof(run)), &run, sizeof(run));
	memcpy(room_for(sizeof(own_hash)), own_hash, sizeof(own_hash));
	memcpy(room_for(8), own_known, sizeof(own_known));
	size = kept_size - from;
	memcpy(room_for(sizeof(size)), &size, sizeof(size));
}

static size_t size_of_top(void)
{
	size_t size;

	memcpy(&size, kept + kept_size - sizeof(size), sizeof(size));
	return size + sizeof(size);
}

void state_back(void)
{
	const unsigned char *at = kept + kept_size - size_of_top();
	size_t size;

	for (unsigned i = 0; i < regions; i++) {
		memcpy(region[i].memory, at, region[i].size);
		at += region[i].size;
	}
	for (unsigned i = 0; i < explorer.count; i++) {
		memcpy(&size, at, sizeof(size));
		at += sizeof(size);
		memcpy(switch_set_size(i, size), at, size);
		at += size;
	}
	memcpy(&run, at, sizeof(run));
	at += sizeof(run);
	memcpy(own_hash, at, sizeof(own_hash));
	at += sizeof(own_hash);
	memcpy(own_known, at, sizeof(own_known));
}

void state_pop(void)
{
	kept_size -= size_of_top();
}

/* Open addressing; twice as large when three quarters full, while memory lasts. */
static uint64_t *table;
static size_t slots, used, slots_max;

static void place(uint64_t *in, size_t n, uint64_t hash)
{
	size_t i = (size_t)(hash * 0x9e3779b97f4a7c15 >> 20) & (n - 1);

	while (in[i])
		i = (i + 1) & (n - 1);
	in[i] = hash;
}

static bool grow(void)
{
	size_t n = slots ? slots * 2 : 1 << 16;
	uint64_t *t;

	if (n > slots_max)
		return false;
	t = calloc(n, sizeof(*t));
	if (!t)
		return false;
	for (size_t i = 0; i < slots; i++)
		if (table[i])
			place(t, n, table[i]);
	free(table);
	table = t;
	slots = n;
	return true;
}

void visited_reset(size_t memory)
{
	free(table);
	table = NULL;
	slots = used = 0;
	slots_max = memory / sizeof(*table);
}

enum visit visited(uint64_t hash)
{
	size_t i;

	if (used * 4 >= slots * 3 && !grow())
		return VISIT_NO_ROOM;
	i = (size_t)(hash * 0x9e3779b97f4a7c15 >> 20) & (slots - 1);
	for (; table[i]; i = (i + 1) & (slots - 1))
		if (table[i] == hash)
			return VISIT_KNOWN;
	table[i] = hash;
	used++;
	return VISIT_NEW;
}
