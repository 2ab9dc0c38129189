/* SPDX-License-Identifier: ISC */
#include "segment/layout.h"

#include <errno.h>
#include <string.h>

#include "segment/name.h"

/*
 * The geometry of a segment: from what was asked for to where each byte lies. Called when a queue
 * is created, opened or looked at. Arithmetic only, on the caller's memory, so any thread may be in
 * it. Inputs read from a segment are checked as those of a caller are, and must give its
 * fingerprint.
 */

/*
 * Memory for blocks. A configuration that gives max_message gets room for several messages of that
 * size. One that does not will have mostly small messages: a queue with all defaults takes less
 * than 3 MiB, and has one block of the largest class.
 */
#define BLOCK_MEMORY_ASKED   ((uint64_t)2 << 20)
#define BLOCK_MEMORY_DEFAULT ((uint64_t)1 << 18)
#define BLOCK_MEMORY_MAX     ((uint64_t)1 << 40)
#define BLOCKS_MIN           8  /* of each class: two each for four producers */
#define BLOCKS_SPARE         64 /* beyond one for each cell: blocks being filled or read */
#define LEASE_NS_MAX         ((uint64_t)1 << 60) /* 36 years */
#define CELL_META            16                  /* bytes of a cell before the message */

static uint64_t round_up(uint64_t v, uint64_t to)
{
	return (v + to - 1) / to * to;
}

static uint32_t log2_up(uint64_t v)
{
	uint32_t n = 0;

	while (((uint64_t)1 << n) < v)
		n++;
	return n;
}

/* Word, meta and message of a cell lie in one cache line, or in half of one. */
static bool lies_together(uint32_t small)
{
	return small <= SQI_LINE - CELL_META;
}

/* What a cell holds, if it is to hold `small` bytes: no more takes any more memory. */
static uint32_t small_size(uint32_t small)
{
	if (lies_together(small))
		return small <= SQI_LINE / 2 - CELL_META ? SQI_LINE / 2 - CELL_META
							 : SQI_LINE - CELL_META;
	return (uint32_t)round_up(small, SQI_LINE);
}

int sqi_inputs_init(struct sqi_inputs *ret, const struct sq_config *config)
{
	static const struct sq_config none;
	const struct sq_config *c = config ? config : &none;
	struct sqi_inputs in = {0};
	uint64_t capacity = c->capacity ? c->capacity : 1024;
	uint32_t small = c->small_message ? c->small_message : 48;
	for (size_t i = 0; i < sizeof(c->reserved) / sizeof(c->reserved[0]); i++)
		if (c->reserved[i])
			return -EINVAL;
	if (capacity > SQ_CAPACITY_MAX || small > SQ_SMALL_MAX || (c->flags & ~SQ_EPHEMERAL) ||
		(c->mode & ~0777u) || c->lease_time < 0 || c->max_attempts > SQ_ATTEMPTS_MAX ||
		c->max_message > SQ_MESSAGE_MAX || c->participants > SQ_PARTICIPANTS_MAX ||
		c->block_memory > BLOCK_MEMORY_MAX)
		return -EINVAL;
	/* A limit of attempts needs a queue for dead letters, and the other way round. */
	if (!c->max_attempts != !(c->dead_letter && *c->dead_letter))
		return -EINVAL;
	if ((uint64_t)c->lease_time > LEASE_NS_MAX)
		return -EINVAL;
	if (c->max_attempts) {
		if (sqi_name_check(c->dead_letter) < 0 || strlen(c->dead_letter) >= SQI_DLQ_MAX)
			return -EINVAL;
		memcpy(in.dead_letter, c->dead_letter, strlen(c->dead_letter));
	}
	in.capacity_log2 = capacity <= 2 ? 1 : log2_up(capacity);
	in.small = small_size(small);
	in.max_message = c->max_message ? c->max_message : (uint64_t)1 << 20;
	in.block_memory = c->max_message ? BLOCK_MEMORY_ASKED : BLOCK_MEMORY_DEFAULT;
	if (c->block_memory)
		in.block_memory = c->block_memory;
	in.blocks_min = c->max_message || c->block_memory ? BLOCKS_MIN : 1;
	in.lease_ns = (uint64_t)c->lease_time;
	in.participants = c->participants ? c->participants : 1024;
	in.max_attempts = c->max_attempts;
	in.flags = c->flags;
	*ret = in;
	return 0;
}

/*
 * The classes of blocks: SQI_CLASS_MIN bytes, four times that, and so on; the last is for
 * max_message. Those that a cell holds as well are left out.
 */
static void classes_init(struct sqi_geometry *g)
{
	const struct sqi_inputs *in = &g->in;

	if (in->max_message <= in->small)
		return;
	for (uint64_t size = SQI_CLASS_MIN;; size *= 4) {
		bool last = size >= in->max_message;
		struct sqi_class *c = &g->class[g->classes];

		if (last)
			size = round_up(in->max_message, SQI_LINE);
		if (size > in->small) {
			c->size = size;
			c->first = g->blocks;
			c->count = in->block_memory / size;
			if (c->count > g->capacity + BLOCKS_SPARE)
				c->count = g->capacity + BLOCKS_SPARE;
			if (c->count < in->blocks_min)
				c->count = in->blocks_min;
			g->blocks += c->count;
			g->classes++;
		}
		if (last)
			return;
	}
}

int sqi_geometry_init(struct sqi_geometry *ret, const struct sqi_inputs *in)
{
	struct sqi_geometry g = {.in = *in};
	uint64_t at = SQI_PAGE;

	if (in->capacity_log2 < 1 || ((uint64_t)1 << (in->capacity_log2 & 63)) > SQ_CAPACITY_MAX ||
		in->capacity_log2 > 63 || in->small < 16 || in->small > SQ_SMALL_MAX ||
		small_size(in->small) != in->small || in->max_message < 1 ||
		in->max_message > SQ_MESSAGE_MAX || in->block_memory < 1 ||
		in->block_memory > BLOCK_MEMORY_MAX || in->lease_ns > LEASE_NS_MAX ||
		in->participants < 1 || in->participants > SQ_PARTICIPANTS_MAX ||
		in->max_attempts > SQ_ATTEMPTS_MAX || (in->flags & ~SQ_EPHEMERAL) ||
		in->blocks_min < 1 || in->blocks_min > BLOCKS_MIN ||
		in->dead_letter[SQI_DLQ_MAX - 1] || !in->dead_letter[0] != !in->max_attempts)
		return -EINVAL;
	if (in->max_attempts && sqi_name_check(in->dead_letter) < 0)
		return -EINVAL;
	g.capacity = (uint64_t)1 << in->capacity_log2;
	classes_init(&g);
	if (g.blocks > UINT32_MAX)
		return -EINVAL;
	g.slots = at;
	at += in->participants * sizeof(struct sqi_slot);
	g.counts = at;
	at += round_up(in->participants * sizeof(struct sqi_count_entry), SQI_LINE);
	g.bitmap = at;
	at += round_up((g.capacity + SQI_BITS - 1) / SQI_BITS * 8, SQI_LINE);
	g.redeliveries = at;
	at += round_up(g.capacity * 8, SQI_LINE);
	g.attempts = at;
	if (in->max_attempts)
		at += round_up(g.capacity * 8, SQI_LINE);
	g.deadlines = at;
	if (in->lease_ns)
		at += round_up(g.capacity * 8, SQI_LINE);
	g.block_words = at;
	at += round_up(g.blocks * sizeof(struct sqi_block), SQI_LINE);
	at = round_up(at, SQI_PAGE);
	g.cells = at;
	if (lies_together(in->small)) {
		g.cell_size = g.data_size = CELL_META + in->small;
		g.data = at + CELL_META;
		at += g.capacity * g.cell_size;
	} else {
		g.cell_size = CELL_META;
		g.data_size = in->small;
		g.data = round_up(at + g.capacity * g.cell_size, SQI_PAGE);
		at = g.data + g.capacity * g.data_size;
	}
	at = round_up(at, SQI_PAGE);
	for (uint32_t i = 0; i < g.classes; i++) {
		g.class[i].data = at;
		at += g.class[i].count * g.class[i].size;
	}
	g.total = round_up(at, SQI_PAGE);
	*ret = g;
	return 0;
}

/* FNV-1a (Fowler, Noll, Vo). It detects mistakes; it is no protection against forgery. */
static uint64_t hash_bytes(uint64_t hash, const void *data, size_t len)
{
	const unsigned char *p = data;

	for (size_t i = 0; i < len; i++)
		hash = (hash ^ p[i]) * 0x100000001b3;
	return hash;
}

uint64_t sqi_fingerprint(const struct sqi_geometry *g)
{
	const uint64_t parts[] = {
		SQI_LAYOUT_VERSION,
		0x0102030405060708, /* byte order */
		sizeof(struct sqi_head),
		sizeof(struct sqi_slot),
		sizeof(struct sqi_count_entry),
		sizeof(struct sqi_block),
		g->cell_size,
		g->data_size,
		g->slots,
		g->counts,
		g->bitmap,
		g->redeliveries,
		g->attempts,
		g->deadlines,
		g->block_words,
		g->cells,
		g->data,
		g->blocks,
		g->total,
	};
	uint64_t hash = hash_bytes(0xcbf29ce484222325, parts, sizeof(parts));

	return hash_bytes(hash, &g->in, sizeof(g->in));
}

const char *sqi_head_check(struct sqi_geometry *ret, const void *head, uint64_t size)
{
	struct sqi_head h;
	struct sqi_geometry g;

	if (size < SQI_PAGE)
		return "too short to be a queue";
	memcpy(&h, head, offsetof(struct sqi_head, closed));
	if (memcmp(h.magic, SQI_MAGIC, sizeof(h.magic)) != 0)
		return "not a queue (wrong magic)";
	if (h.version != SQI_LAYOUT_VERSION)
		return h.version < SQI_LAYOUT_VERSION ? "made by an older version of sq"
						      : "made by a newer version of sq";
	if (h.head_size != sizeof(h) || sqi_geometry_init(&g, &h.in) < 0)
		return "its description is damaged";
	if (h.fingerprint != sqi_fingerprint(&g) || h.total != g.total)
		return "its description does not match this build (damaged, or another architecture)";
	if (size != g.total)
		return size < g.total ? "truncated" : "longer than it should be";
	*ret = g;
	return NULL;
}
