/* SPDX-License-Identifier: ISC */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "local_collect.h"
#include "local_crew.h"
#include "local_make.h"
#include "local_show.h"
#include "local_work.h"
#include "report.h"

/*
 * What a death means to the supervisor of `sqctl local`: which process is started again, which is
 * given up, and what is noted for the proof. No processes are started here: deaths are reported to
 * it, and starts are counted.
 */

#define IN_A_ROW 20 /* deaths without any progress; at the next it is given up */
#define WORKER   1  /* whose deaths are told: index and key are not the same */
#define KEY      (WORKER + 1)

static struct local local;
static struct crew_member member;
static struct sq *results; /* the worker's */
static unsigned replaced;

int crew_start(struct crew *crew)
{
	(void)crew;
	return 0;
}

int crew_replace(struct crew *crew, struct crew_member *m)
{
	(void)crew;
	assert_ptr_equal(m, &member);
	replaced++;
	return 0;
}

int local_make(const struct local_options *o, struct local_ledger *ledger, unsigned index)
{
	(void)o;
	(void)ledger;
	(void)index;
	abort();
}

int local_work(const struct local_options *o, struct local_ledger *ledger, unsigned index)
{
	return local_make(o, ledger, index);
}

/* There is no progress on a terminal here. */
void local_show_clear(const struct local *l)
{
	(void)l;
}

int local_collect(const struct local_options *o, struct local_ledger *ledger)
{
	return local_make(o, ledger, 0);
}

static struct sq *make(const char *name)
{
	struct sq *q;

	assert_int_equal(sq_create(name, NULL), 0);
	assert_int_equal(sq_open(&q, name), 0);
	return q;
}

static int begin(void **state)
{
	uint64_t count;

	(void)state;
	local = (struct local){.options = {.quiet = true}};
	member = (struct crew_member){.kind = LOCAL_WORKER, .index = WORKER};
	replaced = 0;
	local.ledger = mmap(NULL, sizeof(*local.ledger), PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(local.ledger, MAP_FAILED);
	local.pq = make("pq");
	local.cq = make("cq");
	assert_int_equal(sq_open(&results, "cq"), 0);
	assert_int_equal(sq_count_bind(results, KEY, &count), 0);
	assert_int_equal(local_crew_start(&local), 0);
	return 0;
}

static int end(void **state)
{
	(void)state;
	sq_close(results);
	sq_close(local.pq);
	sq_close(local.cq);
	free(local.suspects);
	(void)munmap(local.ledger, sizeof(*local.ledger));
	return sq_unlink("pq") < 0 || sq_unlink("cq") < 0;
}

static char said[256];

/* The exit code; what is said of it goes to `said`. */
static int killed_by(int sig)
{
	int fd = memfd_create("said", MFD_CLOEXEC), kept, code;
	ssize_t len;

	assert_true(fd >= 0);
	(void)fflush(stderr);
	kept = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0);
	assert_true(kept >= 0);
	assert_true(dup2(fd, STDERR_FILENO) >= 0);
	code = local.crew.ended(local.crew.data, &member, 1234, W_EXITCODE(0, sig));
	(void)fflush(stderr);
	assert_true(dup2(kept, STDERR_FILENO) >= 0);
	len = pread(fd, said, sizeof(said) - 1, 0);
	assert_true(len >= 0);
	said[len] = '\0';
	(void)close(kept);
	(void)close(fd);
	return code;
}

static void crash(unsigned times)
{
	unsigned before = replaced;

	for (unsigned i = 0; i < times; i++)
		assert_int_equal(killed_by(SIGSEGV), 0);
	assert_int_equal(replaced, before + times);
}

static void put_result(void)
{
	assert_int_equal(sq_put(results, "x", 1, SQ_NOWAIT), 0);
}

static void test_crash_loop(void **state)
{
	(void)state;
	crash(IN_A_ROW);
	assert_string_equal(said, "");
	assert_int_equal(killed_by(SIGSEGV), EXIT_BROKEN);
	assert_string_equal(
		said, "sqctl: worker 2 dies as soon as it starts (signal 11); giving up\n");
	assert_int_equal(replaced, IN_A_ROW);
}

/* A member that makes progress in between is not in a loop. */
static void test_crashes_with_progress(void **state)
{
	(void)state;
	for (int i = 0; i < 5; i++) {
		put_result();
		/* The first of these tells that there was progress. */
		crash(1 + IN_A_ROW);
	}
}

/* A producer's progress is what it put into the other queue. */
static void test_crashes_of_a_producer(void **state)
{
	struct sq *tasks;
	uint64_t count;

	(void)state;
	member.kind = LOCAL_PRODUCER;
	assert_int_equal(sq_open(&tasks, "pq"), 0);
	assert_int_equal(sq_count_bind(tasks, KEY, &count), 0);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(sq_put(tasks, "x", 1, SQ_NOWAIT), 0);
		crash(1 + IN_A_ROW);
	}
	/* Not what the worker of its number did. */
	put_result();
	assert_int_equal(killed_by(SIGABRT), EXIT_BROKEN);
	sq_close(tasks);
}

/* SIGKILL is sent on purpose, and does not count, however often it comes. */
static void test_killed_again_and_again(void **state)
{
	(void)state;
	for (int i = 0; i < 10 * IN_A_ROW; i++)
		assert_int_equal(killed_by(SIGKILL), 0);
	assert_int_equal(replaced, 10 * IN_A_ROW);
	assert_int_equal(local.restarts[LOCAL_WORKER], 10 * IN_A_ROW);
	assert_int_equal(local.restarts[LOCAL_PRODUCER], 0);
	crash(IN_A_ROW);
}

/* A member that ends by an exit code has reported the reason; it is not started again. */
static void test_exit_codes(void **state)
{
	(void)state;
	assert_int_equal(local.crew.ended(local.crew.data, &member, 1234, W_EXITCODE(66, 0)), 66);
	assert_int_equal(replaced, 0);
	assert_int_equal(local.restarts[LOCAL_WORKER], 0);
}

/* In its hand: a task, and how many results it had put before that one's, plus one. */
static void hand(uint64_t id, uint64_t n, uint64_t seq, uint64_t entry)
{
	struct local_hand *in = &local.ledger->hand[WORKER];

	in->id = id;
	in->n = n;
	in->entry = entry;
	in->seq = seq;
}

/* Only the result in a dead worker's hand that it had put may have been put twice. */
static void test_suspects(void **state)
{
	(void)state;
	/* Nothing in hand. */
	assert_int_equal(killed_by(SIGKILL), 0);
	assert_int_equal(local.suspect_count, 0);
	/* Killed before its put. */
	hand(100, 7, 1, 0);
	assert_int_equal(killed_by(SIGKILL), 0);
	assert_int_equal(local.suspect_count, 0);
	/* After it. */
	hand(101, 8, 1, 0);
	put_result();
	assert_int_equal(killed_by(SIGKILL), 0);
	assert_int_equal(local.suspect_count, 1);
	assert_int_equal(local.suspects[0].id, 101);
	assert_int_equal(local.suspects[0].n, 8);
	/* Its successor dies before it has anything in its hand: not the same once more. */
	assert_int_equal(killed_by(SIGKILL), 0);
	assert_int_equal(local.suspect_count, 1);
	/* A redelivery that was seen to be done is on record already, one that was not is not. */
	put_result();
	local.ledger->again[4].done = 1;
	hand(102, 9, 2, 4 + 1);
	assert_int_equal(killed_by(SIGKILL), 0);
	assert_int_equal(local.suspect_count, 1);
	put_result();
	hand(103, 10, 3, 5 + 1);
	assert_int_equal(killed_by(SIGKILL), 0);
	assert_int_equal(local.suspect_count, 2);
	assert_int_equal(local.suspects[1].id, 103);
}

static void test_many_suspects(void **state)
{
	(void)state;
	for (uint64_t i = 0; i < 1000; i++) {
		hand(i, 2 * i, i + 1, 0);
		put_result();
		assert_int_equal(killed_by(SIGKILL), 0);
	}
	assert_int_equal(local.suspect_count, 1000);
	for (uint64_t i = 0; i < 1000; i++) {
		assert_int_equal(local.suspects[i].id, i);
		assert_int_equal(local.suspects[i].n, 2 * i);
	}
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_crash_loop),
		TEST(test_crashes_with_progress),
		TEST(test_crashes_of_a_producer),
		TEST(test_killed_again_and_again),
		TEST(test_exit_codes),
		TEST(test_suspects),
		TEST(test_many_suspects),
	};
	char prefix[32];

	(void)snprintf(prefix, sizeof(prefix), "cli%ld", (long)getpid());
	if (setenv("SQ_PREFIX", prefix, 1) < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
