/* SPDX-License-Identifier: ISC */
#include "trace.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "arrows.h"
#include "explore.h"
#include "sets.h"
#include "world.h"

/* Where the accesses of a step went, in words: the field of the layout, its value before and after. */

static const void *at;
static const char *how;
static uint64_t before;

static const struct {
	size_t offset;
	const char *name;
} head_field[] = {
	{offsetof(struct sqi_head, closed), "closed"},
	{offsetof(struct sqi_head, back_seq), "back_seq"},
	{offsetof(struct sqi_head, redeliveries), "returns"},
	{offsetof(struct sqi_head, tail), "tail hint"},
	{offsetof(struct sqi_head, front), "head hint"},
	{offsetof(struct sqi_head, message_event.word), "message_event"},
	{offsetof(struct sqi_head, message_event.waking), "message_waking"},
	{offsetof(struct sqi_head, message_watch), "message_watch"},
	{offsetof(struct sqi_head, room_watch), "room_watch"},
	{offsetof(struct sqi_head, block_watch), "block_watch"},
	{offsetof(struct sqi_head, room_event.word), "room_event"},
	{offsetof(struct sqi_head, room_event.waking), "room_waking"},
	{offsetof(struct sqi_head, block_event.word), "block_event"},
	{offsetof(struct sqi_head, block_event.waking), "block_waking"},
	{offsetof(struct sqi_head, next_id), "next_id"},
	{offsetof(struct sqi_head, upkeep_ms), "upkeep_ms"},
	{offsetof(struct sqi_head, find_dead_ms), "find_dead_ms"},
	{offsetof(struct sqi_head, recovery_at), "recovery_at"},
	{offsetof(struct sqi_head, recovery_ms), "recovery_ms"},
	{offsetof(struct sqi_head, find_dead_at), "find_dead_at"},
	{offsetof(struct sqi_head, expire_at), "expire_at"},
	{offsetof(struct sqi_head, announce_at), "announce_at"},
	{offsetof(struct sqi_head, announce_ms), "announce_ms"},
	{offsetof(struct sqi_head, wanted), "wanted"},
	{offsetof(struct sqi_head, removal), "removal"},
	{offsetof(struct sqi_head, by_id), "by_id"},
	{offsetof(struct sqi_head, overdue), "overdue"},
	{offsetof(struct sqi_head, reclaimed), "reclaimed"},
	{offsetof(struct sqi_head, revoked), "revoked"},
	{offsetof(struct sqi_head, dead_letters), "dead_letters"},
};
static const char *const slot_field[] = {"id", "puts", "intent_pos[0]", "intent_pos[1]",
	"intent_base", "decision", "count_entry", "count_before", "gots", "acks", "nacks",
	"redelivered", "pid", "puts_before", "ending", "durable", "grace", "died", "run",
	"returned", "intent_span"};
static const char *const entry_field[] = {"key", "holder", "count", "last"};
static const char *const state_name[] = {
	"FREE", "WRITING", "FULL", "TAKEN", "BACK", "VOID", "RELEASING", "SEALED", "REMOVING"};
static const char *const call_name[] = {"", "put", "put of a block", "get", "lease", "ack", "nack",
	"touch", "return", "recover", "sweep", "close", "shutdown", "shutdown at once", "bind",
	"wait till empty", "call", "open", "retire", "held", "find", "lease by id", "mark",
	"passed", "wanted", "last put"};
static const char *const stop_name[] = {"", ": again (full, empty)", ": shut down", ": stale",
	": busy", ": too large", ": not there"};

/* Words of 32 bits. */
static bool is_part(const void *address, const struct sqi_event *event)
{
	return address == &event->word || address == &event->waking;
}

static uint64_t value_at(const void *address)
{
	uint64_t v = 0;
	const struct sqi_head *head = (const void *)world.segment[0].memory;

	if (!address)
		return 0;
	if (is_part(address, &head->message_event) || is_part(address, &head->room_event) ||
		is_part(address, &head->block_event))
		memcpy(&v, address, 4);
	else
		memcpy(&v, address, 8);
	return v;
}

/* The field of a segment that this is. True: it is a cell's word. */
static bool print_place(const struct segment *s)
{
	const struct sqi_geometry *g = &s->g;
	uint64_t o = (uint64_t)((const unsigned char *)at - s->memory), n;

	if (o < g->slots) {
		for (size_t i = 0; i < sizeof(head_field) / sizeof(head_field[0]); i++)
			if (head_field[i].offset == o)
				printf("%s", head_field[i].name);
	} else if (o < g->counts) {
		n = o - g->slots;
		printf("slot[%" PRIu64 "].%s", n / sizeof(struct sqi_slot),
			slot_field[n % sizeof(struct sqi_slot) / 8]);
	} else if (o < g->bitmap) {
		n = o - g->counts;
		printf("counts[%" PRIu64 "].%s", n / sizeof(struct sqi_count_entry),
			entry_field[n % sizeof(struct sqi_count_entry) / 8]);
	} else if (o < g->redeliveries) {
		printf("bitmap");
	} else if (o < g->attempts) {
		printf("returned[%" PRIu64 "]", (o - g->redeliveries) / 8);
	} else if (o < g->deadlines) {
		printf("attempts[%" PRIu64 "]", (o - g->attempts) / 8);
	} else if (o < g->block_words) {
		printf("deadline[%" PRIu64 "]", (o - g->deadlines) / 8);
	} else if (o < g->cells) {
		n = o - g->block_words;
		printf("block[%" PRIu64 "].%s", n / sizeof(struct sqi_block),
			n % sizeof(struct sqi_block) ? "home" : "word");
	} else {
		n = o - g->cells;
		printf("cell[%" PRIu64 "].", n / g->cell_size);
		n %= g->cell_size;
		if (n == 0) {
			printf("word");
			return true;
		}
		if (n == 8)
			printf("meta");
		else
			printf("data[%" PRIu64 "]", n / 8 - 2);
	}
	return false;
}

static void print_value(uint64_t v, bool word)
{
	if (!word) {
		printf("%" PRIx64, v);
		return;
	}
	printf("%s@%" PRIx64, (v & 15) < 9 ? state_name[v & 15] : "?", sqi_word_turn(v));
	if (sqi_word_owner(v))
		printf(" slot %u", sqi_word_owner(v) - 1);
	if (sqi_word_number(v))
		printf(" attempt %u", sqi_word_number(v));
}

void trace_before(unsigned who)
{
	if (!explorer.trace)
		return;
	at = run.person[who].next;
	how = run.person[who].how;
	before = value_at(at);
}

void trace_first(unsigned who)
{
	trace_before(who);
}

void trace_after(unsigned who)
{
	bool word = false;
	uint64_t after;

	if (!explorer.trace || !how)
		return;
	printf("  %u  %-14s", who, strncmp(how, "sqi_", 4) == 0 ? how + 4 : how);
	for (unsigned i = 0; at && i < SEGMENTS; i++) {
		const struct segment *s = &world.segment[i];

		if ((const unsigned char *)at >= s->memory &&
			(const unsigned char *)at < s->memory + s->g.total) {
			if (i > 0)
				printf("dead letters' ");
			word = print_place(s);
			printf(" ");
		}
	}
	if (at) {
		after = value_at(at);
		print_value(before, word);
		if (after != before) {
			printf(" -> ");
			print_value(after, word);
			if (word)
				printf("  (%s)", arrow_told() ? arrow_told() : "?");
		}
	}
	printf("%s\n", run.person[who].state == PERSON_ASLEEP ? "  (asleep)" : "");
	how = NULL;
}

void trace_act(const char *what, int who)
{
	if (!explorer.trace)
		return;
	if (who >= 0)
		printf("  %d  ---- %s\n", who, what);
	else
		printf("     ---- %s\n", what);
}

void trace_call(const struct event *e)
{
	if (!explorer.trace)
		return;
	if (e->who == AUDITOR)
		printf("  auditor: ");
	else
		printf("  %u: ", e->who);
	printf("%s", call_name[e->call]);
	if (e->kind == EVENT_BEGIN) {
		if (e->call == CALL_PUT || e->call == CALL_PUT_BLOCK)
			for (unsigned i = 0; i < e->count; i++)
				printf(" %u", e->value[i]);
		printf(" begins\n");
		return;
	}
	printf(" ends%s", stop_name[e->stop]);
	if (e->call == CALL_GET || e->call == CALL_LEASE || e->call == CALL_HELD)
		for (unsigned i = 0; i < e->count; i++)
			printf(" with %u", e->value[i]);
	if ((e->call == CALL_LEASE || e->call == CALL_LEASE_ID) && e->count)
		printf(", attempt %u", e->attempts);
	if (e->call == CALL_FIND || e->call == CALL_OPEN || e->call >= CALL_PASSED)
		printf(": %u", e->number);
	printf("\n");
}
