/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "now.h"
#include "sq.h"
#include "tally.h"
#include "task.h"

/*
 * Those who use the queues of a host, each of whom may be killed at any time and started again:
 *
 *	crew produce QUEUE KEY FIRST LAST   tasks of these numbers, each once, whoever is killed
 *	crew work PQ CQ THINK_US            tasks to results; so long about each, on the average
 *	crew hold PQ NUMBER                 so many tasks, and does nothing about them
 *	crew collect CQ TALLY NUMBERS       results into the file TALLY
 *	crew stat QUEUE...                  a line for each: depth leased put took; "-": no such queue
 *
 * They wait for queues that are not there yet. Exit codes: 1 something failed, 2 a message was wrong.
 */

#define LOOK_NS 2000000
#define FAILED  1
#define WRONG   2

static int failed(const char *what, int e)
{
	(void)fprintf(stderr, "crew: %s: %s\n", what, sq_strerror(e));
	return FAILED;
}

static int open_when_there(struct sq **ret, const char *name)
{
	int e;

	while ((e = sq_open(ret, name)) == -ENOENT)
		sleep_ns(LOOK_NS);
	return e;
}

/* The count under our key outlives us: it says how many of ours went in. */
static int produce(char **words)
{
	static uint8_t buf[TASK_SIZE_MAX];
	uint64_t first = strtoull(words[2], NULL, 10), last = strtoull(words[3], NULL, 10), done;
	struct sq *q;
	int e;

	if ((e = open_when_there(&q, words[0])) < 0)
		return failed(words[0], e);
	/* The process before us may not have ended yet. */
	while ((e = sq_count_bind(q, strtoull(words[1], NULL, 10), &done)) == -EBUSY)
		sleep_ns(LOOK_NS);
	if (e < 0)
		return failed("sq_count_bind", e);
	for (uint64_t i = first + done; i <= last; i++)
		if ((e = sq_put(q, buf, task_write(buf, TASK, i), SQ_FOREVER)) < 0)
			return failed("sq_put", e);
	sq_close(q);
	return 0;
}

static int work(char **words)
{
	static uint8_t buf[TASK_SIZE_MAX];
	uint64_t think = strtoull(words[2], NULL, 10), number;
	struct sq_lease task;
	struct sq *pq, *cq;
	int e;

	if ((e = open_when_there(&pq, words[0])) < 0)
		return failed(words[0], e);
	if ((e = open_when_there(&cq, words[1])) < 0)
		return failed(words[1], e);
	srandom((unsigned)getpid());
	for (;;) {
		if ((e = sq_lease(pq, &task, SQ_FOREVER)) < 0)
			return failed("sq_lease", e);
		if (!task_read(task.data, task.len, TASK, &number)) {
			(void)fprintf(stderr, "crew: a task of %zu bytes is not whole\n", task.len);
			return WRONG;
		}
		if (think > 0)
			sleep_ns(random() % (int64_t)(2 * think) * 1000);
		if ((e = sq_put(cq, buf, task_write(buf, RESULT, number), SQ_FOREVER)) < 0)
			return failed("sq_put", e);
		if ((e = sq_ack(pq, &task)) < 0)
			return failed("sq_ack", e);
	}
}

static int hold(char **words)
{
	struct sq_lease task;
	struct sq *pq;
	int e;

	if ((e = open_when_there(&pq, words[0])) < 0)
		return failed(words[0], e);
	for (uint64_t n = strtoull(words[1], NULL, 10); n > 0; n--)
		if ((e = sq_lease(pq, &task, SQ_FOREVER)) < 0)
			return failed("sq_lease", e);
	for (;;)
		(void)pause();
}

static int count(struct sq *cq, struct tally *tally, const struct sq_lease *result)
{
	uint64_t number = 0;
	bool good = task_read(result->data, result->len, RESULT, &number);
	int e;

	tally_count(tally, result->id, good, number);
	if ((e = sq_ack(cq, result)) < 0)
		return failed("sq_ack", e);
	tally_acked(tally);
	return 0;
}

/* Finish the result that the collector before us had in hand when it died, before taking another. */
static int finish_former(struct sq *cq, struct tally *tally)
{
	struct sq_lease result;
	uint64_t id;
	int e;

	if (!tally_in_hand(tally, &id))
		return 0;
	for (;; sleep_ns(LOOK_NS)) {
		(void)sq_recover(cq); /* ends the lease of the dead collector */
		e = sq_lease_id(cq, id, &result);
		if (e == 0)
			return count(cq, tally, &result);
		if (e == -ENOENT) {
			tally_acked(tally);
			return 0;
		}
		if (e != -EBUSY)
			return failed("sq_lease_id", e);
	}
}

static int collect(char **words)
{
	struct sq_lease result;
	struct tally *tally;
	struct sq *cq;
	int e;

	if ((e = tally_open(&tally, words[1], strtoull(words[2], NULL, 10))) < 0)
		return failed(words[1], e);
	if ((e = open_when_there(&cq, words[0])) < 0)
		return failed(words[0], e);
	e = finish_former(cq, tally);
	while (e == 0)
		e = (e = sq_lease(cq, &result, SQ_FOREVER)) < 0 ? failed("sq_lease", e)
								: count(cq, tally, &result);
	return e;
}

static int stat_all(char **words)
{
	for (; *words; words++) {
		struct sq_stat st;
		struct sq *q;
		int e = sq_open(&q, *words);

		if (e == -ENOENT) {
			(void)puts("-");
			continue;
		}
		if (e < 0 || (e = sq_stat(q, &st)) < 0)
			return failed(*words, e);
		sq_close(q);
		(void)printf("%" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", st.depth,
			st.leased, st.put, st.took);
	}
	return 0;
}

int main(int argc, char **argv)
{
	const char *verb = argc > 1 ? argv[1] : "";

	if (argc == 6 && strcmp(verb, "produce") == 0)
		return produce(argv + 2);
	if (argc == 5 && strcmp(verb, "work") == 0)
		return work(argv + 2);
	if (argc == 4 && strcmp(verb, "hold") == 0)
		return hold(argv + 2);
	if (argc == 5 && strcmp(verb, "collect") == 0)
		return collect(argv + 2);
	if (argc > 2 && strcmp(verb, "stat") == 0)
		return stat_all(argv + 2);
	(void)fputs("usage: crew produce|work|hold|collect|stat ...\n", stderr);
	return EX_USAGE;
}
