/* SPDX-License-Identifier: ISC */
#include "fixture.h"

#include <stdlib.h>

/* What the bytes of a segment are, and that every process computes the same or refuses. */

#define CONFIGS 3000

static int geometry(const struct sq_config *c, struct sqi_geometry *g)
{
	struct sqi_inputs in;
	int r = sqi_inputs_init(&in, c);

	return r < 0 ? r : sqi_geometry_init(g, &in);
}

/* Not memcmp(): there is padding. */
static void same(const struct sqi_geometry *x, const struct sqi_geometry *y)
{
	assert_int_equal(sqi_fingerprint(x), sqi_fingerprint(y));
	assert_int_equal(x->capacity, y->capacity);
	assert_int_equal(x->classes, y->classes);
	assert_memory_equal(x->class, y->class, sizeof(x->class));
}

/*
 * A change of one of these numbers changes the layout: raise SQI_LAYOUT_VERSION, then change the
 * numbers here.
 */
static void test_numbers(void **state)
{
	assert_int_equal(SQI_LAYOUT_VERSION, 9);
	assert_memory_equal(SQI_MAGIC, "sq-ring\n", 8);
	assert_int_equal(sizeof(struct sqi_inputs), 184);
	assert_int_equal(offsetof(struct sqi_inputs, max_message), 0);
	assert_int_equal(offsetof(struct sqi_inputs, block_memory), 8);
	assert_int_equal(offsetof(struct sqi_inputs, lease_ns), 16);
	assert_int_equal(offsetof(struct sqi_inputs, capacity_log2), 24);
	assert_int_equal(offsetof(struct sqi_inputs, small), 28);
	assert_int_equal(offsetof(struct sqi_inputs, participants), 32);
	assert_int_equal(offsetof(struct sqi_inputs, max_attempts), 36);
	assert_int_equal(offsetof(struct sqi_inputs, flags), 40);
	assert_int_equal(offsetof(struct sqi_inputs, dead_letter), 48);
	assert_int_equal(offsetof(struct sqi_head, magic), 0);
	assert_int_equal(offsetof(struct sqi_head, version), 8);
	assert_int_equal(offsetof(struct sqi_head, head_size), 12);
	assert_int_equal(offsetof(struct sqi_head, fingerprint), 16);
	assert_int_equal(offsetof(struct sqi_head, total), 24);
	assert_int_equal(offsetof(struct sqi_head, in), 32);
	assert_int_equal(offsetof(struct sqi_head, closed), 256);
	assert_int_equal(offsetof(struct sqi_head, back_seq), 264);
	assert_int_equal(offsetof(struct sqi_head, redeliveries), 272);
	assert_int_equal(offsetof(struct sqi_head, tail), 320);
	assert_int_equal(offsetof(struct sqi_head, front), 384);
	assert_int_equal(offsetof(struct sqi_head, message_event.word), 448);
	assert_int_equal(offsetof(struct sqi_head, message_event.waking), 452);
	assert_int_equal(offsetof(struct sqi_head, message_watch), 456);
	assert_int_equal(offsetof(struct sqi_head, room_event.word), 512);
	assert_int_equal(offsetof(struct sqi_head, room_event.waking), 516);
	assert_int_equal(offsetof(struct sqi_head, block_event.word), 520);
	assert_int_equal(offsetof(struct sqi_head, block_event.waking), 524);
	assert_int_equal(offsetof(struct sqi_head, room_watch), 528);
	assert_int_equal(offsetof(struct sqi_head, block_watch), 536);
	assert_int_equal(offsetof(struct sqi_head, next_id), 576);
	assert_int_equal(offsetof(struct sqi_head, upkeep_ms), 584);
	assert_int_equal(offsetof(struct sqi_head, joins), 592);
	assert_int_equal(offsetof(struct sqi_head, created_s), 600);
	assert_int_equal(offsetof(struct sqi_head, announce_ms), 608);
	assert_int_equal(offsetof(struct sqi_head, wanted), 616);
	assert_int_equal(offsetof(struct sqi_head, removal), 624);
	assert_int_equal(offsetof(struct sqi_head, find_dead_ms), 632);
	assert_int_equal(offsetof(struct sqi_head, recovery_at), 640);
	assert_int_equal(offsetof(struct sqi_head, recovery_ms), 648);
	assert_int_equal(offsetof(struct sqi_head, find_dead_at), 656);
	assert_int_equal(offsetof(struct sqi_head, expire_at), 664);
	assert_int_equal(offsetof(struct sqi_head, announce_at), 672);
	assert_int_equal(offsetof(struct sqi_head, overdue), 704);
	assert_int_equal(offsetof(struct sqi_head, reclaimed), 712);
	assert_int_equal(offsetof(struct sqi_head, revoked), 720);
	assert_int_equal(offsetof(struct sqi_head, dead_letters), 728);
	assert_int_equal(offsetof(struct sqi_head, damaged), 736);
	assert_int_equal(sizeof(struct sqi_head), 768);
	assert_int_equal(offsetof(struct sqi_slot, puts), 8);
	assert_int_equal(offsetof(struct sqi_slot, intent_pos), 16);
	assert_int_equal(offsetof(struct sqi_slot, intent_base), 32);
	assert_int_equal(offsetof(struct sqi_slot, decision), 40);
	assert_int_equal(offsetof(struct sqi_slot, count_entry), 48);
	assert_int_equal(offsetof(struct sqi_slot, count_before), 56);
	assert_int_equal(offsetof(struct sqi_slot, gots), 64);
	assert_int_equal(offsetof(struct sqi_slot, pid), 96);
	assert_int_equal(offsetof(struct sqi_slot, puts_before), 104);
	assert_int_equal(offsetof(struct sqi_slot, ending), 112);
	assert_int_equal(offsetof(struct sqi_slot, durable), 120);
	assert_int_equal(offsetof(struct sqi_slot, grace), 128);
	assert_int_equal(offsetof(struct sqi_slot, died), 136);
	assert_int_equal(offsetof(struct sqi_slot, run), 144);
	assert_int_equal(offsetof(struct sqi_slot, returned), 152);
	assert_int_equal(sizeof(struct sqi_slot), 192);
	assert_int_equal(sizeof(struct sqi_count_entry), 32);
	assert_int_equal(offsetof(struct sqi_block, home), 8);
	assert_int_equal(offsetof(struct sqi_cell, meta), 8);
	assert_int_equal(offsetof(struct sqi_cell, data), 16);
	assert_int_equal(SQI_LOCK_BASE, (uint64_t)1 << 61);
	assert_int_equal(SQI_META_BLOCK, 0x10000);
	assert_int_equal(SQI_DURABLE_INDEX, 0x7fff);
	assert_int_equal(SQI_DURABLE_NEW, 0x8000);
	assert_int_equal(SQI_CONDEMNED, (uint64_t)1 << 62);
}

/*
 * A queue of all defaults, byte for byte: the fingerprint stands for everything that has no line of
 * its own above.
 */
static void test_the_default_queue(void **state)
{
	struct sqi_geometry g;

	assert_int_equal(geometry(NULL, &g), 0);
	assert_int_equal(g.capacity, 1024);
	assert_int_equal(g.cell_size, 64);
	assert_int_equal(g.data_size, 64);
	assert_int_equal(g.in.small, 48);
	assert_int_equal(g.in.max_message, 1 << 20);
	assert_int_equal(g.in.block_memory, 256 << 10);
	assert_int_equal(g.in.blocks_min, 1);
	assert_int_equal(g.in.participants, 1024);
	assert_int_equal(g.in.lease_ns, 0);
	assert_int_equal(g.in.max_attempts, 0);
	assert_int_equal(g.in.flags, 0);
	assert_int_equal(g.slots, 4096);
	assert_int_equal(g.counts, 200704);
	assert_int_equal(g.bitmap, 233472);
	assert_int_equal(g.redeliveries, 233728);
	assert_int_equal(g.attempts, 241920);
	assert_int_equal(g.deadlines, 241920);
	assert_int_equal(g.block_words, 241920);
	assert_int_equal(g.classes, 7);
	for (uint32_t i = 0; i < g.classes; i++)
		assert_int_equal(g.class[i].size, 256 << 2 * i);
	assert_int_equal(g.class[0].count, 1024);
	assert_int_equal(g.class[6].count, 1);
	assert_true(g.total < 3 << 20);
	assert_int_equal(g.cells % 4096, 0);
	assert_int_equal(g.total % 4096, 0);
	assert_int_equal(sqi_fingerprint(&g), 0x8c63d6d1ee22e422);
}

static void test_limits(void **state)
{
	static const struct sq_config good[] = {
		{.capacity = 1},
		{.capacity = SQ_CAPACITY_MAX, .small_message = 1},
		{.max_message = 1},
		{.max_message = SQ_MESSAGE_MAX},
		{.small_message = 1},
		{.small_message = SQ_SMALL_MAX},
		{.participants = 1},
		{.participants = SQ_PARTICIPANTS_MAX},
		{.mode = 0777},
		{.max_attempts = 1, .dead_letter = "d"},
		{.max_attempts = SQ_ATTEMPTS_MAX, .dead_letter = "p.d"},
		{.lease_time = 1},
		{.block_memory = 1},
		{.flags = SQ_EPHEMERAL},
		{.dead_letter = ""},
	};
	static const struct sq_config bad[] = {
		{.capacity = (uint64_t)SQ_CAPACITY_MAX + 1},
		{.capacity = UINT64_MAX},
		{.max_message = (uint64_t)SQ_MESSAGE_MAX + 1},
		{.max_message = UINT64_MAX},
		{.small_message = SQ_SMALL_MAX + 1},
		{.small_message = UINT32_MAX},
		{.participants = SQ_PARTICIPANTS_MAX + 1},
		{.mode = 01000},
		{.mode = 04600},
		{.max_attempts = 1},
		{.max_attempts = 1, .dead_letter = ""},
		{.max_attempts = SQ_ATTEMPTS_MAX + 1, .dead_letter = "d"},
		{.max_attempts = 3, .dead_letter = "a/b"},
		{.dead_letter = "d"},
		{.lease_time = -1},
		{.lease_time = INT64_MAX},
		{.block_memory = ((uint64_t)1 << 40) + 1},
		{.flags = 2},
		{.flags = SQ_EPHEMERAL | 1u << 31},
	};
	struct sqi_geometry g;
	struct sqi_inputs in;
	uint64_t size = 77;

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		if (geometry(&good[i], &g) != 0 || sq_size(&good[i], &size) != 0 || size != g.total)
			fail_msg("good[%zu] was refused", i);
	size = 77;
	memset(&in, 0x5a, sizeof(in));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (sqi_inputs_init(&in, &bad[i]) != -EINVAL || sq_size(&bad[i], &size) != -EINVAL)
			fail_msg("bad[%zu] was allowed", i);
	/* Results are written on success only. */
	assert_int_equal(size, 77);
	assert_int_equal(((unsigned char *)&in)[0], 0x5a);
	assert_int_equal(sq_size(NULL, NULL), -EINVAL);
}

static void test_reserved_must_be_zero(void **state)
{
	for (size_t i = 0; i < 9; i++) {
		struct sq_config c = {0};
		uint64_t size;

		c.reserved[i] = 1;
		assert_int_equal(sq_size(&c, &size), -EINVAL);
	}
}

static void test_rounding(void **state)
{
	static const struct {
		uint64_t asked, got;
	} capacity[] = {{1, 2}, {2, 2}, {3, 4}, {4, 4}, {5, 8}, {1000, 1024}, {1025, 2048}},
	  small[] = {{1, 16}, {8, 16}, {16, 16}, {17, 48}, {48, 48}, {49, 64}, {64, 64}, {65, 128},
		  {4095, 4096}, {4096, 4096}},
	  lease[] = {{0, 0}, {1, 1}, {999999, 999999}, {5000001, 5000001}};
	struct sqi_geometry g;

	for (size_t i = 0; i < sizeof(capacity) / sizeof(capacity[0]); i++) {
		assert_int_equal(
			geometry(&(struct sq_config){.capacity = capacity[i].asked}, &g), 0);
		assert_int_equal(g.capacity, capacity[i].got);
	}
	for (size_t i = 0; i < sizeof(small) / sizeof(small[0]); i++) {
		struct sq_config c = {.small_message = (uint32_t)small[i].asked};

		assert_int_equal(geometry(&c, &g), 0);
		assert_int_equal(g.in.small, small[i].got);
		if (small[i].got <= 48) {
			/* A cell lies in one line. */
			assert_int_equal(g.cell_size, small[i].got + 16);
			assert_int_equal(SQI_LINE % g.cell_size, 0);
			assert_int_equal(g.data_size, g.cell_size);
			assert_int_equal(g.data, g.cells + 16);
		} else {
			/* A message is lines. */
			assert_int_equal(g.cell_size, 16);
			assert_int_equal(g.data_size, small[i].got);
			assert_int_equal(g.data_size % SQI_LINE, 0);
		}
	}
	for (size_t i = 0; i < sizeof(lease) / sizeof(lease[0]); i++) {
		struct sq_config c = {.lease_time = (int64_t)lease[i].asked};

		assert_int_equal(geometry(&c, &g), 0);
		assert_int_equal(g.in.lease_ns, lease[i].got);
	}
	/* Small messages only: no blocks at all. */
	assert_int_equal(geometry(&(struct sq_config){.max_message = 48}, &g), 0);
	assert_int_equal(g.blocks, 0);
	assert_int_equal(geometry(&(struct sq_config){.max_message = 49}, &g), 0);
	assert_int_equal(g.classes, 1);
	assert_int_equal(g.class[0].size, 64);
	/* The greatest message has blocks of its own size. */
	assert_int_equal(geometry(&(struct sq_config){.max_message = SQ_MESSAGE_MAX}, &g), 0);
	assert_int_equal(g.classes, SQI_CLASSES_MAX);
	assert_int_equal(g.class[SQI_CLASSES_MAX - 1].size, SQ_MESSAGE_MAX);
}

struct part {
	uint64_t from, len, align;
};

static int by_from(const void *a, const void *b)
{
	const struct part *x = a, *y = b;

	return x->from < y->from ? -1 : x->from > y->from;
}

static uint64_t below(uint64_t n)
{
	return ((uint64_t)random() << 31 ^ (uint64_t)random()) % n;
}

/* No two parts share a byte, whatever was asked for. */
static void test_parts_never_overlap(void **state)
{
	srandom(1);
	for (int i = 0; i < CONFIGS; i++) {
		struct sq_config c = {
			.capacity = 1 + below((uint64_t)1 << (1 + below(20))),
			.small_message = (uint32_t)(1 + below(below(2) ? 64 : SQ_SMALL_MAX)),
			.participants = (uint32_t)(1 + below(SQ_PARTICIPANTS_MAX)),
			.max_message = 1 + below((uint64_t)1 << (1 + below(30))),
			.block_memory = 1 + below((uint64_t)1 << (1 + below(30))),
			.lease_time = below(2) ? 0 : 1000000,
			.max_attempts = i % 3 == 0,
			.dead_letter = i % 3 == 0 ? "d" : NULL,
		};
		struct part parts[10 + SQI_CLASSES_MAX];
		struct sqi_geometry g, again;
		size_t n = 0;
		uint64_t at = 0, first = 0;

		assert_int_equal(geometry(&c, &g), 0);
		assert_int_equal(sqi_geometry_init(&again, &g.in), 0);
		same(&g, &again);
		parts[n++] = (struct part){0, sizeof(struct sqi_head), 1};
		parts[n++] = (struct part){
			g.slots, g.in.participants * sizeof(struct sqi_slot), SQI_LINE};
		parts[n++] = (struct part){
			g.counts, g.in.participants * sizeof(struct sqi_count_entry), SQI_LINE};
		parts[n++] = (struct part){g.bitmap, (g.capacity + 31) / 32 * 8, SQI_LINE};
		parts[n++] = (struct part){g.redeliveries, g.capacity * 8, SQI_LINE};
		if (g.in.max_attempts)
			parts[n++] = (struct part){g.attempts, g.capacity * 8, SQI_LINE};
		if (g.in.lease_ns)
			parts[n++] = (struct part){g.deadlines, g.capacity * 8, SQI_LINE};
		parts[n++] = (struct part){
			g.block_words, g.blocks * sizeof(struct sqi_block), SQI_LINE};
		parts[n++] = (struct part){g.cells, g.capacity * g.cell_size, SQI_PAGE};
		if (g.cell_size == 16)
			parts[n++] = (struct part){g.data, g.capacity * g.data_size, SQI_PAGE};
		for (uint32_t k = 0; k < g.classes; k++) {
			const struct sqi_class *class = &g.class[k];

			parts[n++] = (struct part){
				class->data, class->count * class->size, SQI_LINE};
			assert_int_equal(class->first, first);
			assert_true(class->count >= 8 && class->size > g.in.small);
			assert_true(k == 0 || class->size > g.class[k - 1].size);
			first += class->count;
		}
		assert_int_equal(first, g.blocks);
		if (g.blocks)
			assert_true(g.class[g.classes - 1].size >= g.in.max_message);
		else
			assert_true(g.in.max_message <= g.in.small);
		qsort(parts, n, sizeof(parts[0]), by_from);
		for (size_t k = 0; k < n; k++) {
			assert_true(parts[k].len == 0 || parts[k].from >= at);
			assert_int_equal(parts[k].from % parts[k].align, 0);
			if (parts[k].len)
				at = parts[k].from + parts[k].len;
		}
		assert_true(at <= g.total);
	}
}

/* Inputs that no config leads to are damage. */
static void test_geometry_refuses(void **state)
{
	struct sqi_geometry g;
	struct sqi_inputs in, bad;

	assert_int_equal(sqi_inputs_init(&in, NULL), 0);
#define REFUSED(change)                                                                            \
	do {                                                                                       \
		bad = in;                                                                          \
		bad.change;                                                                        \
		assert_int_equal(sqi_geometry_init(&g, &bad), -EINVAL);                            \
	} while (0)
	REFUSED(capacity_log2 = 0);
	REFUSED(capacity_log2 = 31);
	REFUSED(capacity_log2 = 64);
	REFUSED(capacity_log2 = 74); /* 10 modulo 64 */
	REFUSED(capacity_log2 = UINT32_MAX);
	REFUSED(small = 0);
	REFUSED(small = 15);
	REFUSED(small = 47);
	REFUSED(small = 49);
	REFUSED(small = 112);
	REFUSED(small = SQ_SMALL_MAX + 64);
	REFUSED(small = UINT32_MAX);
	REFUSED(max_message = 0);
	REFUSED(max_message = (uint64_t)SQ_MESSAGE_MAX + 1);
	REFUSED(block_memory = 0);
	REFUSED(block_memory = UINT64_MAX);
	REFUSED(lease_ns = UINT64_MAX);
	REFUSED(participants = 0);
	REFUSED(participants = SQ_PARTICIPANTS_MAX + 1);
	REFUSED(max_attempts = 1); /* without a dead-letter queue */
	REFUSED(flags = 2);
	REFUSED(blocks_min = 0);
	REFUSED(blocks_min = 9);
	REFUSED(dead_letter[0] = 'd'); /* without max_attempts */
	in.max_attempts = 5;
	in.dead_letter[0] = 'd';
	assert_int_equal(sqi_geometry_init(&g, &in), 0);
	REFUSED(dead_letter[1] = '/');
	REFUSED(max_attempts = SQ_ATTEMPTS_MAX + 1);
	memset(in.dead_letter, 'd', sizeof(in.dead_letter));
	assert_int_equal(sqi_geometry_init(&g, &in), -EINVAL);
#undef REFUSED
}

static void test_fingerprint_of_each_input(void **state)
{
	const struct sq_config base = {
		.max_attempts = 2, .dead_letter = "d", .lease_time = 5000000};
	struct sq_config c[8];
	uint64_t prints[9];
	struct sqi_geometry g;

	for (int i = 0; i < 8; i++)
		c[i] = base;
	c[0].capacity = 2048;
	c[1].max_message = 1000;
	c[2].small_message = 100;
	c[3].participants = 7;
	c[4].max_attempts = 3;
	c[5].lease_time = 6000000;
	c[6].dead_letter = "e";
	c[7].flags = SQ_EPHEMERAL;
	assert_int_equal(geometry(&base, &g), 0);
	prints[8] = sqi_fingerprint(&g);
	for (int i = 0; i < 8; i++) {
		assert_int_equal(geometry(&c[i], &g), 0);
		prints[i] = sqi_fingerprint(&g);
		assert_int_not_equal(prints[i], prints[8]);
		for (int k = 0; k < i; k++)
			assert_int_not_equal(prints[i], prints[k]);
	}
}

static void test_head_check(void **state)
{
	struct sqi_head good = {.magic = SQI_MAGIC, .version = SQI_LAYOUT_VERSION}, bad;
	struct sqi_geometry g, out;

	assert_int_equal(geometry(NULL, &g), 0);
	good.head_size = sizeof(good);
	good.fingerprint = sqi_fingerprint(&g);
	good.total = g.total;
	good.in = g.in;
	assert_null(sqi_head_check(&out, &good, g.total));
	same(&out, &g);
	memset(&out, 0x5a, sizeof(out));
#define SAYS(change, size, word)                                                                   \
	do {                                                                                       \
		const char *why;                                                                   \
                                                                                                   \
		bad = good;                                                                        \
		bad.change;                                                                        \
		why = sqi_head_check(&out, &bad, size);                                            \
		assert_non_null(why);                                                              \
		if (!strstr(why, word))                                                            \
			fail_msg("\"%s\" does not say \"%s\"", why, word);                         \
		assert_int_equal(((unsigned char *)&out)[0], 0x5a);                                \
	} while (0)
	SAYS(version = SQI_LAYOUT_VERSION, 0, "short");
	SAYS(version = SQI_LAYOUT_VERSION, SQI_PAGE - 1, "short");
	SAYS(magic[7] = 'x', g.total, "magic");
	SAYS(version = SQI_LAYOUT_VERSION - 1, g.total, "older");
	SAYS(version = SQI_LAYOUT_VERSION + 1, g.total, "newer");
	SAYS(head_size += 8, g.total, "damaged");
	SAYS(in.small = 3, g.total, "damaged");
	SAYS(in.capacity_log2 = 200, g.total, "damaged");
	SAYS(fingerprint ^= 1, g.total, "does not match");
	SAYS(in.capacity_log2++, g.total, "does not match");
	SAYS(total -= 4096, g.total, "does not match");
	SAYS(version = SQI_LAYOUT_VERSION, g.total - 1, "truncated");
	SAYS(version = SQI_LAYOUT_VERSION, SQI_PAGE, "truncated");
	SAYS(version = SQI_LAYOUT_VERSION, g.total + 1, "longer");
#undef SAYS
}

static const struct CMUnitTest tests[] = {
	TEST(test_numbers),
	TEST(test_the_default_queue),
	TEST(test_limits),
	TEST(test_reserved_must_be_zero),
	TEST(test_rounding),
	TEST(test_parts_never_overlap),
	TEST(test_geometry_refuses),
	TEST(test_fingerprint_of_each_input),
	TEST(test_head_check),
};

FX_MAIN(tests)
