/* SPDX-License-Identifier: ISC */
#include "fixture.h"
#include "rng.h"

/*
 * What death leaves behind, in each state that a participant can be killed in. The states are made
 * by hand, as the dead one would have left them at that instruction; tests/kill does the same to
 * real processes.
 */

static const struct sq_config ring_of_4 = {
	.capacity = 4, .participants = 8, .max_message = 4096, .block_memory = 1};

/* More calls than are made between two looks at the clock. */
#define CALLS_WITHOUT_A_LOOK 200000

/* Nothing is left of any participant: all cells free, all blocks, and the ring turns. */
static void clean(struct sq *h)
{
	struct sq_stat st = fx_stat(h);

	assert_int_equal(st.depth, 0);
	assert_int_equal(st.leased, 0);
	assert_int_equal(st.blocks, st.blocks_free);
	for (uint64_t i = 0; i < 4; i++)
		assert_int_equal(fx_state(h, i), SQI_FREE);
	for (unsigned i = 0; i < 12; i++) {
		fx_put_large(h, 300, i);
		fx_get_large(h, 300, i);
	}
}

static void test_writing(void **state)
{
	struct sq *a = fx_make("a", &ring_of_4), *b = fx_open("a");
	uint64_t p = fx_claim(b);

	fx_die(b);
	assert_int_equal(sq_recover(a), 1);
	assert_int_equal(fx_word(a, p), sqi_word(SQI_FREE, 0, 0, 1));
	assert_int_equal(fx_stat(a).put, 0);
	clean(a);
}

static void test_void(void **state)
{
	struct sq *a = fx_make("a", &ring_of_4), *b = fx_open("a");
	uint64_t p = fx_claim(b);

	fx_put(a, 1);
	fx_get(a, 1);
	assert_int_equal(fx_state(a, p), SQI_VOID);
	fx_die(b);
	assert_int_equal(sq_recover(a), 1);
	/* The turn was raised when it was revoked: once more, and the cell would miss a lap. */
	assert_int_equal(fx_word(a, p), sqi_word(SQI_FREE, 0, 0, 1));
	clean(a);
}

static void test_taken(void **state)
{
	static const size_t sizes[] = {8, 300};

	for (unsigned s = 0; s < 2; s++) {
		struct sq *a = fx_make("a", &ring_of_4), *b = fx_open("a");
		struct sq_lease lease;

		fx_put_large(a, sizes[s], 1);
		assert_int_equal(sq_lease(b, &lease, SQ_NOWAIT), 0);
		fx_die(b);
		fx_empty(a);
		assert_int_equal(sq_recover(a), 1);
		assert_int_equal(sq_lease(a, &lease, SQ_NOWAIT), 0);
		assert_int_equal(lease.attempts, 2);
		fx_check(lease.data, sizes[s], 1);
		assert_int_equal(sq_ack(a, &lease), 0);
		assert_int_equal(fx_stat(a).reclaimed, 1);
		clean(a);
		fx_end(NULL);
	}
}

static void test_releasing(void **state)
{
	for (int freed = 0; freed < 2; freed++) {
		struct sq *a = fx_make("a", &ring_of_4), *b = fx_open("a");
		struct sq_lease lease;
		struct sqi_ref ref;

		fx_put_large(a, 300, 1);
		assert_int_equal(sq_lease(b, &lease, SQ_NOWAIT), 0);
		fx_begin_release(b, 0);
		assert_true(sqi_message_block(&a->ring, 0, &ref));
		if (freed)
			sqi_block_free(&b->ring, &ref);
		fx_die(b);
		assert_int_equal(sq_recover(a), 1);
		/* Acked is acked: it does not come again. */
		fx_empty(a);
		clean(a);
		fx_end(NULL);
	}
}

/* Freed, and in use again by another message, when the recoverer comes by. */
static void test_releasing_and_used_again(void **state)
{
	struct sq *a = fx_make("a", &ring_of_4), *b = fx_open("a");
	struct sq_lease lease;
	struct sqi_ref ref, other;

	fx_put_large(a, 300, 1);
	assert_int_equal(sq_lease(b, &lease, SQ_NOWAIT), 0);
	fx_begin_release(b, 0);
	assert_true(sqi_message_block(&a->ring, 0, &ref));
	sqi_block_free(&b->ring, &ref);
	for (int i = 0; i < 8; i++)
		assert_int_equal(sqi_block_get(&a->ring, 300, &other), 0);
	fx_die(b);
	assert_int_equal(sq_recover(a), 1);
	assert_true(sqi_block_valid(&a->ring, &other));
	assert_int_equal(fx_stat(a).blocks_free, 24 - 8);
}

static void test_blocks_not_yet_in_a_cell(void **state)
{
	struct sq *a = fx_make("a", &ring_of_4), *b = fx_open("a");
	struct sqi_ref ref;
	void *at;

	assert_int_equal(sq_reserve(b, 4096, &at), 0);
	assert_int_equal(sqi_block_get(&b->ring, 300, &ref), 0);
	fx_die(b);
	assert_int_equal(sq_recover(a), 1);
	clean(a);
}

/* A put in hand, as sqi_put_try() leaves it behind at each of its steps. */
enum step {
	CLAIMED,
	INTENT_POS,
	INTENT,
	COMMITTED,
	GOT,
	GOT_AND_REUSED,
	REVOKED,
	GIVEN_UP,
	COUNTED
};

static void put_up_to(struct sq *b, enum step step, struct sq *a)
{
	uint64_t p = fx_claim(b), w = fx_word(b, p);
	struct sqi_cell *c = sqi_cell(&b->ring, p);

	c->meta = p >> b->ring.shift << SQI_TURN_SHIFT | 8;
	c->data[0] = 5;
	if (step == CLAIMED)
		return;
	sqi_store_release(sqi_intent(b->ring.slot, b->member.puts), p);
	if (step == INTENT_POS)
		return;
	sqi_store_release(&b->ring.slot->intent_base, b->member.puts);
	if (step == INTENT)
		return;
	if (step == REVOKED || step == GIVEN_UP) {
		fx_put(a, 6);
		fx_get(a, 6);
		assert_int_equal(fx_state(a, p), SQI_VOID);
		if (step == GIVEN_UP)
			sqi_store_release(&b->ring.slot->intent_base, ~(uint64_t)0);
		return;
	}
	assert_true(sqi_cell_commit(c, w));
	if (step == COUNTED)
		sqi_store_release(&b->ring.slot->puts, ++b->member.puts);
	if (step == GOT || step == GOT_AND_REUSED)
		fx_get(a, 5);
	for (uint64_t i = 0; step == GOT_AND_REUSED && i < 10; i++) {
		fx_put(a, i);
		fx_get(a, i);
	}
}

static void test_put_in_doubt(void **state)
{
	static const struct {
		enum step step;
		uint64_t put, there;
	} want[] = {{CLAIMED, 0, 0}, {INTENT_POS, 0, 0}, {INTENT, 0, 0}, {COMMITTED, 1, 1},
		{GOT, 1, 0}, {GOT_AND_REUSED, 1, 0}, {REVOKED, 0, 0}, {GIVEN_UP, 0, 0},
		{COUNTED, 1, 1}};

	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++)
		for (uint64_t before = 0; before < 3; before++) {
			struct sq *a = fx_make("a", &ring_of_4), *b = fx_open("a");
			uint64_t mine, key = 99, count = 0;

			assert_int_equal(sq_count_bind(b, key, &count), 0);
			for (uint64_t n = 0; n < before; n++) {
				fx_put(b, n);
				fx_get(a, n);
			}
			put_up_to(b, want[i].step, a);
			mine = a->member.puts;
			fx_die(b);
			assert_int_equal(sq_recover(a), 1);
			assert_int_equal(fx_stat(a).put - mine, before + want[i].put);
			assert_int_equal(sq_count_read(a, key, &count), 0);
			assert_int_equal(count, before + want[i].put);
			assert_int_equal(fx_stat(a).depth, want[i].there);
			if (want[i].there)
				fx_get(a, 5);
			clean(a);
			fx_end(NULL);
		}
}

/*
 * Cause: a cell in which another writes by now was taken for one in which the dead still wrote: its put
 * had happened, and was not counted.
 */
static void test_put_in_doubt_and_the_next_writer(void **state)
{
	struct sq *a = fx_make("a", &ring_of_4), *b = fx_open("a"), *c = fx_open("a");
	uint64_t count, p;

	assert_int_equal(sq_count_bind(b, 99, &count), 0);
	put_up_to(b, GOT, a);
	for (uint64_t i = 0; i < 3; i++) {
		fx_put(a, i);
		fx_get(a, i);
	}
	p = fx_claim(c);
	assert_int_equal(p, 4);
	fx_die(b);
	assert_int_equal(sq_recover(a), 1);
	assert_int_equal(sq_count_read(a, 99, &count), 0);
	assert_int_equal(count, 1);
	assert_int_equal(fx_stat(a).put, 3 + 1);
	/* The other keeps its place. */
	assert_int_equal(fx_state(a, p), SQI_WRITING);
	assert_int_equal(sqi_word_owner(fx_word(a, p)), c->ring.owner);
	fx_die(c);
	assert_int_equal(sq_recover(a), 1);
	clean(a);
}

/*
 * A recoverer that was killed after any of its steps: the next begins again, and nothing is done
 * twice.
 */
static void test_recovered_twice(void **state)
{
	struct sq *a = fx_make("a", &ring_of_4), *b = fx_open("a");
	struct sqi_slot *slot = b->ring.slot;
	unsigned number = b->ring.owner - 1;
	uint64_t id = b->member.id, count;
	struct sq_lease lease;

	assert_int_equal(sq_count_bind(b, 7, &count), 0);
	fx_put(a, 1);
	lease = fx_lease(b, 1);
	put_up_to(b, COMMITTED, a);
	fx_die(b);
	for (int i = 0; i < 3; i++) {
		sqi_recover_slot(&a->member, number, id);
		assert_int_equal(slot->id, 0);
		assert_int_equal(fx_stat(a).put, 2);
		assert_int_equal(sq_count_read(a, 7, &count), 0);
		assert_int_equal(count, 1);
		assert_int_equal(fx_stat(a).reclaimed, 1);
		/* As if it had died before the last step. */
		sqi_store_seq(&slot->id, id);
	}
	sqi_store_seq(&slot->id, 0);
	lease = fx_lease(a, 1);
	assert_int_equal(lease.attempts, 2);
	assert_int_equal(sq_ack(a, &lease), 0);
	fx_get(a, 5);
	clean(a);
}

/* A recoverer that saw the death long ago, and comes when the slot has another tenant. */
static void test_next_tenant_is_not_robbed(void **state)
{
	struct sq *a = fx_make("a", &ring_of_4), *b = fx_open("a"), *c;
	uint64_t id = b->member.id, p, count;
	unsigned number = b->ring.owner - 1;
	struct sq_lease small, large;
	void *at;

	fx_die(b);
	assert_int_equal(sq_recover(a), 1);
	c = fx_open("a");
	assert_int_equal(c->ring.owner, number + 1);
	assert_int_equal(sq_count_bind(c, 3, &count), 0);
	fx_put(c, 1);
	fx_put_large(c, 300, 2);
	small = fx_lease(c, 1);
	assert_int_equal(sq_lease(c, &large, SQ_NOWAIT), 0);
	assert_int_equal(sq_reserve(c, 300, &at), 0);
	fx_fill(at, 300, 3);
	p = fx_claim(c);
	sqi_store_release(sqi_intent(c->ring.slot, c->member.puts), p);
	sqi_store_release(&c->ring.slot->intent_base, c->member.puts);
	for (int i = 0; i < 3; i++)
		sqi_recover_slot(&a->member, number, id);
	assert_int_equal(c->ring.slot->id, c->member.id);
	assert_int_equal(
		fx_word(a, p), sqi_word(SQI_WRITING, c->ring.owner, 0, p >> c->ring.shift));
	assert_int_equal(c->ring.slot->puts, 2);
	assert_int_equal(sq_count_read(a, 3, &count), 0);
	assert_int_equal(count, 2);
	assert_true(sqi_cell_abandon(sqi_cell(&a->ring, p), fx_word(a, p)));
	sqi_store_release(&c->ring.slot->intent_base, ~(uint64_t)0);
	assert_int_equal(sq_ack(c, &small), 0);
	fx_check(large.data, 300, 2);
	assert_int_equal(sq_ack(c, &large), 0);
	assert_int_equal(sq_commit(c, 300, SQ_NOWAIT), 0);
	fx_get_large(a, 300, 3);
	clean(a);
}

static void test_close_is_no_death(void **state)
{
	struct sq *a = fx_make("a", &ring_of_4), *b = fx_open("a");
	struct sq_lease lease;
	void *at;

	fx_put(b, 1);
	lease = fx_lease(b, 1);
	assert_int_equal(sq_reserve(b, 4096, &at), 0);
	fx_close(b);
	/* At once, without a recovery. */
	assert_int_equal(sq_recover(a), 0);
	lease = fx_lease(a, 1);
	assert_int_equal(lease.attempts, 2);
	assert_int_equal(sq_ack(a, &lease), 0);
	clean(a);
}

static void test_many_dead_at_once(void **state)
{
	struct sq *a = fx_make("a", &ring_of_4), *others[4];

	for (uint64_t i = 0; i < 4; i++) {
		others[i] = fx_open("a");
		fx_put(others[i], i);
	}
	for (uint64_t i = 0; i < 4; i++)
		(void)fx_lease(others[i], i);
	for (int i = 0; i < 4; i++)
		fx_die(others[i]);
	assert_int_equal(sq_recover(a), 4);
	for (uint64_t i = 0; i < 4; i++)
		fx_get(a, i);
	assert_int_equal(fx_stat(a).put, 4);
	clean(a);
}

/* No call for it: participants that wait do it in passing. */
static void test_found_by_those_who_wait(void **state)
{
	struct sq *a = fx_make("a", &ring_of_4), *b = fx_open("a");
	uint64_t v;

	fx_put(a, 1);
	(void)fx_lease(b, 1);
	fx_die(b);
	assert_int_equal(sq_get(a, &v, 8, FX_SOON), 8);
	assert_int_equal(v, 1);
}

/*
 * Cause: only participants that waited looked for the dead. One that always finds something to do
 * must look too, for there may be no other: once in so many calls, and not before its time has
 * come.
 */
static void test_found_by_those_who_never_wait(void **state)
{
	struct sq *a = fx_make("a", &ring_of_4), *b = fx_open("a");
	bool found = false;

	fx_put(a, 1);
	(void)fx_lease(b, 1);
	fx_die(b);
	for (int i = 0; i < CALLS_WITHOUT_A_LOOK / 2 && !found; i++) {
		uint64_t v = 2;

		/* However long it is since the last look. */
		sqi_store_seq(&a->ring.head->upkeep_ms, 0);
		sqi_store_seq(&a->ring.head->find_dead_ms, 0);
		a->member.looked_ms = 0;

		assert_int_equal(sq_put(a, &v, sizeof(v), SQ_NOWAIT), 0);
		assert_int_equal(sq_get(a, &v, sizeof(v), SQ_NOWAIT), sizeof(v));
		found = v == 1;
	}
	assert_true(found);
}

/*
 * Asking the kernel who is dead is expensive where there are many participants: it has a pace of
 * its own, slower than that of the other upkeep. Damage of it costs no more than its longest span.
 */
static void test_asked_at_its_own_pace(void **state)
{
	struct sq *a = fx_make("a", &ring_of_4), *b = fx_open("a");

	fx_put(a, 1);
	(void)fx_lease(b, 1);
	fx_die(b);
	sqi_store_seq(&a->ring.head->upkeep_ms, 0);
	sqi_store_seq(&a->ring.head->find_dead_ms, sqi_upkeep_at(sqi_now_ms(), 50000));
	sqi_upkeep(&a->member);
	fx_empty(a);
	/* Further ahead than it can be: of another clock. */
	sqi_store_seq(&a->ring.head->upkeep_ms, 0);
	sqi_store_seq(&a->ring.head->find_dead_ms, sqi_upkeep_at(sqi_now_ms() + 50000, 100));
	sqi_upkeep(&a->member);
	fx_get(a, 1);
}

/* A ring that takes more than one slice. */
static const struct sq_config large = {
	.capacity = 1 << 20, .participants = 8, .small_message = 16, .max_message = 16};

#define CALLS_FOR_A_LAP 5000 /* a slice is 256 cells at least */

static void look_in_passing(struct sq *h)
{
	sqi_store_seq(&h->ring.head->upkeep_ms, 0);
	sqi_store_seq(&h->ring.head->find_dead_ms, 0);
	h->member.recovery.next_ms = 0;
	sqi_upkeep(&h->member);
}

/*
 * A slot is released only after a whole lap, whatever is in the head: where laps begin, and which
 * participant is said to be in one, decides nothing.
 */
static void test_in_slices(void **state)
{
	struct sq *a = fx_make("a", &large), *b = fx_open("a");
	struct sqi_slot *slot = b->ring.slot;
	uint64_t id = b->member.id, chance = 88172645463325252;
	int calls = 0;

	fx_put(a, 1);
	fx_put(a, 2);
	(void)fx_lease(b, 1);
	fx_die(b);
	sqi_store_seq(&a->ring.head->recovery_at, 1000); /* it comes to the leased cell last */
	look_in_passing(a);
	assert_int_equal(a->member.recovery.count, 1);
	for (; slot->id == id; calls++) {
		assert_true(calls < CALLS_FOR_A_LAP);
		sqi_store_seq(&a->ring.head->recovery_at, rng_shift(&chance));
		sqi_store_seq(&a->ring.head->find_dead_at, chance);
		sqi_store_seq(&a->ring.head->expire_at, chance);
		sqi_store_seq(&a->ring.head->announce_at, chance);
		sqi_store_seq(&a->ring.head->recovery_ms, chance);
		look_in_passing(a);
	}
	assert_true(calls > 1);
	assert_int_equal(fx_state(a, 0), SQI_BACK);
	assert_int_equal(a->member.recovery.count, 0);
	fx_get(a, 1);
	fx_get(a, 2);
}

/* While one is in the middle of a lap others begin none; but not for ever, and not for nonsense. */
static void test_one_lap_at_a_time(void **state)
{
	struct sq *a = fx_make("a", &large), *b = fx_open("a"), *c = fx_open("a");

	fx_put(a, 1);
	(void)fx_lease(b, 1);
	fx_die(b);
	look_in_passing(a);
	assert_int_equal(a->member.recovery.count, 1);
	assert_int_not_equal(a->ring.head->recovery_ms, 0);
	look_in_passing(c);
	assert_int_equal(c->member.recovery.count, 0);
	/* A participant that leaves in the middle takes its claim back. */
	fx_close(a);
	assert_int_equal(c->ring.head->recovery_ms, 0);
	sqi_store_seq(&c->ring.head->recovery_ms, sqi_upkeep_at(sqi_now_ms() - 2000, 1000));
	look_in_passing(c);
	assert_int_equal(c->member.recovery.count, 1);
	fx_close(c);
	c = fx_open("a");
	sqi_store_seq(&c->ring.head->recovery_ms, sqi_upkeep_at(sqi_now_ms(), 60000));
	look_in_passing(c);
	assert_int_equal(c->member.recovery.count, 1);
}

/* Cause: closing a handle on a large ring went over all of it, for a second. */
static void test_leaving_a_large_ring(void **state)
{
	static const struct sq_config config = {
		.capacity = 1 << 15, .participants = 8, .max_message = 4096, .block_memory = 1};
	struct sq *a = fx_make("a", &config), *b = fx_open("a");
	uint64_t free = fx_stat(a).blocks_free;
	struct sqi_slot *slot = b->ring.slot;
	struct sq_lease lease, second;
	void *at;

	/* What it holds it gives back. */
	fx_put(a, 1);
	fx_put(a, 2);
	fx_put(a, 3);
	assert_int_equal(sq_lease(b, &lease, SQ_NOWAIT), 0);
	assert_int_equal(sq_lease(b, &second, SQ_NOWAIT), 0);
	assert_int_equal(sq_ack(b, &second), 0);
	assert_int_equal(sq_ack(b, &second), -ESTALE);
	fx_close(b);
	assert_int_equal(slot->id, 0);
	fx_get(a, 1);
	fx_get(a, 3);

	/*
	 * A handle that has settled all does not look at the cells: this cell is no one's, as far
	 * as it can know.
	 */
	b = fx_open("a");
	slot = b->ring.slot;
	fx_put(a, 4);
	assert_int_equal(sq_lease(b, &lease, SQ_NOWAIT), 0);
	assert_int_equal(sq_nack(b, &lease), 0);
	assert_int_equal(sq_lease(b, &lease, SQ_NOWAIT), 0);
	assert_int_equal(sq_ack(b, &lease), 0);
	assert_int_equal(sq_reserve(b, 4000, &at), 0);
	fx_set(a, 100, sqi_word(SQI_TAKEN, b->ring.owner, 1, 1));
	fx_close(b);
	assert_int_equal(slot->id, 0);
	assert_int_equal(fx_state(a, 100), SQI_TAKEN);
	assert_int_equal(fx_stat(a).blocks_free, free);
}

static const struct CMUnitTest tests[] = {
	TEST(test_writing),
	TEST(test_void),
	TEST(test_taken),
	TEST(test_releasing),
	TEST(test_releasing_and_used_again),
	TEST(test_blocks_not_yet_in_a_cell),
	TEST(test_put_in_doubt),
	TEST(test_put_in_doubt_and_the_next_writer),
	TEST(test_recovered_twice),
	TEST(test_next_tenant_is_not_robbed),
	TEST(test_close_is_no_death),
	TEST(test_many_dead_at_once),
	TEST(test_found_by_those_who_wait),
	TEST(test_found_by_those_who_never_wait),
	TEST(test_asked_at_its_own_pace),
	TEST(test_in_slices),
	TEST(test_one_lap_at_a_time),
	TEST(test_leaving_a_large_ring),
};

FX_MAIN(tests)
