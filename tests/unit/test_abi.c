/* SPDX-License-Identifier: ISC */
#include <stddef.h>
#include <stdio.h>

#include "fixture.h"
#include "sq.h"

/*
 * What a program was compiled with must be what a later library means: sizes and places of all that
 * is public, as numbers. A change here is a change of the soversion, in engine/meson.build. The
 * names that the library has are looked at by symbols.py.
 */

struct row {
	const char *what;
	size_t size, offset;
	size_t must_size, must_offset;
};
#define SIZE(type)           "struct " #type, sizeof(struct type), 0
#define FIELD(type, field)   #type "." #field, SIZE_OF(type, field), offsetof(struct type, field)
#define SIZE_OF(type, field) sizeof(((struct type *)0)->field)

static const struct row rows[] = {
	{SIZE(sq_config), 96, 0},
	{FIELD(sq_config, capacity), 8, 0},
	{FIELD(sq_config, max_message), 8, 8},
	{FIELD(sq_config, small_message), 4, 16},
	{FIELD(sq_config, participants), 4, 20},
	{FIELD(sq_config, mode), 4, 24},
	{FIELD(sq_config, max_attempts), 4, 28},
	{FIELD(sq_config, lease_time), 8, 32},
	{FIELD(sq_config, dead_letter), 8, 40},
	{FIELD(sq_config, block_memory), 8, 48},
	{FIELD(sq_config, flags), 4, 56},
	{FIELD(sq_config, reserved), 36, 60},
	{SIZE(sq_lease), 40, 0},
	{FIELD(sq_lease, data), 8, 0},
	{FIELD(sq_lease, len), 8, 8},
	{FIELD(sq_lease, id), 8, 16},
	{FIELD(sq_lease, attempts), 4, 24},
	{FIELD(sq_lease, copy), 4, 28},
	{FIELD(sq_lease, handle), 8, 32},
	{SIZE(sq_stat), 696, 0},
	{FIELD(sq_stat, capacity), 8, 0},
	{FIELD(sq_stat, max_message), 8, 8},
	{FIELD(sq_stat, small_message), 8, 16},
	{FIELD(sq_stat, participants_max), 8, 24},
	{FIELD(sq_stat, bytes), 8, 32},
	{FIELD(sq_stat, lease_time), 8, 40},
	{FIELD(sq_stat, max_attempts), 4, 48},
	{FIELD(sq_stat, flags), 4, 52},
	{FIELD(sq_stat, closed), 4, 56},
	{FIELD(sq_stat, participants), 4, 60},
	{FIELD(sq_stat, depth), 8, 64},
	{FIELD(sq_stat, leased), 8, 72},
	{FIELD(sq_stat, back), 8, 80},
	{FIELD(sq_stat, put), 8, 88},
	{FIELD(sq_stat, took), 8, 96},
	{FIELD(sq_stat, got), 8, 104},
	{FIELD(sq_stat, acked), 8, 112},
	{FIELD(sq_stat, nacked), 8, 120},
	{FIELD(sq_stat, redelivered), 8, 128},
	{FIELD(sq_stat, overdue), 8, 136},
	{FIELD(sq_stat, reclaimed), 8, 144},
	{FIELD(sq_stat, revoked), 8, 152},
	{FIELD(sq_stat, dead_letters), 8, 160},
	{FIELD(sq_stat, damaged), 8, 168},
	{FIELD(sq_stat, undelivered), 8, 176},
	{FIELD(sq_stat, blocks), 8, 184},
	{FIELD(sq_stat, blocks_free), 8, 192},
	{FIELD(sq_stat, dead_letter), 130, 200},
	{FIELD(sq_stat, removed), 4, 332},
	{FIELD(sq_stat, classes), 4, 336},
	{FIELD(sq_stat, class), 288, 344},
	{FIELD(sq_stat, class[0].size), 8, 344},
	{FIELD(sq_stat, class[0].count), 8, 352},
	{FIELD(sq_stat, class[0].free), 8, 360},
	{FIELD(sq_stat, away), 8, 632},
	{FIELD(sq_stat, grace_left), 8, 640},
	{FIELD(sq_stat, returned), 8, 648},
	{FIELD(sq_stat, reserved), 40, 656},
	{SIZE(sq_watch), 16, 0},
	{FIELD(sq_watch, word), 8, 0},
	{FIELD(sq_watch, value), 4, 8},
};

static const struct {
	const char *name;
	long value, must;
} values[] = {
	{"SQ_FOREVER", SQ_FOREVER, -1},
	{"SQ_NOWAIT", SQ_NOWAIT, 0},
	{"SQ_NAME_MAX", SQ_NAME_MAX, 64},
	{"SQ_CAPACITY_MAX", SQ_CAPACITY_MAX, 1 << 30},
	{"SQ_MESSAGE_MAX", SQ_MESSAGE_MAX, 1 << 30},
	{"SQ_SMALL_MAX", SQ_SMALL_MAX, 4096},
	{"SQ_PARTICIPANTS_MAX", SQ_PARTICIPANTS_MAX, 4094},
	{"SQ_ATTEMPTS_MAX", SQ_ATTEMPTS_MAX, 127},
	{"SQ_CLASSES_MAX", SQ_CLASSES_MAX, 12},
	{"SQ_EPHEMERAL", SQ_EPHEMERAL, 1},
	{"SQ_GONE", SQ_GONE, 0},
	{"SQ_WAITING", SQ_WAITING, 1},
	{"SQ_LEASED", SQ_LEASED, 2},
	{"SQ_OPEN", SQ_OPEN, 0},
	{"SQ_DRAINING", SQ_DRAINING, 1},
	{"SQ_SHUT", SQ_SHUT, 2},
	{"SQ_CAME", SQ_CAME, 1},
	{"SQ_WENT", SQ_WENT, 2},
	{"SQ_FREED", SQ_FREED, 3},
};

static void test_structs(void **state)
{
	int wrong = 0;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *r = &rows[i];

		if (r->size == r->must_size && r->offset == r->must_offset)
			continue;
		print_error("%s: %zu bytes at %zu, not %zu at %zu\n", r->what, r->size, r->offset,
			r->must_size, r->must_offset);
		wrong++;
	}
	assert_int_equal(wrong, 0);
}

static void test_values(void **state)
{
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		if (values[i].value != values[i].must)
			print_error("%s\n", values[i].name);
		assert_int_equal(values[i].value, values[i].must);
	}
}

static const struct CMUnitTest tests[] = {TEST(test_structs), TEST(test_values)};

FX_MAIN(tests)
