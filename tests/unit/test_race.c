/* SPDX-License-Identifier: ISC */

/*
 * The engine with something happening between any two of its accesses to shared memory: this program
 * is linked with an engine that tells of each access (steps.h). For every call and every
 * step of it, either somebody else does a lot just there, or the caller dies there.
 */

#include "fixture.h"
#include "steps.h"

#include <setjmp.h>

static const struct sq_config ring_of_4 = {.capacity = 4,
	.participants = 4,
	.max_message = 4096,
	.block_memory = 1,
	.lease_time = 3600 * 1000 * MS};

/* The participants; a is the one in whose call the event happens. */
static struct sq *a, *b;
static struct sq_lease lease_of_a;
static int result;
static size_t size;

/* The same, and the caller, a, dies there. */
static bool a_dies_at_step(long k, void (*f)(void))
{
	if (!dies_at_step(k, f))
		return false;
	fx_die(a);
	return true;
}

static void begin(void)
{
	a = fx_make("a", &ring_of_4);
	b = fx_open("a");
}

/* All that is there, by b: each value how often. */
static void drain(unsigned count[static 8])
{
	unsigned char buf[4096];
	ssize_t r;

	memset(count, 0, 8 * sizeof(count[0]));
	while ((r = sq_get(b, buf, sizeof(buf), SQ_NOWAIT)) >= 0) {
		unsigned seed = 0;

		/* The first byte tells the seed. */
		while (seed < 8 && (unsigned char)(seed * 101 + 1) != buf[0])
			seed++;
		assert_in_range(seed, 0, 7);
		fx_check(buf, (size_t)r, seed);
		count[seed]++;
	}
	assert_int_equal(r, -EAGAIN);
}

/* Nothing is left behind, and the ring turns. */
static void clean(void)
{
	struct sq_stat st = fx_stat(b);

	assert_int_equal(st.leased, 0);
	assert_int_equal(st.damaged, 0);
	assert_int_equal(st.blocks, st.blocks_free);
	for (uint64_t i = 0; i < 4; i++)
		assert_int_equal(fx_state(b, i), SQI_FREE);
	for (unsigned i = 0; i < 20; i++) {
		fx_put_large(b, size, i % 8);
		fx_get_large(b, size, i % 8);
	}
}

static void put_one(void)
{
	unsigned char buf[4096];

	fx_fill(buf, size, 1);
	result = sq_put(a, buf, size, SQ_NOWAIT);
}

static void lease_one(void)
{
	result = sq_lease(a, &lease_of_a, SQ_NOWAIT);
}

static void get_one(void)
{
	unsigned char buf[4096];

	result = (int)sq_get(a, buf, sizeof(buf), SQ_NOWAIT);
	if (result > 0)
		fx_check(buf, size, 1);
}

static void ack_it(void)
{
	result = sq_ack(a, &lease_of_a);
}

static void nack_it(void)
{
	result = sq_nack(a, &lease_of_a);
}

static void touch_it(void)
{
	result = sq_touch(a, &lease_of_a);
}

static unsigned seen[8];
static uint64_t deadline_at_first, deadline_at_event;

static void b_puts_and_drains(void)
{
	unsigned count[8];

	fx_put_large(b, size, 2);
	drain(count);
	for (int i = 0; i < 8; i++)
		seen[i] += count[i];
}

static void b_takes_it(void)
{
	unsigned count[8];

	deadline_at_event = sqi_load_seq(sqi_deadline(&b->ring, 0));
	/* By now the lease is overdue, and b gets what that gives. */
	if (!(deadline_at_event & 1))
		fx_overdue(b, 0);
	sqi_lease_time_expire(&b->ring, 0, b->ring.mask + 1);
	drain(count);
	for (int i = 0; i < 8; i++)
		seen[i] += count[i];
}

/*
 * Each of these on an even field: the caller's call, met by the other's event at each step of it.
 */
static void meet(void (*f)(void), void (*event)(void), bool put_first, bool lease_first,
	void (*check_it)(void))
{
	static const size_t sizes[] = {48, 300};

	for (int s = 0; s < 2; s++) {
		bool more = true;

		size = sizes[s];
		for (long k = 1; more; k++) {
			unsigned count[8];

			begin();
			memset(seen, 0, sizeof(seen));
			if (put_first)
				fx_put_large(a, size, 1);
			if (lease_first)
				assert_int_equal(sq_lease(a, &lease_of_a, SQ_NOWAIT), 0);
			/* A second later, so that a touch can be seen. */
			if (lease_first)
				*sqi_deadline(&a->ring, 0) -= (uint64_t)(1000 * MS) << 1;
			deadline_at_first = sqi_load_seq(sqi_deadline(&a->ring, 0));
			more = at_step(k, event, f);
			drain(count);
			for (int i = 0; i < 8; i++)
				seen[i] += count[i];
			check_it();
			clean();
			fx_end(NULL);
		}
	}
}

static void check_put(void)
{
	assert_int_equal(result, 0);
	assert_int_equal(seen[1], 1);
	assert_true(seen[2] <= 1);
	assert_int_equal(fx_stat(b).put, 1 + seen[2]);
}

static void test_put_met_by_a_consumer(void **state)
{
	meet(put_one, b_puts_and_drains, false, false, check_put);
}

static bool has_claim;
static uint32_t armed;

/*
 * Writers stand in all other cells, for good. b shuts the queue down, and takes their claims away; there is
 * no cell for the end, and b is about to sleep until there is one.
 */
static void b_waits_for_the_end(void)
{
	unsigned char buf[4096];
	struct sq *c = fx_open("a");
	ssize_t r;

	for (uint64_t p = 0; p < 4; p++) {
		uint64_t w = fx_word(b, p);

		has_claim |= sqi_word_state(w) == SQI_WRITING && sqi_word_owner(w) == a->ring.owner;
		if (sqi_word_state(w) == SQI_FREE && sqi_word_turn(w) == 0)
			fx_set(b, p, sqi_word(SQI_WRITING, c->ring.owner, 0, 0));
	}
	assert_int_equal(sq_shutdown(b, false), 0);
	do
		r = sq_get(b, buf, sizeof(buf), SQ_NOWAIT);
	while (r >= 0);
	has_claim &= r == -EAGAIN;
	armed = sqi_event_arm(&b->ring.head->message_event);
}

/* A writer that frees its cell wakes those who wait for the end, though its put failed. */
static void test_end_met_by_a_late_writer(void **state)
{
	unsigned told = 0;
	bool more = true;

	size = 48;
	for (long k = 1; more; k++) {
		unsigned char buf[4096];

		begin();
		has_claim = false;
		more = at_step(k, b_waits_for_the_end, put_one);
		if (more && has_claim && result == -EPIPE) {
			assert_true(sqi_load_seq32(&b->ring.head->message_event.word) != armed);
			assert_int_equal(sq_get(b, buf, sizeof(buf), SQ_NOWAIT), -EPIPE);
			told++;
		}
		fx_end(NULL);
	}
	assert_true(told > 0);
}

static void b_drains(void)
{
	unsigned count[8];

	drain(count);
	for (int i = 0; i < 8; i++)
		seen[i] += count[i];
}

static void check_taken_once(void)
{
	assert_int_equal(seen[1] + (result >= 0), 1);
}

static void test_get_met_by_a_consumer(void **state)
{
	meet(get_one, b_drains, true, false, check_taken_once);
}

static void check_settled(void)
{
	/* Done once: either a's ack held, or b has had it again. */
	assert_int_equal(seen[1] + (result == 0), 1);
	assert_true(result == 0 || result == -ESTALE);
}

static void test_ack_met_by_the_end_of_its_time(void **state)
{
	meet(ack_it, b_takes_it, true, true, check_settled);
}

static void check_back(void)
{
	assert_int_equal(seen[1], 1);
	assert_true(result == 0 || result == -ESTALE);
}

static void test_nack_met_by_the_end_of_its_time(void **state)
{
	meet(nack_it, b_takes_it, true, true, check_back);
}

static void check_touched(void)
{
	if (seen[1]) {
		/* It may only say yes if the end came after it had given more time. */
		assert_true(result == -ESTALE || deadline_at_event > deadline_at_first);
		assert_int_equal(seen[1], 1);
		assert_int_equal(sq_ack(a, &lease_of_a), -ESTALE);
	} else {
		assert_int_equal(result, 0);
		assert_int_equal(sq_ack(a, &lease_of_a), 0);
	}
}

static void test_touch_met_by_the_end_of_its_time(void **state)
{
	meet(touch_it, b_takes_it, true, true, check_touched);
}

/* The caller dies at each step of the call. */
static void killed_in(void (*f)(void), bool put_first, bool lease_first, void (*check_it)(void))
{
	static const size_t sizes[] = {48, 300};

	for (int s = 0; s < 2; s++) {
		size = sizes[s];
		for (long k = 1;; k++) {
			begin();
			result = -1;
			if (put_first)
				fx_put_large(b, size, 1);
			if (lease_first)
				assert_int_equal(sq_lease(a, &lease_of_a, SQ_NOWAIT), 0);
			if (!a_dies_at_step(k, f))
				break;
			assert_int_equal(sq_recover(b), 1);
			drain(seen);
			check_it();
			clean();
			fx_end(NULL);
		}
		fx_end(NULL);
	}
}

static void check_counted(void)
{
	assert_true(seen[1] <= 1);
	assert_int_equal(fx_stat(b).put, seen[1]);
}

static void test_killed_in_put(void **state)
{
	killed_in(put_one, false, false, check_counted);
}

/* First it loses its place, at one step, and then it dies, at a later one. */
static long second;

static void revoked_then_killed(void)
{
	b_puts_and_drains();
	countdown = second;
	then = kill_here;
}

static bool dies_after_revocation(long first)
{
	countdown = first;
	then = revoked_then_killed;
	if (setjmp(killed)) {
		fx_die(a);
		return true;
	}
	put_one();
	countdown = 0;
	return false;
}

static void test_revoked_and_killed_in_put(void **state)
{
	bool more = true;

	size = 48;
	for (long first = 1; more; first++)
		for (second = 1;; second++) {
			unsigned count[8];

			begin();
			memset(seen, 0, sizeof(seen));
			if (!dies_after_revocation(first)) {
				more = second > 1;
				fx_end(NULL);
				break;
			}
			assert_int_equal(sq_recover(b), 1);
			drain(count);
			assert_true(seen[1] + count[1] <= 1);
			assert_int_equal(fx_stat(b).put, 1 + seen[1] + count[1]);
			clean();
			fx_end(NULL);
		}
}

static void check_at_most_one_lost(void)
{
	assert_true(seen[1] <= 1);
}

static void test_killed_in_get(void **state)
{
	killed_in(get_one, true, false, check_at_most_one_lost);
}

static void check_there(void)
{
	assert_int_equal(seen[1], 1);
}

static void test_killed_in_lease(void **state)
{
	killed_in(lease_one, true, false, check_there);
}

static void test_killed_in_ack(void **state)
{
	killed_in(ack_it, true, true, check_at_most_one_lost);
}

static void test_killed_in_nack(void **state)
{
	killed_in(nack_it, true, true, check_there);
}

/*
 * A participant that died holding one of each: a lease, a message on its way out, one on its way in,
 * a reservation, a key.
 */
static struct sq *dead;
static unsigned dead_number;
static uint64_t dead_id;

static void die_with_hands_full(void)
{
	uint64_t p, count;
	struct sq_lease lease;
	void *at;

	dead = fx_open("a");
	dead_number = dead->ring.owner - 1;
	dead_id = dead->member.id;
	assert_int_equal(sq_count_bind(dead, 5, &count), 0);
	fx_put_large(dead, 300, 1);
	fx_put_large(dead, 300, 2);
	assert_int_equal(sq_lease(dead, &lease, SQ_NOWAIT), 0);
	fx_begin_release(dead, 0);
	assert_int_equal(sq_lease(dead, &lease, SQ_NOWAIT), 0);
	assert_int_equal(sq_reserve(dead, 1000, &at), 0);
	p = fx_claim(dead);
	sqi_store_release(sqi_intent(dead->ring.slot, dead->member.puts), p);
	sqi_store_release(&dead->ring.slot->intent_base, dead->member.puts);
	fx_die(dead);
}

static void reap_it(void)
{
	sqi_recover_slot(&a->member, dead_number, dead_id);
}

static struct sq *tenant;
static struct sq_lease leased;

/* Another recovers it all, and the slot's next tenant has its hands full too. */
static void new_tenant_moves_in(void)
{
	uint64_t count;
	void *at;

	(void)sq_recover(b);
	tenant = fx_open("a");
	assert_int_equal(tenant->ring.owner, dead_number + 1);
	assert_int_equal(sq_count_bind(tenant, 5, &count), 0);
	assert_int_equal(count, 2);
	assert_int_equal(sq_lease(tenant, &leased, SQ_NOWAIT), 0);
	fx_put_large(tenant, 300, 3);
	assert_int_equal(sq_reserve(tenant, 500, &at), 0);
	fx_fill(at, 500, 4);
}

static void test_recoverer_met_by_the_next_tenant(void **state)
{
	bool more = true;

	size = 300;
	for (long k = 1; more; k++) {
		uint64_t count;

		begin();
		die_with_hands_full();
		tenant = NULL;
		more = at_step(k, new_tenant_moves_in, reap_it);
		if (!tenant)
			new_tenant_moves_in();
		fx_check(leased.data, 300, 2);
		assert_int_equal(leased.attempts, 2);
		assert_int_equal(sq_ack(tenant, &leased), 0);
		assert_int_equal(sq_commit(tenant, 500, SQ_NOWAIT), 0);
		assert_int_equal(sq_count_read(b, 5, &count), 0);
		assert_int_equal(count, 4);
		drain(seen);
		assert_int_equal(seen[3], 1);
		assert_int_equal(seen[4], 1);
		assert_int_equal(seen[1] + seen[2], 0);
		fx_close(tenant);
		clean();
		fx_end(NULL);
	}
}

/* Another recoverer is a little ahead, and messages come into all the cells that it freed. */
static unsigned others_put;

static void others_use_the_cells(void)
{
	const struct sqi_dead dead_one = {.id = dead_id, .number = dead_number};
	unsigned char buf[300];

	for (uint64_t i = 0; i < 4; i++)
		(void)sqi_reclaim_cell(&b->ring, i, &dead_one);
	for (unsigned i = 0; i < 10; i++) {
		drain(seen);
		fx_put_large(b, 300, 3);
	}
	drain(seen);
	fx_fill(buf, 300, 3);
	for (others_put = 0; sq_put(b, buf, 300, SQ_NOWAIT) == 0; others_put++)
		;
	assert_true(others_put > 0);
}

/* Cause: a recoverer read the reference of a block when the cell was the next message's already. */
static void test_recoverers_meet(void **state)
{
	bool more = true;

	size = 300;
	for (long k = 1; more; k++) {
		begin();
		die_with_hands_full();
		others_put = 0;
		more = at_step(k, others_use_the_cells, reap_it);
		drain(seen);
		assert_int_equal(seen[1], 0);
		assert_int_equal(seen[3], others_put);
		assert_int_equal(fx_stat(b).damaged, 0);
		assert_int_equal(sq_recover(b), 0);
		clean();
		fx_end(NULL);
	}
}

/* A recoverer dies at each step; the next one does the rest, and nothing twice. */
static void test_killed_in_recovery(void **state)
{
	size = 300;
	for (long k = 1;; k++) {
		uint64_t count;

		begin();
		die_with_hands_full();
		if (!a_dies_at_step(k, reap_it))
			break;
		assert_in_range(sq_recover(b), 1, 2);
		assert_int_equal(sq_count_read(b, 5, &count), 0);
		assert_int_equal(count, 2);
		assert_int_equal(fx_stat(b).put, 2);
		drain(seen);
		assert_int_equal(seen[1], 0);
		assert_int_equal(seen[2], 1);
		clean();
		fx_end(NULL);
	}
}

static uint64_t last_id;

/* Puts a message under the key, and dies. */
static void put_and_die(uint64_t value)
{
	struct sq *h = fx_open("a");
	uint64_t count;

	assert_int_equal(sq_count_bind(h, 5, &count), 0);
	fx_put(h, value);
	assert_int_equal(sq_last_put(h, &last_id), 0);
	dead_number = h->ring.owner - 1;
	dead_id = h->member.id;
	fx_die(h);
}

static void fold_it(void)
{
	sqi_count_fold(&a->ring, sqi_slot(&a->ring, dead_number), dead_id);
}

/* Another recoverer folds and is held up; the key's next tenant has come and gone meanwhile. */
static void next_tenant_dies(void)
{
	unsigned number = dead_number;
	uint64_t id = dead_id;

	sqi_count_fold(&b->ring, sqi_slot(&b->ring, number), id);
	put_and_die(2);
	sqi_recover_slot(&b->member, dead_number, dead_id);
	dead_number = number;
	dead_id = id;
}

/* Cause: a slow recoverer set the key's last put back to that of an earlier tenant. */
static void test_slow_fold(void **state)
{
	bool more = true;

	for (long k = 1; more; k++) {
		uint64_t count, id = 0;

		begin();
		put_and_die(1);
		more = at_step(k, next_tenant_dies, fold_it);
		assert_int_equal(sq_recover(b), 1);
		assert_int_equal(sq_count_bind(b, 5, &count), 0);
		assert_int_equal(count, more ? 2 : 1);
		assert_int_equal(sq_last_put(b, &id), 0);
		assert_int_equal(id, last_id);
		fx_end(NULL);
	}
}

static const struct CMUnitTest tests[] = {
	TEST(test_put_met_by_a_consumer),
	TEST(test_end_met_by_a_late_writer),
	TEST(test_get_met_by_a_consumer),
	TEST(test_ack_met_by_the_end_of_its_time),
	TEST(test_nack_met_by_the_end_of_its_time),
	TEST(test_touch_met_by_the_end_of_its_time),
	TEST(test_killed_in_put),
	TEST(test_revoked_and_killed_in_put),
	TEST(test_killed_in_get),
	TEST(test_killed_in_lease),
	TEST(test_killed_in_ack),
	TEST(test_killed_in_nack),
	TEST(test_recoverer_met_by_the_next_tenant),
	TEST(test_recoverers_meet),
	TEST(test_killed_in_recovery),
	TEST(test_slow_fold),
};

FX_MAIN(tests)
