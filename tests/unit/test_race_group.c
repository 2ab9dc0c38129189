/* SPDX-License-Identifier: ISC */

/*
 * Messages that go together, and one of them that is leased by its id: each at every step of the
 * other. See test_race.c.
 */

#include "fixture.h"
#include "steps.h"

#include "ring/group.h"

static const struct sq_config ring_of_8 = {.capacity = 8, .max_message = 8, .participants = 4};

static struct sq *a, *b, *c;
static uint64_t got[8];
static int got_n;
static struct sq_lease lease;
static int leased; /* what sq_lease_id() said */
static int found;
static uint64_t wanted; /* the id */

#define N 6

/* Messages, of which the fourth, the second of a group of two, is asked for by its id. */
static void begin(void)
{
	struct iovec iov[N];
	uint64_t value[N];

	a = fx_make("a", &ring_of_8);
	b = fx_open("a");
	c = fx_open("a");
	for (uint64_t i = 0; i < N; i++) {
		value[i] = i;
		iov[i] = (struct iovec){.iov_base = &value[i], .iov_len = sizeof(value[i])};
	}
	assert_int_equal(sq_put_many(c, iov, N, SQ_NOWAIT), N);
	wanted = 3;
	got_n = leased = found = -1;
}

static void a_gets(void)
{
	struct iovec iov[8] = {0};

	got_n = sq_get_many(a, got, sizeof(got), iov, 8, SQ_NOWAIT);
	for (int i = 0; i < 8; i++) {
		assert_ptr_equal(iov[i].iov_base, i < got_n ? &got[i] : NULL);
		assert_int_equal(iov[i].iov_len, i < got_n ? 8 : 0);
	}
}

static void b_leases(void)
{
	leased = sq_lease_id(b, wanted, &lease);
}

static void c_finds(void)
{
	found = sq_find(c, wanted);
}

static void b_leases_and_acks(void)
{
	b_leases();
	if (leased == 0)
		assert_int_equal(sq_ack(b, &lease), 0);
}

static bool has(uint64_t value)
{
	for (int i = 0; i < got_n; i++)
		if (got[i] == value)
			return true;
	return false;
}

/* The ring turns. */
static void turn(void)
{
	for (uint64_t i = 0; i < 40; i++) {
		fx_put(c, i);
		fx_get(c, i);
	}
}

/* All are gone, each to one of them, and all cells are free. */
static void end(bool b_has_it)
{
	for (uint64_t i = 0; i < N; i++)
		assert_int_equal(has(i), i != wanted || !b_has_it);
	fx_empty(c);
	turn();
	for (uint64_t i = 0; i < 8; i++)
		assert_int_equal(fx_state(c, i), SQI_FREE);
	fx_end(NULL);
}

static void test_got_and_leased(void **state)
{
	static void (*const events[])(void) = {b_leases, b_leases_and_acks};

	for (unsigned e = 0; e < 2; e++) {
		bool more = true;

		for (long k = 1; more; k++) {
			begin();
			more = at_step(k, events[e], a_gets);
			if (more && leased == 0 && e == 0)
				assert_int_equal(sq_ack(b, &lease), 0);
			assert_true(!more || leased == 0 || leased == -ENOENT);
			end(more && leased == 0);
		}
	}
}

static void test_leased_and_got(void **state)
{
	bool more = true;

	for (long k = 1; more; k++) {
		begin();
		more = at_step(k, a_gets, b_leases);
		assert_true(leased == 0 || leased == -ENOENT);
		if (leased == 0)
			assert_int_equal(sq_ack(b, &lease), 0);
		if (!more)
			a_gets();
		end(leased == 0);
	}
}

/* What is said to be gone is got, also where groups are not all that is. */
static void test_got_and_found(void **state)
{
	bool more = true;

	for (long k = 1; more; k++) {
		begin();
		/* From now on the queue has messages that are leased by their ids. */
		assert_int_equal(sq_lease_id(b, N - 1, &lease), 0);
		assert_int_equal(sq_nack(b, &lease), 0);
		fx_get(b, N - 1);
		more = at_step(k, c_finds, a_gets);
		if (!more)
			c_finds();
		assert_true(found == SQ_WAITING || found == SQ_GONE);
		assert_int_equal(got_n, N - 1);
		got[got_n++] = N - 1;
		end(false);
	}
}

static uint64_t removed_at;

/* As a consumer that is stopped after it has begun to remove so many; if it can. */
static void a_begins_with(unsigned span)
{
	uint64_t pos, w;

	removed_at = UINT64_MAX;
	if (sqi_load_seq(&sqi_cell(&a->ring, wanted)->word) != sqi_word(SQI_FULL, 0, 0, 0))
		return;
	assert_int_equal(sqi_front(&a->ring, &pos, &w), 0);
	assert_true(sqi_cell_begin_removal(sqi_cell(&a->ring, pos), w, a->ring.owner, span, &w));
	removed_at = pos;
}

static void a_begins(void)
{
	a_begins_with(N);
}

static void a_begins_and_c_finds(void)
{
	a_begins();
	c_finds();
}

static void a_begins_and_c_marks(void)
{
	a_begins();
	found = sq_join(c, SQ_NOWAIT) == 0 ? SQ_GONE : SQ_WAITING;
}

static void a_begins_and_c_ends(void)
{
	a_begins();
	if (removed_at == UINT64_MAX)
		return;
	assert_int_equal(sq_shutdown(c, false), 0);
	found = sq_get(c, got, sizeof(got), SQ_NOWAIT) == -EPIPE ? SQ_GONE : SQ_WAITING;
}

/* What was said to be gone is not leased after that. */
static void test_leased_though_gone(void **state)
{
	static void (*const events[])(void) = {
		a_begins_and_c_finds, a_begins_and_c_marks, a_begins_and_c_ends};
	unsigned gone = 0, there = 0;

	for (unsigned e = 0; e < 3; e++) {
		bool more = true;

		for (long k = 1; more; k++) {
			begin();
			more = at_step(k, events[e], b_leases);
			if (more && removed_at != UINT64_MAX) {
				assert_true(leased == 0 || leased == -ENOENT);
				assert_true(leased < 0 || found != SQ_GONE);
				gone += found == SQ_GONE;
				there += leased == 0;
				assert_true(sqi_group_end(&a->ring, removed_at));
				assert_int_equal(
					sq_find(c, wanted), leased == 0 ? SQ_LEASED : SQ_GONE);
			}
			fx_end(NULL);
		}
	}
	assert_true(gone > 0);
	assert_int_equal(there, 0); /* whoever looked has decided */
}

/* The same without anybody who looks: then it may be leased. */
static void test_leased_out_of_a_group(void **state)
{
	unsigned there = 0;
	bool more = true;

	for (long k = 1; more; k++) {
		begin();
		more = at_step(k, a_begins, b_leases);
		if (more && removed_at != UINT64_MAX) {
			there += leased == 0;
			assert_true(sqi_group_end(&a->ring, removed_at));
			assert_int_equal(sq_find(c, wanted), leased == 0 ? SQ_LEASED : SQ_GONE);
			if (leased == 0) {
				assert_int_equal(sq_nack(b, &lease), 0);
				fx_get(c, wanted);
			}
			turn();
		}
		fx_end(NULL);
	}
	assert_true(there > 0);
}

static bool takes_all;

/*
 * As a consumer that is stopped where it has seen that no message is leased by its id; and then
 * another message is.
 */
static void a_begins_and_c_leases_another(void)
{
	struct sq_lease other;

	a_begins_with(4);
	if (removed_at == UINT64_MAX)
		return;
	takes_all = !sqi_load_seq(&a->ring.head->by_id);
	assert_int_equal(sq_lease_id(c, N - 1, &other), 0);
}

/* Cause: who leased by an id had looked for a head, and after that another set by_id for it. */
static void test_leased_while_another_is(void **state)
{
	unsigned all = 0;
	bool more = true;

	for (long k = 1; more; k++) {
		begin();
		more = at_step(k, a_begins_and_c_leases_another, b_leases);
		if (more && removed_at != UINT64_MAX && takes_all) {
			all++;
			assert_int_equal(leased, -ENOENT);
			assert_true(sqi_group_free(&a->ring, removed_at));
		}
		fx_end(NULL);
	}
	assert_true(all > 0);
}

static const struct CMUnitTest tests[] = {
	TEST(test_got_and_leased),
	TEST(test_leased_and_got),
	TEST(test_got_and_found),
	TEST(test_leased_though_gone),
	TEST(test_leased_out_of_a_group),
	TEST(test_leased_while_another_is),
};

FX_MAIN(tests)
