/* SPDX-License-Identifier: ISC */

/*
 * What no other test noticed when the engine was broken on purpose (tests/mutations): each of these
 * is named by its cause, and fails under one of those mutations. This program is linked with an
 * engine that tells of each access (steps.h), so that a child can be killed at a certain one.
 */

#include "fixture.h"
#include "steps.h"

#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

static void raise_sigkill(void)
{
	(void)raise(SIGKILL);
}

static const struct sq_config ring_of_8 = {.capacity = 8, .participants = 4};
static const struct sq_config two = {.capacity = 8, .participants = 2, .max_message = 48};

/*
 * Cause: a hint that lies ahead by less than a lap points at cells that look just as they should. A
 * producer that believed it would leave a hole, in front of which every consumer stops.
 */
static void test_hint_of_the_end_lies_near(void **state)
{
	for (uint64_t lie = 2; lie < 8; lie++) {
		struct sq *a = fx_make("a", &ring_of_8), *b = fx_open("a");

		fx_put(a, 1);
		sqi_store_seq(&a->ring.head->tail, lie);
		fx_put(b, 2);
		fx_put(a, 3);
		for (uint64_t v = 1; v <= 3; v++)
			fx_get(a, v);
		fx_empty(b);
		fx_end(NULL);
	}
}

/*
 * Cause: the same of the other end: a consumer that believed it would go by messages that are there.
 * The hint of the end counts too, for the ring's front is never more than a lap behind it.
 */
static void test_hint_of_the_front_lies_near(void **state)
{
	for (uint64_t lie = 2; lie < 5; lie++)
		for (int end = 0; end < 2; end++) {
			struct sq *a = fx_make("a", &ring_of_8), *b = fx_open("a");

			for (uint64_t v = 1; v <= 5; v++)
				fx_put(a, v);
			fx_get(a, 1);
			sqi_store_seq(end ? &a->ring.head->tail : &a->ring.head->front,
				end ? lie + 8 : lie);
			for (uint64_t v = 2; v <= 5; v++)
				fx_get(b, v);
			fx_empty(a);
			fx_end(NULL);
		}
}

/* Cause: memory that is promised but not taken is found missing by SIGBUS, weeks later. */
static void test_memory_is_taken_at_once(void **state)
{
	struct sq *h = fx_make("a", NULL);
	struct stat st;

	assert_int_equal(fstat(h->file.fd, &st), 0);
	assert_true(st.st_size > 1 << 20);
	assert_true(st.st_blocks * 512 >= st.st_size);
}

/* A child opens the queue and puts, and is killed at that access of the one or the other. */
static bool killed_at(long in_open, long in_put)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		struct sq *h;
		uint64_t v = 7;

		then = raise_sigkill;
		countdown = in_open;
		CHILD_CHECK(sq_open(&h, "a") == 0);
		countdown = in_put;
		CHILD_CHECK(in_open || sq_put(h, &v, sizeof(v), SQ_NOWAIT) == 0);
		_exit(0);
	}
	return fx_was_killed(pid);
}

/*
 * Cause: a put that was in doubt, and decided not to have happened, leaves its intent in the slot.
 * The next tenant must make it void before there is anything of its own to decide about; else its
 * death in between counts a put that nobody made.
 */
static void test_killed_in_open_where_a_put_was_killed(void **state)
{
	unsigned long seen = 0;
	bool in_put = true;

	for (long first = 1; in_put; first++) {
		bool in_open = true;

		for (long second = 1; in_open; second++) {
			struct sq *a = fx_make("a", &two);
			const struct sqi_slot *slot = sqi_slot(&a->ring, 1);
			uint64_t v, got = 0;

			in_put = killed_at(0, first);
			(void)sq_recover(a);
			if (sqi_load_relaxed(&slot->intent_base) == sqi_load_relaxed(&slot->puts)) {
				in_open = killed_at(second, 0);
				(void)sq_recover(a);
				seen++;
			} else {
				in_open = false;
			}
			while (sq_get(a, &v, sizeof(v), SQ_NOWAIT) == sizeof(v))
				got++;
			assert_int_equal(fx_stat(a).put, got);
			assert_int_equal(fx_stat(a).participants, 1);
			fx_end(NULL);
		}
	}
	assert_true(seen > 0);
}

static const struct CMUnitTest tests[] = {
	TEST(test_hint_of_the_end_lies_near),
	TEST(test_hint_of_the_front_lies_near),
	TEST(test_memory_is_taken_at_once),
	TEST(test_killed_in_open_where_a_put_was_killed),
};

FX_MAIN(tests)
