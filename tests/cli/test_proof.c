/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "local.h"
#include "local_proof.h"
#include "local_tell.h"
#include "report.h"

/*
 * The proof of `sqctl local`, alone: books and queues as a run leaves them, made by hand, so that each
 * number can be wrong by itself, and tasks can be done twice at will. What it must not believe is as
 * important as what it must.
 */

#define PRODUCERS 2
#define WORKERS   2
#define TASKS     6
#define TEXT_MAX  (64 << 10)

/* The names of the queues are ours by the prefix. */
#define PQ "pq"
#define CQ "cq"

static struct local local;
static struct sq *producer[PRODUCERS];
static struct {
	struct sq *pq, *cq;
	struct sq_lease task;
	uint64_t n;
} worker[WORKERS];
static struct local_suspect suspects[8];
static char said[TEXT_MAX], json[TEXT_MAX];

static void put_number(struct sq *q, uint64_t n)
{
	char text[NATURAL_MAX];

	assert_int_equal(sq_put(q, text, natural_text(text, n), SQ_NOWAIT), 0);
}

/* A producer makes a task, and keeps its books. */
static void make(unsigned i, uint64_t n)
{
	struct local_made *m = &local.ledger->made[i];

	put_number(producer[i], n);
	m->at[0].count++;
	m->at[0].sum += n;
}

static void take(unsigned i)
{
	char text[NATURAL_MAX + 1] = {0};

	assert_int_equal(sq_lease(worker[i].pq, &worker[i].task, SQ_NOWAIT), 0);
	assert_in_range(worker[i].task.len, 1, NATURAL_MAX);
	memcpy(text, worker[i].task.data, worker[i].task.len);
	worker[i].n = strtoull(text, NULL, 10);
}

static void put_result(unsigned i)
{
	char text[SQUARE_MAX];

	assert_int_equal(sq_put(worker[i].cq, text, square_text(text, worker[i].n), SQ_NOWAIT), 0);
}

static void ack(unsigned i)
{
	assert_int_equal(sq_ack(worker[i].pq, &worker[i].task), 0);
}

static void work(unsigned i)
{
	take(i);
	put_result(i);
	ack(i);
}

/* The collector takes all that is there, and keeps its books. */
static void collect(void)
{
	char text[SQUARE_MAX];
	uint64_t n;
	ssize_t len;

	while ((len = sq_get(local.cq, text, sizeof(text), SQ_NOWAIT)) >= 0) {
		assert_true(square_check(&n, text, (size_t)len));
		local.ledger->sum += n;
		local.ledger->collected++;
		local.ledger->written++;
	}
}

/* A worker was killed when it had put the result of the task that it has in hand. */
static void suspect(unsigned i)
{
	local.suspects[local.suspect_count++] = (struct local_suspect){
		.id = worker[i].task.id, .n = worker[i].n};
}

/* A redelivery of that task was noted; was it seen to be done? */
static void note_again(unsigned i, bool done)
{
	struct local_again *again = &local.ledger->again[local.ledger->again_count++];

	again->id = worker[i].task.id;
	again->n = worker[i].n;
	again->done = done;
}

/* The task goes back, as recovery gives it back. */
static void give_back(unsigned i)
{
	assert_int_equal(sq_nack(worker[i].pq, &worker[i].task), 0);
}

static int begin(void **state)
{
	const struct sq_config config = {.capacity = 64, .participants = 16};
	uint64_t count;

	(void)state;
	local = (struct local){
		.options = {.producers = PRODUCERS,
			.workers = WORKERS,
			.tasks = TASKS,
			.pq = PQ,
			.cq = CQ},
		.suspects = suspects,
	};
	local.ledger = mmap(NULL, sizeof(*local.ledger), PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(local.ledger, MAP_FAILED);
	assert_int_equal(sq_create(PQ, &config), 0);
	assert_int_equal(sq_create(CQ, &config), 0);
	assert_int_equal(sq_open(&local.pq, PQ), 0);
	assert_int_equal(sq_open(&local.cq, CQ), 0);
	for (unsigned i = 0; i < PRODUCERS; i++) {
		assert_int_equal(sq_open(&producer[i], PQ), 0);
		assert_int_equal(sq_count_bind(producer[i], i + 1, &count), 0);
	}
	for (unsigned i = 0; i < WORKERS; i++) {
		assert_int_equal(sq_open(&worker[i].pq, PQ), 0);
		assert_int_equal(sq_open(&worker[i].cq, CQ), 0);
		assert_int_equal(sq_count_bind(worker[i].cq, i + 1, &count), 0);
	}
	for (uint64_t n = 0; n < TASKS; n++)
		make(n % PRODUCERS, 10 + n);
	return 0;
}

static int end(void **state)
{
	(void)state;
	for (unsigned i = 0; i < PRODUCERS; i++)
		sq_close(producer[i]);
	for (unsigned i = 0; i < WORKERS; i++) {
		sq_close(worker[i].pq);
		sq_close(worker[i].cq);
	}
	sq_close(local.pq);
	sq_close(local.cq);
	(void)munmap(local.ledger, sizeof(*local.ledger));
	return sq_unlink(PQ) < 0 || sq_unlink(CQ) < 0;
}

/* All tasks but so many are done and collected. */
static void run_but(unsigned left)
{
	for (unsigned n = left; n < TASKS; n++)
		work(n % WORKERS);
	collect();
}

/* What it says goes to `said` and `json`. */
static void tell(const struct local_proof *proof)
{
	FILE *f = fmemopen(json, sizeof(json), "w");

	assert_non_null(f);
	local_tell(&local, proof);
	local_tell_json(f, &local, proof);
	assert_int_equal(fclose(f), 0);
}

/* The exit code of the run. */
static int prove(void)
{
	int fd = memfd_create("said", MFD_CLOEXEC), kept, code;
	struct local_proof proof;
	ssize_t len;

	assert_true(fd >= 0);
	(void)fflush(stderr);
	kept = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0);
	assert_true(kept >= 0);
	assert_true(dup2(fd, STDERR_FILENO) >= 0);
	code = local_proof(&local, &proof);
	if (code == 0)
		tell(&proof);
	if (code == 0 && proof.untrue_count > 0)
		code = EXIT_EMPTY;
	(void)fflush(stderr);
	assert_true(dup2(kept, STDERR_FILENO) >= 0);
	len = pread(fd, said, sizeof(said) - 1, 0);
	assert_true(len >= 0);
	said[len] = '\0';
	(void)close(kept);
	(void)close(fd);
	return code;
}

static void has(const char *text)
{
	if (!strstr(said, text))
		fail_msg("'%s' was not said: %s", text, said);
}

static void json_has(const char *text)
{
	if (!strstr(json, text))
		fail_msg("'%s' is not there: %s", text, json);
}

static int times(const char *text)
{
	int n = 0;

	for (const char *at = said; (at = strstr(at, text)) != NULL; at += strlen(text))
		n++;
	return n;
}

static void holds(void)
{
	int code = prove();

	if (code != EXIT_DONE || strstr(said, "NOT TRUE: "))
		fail_msg("exit %d: %s", code, said);
	json_has("{\"proof\":\"holds\",\"not_true\":[],");
}

/* It fails for this reason, and for this alone. */
static void fails(const char *reason)
{
	assert_int_equal(prove(), EXIT_EMPTY);
	has("proof FAILED");
	has(reason);
	assert_int_equal(times("NOT TRUE: "), 1);
	assert_int_equal(times("proof:"), 0);
	json_has("{\"proof\":\"failed\",\"not_true\":[\"");
	json_has(reason);
}

static void test_all_well(void **state)
{
	(void)state;
	run_but(0);
	holds();
	has("proof: nothing lost, nothing duplicated\n");
	has("made                  6  by 2 producers, 0 restarts\n");
	has("done                  6  by 2 workers, 0 restarts, 0 tasks redelivered\n");
	has("collected             6  of them wrong: 0\n");
	has("lost                  0\n");
	has("duplicated            0\n");
	has("sum of n             75  made, 75 collected\n");
	assert_string_equal(json,
		"{\"proof\":\"holds\",\"not_true\":[],\"queues\":[\"pq\",\"cq\"],\"seed\":0,\"producers\":2,"
		"\"workers\":2,\"producer_restarts\":0,\"worker_restarts\":0,\"made\":6,\"made_by_others\":0,"
		"\"done\":6,\"done_by_others\":0,\"redelivered\":0,\"refused\":0,\"collected\":6,\"wrong\":0,"
		"\"written\":6,\"lost\":0,\"duplicated\":0,\"done_again\":[],\"all_named\":true,"
		"\"sum_made\":\"75\",\"sum_collected\":\"75\",\"seconds\":0.000,\"tasks_per_second\":0}\n");
}

/* A producer's books have two places, of which one counts. */
static void test_the_other_place(void **state)
{
	struct local_made *m = &local.ledger->made[1];

	(void)state;
	run_but(0);
	m->at[1] = m->at[0];
	m->at[0].count += 7;
	m->at[0].sum += 7;
	m->which = 1;
	holds();
}

static void test_wrong_count_of_tasks(void **state)
{
	(void)state;
	run_but(0);
	local.options.tasks = UINT64_MAX;
	local.ledger->made[0].at[0].count++;
	fails("the producers' own count is what the queue counted as put");
	local.ledger->made[0].at[0].count -= 2;
	fails("the producers' own count is what the queue counted as put");
}

static void test_fewer_than_asked_for(void **state)
{
	(void)state;
	run_but(0);
	local.options.tasks = TASKS + 1;
	fails("as many tasks were made as were asked for");
	/* Unless it was asked to end. */
	local.ledger->stop = true;
	holds();
}

static void test_task_left(void **state)
{
	(void)state;
	run_but(1);
	assert_int_equal(prove(), EXIT_EMPTY);
	has("NOT TRUE: no task is left in the queue\n");
	has("NOT TRUE: every task was done once, or is named above\n");
	has("lost                  1\n");
	json_has(
		"\"not_true\":[\"no task is left in the queue\",\"every task was done once, or is named above\","
		"\"the sum of n over the results is that over the tasks, and of those named above\"],");
	json_has(",\"lost\":1,");
	/* A task that is still leased fails the proof as well. */
	take(0);
	assert_int_equal(prove(), EXIT_EMPTY);
	has("NOT TRUE: no task is left in the queue\n");
}

static void test_result_left(void **state)
{
	struct sq_lease lease;

	(void)state;
	run_but(1);
	work(0);
	assert_int_equal(prove(), EXIT_EMPTY);
	has("NOT TRUE: no result is left in the queue\n");
	has("NOT TRUE: every result put was collected\n");
	has("lost                  1\n");
	assert_int_equal(sq_lease(local.cq, &lease, SQ_NOWAIT), 0);
	assert_int_equal(prove(), EXIT_EMPTY);
	has("NOT TRUE: no result is left in the queue\n");
	assert_int_equal(sq_nack(local.cq, &lease), 0);
	collect();
	holds();
}

/* Taken, acknowledged, and no result. */
static void test_task_lost(void **state)
{
	(void)state;
	run_but(1);
	take(0);
	ack(0);
	assert_int_equal(prove(), EXIT_EMPTY);
	has("NOT TRUE: every task was done once, or is named above\n");
	has("NOT TRUE: the sum of n over the results");
	has("lost                  1\n");
}

static void test_result_lost(void **state)
{
	char text[SQUARE_MAX];

	(void)state;
	run_but(1);
	work(0);
	assert_true(sq_get(local.cq, text, sizeof(text), SQ_NOWAIT) > 0);
	assert_int_equal(prove(), EXIT_EMPTY);
	has("NOT TRUE: every result put was collected\n");
	has("NOT TRUE: the sum of n over the results");
	has("lost                  1\n");
}

static void test_wrong_result(void **state)
{
	(void)state;
	run_but(0);
	local.ledger->wrong = 1;
	fails("every result is right");
	has("of them wrong: 1\n");
	json_has(",\"wrong\":1,");
}

static void test_not_written(void **state)
{
	(void)state;
	run_but(0);
	local.ledger->written--;
	fails("every result collected was written");
	/* Unless there was no reader to write it to. */
	local.ledger->reader_gone = true;
	holds();
	has("written               5  then whoever read them had left\n");
	json_has(",\"written\":5,\"lost\"");
	local.ledger->write_error = ENOSPC;
	holds();
	has("written               5  then: No space left on device\n");
	json_has(",\"written\":5,\"write_error\":\"No space left on device\",");
}

/* With --json alone nothing is. */
static void test_kept(void **state)
{
	(void)state;
	run_but(0);
	local.options.json = true;
	holds();
	json_has(",\"collected\":6,\"wrong\":0,\"written\":0,");
	local.options.json_file = "file";
	holds();
	json_has(",\"written\":6,");
}

static void test_restarts(void **state)
{
	(void)state;
	run_but(0);
	local.restarts[LOCAL_PRODUCER] = 1;
	local.restarts[LOCAL_WORKER] = 12;
	local.options.seed = UINT64_MAX;
	holds();
	has("by 2 producers, 1 restart\n");
	has("by 2 workers, 12 restarts, 0 tasks redelivered\n");
	json_has(",\"seed\":18446744073709551615,");
	json_has(",\"producer_restarts\":1,\"worker_restarts\":12,");
}

/* Those beyond the log cannot be told apart. */
static void test_log_full(void **state)
{
	(void)state;
	run_but(0);
	local.ledger->again_count = LOCAL_LOG_MAX;
	holds();
	json_has(",\"all_named\":true,");
	local.ledger->again_count++;
	holds();
	has("more than 65536 redeliveries: not all of them can be told apart\n");
	json_has(",\"all_named\":false,");
}

/* As many, but others: each is right, and what was asked for is not among them. */
static void test_wrong_sum(void **state)
{
	(void)state;
	run_but(0);
	local.ledger->sum++;
	fails("the sum of n over the results is that over the tasks");
	local.ledger->sum -= 2;
	fails("the sum of n over the results is that over the tasks");
}

/* The sums are wider than 64 bits: what is above them counts too. */
static void test_wide_sum(void **state)
{
	(void)state;
	make(0, UINT64_MAX);
	make(1, UINT64_MAX);
	local.options.tasks += 2;
	run_but(0);
	work(0);
	work(1);
	collect();
	holds();
	has("sum of n   36893488147419103305  made, 36893488147419103305 collected\n");
	json_has(
		",\"sum_made\":\"36893488147419103305\",\"sum_collected\":\"36893488147419103305\",");
	local.ledger->sum -= (u128)1 << 64;
	fails("the sum of n over the results is that over the tasks");
}

/* Done twice, without an explanation. */
static void test_twice_unnamed(void **state)
{
	(void)state;
	run_but(1);
	take(0);
	put_result(0);
	put_result(0);
	ack(0);
	collect();
	assert_int_equal(prove(), EXIT_EMPTY);
	has("NOT TRUE: every task was done once, or is named above\n");
	has("NOT TRUE: the sum of n over the results");
	has("duplicated            1\n");
	assert_int_equal(times("done 2 times"), 0);
}

/* A worker was killed between its put and its ack, and another did the task again. */
static void test_twice(void **state)
{
	char named[64], object[128];

	(void)state;
	run_but(1);
	take(0);
	put_result(0);
	suspect(0);
	(void)snprintf(named, sizeof(named), "done 2 times: %" PRIu64 " (task %" PRIu64 ")",
		worker[0].n, worker[0].task.id);
	(void)snprintf(object, sizeof(object),
		",\"duplicated\":1,\"done_again\":[{\"task\":%" PRIu64 ",\"n\":%" PRIu64
		",\"times\":2}],",
		worker[0].task.id, worker[0].n);
	give_back(0);
	take(1);
	note_again(1, true);
	put_result(1);
	ack(1);
	collect();
	holds();
	has(named);
	json_has(object);
	json_has(",\"redelivered\":1,");
	has("duplicated            1\n");
	has("proof: nothing lost; 1 done again after a kill, as named above\n");
	/* Named or not, it counts. */
	local.options.quiet = true;
	holds();
	json_has(object);
	assert_int_equal(times("done 2 times"), 0);
}

/* The same task again and again: one line, and each time more than one counts. */
static void test_three_times(void **state)
{
	(void)state;
	run_but(1);
	for (int i = 0; i < 2; i++) {
		take(0);
		put_result(0);
		suspect(0);
		give_back(0);
	}
	take(1);
	note_again(1, true);
	put_result(1);
	ack(1);
	collect();
	holds();
	assert_int_equal(times(" times: "), 1);
	has("done 3 times");
	has("duplicated            2\n");
	has("proof: nothing lost; 2 done again after a kill");
}

/* Two tasks, each done twice by two workers. */
static void test_two_tasks_twice(void **state)
{
	(void)state;
	run_but(2);
	for (unsigned i = 0; i < 2; i++) {
		take(i);
		put_result(i);
		suspect(i);
	}
	for (unsigned i = 0; i < 2; i++)
		give_back(i);
	for (unsigned i = 0; i < 2; i++) {
		take(i);
		note_again(i, true);
		put_result(i);
		ack(i);
	}
	collect();
	holds();
	assert_int_equal(times("done 2 times"), 2);
	assert_non_null(strstr(json, ",\"times\":2},{\"task\":"));
	has("proof: nothing lost; 2 done again after a kill");
}

/* Killed when it had acknowledged its task: a suspect, and done once. */
static void test_suspect_of_nothing(void **state)
{
	(void)state;
	run_but(1);
	take(0);
	put_result(0);
	ack(0);
	suspect(0);
	collect();
	holds();
	has("proof: nothing lost, nothing duplicated\n");
	assert_int_equal(times("times: "), 0);
}

/* The worker that had it again did not finish it: its note says nothing. */
static void test_again_in_vain(void **state)
{
	(void)state;
	run_but(1);
	take(0);
	put_result(0);
	suspect(0);
	give_back(0);
	take(1);
	note_again(1, false);
	ack(1);
	collect();
	holds();
	has("proof: nothing lost, nothing duplicated\n");
}

/* Said to have been done twice, and collected once: one is missing. */
static void test_twice_and_one_lost(void **state)
{
	(void)state;
	run_but(1);
	take(0);
	put_result(0);
	suspect(0);
	note_again(0, true);
	ack(0);
	collect();
	assert_int_equal(prove(), EXIT_EMPTY);
	has("NOT TRUE: every task was done once, or is named above\n");
	has("NOT TRUE: the sum of n over the results");
	has("lost                  1\n");
}

/* Of others: what is no task, and was refused once or twice. */
static void refuse(unsigned i, unsigned notes)
{
	take(i);
	for (unsigned k = 0; k < notes; k++)
		local.ledger->refused[local.ledger->refused_count++] = worker[i].task.id + 1;
	ack(i);
}

static void test_refused(void **state)
{
	(void)state;
	run_but(0);
	assert_int_equal(sq_put(local.pq, "x", 1, SQ_NOWAIT), 0);
	assert_int_equal(sq_put(local.pq, "y", 1, SQ_NOWAIT), 0);
	refuse(0, 1);
	/* Killed before its ack, and refused by the next; another was killed before it wrote. */
	refuse(1, 2);
	local.ledger->refused_count++;
	holds();
	has("2  more were put by others\n");
	has("refused               2  were no integers");
	json_has(",\"refused\":2,");
	/* A task that was neither refused nor done. */
	assert_int_equal(sq_put(local.pq, "z", 1, SQ_NOWAIT), 0);
	refuse(0, 0);
	fails("every task was done once, or is named above");
}

/* When the log is full, those that are not in it count one each. */
static void test_refused_many(void **state)
{
	(void)state;
	run_but(0);
	local.ledger->refused_count = LOCAL_LOG_MAX - 1;
	assert_int_equal(sq_put(local.pq, "x", 1, SQ_NOWAIT), 0);
	assert_int_equal(sq_put(local.pq, "y", 1, SQ_NOWAIT), 0);
	refuse(0, 1);
	take(0);
	local.ledger->refused_count++;
	ack(0);
	holds();
	has("refused               2  were no integers");
}

/* Tasks and results of others: the sums need not agree, the counts must. */
static void test_others(void **state)
{
	char text[SQUARE_MAX];

	(void)state;
	put_number(local.pq, 1000);
	assert_int_equal(sq_put(local.cq, text, square_text(text, 5), SQ_NOWAIT), 0);
	run_but(0);
	work(0);
	collect();
	local.ledger->sum++;
	holds();
	has("1  more were put by others\n");
	has("1  of them were put by others\n");
	has("the sums need not agree\n");
	json_has(",\"made_by_others\":1,");
	json_has(",\"done_by_others\":1,");
	has("lost                  0\n");
	local.ledger->collected--;
	local.ledger->written--;
	fails("every result put was collected");
	has("lost                  1\n");
}

/* Cause: the text of a square was read modulo 2^128, and a wrong result passed for a right one. */
static void test_square_beyond_128_bits(void **state)
{
	/* 9 + 2^128, 0 + 2^128, 9 + 2^129 */
	static const char *const wrong[] = {
		"3 * 3 = 340282366920938463463374607431768211465",
		"0 * 0 = 340282366920938463463374607431768211456",
		"3 * 3 = 680564733841876926926749214863536422921",
	};
	uint64_t n = 77;

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_false(square_check(&n, wrong[i], strlen(wrong[i])));
	assert_int_equal(n, 77);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_all_well),
		TEST(test_the_other_place),
		TEST(test_wrong_count_of_tasks),
		TEST(test_fewer_than_asked_for),
		TEST(test_task_left),
		TEST(test_result_left),
		TEST(test_task_lost),
		TEST(test_result_lost),
		TEST(test_wrong_result),
		TEST(test_not_written),
		TEST(test_kept),
		TEST(test_restarts),
		TEST(test_log_full),
		TEST(test_wrong_sum),
		TEST(test_wide_sum),
		TEST(test_twice_unnamed),
		TEST(test_twice),
		TEST(test_three_times),
		TEST(test_two_tasks_twice),
		TEST(test_suspect_of_nothing),
		TEST(test_again_in_vain),
		TEST(test_twice_and_one_lost),
		TEST(test_refused),
		TEST(test_refused_many),
		TEST(test_others),
		cmocka_unit_test(test_square_beyond_128_bits),
	};
	char prefix[32];

	(void)snprintf(prefix, sizeof(prefix), "cli%ld", (long)getpid());
	if (setenv("SQ_PREFIX", prefix, 1) < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
