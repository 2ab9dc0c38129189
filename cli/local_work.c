/* SPDX-License-Identifier: ISC */
#include "local_work.h"

#include <errno.h>

#include "parse.h"
#include "report.h"

/*
 * A worker: lease a task, put its result, ack it. Killed before the put, the task goes to another,
 * and nothing was done. Killed between the put and the ack, it is done again: the note it leaves in
 * its hand says so.
 */

/*
 * Noted before the ack, by its id: if we are killed here, the worker that refuses it again adds
 * nothing.
 */
static void note_refusal(struct local_ledger *ledger, const struct sq_lease *task)
{
	uint64_t i = atomic_fetch_add(&ledger->refused_count, 1);

	if (i < LOCAL_LOG_MAX)
		atomic_store(&ledger->refused[i], task->id + 1);
}

/* Where this redelivery is noted; 0: nowhere, as it is none, or the log is full. */
static uint64_t note_again(struct local_ledger *ledger, const struct sq_lease *task, uint64_t n)
{
	uint64_t i;

	if (task->attempts == 1)
		return 0;
	i = atomic_fetch_add(&ledger->again_count, 1);
	if (i >= LOCAL_LOG_MAX)
		return 0;
	atomic_store(&ledger->again[i].n, n);
	atomic_store(&ledger->again[i].id, task->id);
	return i + 1;
}

static int do_task(struct sq *pq, struct sq *cq, struct local_ledger *ledger,
	struct local_hand *hand, const struct sq_lease *task, uint64_t *seq)
{
	char result[SQUARE_MAX];
	const char *why;
	uint64_t n, entry;
	int r;

	why = parse_natural(&n, task->data, task->len);
	if (why) {
		(void)report_refused(EXIT_DONE, task->data, task->len, why, "dropped");
		note_refusal(ledger, task);
		r = sq_ack(pq, task);
		return r == -ESTALE ? 0 : r;
	}
	entry = note_again(ledger, task, n);
	/* Void the note first, then write it, then make it valid: it is read after our death. */
	atomic_store_explicit(&hand->seq, 0, memory_order_release);
	atomic_store_explicit(&hand->id, task->id, memory_order_release);
	atomic_store_explicit(&hand->n, n, memory_order_release);
	atomic_store_explicit(&hand->entry, entry, memory_order_release);
	atomic_store_explicit(&hand->seq, *seq + 1, memory_order_release);
	r = sq_put(cq, result, square_text(result, n), SQ_FOREVER);
	if (r < 0)
		return r;
	++*seq;
	r = sq_ack(pq, task);
	if (r == 0 && entry)
		atomic_store(&ledger->again[entry - 1].done, 1);
	return r;
}

int local_work(const struct local_options *o, struct local_ledger *ledger, unsigned index)
{
	struct local_hand *hand = &ledger->hand[index];
	const char *name = o->pq;
	struct sq *pq = NULL, *cq = NULL;
	struct sq_lease task;
	uint64_t seq;
	int r;

	r = sq_open(&pq, o->pq);
	if (r < 0)
		goto out;
	name = o->cq;
	r = sq_open(&cq, o->cq);
	if (r == 0)
		r = sq_count_bind(cq, index + 1, &seq);
	if (r < 0)
		goto out;
	for (;;) {
		name = o->pq;
		r = sq_lease(pq, &task, SQ_FOREVER);
		if (r < 0)
			break;
		name = o->cq;
		r = do_task(pq, cq, ledger, hand, &task, &seq);
		if (r < 0)
			goto out;
	}
	if (r == -EPIPE)
		r = 0; /* all done */
out:
	sq_close(cq);
	sq_close(pq);
	return r < 0 ? report_queue(name, r) : EXIT_DONE;
}
