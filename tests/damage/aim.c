/* SPDX-License-Identifier: ISC */
#include "aim.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "segment/name.h"
#include "watch.h"

const char *const aim_names[AIM_REGIONS] = {"description", "head", "slots", "counts", "bitmap",
	"returns", "attempts", "deadlines", "blocks", "cells", "references", "data", "bytes"};

/* What a word means, and so which values are of interest. */
enum kind {
	A_COUNT,
	A_STATE, /* of the queue: closed */
	A_HINT,
	AN_EVENT,
	A_MOMENT,
	AN_ID,
	AN_INDEX,
	A_KEY,
	SOME_BITS,
	A_DEADLINE,
	A_BLOCK_WORD,
	A_HOME,
	A_CELL_WORD,
	A_META,
	A_GENERATION,
	A_REFERENCE,
};

struct field {
	const char *name;
	size_t offset;
	enum kind kind;
};

#define HEAD(f, kind)                                                                              \
	{                                                                                          \
#f, offsetof(struct sqi_head, f), kind                                             \
	}
#define SLOT(f, kind)                                                                              \
	{                                                                                          \
#f, offsetof(struct sqi_slot, f), kind                                             \
	}
#define ENTRY(f, kind)                                                                             \
	{                                                                                          \
#f, offsetof(struct sqi_count_entry, f), kind                                      \
	}
#define BLOCK(f, kind)                                                                             \
	{                                                                                          \
#f, offsetof(struct sqi_block, f), kind                                            \
	}
#define CELL(f, kind)                                                                              \
	{                                                                                          \
#f, offsetof(struct sqi_cell, f), kind                                             \
	}

static const struct field head_fields[] = {
	HEAD(closed, A_STATE),
	HEAD(back_seq, A_COUNT),
	HEAD(redeliveries, A_COUNT),
	HEAD(message_watch, AN_ID),
	HEAD(room_watch, AN_ID),
	HEAD(removal, AN_ID),
	HEAD(tail, A_HINT),
	HEAD(tail, A_HINT),
	HEAD(front, A_HINT),
	HEAD(front, A_HINT),
	HEAD(message_event.word, AN_EVENT),
	HEAD(message_event.waking, AN_EVENT),
	HEAD(room_event.word, AN_EVENT),
	HEAD(room_event.waking, AN_EVENT),
	HEAD(block_event.word, AN_EVENT),
	HEAD(next_id, AN_ID),
	HEAD(upkeep_ms, A_MOMENT),
	HEAD(find_dead_ms, A_MOMENT),
	HEAD(recovery_at, A_HINT),
	HEAD(recovery_ms, A_MOMENT),
	HEAD(find_dead_at, A_HINT),
	HEAD(expire_at, A_HINT),
	HEAD(announce_at, A_HINT),
	HEAD(joins, A_COUNT),
	HEAD(created_s, A_COUNT),
	HEAD(announce_ms, A_MOMENT),
	HEAD(wanted, A_COUNT),
	HEAD(damaged, A_COUNT),
};
static const struct field slot_fields[] = {
	SLOT(id, AN_ID),
	SLOT(puts, A_COUNT),
	SLOT(intent_pos[0], A_HINT),
	SLOT(intent_pos[1], A_HINT),
	SLOT(intent_base, A_COUNT),
	SLOT(decision, AN_ID),
	SLOT(count_entry, AN_INDEX),
	SLOT(count_before, A_COUNT),
	SLOT(puts_before, A_COUNT),
	SLOT(gots, A_COUNT),
	SLOT(durable, AN_INDEX),
	SLOT(grace, A_DEADLINE),
	SLOT(died, A_DEADLINE),
	SLOT(run, AN_ID),
	SLOT(ending, A_CELL_WORD),
};
static const struct field entry_fields[] = {
	ENTRY(key, A_KEY), ENTRY(holder, AN_ID), ENTRY(count, A_COUNT), ENTRY(last, A_HINT)};
static const struct field bitmap_fields[] = {{"bits", 0, SOME_BITS}};
static const struct field returns_fields[] = {{"returned", 0, A_COUNT}};
static const struct field tries_fields[] = {{"attempts", 0, A_META}};
static const struct field deadline_fields[] = {{"deadline", 0, A_DEADLINE}};
static const struct field block_fields[] = {BLOCK(word, A_BLOCK_WORD), BLOCK(home, A_HOME)};
static const struct field cell_fields[] = {
	CELL(word, A_CELL_WORD),
	CELL(word, A_CELL_WORD),
	CELL(meta, A_META),
};
static const struct field reference_fields[] = {
	{"data[0]", 0, A_GENERATION},
	{"data[1]", 8, A_REFERENCE},
};

/* A row of equal elements. */
struct rows {
	size_t at, size, count;
	const struct field *fields;
	size_t fields_count;
};

#define FIELDS(f) .fields = (f), .fields_count = sizeof(f) / sizeof((f)[0])

static struct rows rows_of(const struct sqi_geometry *g, enum region region)
{
	switch (region) {
	case AIM_HEAD:
		return (struct rows){0, sizeof(struct sqi_head), 1, FIELDS(head_fields)};
	case AIM_SLOTS:
		return (struct rows){
			g->slots, sizeof(struct sqi_slot), g->in.participants, FIELDS(slot_fields)};
	case AIM_COUNTS:
		return (struct rows){g->counts, sizeof(struct sqi_count_entry), g->in.participants,
			FIELDS(entry_fields)};
	case AIM_BITMAP:
		return (struct rows){g->bitmap, 8, (g->capacity + 31) / 32, FIELDS(bitmap_fields)};
	case AIM_RETURNS:
		return (struct rows){g->redeliveries, 8, g->capacity, FIELDS(returns_fields)};
	case AIM_ATTEMPTS:
		return (struct rows){
			g->attempts, 8, g->in.max_attempts ? g->capacity : 0, FIELDS(tries_fields)};
	case AIM_DEADLINES:
		return (struct rows){
			g->deadlines, 8, g->in.lease_ns ? g->capacity : 0, FIELDS(deadline_fields)};
	case AIM_BLOCKS:
		return (struct rows){
			g->block_words, sizeof(struct sqi_block), g->blocks, FIELDS(block_fields)};
	case AIM_CELLS:
		return (struct rows){g->cells, g->cell_size, g->capacity, FIELDS(cell_fields)};
	case AIM_REFERENCES:
		return (struct rows){g->data, g->data_size, g->capacity, FIELDS(reference_fields)};
	default:
		return (struct rows){0};
	}
}

static sqi_u64 *word_at(const struct victim *v, size_t at)
{
	return (sqi_u64 *)(v->raw + at);
}

/* A word of the same meaning elsewhere in the row: plausible, and wrong. */
static uint64_t neighbour(
	const struct victim *v, const struct rows *rows, const struct field *f, struct chance *c)
{
	return sqi_load_relaxed(
		word_at(v, rows->at + chance_below(c, rows->count) * rows->size + f->offset));
}

/* Off by little, off by a power of two, or at the ends. */
static uint64_t off(uint64_t old, struct chance *c)
{
	uint64_t by = chance_in(c, 2) ? 1 : (uint64_t)1 << chance_below(c, 64);

	switch (chance_below(c, 8)) {
	case 0:
		return 0;
	case 1:
		return ~(uint64_t)0;
	case 2:
		return old + by;
	case 3:
		return old - by;
	case 4:
		return old ^ by;
	case 5:
		return by - chance_below(c, 2);
	case 6:
		return chance_below(c, 256);
	default:
		return chance_u64(c);
	}
}

/* Replace some bits of a word. */
static uint64_t with(uint64_t w, unsigned shift, unsigned bits, uint64_t value)
{
	uint64_t mask = (bits < 64 ? ((uint64_t)1 << bits) - 1 : ~(uint64_t)0) << shift;

	return (w & ~mask) | (value << shift & mask);
}

/* An owner: a participant that is there, none, or a number that none can have. */
static uint64_t some_owner(const struct sqi_geometry *g, struct chance *c)
{
	switch (chance_below(c, 6)) {
	case 0:
		return 0;
	case 1:
		return g->in.participants + chance_below(c, 2);
	case 2:
		return 0xfff;
	default:
		return 1 + chance_below(c, g->in.participants);
	}
}

static uint64_t cell_word(const struct sqi_geometry *g, uint64_t w, struct chance *c)
{
	switch (chance_below(c, 6)) {
	case 0:
	case 1:
		return with(w, 0, 4, chance_below(c, 16));
	case 2:
		return with(w, SQI_OWNER_SHIFT, 12, some_owner(g, c));
	case 3:
		return with(w, SQI_NUMBER_SHIFT, 8, off(sqi_word_number(w), c));
	case 4:
		return w + (chance_below(c, 9) - 4) * SQI_TURN_ONE;
	default:
		return with(w, SQI_TURN_SHIFT, 40, off(sqi_word_turn(w), c));
	}
}

static uint64_t some_length(const struct sqi_geometry *g, struct chance *c)
{
	const uint64_t lengths[] = {0, 1, g->in.small, g->in.small + 1, g->in.max_message,
		g->in.max_message + 1, 0xffff, UINT32_MAX};
	const struct sqi_class *k = &g->class[g->classes ? chance_below(c, g->classes) : 0];

	return chance_in(c, 3) ? k->size + chance_below(c, 2) : lengths[chance_below(c, 8)];
}

static uint64_t meta(const struct sqi_geometry *g, uint64_t w, struct chance *c)
{
	switch (chance_below(c, 4)) {
	case 0:
		return w ^ SQI_META_BLOCK;
	case 1:
		return w + (chance_below(c, 5) - 2) * SQI_TURN_ONE;
	case 2:
		return with(w, 0, 17, some_length(g, c));
	default:
		return with(w, 0, 16, some_length(g, c));
	}
}

static uint64_t reference(const struct sqi_geometry *g, uint64_t w, struct chance *c)
{
	const uint64_t indexes[] = {0, g->blocks - 1, g->blocks, g->blocks + 1, UINT32_MAX,
		chance_below(c, g->blocks + 1)};

	if (chance_in(c, 2))
		w = with(w, 32, 32, indexes[chance_below(c, 6)]);
	return chance_in(c, 2) ? with(w, 0, 32, some_length(g, c)) : w;
}

static uint64_t block_word(const struct sqi_geometry *g, uint64_t w, struct chance *c)
{
	switch (chance_below(c, 4)) {
	case 0:
		return w ^ 1;
	case 1:
		return with(w, 4, 12, some_owner(g, c));
	case 2:
		return w + (chance_below(c, 5) - 2) * ((uint64_t)1 << 16);
	default:
		return with(w, 16, 48, off(w >> 16, c));
	}
}

/* The ends of ids are at 2^60. Those of others are their slots'. */
static uint64_t id(const struct victim *v, uint64_t old, struct chance *c)
{
	const struct rows slots = rows_of(&v->g, AIM_SLOTS);
	const uint64_t limits[] = {
		(uint64_t)1 << 60, ((uint64_t)1 << 60) - 1, (uint64_t)1 << 62, 1};
	uint64_t other = neighbour(v, &slots, &slot_fields[0], c);

	switch (chance_below(c, 5)) {
	case 0:
		return other;
	case 1:
		return other << 2 | chance_below(c, 4); /* as a decision has it */
	case 2:
		return limits[chance_below(c, 4)];
	case 3:
		return old + chance_below(c, 9) - 4;
	default:
		return off(old, c);
	}
}

/* Hints lie, forwards and backwards, by laps and by wraps. */
static uint64_t hint(const struct sqi_geometry *g, uint64_t old, struct chance *c)
{
	uint64_t by = 1 + chance_below(c, 2 * g->capacity + 2);

	switch (chance_below(c, 6)) {
	case 0:
		return old + by;
	case 1:
		return old - by;
	case 2:
		return old + (by << (SQI_TURN_BITS + g->in.capacity_log2));
	case 3:
		return old + ((uint64_t)1 << chance_below(c, 64));
	case 4:
		return old - ((uint64_t)1 << chance_below(c, 64));
	default:
		return off(old, c);
	}
}

/* Another value for this field, of the kind that it has. */
static uint64_t value(const struct victim *v, const struct rows *rows, const struct field *f,
	size_t index, uint64_t old, struct chance *c)
{
	const struct sqi_geometry *g = &v->g;

	if (chance_in(c, 5))
		return neighbour(v, rows, f, c);
	if (chance_in(c, 8))
		return off(old, c);
	switch (f->kind) {
	case A_STATE:
		return chance_below(c, 4) - (chance_in(c, 4) ? 1 : 0);
	case A_HINT:
	case A_HOME:
		return hint(g, old, c);
	case AN_ID:
		return id(v, old, c);
	case AN_INDEX:
		return chance_below(c, g->in.participants + 3);
	case A_KEY:
		return chance_below(c, 6);
	case SOME_BITS:
		return chance_in(c, 2) ? ~(uint64_t)0 : old ^ (uint64_t)1 << chance_below(c, 64);
	case A_DEADLINE: /* its moment, or whether it is over */
		return chance_in(c, 2) ? off(old >> 1, c) << 1 | (old & 1) : old ^ 1;
	case A_BLOCK_WORD:
		return block_word(g, old, c);
	case A_CELL_WORD:
		return cell_word(g, old, c);
	case A_META:
		return meta(g, old, c);
	case A_REFERENCE:
		return reference(g, old, c);
	case A_GENERATION:
		return chance_in(c, 2) ? old + chance_below(c, 5) - 2 : off(old, c);
	case A_COUNT:
	case AN_EVENT:
	case A_MOMENT:
		return off(old, c);
	}
	return old;
}

static void change_word(const struct victim *v, enum region region, const struct rows *rows,
	size_t index, struct chance *c)
{
	const struct field *f = &rows->fields[chance_below(c, rows->fields_count)];
	unsigned char *at = v->raw + rows->at + index * rows->size + f->offset;
	uint64_t old, new;

	if (f->kind == AN_EVENT) {
		old = sqi_load_seq32((const sqi_u32 *)at);
		new = off(old, c);
		(void)sqi_cas32((sqi_u32 *)at, (uint32_t)old, (uint32_t) new);
	} else {
		old = sqi_load_relaxed((const sqi_u64 *)at);
		new = value(v, rows, f, index, old, c);
		sqi_store_relaxed((sqi_u64 *)at, new);
	}
	watch_note("  %s[%zu].%s: %016llx -> %016llx", aim_names[region], index, f->name,
		(unsigned long long)old, (unsigned long long)new);
}

static void write_bytes(const struct victim *v, size_t at, size_t len, struct chance *c)
{
	volatile unsigned char *p = v->raw;
	unsigned how = (unsigned)chance_below(c, 6), fill = (unsigned)chance_below(c, 256);
	size_t from = chance_below(c, v->g.total - len + 1);

	for (size_t i = 0; i < len; i++)
		switch (how) {
		case 0:
			p[at + i] = 0;
			break;
		case 1:
			p[at + i] = 0xff;
			break;
		case 2:
			p[at + i] = (unsigned char)fill;
			break;
		case 3: /* bytes from elsewhere in the segment */
			p[at + i] = p[from + i];
			break;
		default:
			p[at + i] = (unsigned char)chance_bytes(c, 1);
			break;
		}
	watch_note("  bytes %zu to %zu", at, at + len);
}

/* A bit, a byte or some more, anywhere but in the message bytes, where it would be of no effect. */
static void change_bytes(const struct victim *v, struct chance *c)
{
	size_t end = v->g.classes ? v->g.class[0].data : v->g.total, at, len;
	size_t first = chance_in(c, 6) ? 0 : offsetof(struct sqi_head, closed);
	volatile unsigned char *p = v->raw;

	/* What lies between the head and the slots is nothing. */
	do
		at = first + chance_below(c, end - first);
	while (at >= sizeof(struct sqi_head) && at < v->g.slots && !chance_dry(c));
	switch (chance_below(c, 4)) {
	case 0:
		p[at] ^= (unsigned char)(1 << chance_below(c, 8));
		watch_note("  a bit of byte %zu", at);
		break;
	case 1:
		p[at] = (unsigned char)chance_bytes(c, 1);
		watch_note("  byte %zu", at);
		break;
	default:
		len = 1 + chance_below(c, chance_in(c, 8) ? 2048 : 64);
		write_bytes(v, at, len < end - at ? len : end - at, c);
		break;
	}
}

static void change_description(const struct victim *v, struct chance *c)
{
	size_t at = chance_below(c, offsetof(struct sqi_head, in) + sizeof(struct sqi_inputs));

	v->raw[at] = (unsigned char)(chance_in(c, 2) ? v->raw[at] ^ 1u << chance_below(c, 8)
						     : chance_bytes(c, 1));
	watch_note("  description, byte %zu", at);
}

enum region aim(const struct victim *v, struct chance *c)
{
	/* By how much there is to go wrong. */
	static const enum region regions[] = {AIM_DESCRIPTION, AIM_HEAD, AIM_HEAD, AIM_SLOTS,
		AIM_SLOTS, AIM_SLOTS, AIM_COUNTS, AIM_BITMAP, AIM_RETURNS, AIM_ATTEMPTS,
		AIM_DEADLINES, AIM_DEADLINES, AIM_BLOCKS, AIM_BLOCKS, AIM_BLOCKS, AIM_CELLS,
		AIM_CELLS, AIM_CELLS, AIM_CELLS, AIM_CELLS, AIM_REFERENCES, AIM_REFERENCES,
		AIM_REFERENCES, AIM_DATA, AIM_BYTES, AIM_BYTES, AIM_BYTES};
	enum region region = regions[chance_below(c, sizeof(regions) / sizeof(regions[0]))];
	struct rows rows = rows_of(&v->g, region);

	if (region == AIM_DATA && v->g.classes) {
		size_t len = 1 + chance_below(c, 64), data = v->g.class[0].data;

		write_bytes(v, data + chance_below(c, v->g.total - data - len + 1), len, c);
		return region;
	}
	if (region == AIM_DESCRIPTION) {
		change_description(v, c);
		return region;
	}
	if (rows.count == 0) {
		change_bytes(v, c);
		return AIM_BYTES;
	}
	change_word(v, region, &rows, chance_below(c, rows.count), c);
	return region;
}

enum region aim_cell(const struct victim *v, uint64_t position, struct chance *c)
{
	enum region region = chance_below(c, 5) < 3 ? AIM_CELLS : AIM_REFERENCES;
	struct rows rows = rows_of(&v->g, region);

	change_word(v, region, &rows, position & (v->g.capacity - 1), c);
	return region;
}

void aim_mend(const struct victim *v)
{
	struct sqi_head *head = (struct sqi_head *)v->raw;

	memcpy(v->raw, v->description, sizeof(v->description));
	sqi_store_relaxed(&head->closed, 0);
	watch_note("  mended: the description");
}

bool aim_forge(const struct victim *v, struct chance *c)
{
	struct sq_config config = scene_config(c);
	struct sqi_head *head = (struct sqi_head *)v->raw;
	char path[SQI_PATH_MAX];
	struct sqi_inputs in;
	struct sqi_geometry g;
	struct stat st;

	if (sqi_inputs_init(&in, &config) < 0)
		return false;
	memcpy(in.dead_letter, v->g.in.dead_letter, sizeof(in.dead_letter));
	in.max_attempts = in.dead_letter[0] ? 1 + (in.max_attempts & 1) : 0;
	if (sqi_geometry_init(&g, &in) < 0 || sqi_name_path(path, v->name) < 0 ||
		stat(path, &st) < 0 || g.total < (uint64_t)st.st_size ||
		truncate(path, (off_t)g.total) < 0)
		return false;
	memcpy(head->magic, SQI_MAGIC, sizeof(head->magic));
	head->version = SQI_LAYOUT_VERSION;
	head->head_size = sizeof(*head);
	head->in = in;
	head->total = g.total;
	head->fingerprint = sqi_fingerprint(&g);
	watch_note(
		"  forged: another queue's description, %llu bytes", (unsigned long long)g.total);
	return true;
}
