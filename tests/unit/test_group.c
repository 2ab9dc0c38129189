/* SPDX-License-Identifier: ISC */
#include "fixture.h"

#include <stdlib.h>
#include <string.h>

#include "ring/group.h"
#include "ring/redelivery.h"

/* Groups of cells: claimed, committed and removed by one step, seen by those who come in between. */

static const struct sq_config ring_of_64 = {
	.capacity = 64, .max_message = 1024, .small_message = 1024, .participants = 4};
static const struct sq_config ring_of_8 = {.capacity = 8, .max_message = 8, .participants = 4};

/* These values, from v on, in one call. */
static int put_many(struct sq *h, uint64_t v, int n)
{
	uint64_t value[64];
	struct iovec iov[64];

	for (int i = 0; i < n; i++) {
		value[i] = v + (uint64_t)i;
		iov[i] = (struct iovec){.iov_base = &value[i], .iov_len = sizeof(value[i])};
	}
	return sq_put_many(h, iov, n, SQ_NOWAIT);
}

/* Up to n, which have to be these, from v on. How many. */
static int get_many(struct sq *h, uint64_t v, int n)
{
	uint64_t value[64];
	struct iovec iov[64];
	int r = sq_get_many(h, value, sizeof(value), iov, n, SQ_NOWAIT);

	for (int i = 0; i < r; i++) {
		assert_int_equal(iov[i].iov_len, 8);
		assert_ptr_equal(iov[i].iov_base, &value[i]);
		assert_int_equal(value[i], v + (uint64_t)i);
	}
	return r;
}

/* As a producer that is stopped between claim and commit of a group, all filled but its head. */
static uint64_t claim(struct sq *h, unsigned span, uint64_t *ret_word)
{
	uint64_t pos = h->ring.tail;

	for (unsigned i = 0; i < span; i++)
		assert_int_equal(
			fx_word(h, pos + i), sqi_word(SQI_FREE, 0, 0, pos >> h->ring.shift));
	assert_true(sqi_cell_claim(
		sqi_cell(&h->ring, pos), fx_word(h, pos), h->ring.owner, span, ret_word));
	for (unsigned i = 1; i < span; i++)
		fx_set(h, pos + i, sqi_word(SQI_FULL, 0, 0, pos >> h->ring.shift));
	return pos;
}

/* As a consumer that is stopped after the step that removes them. */
static uint64_t remove_group(struct sq *h, unsigned span)
{
	uint64_t pos, w;

	assert_int_equal(sqi_front(&h->ring, &pos, &w), 0);
	assert_true((pos & h->ring.mask) + span <= h->ring.mask + 1);
	assert_true(sqi_cell_begin_removal(sqi_cell(&h->ring, pos), w, h->ring.owner, span, &w));
	return pos;
}

/* All cells are free, for any position. */
static void assert_turns(struct sq *h, uint64_t laps)
{
	for (uint64_t v = 0; v < laps * (h->ring.mask + 1); v++) {
		fx_put(h, v);
		fx_get(h, v);
	}
	for (uint64_t v = 0; v <= h->ring.mask; v++)
		fx_put(h, v);
	assert_int_equal(sq_put(h, &laps, 8, SQ_NOWAIT), -EAGAIN);
	for (uint64_t v = 0; v <= h->ring.mask; v++)
		fx_get(h, v);
	fx_empty(h);
}

static void test_many_lie_as_if_put_alone(void **state)
{
	struct sq *h = fx_make("a", &ring_of_64);

	for (int n = 0; n <= 40; n++) {
		uint64_t pos = h->ring.tail, puts = fx_stat(h).put, id;

		assert_int_equal(put_many(h, 100, n), n);
		assert_int_equal(h->ring.tail, pos + (uint64_t)n);
		for (uint64_t i = 0; i < (uint64_t)n; i++) {
			assert_int_equal(fx_word(h, pos + i),
				sqi_word(SQI_FULL, 0, 0, (pos + i) >> h->ring.shift));
			assert_int_equal(
				sq_find(h, sqi_position_id(pos + i, h->ring.shift)), SQ_WAITING);
		}
		assert_int_equal(fx_stat(h).put, puts + (uint64_t)n);
		assert_int_equal(fx_stat(h).depth, n);
		if (n > 0) {
			assert_int_equal(sq_last_put(h, &id), 0);
			assert_int_equal(id, sqi_position_id(pos + (uint64_t)n - 1, h->ring.shift));
		}
		/* Some one by one, the rest together. */
		for (int i = 0; i < n / 3; i++)
			fx_get(h, 100 + (uint64_t)i);
		assert_int_equal(
			get_many(h, 100 + (uint64_t)(n / 3), 64), n > 0 ? n - n / 3 : -EAGAIN);
		fx_empty(h);
	}
	assert_turns(h, 3);
}

static void test_as_many_as_there_is_room(void **state)
{
	struct sq *h = fx_make("a", &ring_of_8);

	for (int filled = 0; filled <= 8; filled++) {
		for (int i = 0; i < filled; i++)
			fx_put(h, (uint64_t)i);
		assert_int_equal(
			put_many(h, (uint64_t)filled, 20), filled < 8 ? 8 - filled : -EAGAIN);
		assert_int_equal(get_many(h, 0, 5), 5);
		assert_int_equal(get_many(h, 5, 20), 3);
		/* The next begins elsewhere. */
		fx_put(h, 0);
		fx_get(h, 0);
	}
	assert_turns(h, 2);
}

static void test_sizes(void **state)
{
	static unsigned char buf[64 * 1024], out[64 * 1024];
	struct sq *h = fx_make("a", &ring_of_64);
	struct iovec iov[40], ret[40];
	size_t at = 0;

	for (int i = 0; i < 40; i++) {
		size_t len = (size_t)i * 26 % 1025;

		fx_fill(buf + at, len, (unsigned)i);
		iov[i] = (struct iovec){.iov_base = buf + at, .iov_len = len};
		at += len;
	}
	assert_int_equal(sq_put_many(h, iov, 40, SQ_NOWAIT), 40);
	assert_int_equal(sq_get_many(h, out, sizeof(out), ret, 40, SQ_NOWAIT), 40);
	for (int i = 0; i < 40; i++) {
		assert_int_equal(ret[i].iov_len, iov[i].iov_len);
		assert_memory_equal(ret[i].iov_base, iov[i].iov_base, iov[i].iov_len);
	}
	/* No further than the buffer goes; and what is too long for it stays. */
	assert_int_equal(sq_put_many(h, iov, 40, SQ_NOWAIT), 40);
	assert_int_equal(sq_get_many(h, out, 26 + 52 + 77, ret, 40, SQ_NOWAIT), 3);
	assert_int_equal(sq_get_many(h, out, 77, ret, 40, SQ_NOWAIT), -EMSGSIZE);
	assert_int_equal(sq_get_many(h, out, sizeof(out), ret, 40, SQ_NOWAIT), 37);
	assert_memory_equal(ret[36].iov_base, iov[39].iov_base, iov[39].iov_len);
	/* A message that cannot be is where the others end. */
	iov[7].iov_len = 1025;
	assert_int_equal(sq_put_many(h, iov, 40, SQ_NOWAIT), 7);
	assert_int_equal(sq_put_many(h, iov + 7, 33, SQ_NOWAIT), -EMSGSIZE);
	iov[7] = (struct iovec){.iov_base = NULL, .iov_len = 1};
	assert_int_equal(sq_put_many(h, iov + 7, 33, SQ_NOWAIT), -EINVAL);
	assert_int_equal(sq_get_many(h, out, sizeof(out), ret, 40, SQ_NOWAIT), 7);
}

/* Cells have room for eight bytes at least, whatever may be put into them. */
static void test_longest_allowed(void **state)
{
	const struct sq_config config = {.capacity = 8, .max_message = 3, .participants = 4};
	struct sq *h = fx_make("a", &config);
	struct iovec iov[4];
	char text[] = "abcd";

	for (int i = 0; i < 4; i++)
		iov[i] = (struct iovec){.iov_base = text, .iov_len = i == 2 ? 4 : 3};
	assert_int_equal(sq_put_many(h, iov, 4, SQ_NOWAIT), 2);
	assert_int_equal(sq_put_many(h, iov + 2, 2, SQ_NOWAIT), -EMSGSIZE);
	assert_int_equal(fx_stat(h).depth, 2);
}

/* A few who are stopped do not cost the whole ring. */
static void test_part_of_the_ring(void **state)
{
	static const unsigned limits[] = {1, 2, 2, 2, 4, 8, 16, 32, 32};

	for (unsigned i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
		const struct sq_config config = {
			.capacity = (uint64_t)2 << i, .max_message = 8, .participants = 4};
		struct sq *h = fx_make("a", &config);
		uint64_t pos;

		assert_int_equal(sqi_group_limit(&h->ring, 0), limits[i]);
		assert_int_equal(sqi_group_free_cells(&h->ring, 32, &pos), limits[i] & ~1U);
		fx_end(NULL);
	}
}

static void test_empty_messages_to_nowhere(void **state)
{
	struct sq *h = fx_make("a", &ring_of_64);
	struct iovec iov[4] = {0};

	assert_int_equal(sq_put_many(h, iov, 4, SQ_NOWAIT), 4);
	assert_int_equal(sq_get_many(h, NULL, 0, iov, 4, SQ_NOWAIT), 4);
	for (int i = 0; i < 4; i++)
		assert_int_equal(iov[i].iov_len, 0);
}

/* A group is passed as a whole: by producers at once, by consumers if a message is behind it. */
static void test_claimed_is_passed(void **state)
{
	for (uint64_t from = 0; from < 24; from++) {
		struct sq *a = fx_make("a", &ring_of_8), *b;
		uint64_t pos, w, id;

		fx_start_at(a, from);
		b = fx_open("a");
		if (8 - from % 8 < 4) {
			/* None goes on over the end of the array. */
			assert_true(sqi_group_free_cells(&a->ring, 4, &pos) <= 8 - from % 8);
			assert_int_equal(pos, from);
			fx_end(NULL);
			continue;
		}
		pos = claim(a, 4, &w);
		assert_int_equal(pos, from);
		fx_empty(b);
		for (uint64_t i = 0; i < 4; i++) {
			id = sqi_position_id(pos + i, a->ring.shift);
			assert_int_equal(sq_find(b, id), SQ_GONE);
			assert_int_equal(sq_lease_id(b, id, &(struct sq_lease){0}), -ENOENT);
		}
		assert_int_equal(fx_stat(b).depth, 0);
		fx_put(b, 1);
		assert_int_equal(b->ring.tail, from + 5);
		fx_put(b, 2);
		assert_int_equal(fx_stat(b).depth, 2);
		fx_get(b, 1);
		assert_int_equal(
			fx_word(b, pos), sqi_word(SQI_VOID, a->ring.owner, 4, (pos >> 3) + 1));
		fx_get(b, 2);
		/* It still may be writing: the others go round without its cells. */
		for (uint64_t v = 0; v < 40; v++) {
			fx_put(b, v);
			fx_get(b, v);
		}
		assert_int_equal(put_many(b, 0, 8), 4);
		assert_int_equal(sq_put(b, &pos, 8, SQ_NOWAIT), -EAGAIN);
		assert_int_equal(get_many(b, 0, 8), 4);
		/* It notices, and gives all of them back. */
		assert_false(sqi_cell_commit(sqi_cell(&a->ring, pos), w));
		assert_true(sqi_group_free(&a->ring, pos));
		for (uint64_t i = 1; i < 4; i++)
			assert_int_equal(fx_word(b, pos + i), fx_word(b, pos));
		assert_turns(b, 3);
		assert_turns(a, 3);
		fx_end(NULL);
	}
}

/* The same of one that is being removed. */
static void test_removed_is_passed(void **state)
{
	for (unsigned laps = 0; laps < 3; laps++) {
		struct sq *a = fx_make("a", &ring_of_8), *b = fx_open("a");
		uint64_t pos, id;

		assert_int_equal(put_many(a, 1, 6), 6);
		pos = remove_group(a, 4);
		for (uint64_t i = 0; i < 4; i++) {
			id = sqi_position_id(pos + i, a->ring.shift);
			assert_int_equal(sq_find(b, id), SQ_GONE);
			assert_int_equal(sq_lease_id(b, id, &(struct sq_lease){0}), -ENOENT);
		}
		assert_int_equal(fx_stat(b).depth, 2);
		assert_int_equal(get_many(b, 5, 8), 2);
		fx_empty(b);
		for (uint64_t v = 0; v < 4 * laps; v++) {
			fx_put(b, v);
			fx_get(b, v);
		}
		assert_true(sqi_group_free(&a->ring, pos));
		assert_false(sqi_group_free(&a->ring, pos));
		assert_turns(b, 3);
		fx_end(NULL);
	}
}

/* A participant that is dead in one of the two gives all of its cells back. */
static void test_recovered(void **state)
{
	for (unsigned removing = 0; removing < 2; removing++) {
		struct sq *a = fx_make("a", &ring_of_8), *b = fx_open("a"), *c = fx_open("a");
		uint64_t w;

		if (removing) {
			assert_int_equal(put_many(b, 1, 4), 4);
			(void)remove_group(a, 4);
		} else {
			(void)claim(a, 4, &w);
		}
		fx_put(b, 1);
		if (removing)
			fx_get(b, 1);
		fx_die(a);
		assert_int_equal(sq_recover(b), 1);
		assert_int_equal(sq_recover(c), 0);
		if (!removing)
			fx_get(c, 1);
		assert_turns(c, 3);
		fx_end(NULL);
	}
}

/* Who comes late to recover leaves alone what has been free since. */
static void test_recovered_late(void **state)
{
	struct sq *a = fx_make("a", &ring_of_8), *b = fx_open("a");
	struct sq_lease lease;
	uint64_t pos, w;

	assert_int_equal(put_many(b, 1, 4), 4);
	pos = remove_group(a, 4);
	w = fx_word(a, pos);
	assert_true(sqi_group_free(&a->ring, pos));
	for (uint64_t v = 0; v < 4; v++) {
		fx_put(b, v);
		fx_get(b, v);
	}
	assert_int_equal(put_many(b, 10, 4), 4);
	sqi_group_clear(&a->ring, pos, w, sqi_word_turn(w));
	assert_int_equal(fx_stat(b).depth, 4);
	assert_int_equal(get_many(b, 10, 4), 4);
	for (uint64_t v = 0; v < 4; v++)
		fx_put(b, v);
	fx_get(b, 0);
	fx_get(b, 1);
	fx_get(b, 2);
	assert_int_equal(sq_lease(b, &lease, SQ_NOWAIT), 0);
	sqi_group_clear(&a->ring, pos, w, sqi_word_turn(w));
	assert_int_equal(sq_ack(b, &lease), 0);
	assert_turns(b, 2);
}

/* Killed between commit and count, of one put or of several, after either: exact. */
static void test_counted(void **state)
{
	for (int before = 1; before <= 4; before += 3)
		for (int killed = 1; killed <= 4; killed += 3) {
			struct sq *a = fx_make("a", &ring_of_64), *b = fx_open("a");
			struct sqi_slot *slot = a->ring.slot;
			uint64_t id, count;

			assert_int_equal(sq_count_bind(a, 7, &count), 0);
			assert_int_equal(put_many(a, 1, before), before);
			assert_int_equal(slot->intent_span, 0);
			assert_int_equal(put_many(a, 1 + (uint64_t)before, killed), killed);
			slot->puts -= (uint64_t)killed;
			slot->intent_span = killed > 1 ? (uint64_t)killed : slot->intent_span;
			fx_die(a);
			assert_int_equal(sq_recover(b), 1);
			assert_int_equal(sq_count_bind(b, 7, &count), 0);
			assert_int_equal(count, before + killed);
			assert_int_equal(sq_last_put(b, &id), 0);
			assert_int_equal(id, before + killed - 1);
			assert_int_equal(get_many(b, 1, 8), before + killed);
			fx_end(NULL);
		}
}

/* A message that is leased by its id, out of the middle of what is then got together. */
static void test_leased_by_id(void **state)
{
	struct sq *a = fx_make("a", &ring_of_8), *b = fx_open("a");
	uint64_t value[8], pos, w;
	struct sq_lease lease;
	struct iovec iov[8];

	assert_int_equal(put_many(a, 1, 6), 6);
	assert_int_equal(sq_lease_id(b, 2, &lease), 0); /* the third */
	assert_int_equal(get_many(a, 1, 2), 2);
	assert_int_equal(sq_get_many(a, value, sizeof(value), iov, 8, SQ_NOWAIT), 3);
	assert_int_equal(value[0], 4);
	assert_int_equal(sq_ack(b, &lease), 0);
	fx_empty(a);
	assert_turns(a, 2);

	/* Between the copies and the step: those that are left are found one by one. */
	while (a->ring.tail % 8 != 0) {
		fx_put(a, 0);
		fx_get(a, 0);
	}
	assert_int_equal(put_many(a, 1, 6), 6);
	assert_int_equal(sqi_front(&a->ring, &pos, &w), 0);
	assert_int_equal(sq_lease_id(b, sqi_position_id(pos + 2, a->ring.shift), &lease), 0);
	assert_true(sqi_cell_begin_removal(sqi_cell(&a->ring, pos), w, a->ring.owner, 4, &w));
	assert_int_equal(sq_find(b, lease.id), SQ_LEASED);
	assert_int_equal(fx_stat(b).leased, 1);
	assert_int_equal(sq_held(b, &lease, 1), 1);
	fx_get(b, 5);
	fx_get(b, 6);
	for (uint64_t v = 0; v < 20; v++) {
		fx_put(b, v);
		fx_get(b, v);
	}
	assert_true(sqi_group_end(&a->ring, pos));
	assert_int_equal(sq_find(b, lease.id), SQ_LEASED);
	for (uint64_t v = 0; v < 20; v++) {
		fx_put(b, v);
		fx_get(b, v);
	}
	assert_int_equal(sq_nack(b, &lease), 0);
	fx_get(a, 3);
	assert_turns(b, 3);
}

/* Given back, and not announced, in a cell of a group that is being removed: a sweep announces it. */
static void test_swept(void **state)
{
	struct sq *a = fx_make("a", &ring_of_8), *b = fx_open("a"), *c = fx_open("a");
	struct sq_lease lease;
	uint64_t pos, w;

	assert_int_equal(put_many(a, 1, 6), 6);
	assert_int_equal(sqi_front(&a->ring, &pos, &w), 0);
	assert_int_equal(sq_lease_id(b, 2, &lease), 0);
	assert_true(sqi_cell_begin_removal(sqi_cell(&a->ring, pos), w, a->ring.owner, 4, &w));
	assert_true(sqi_redelivery_give_back(&b->ring, 2, fx_word(b, 2)));
	fx_get(c, 5);
	fx_get(c, 6);
	fx_empty(c);
	sqi_redelivery_announce_all(&c->ring, 0, 8);
	fx_get(c, 3);
	assert_true(sqi_group_end(&a->ring, pos));
	assert_turns(c, 2);
}

/* Dead letters that had no room go when there is some, also if all is got in groups. */
static void test_dead_letters(void **state)
{
	const struct sq_config letters = {.capacity = 2, .max_message = 8, .participants = 4};
	const struct sq_config config = {.capacity = 64,
		.max_message = 8,
		.participants = 4,
		.max_attempts = 1,
		.dead_letter = "letters"};
	struct sq *dead = fx_make("letters", &letters), *h = fx_make("a", &config);
	struct sq_lease lease[2];

	fx_put(dead, 1);
	fx_put(dead, 2);
	fx_put(h, 100);
	fx_put(h, 101);
	for (int i = 0; i < 2; i++)
		assert_int_equal(sq_lease(h, &lease[i], SQ_NOWAIT), 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(sq_nack(h, &lease[i]), 0);
	fx_put(h, 4);
	fx_get(h, 4);
	fx_put(h, 5);
	sqi_redelivery_announce_all(&h->ring, 0, 64); /* as a sweep does */
	fx_get(h, 5);
	assert_int_equal(fx_stat(h).undelivered, 2);
	assert_true(h->dead_letter.refused);
	fx_get(dead, 1);
	fx_get(dead, 2);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(put_many(h, 50, 4), 4);
		sqi_redelivery_announce_all(&h->ring, 0, 64);
		assert_int_equal(get_many(h, 50, 2), 2);
		assert_int_equal(get_many(h, 52, 2), 2);
	}
	assert_int_equal(fx_stat(h).undelivered, 0);
	fx_get(dead, 100);
	fx_get(dead, 101);
}

/* No word makes a walk or a scan go on for ever, or beyond the cells. */
static void test_spans_that_cannot_be(void **state)
{
	static const enum sqi_state states[] = {SQI_WRITING, SQI_VOID, SQI_REMOVING};
	struct sq *h = fx_make("a", &ring_of_8);
	uint64_t v = 0;

	for (unsigned s = 0; s < 3; s++)
		for (unsigned span = 0; span < 256; span++)
			for (uint64_t i = 0; i < 8; i++) {
				uint64_t before = fx_word(h, i);

				fx_set(h, i, sqi_word(states[s], 3, span, sqi_word_turn(before)));
				(void)sq_put(h, &v, 8, SQ_NOWAIT);
				(void)sq_get(h, &v, 8, SQ_NOWAIT);
				(void)fx_stat(h);
				if (sqi_word_state(fx_word(h, i)) == SQI_FULL)
					(void)sqi_is_covered(&h->ring, i, fx_word(h, i));
				assert_true(sqi_span(&h->ring, fx_word(h, i)) < 8);
			}
}

/* Whatever a head's word says, nothing behind the array of cells is written to. */
static void test_span_over_the_end(void **state)
{
	static const struct sq_config config = {
		.capacity = 64, .max_message = 4096, .small_message = 512, .participants = 4};
	struct sq *h = fx_make("a", &config);
	const struct sqi_ring *ring = &h->ring;
	size_t size = 32 * ring->cell_size;
	const unsigned char *behind = ring->cells + 64 * ring->cell_size;
	unsigned char *before = malloc(size);

	assert_non_null(before);
	assert_true(ring->g.cells + 64 * ring->cell_size + size <= ring->g.total);
	memcpy(before, behind, size);
	for (uint64_t i = 32; i < 64; i++) {
		fx_set(h, i, sqi_word(SQI_VOID, ring->owner, 32, 1));
		(void)sqi_group_free(ring, i);
		assert_memory_equal(before, behind, size);
	}
	free(before);
}

static const struct CMUnitTest tests[] = {
	TEST(test_many_lie_as_if_put_alone),
	TEST(test_as_many_as_there_is_room),
	TEST(test_sizes),
	TEST(test_longest_allowed),
	TEST(test_part_of_the_ring),
	TEST(test_empty_messages_to_nowhere),
	TEST(test_claimed_is_passed),
	TEST(test_removed_is_passed),
	TEST(test_recovered),
	TEST(test_recovered_late),
	TEST(test_counted),
	TEST(test_leased_by_id),
	TEST(test_swept),
	TEST(test_dead_letters),
	TEST(test_spans_that_cannot_be),
	TEST(test_span_over_the_end),
};

FX_MAIN(tests)
