/* SPDX-License-Identifier: ISC */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "local.h"
#include "report.h"
#include "words.h"

/*
 * The proof. Both ends counted and summed for themselves: the producers what they made, the
 * collector what it got. In between, each queue counted what was put in it, durably and exactly,
 * whoever was killed. All of these must agree, but for tasks done twice because a worker was killed
 * between its put and its ack: those are known one by one.
 */

struct sums {
	uint64_t made;      /* by our producers, as their books say */
	uint64_t put;       /* as the queue says */
	uint64_t foreign;   /* tasks that somebody else put */
	uint64_t done;      /* results put by our workers, as the queue says */
	uint64_t alien;     /* results that somebody else put */
	uint64_t collected; /* as the collector counted */
	uint64_t wrong, refused;
	uint64_t twice; /* done again, known one by one */
	u128 sum_made, sum_collected, sum_twice;
	struct sq_stat pq, cq;
};

static const char *wide(char buf[WIDE_MAX + 1], u128 v)
{
	buf[wide_text(buf, v)] = '\0';
	return buf;
}

/*
 * How many results this task got: by workers killed before they were seen to ack, and by others
 * after a redelivery.
 */
static uint64_t results_of(const struct local *l, uint64_t id, size_t *ret_first)
{
	uint64_t n = 0, logged = atomic_load(&l->ledger->again_count);

	for (size_t i = l->suspect_count; i-- > 0;)
		if (l->suspects[i].id == id) {
			n++;
			*ret_first = i;
		}
	for (uint64_t i = 0; i < logged && i < LOCAL_LOG_MAX; i++)
		n += atomic_load(&l->ledger->again[i].id) == id &&
		     atomic_load(&l->ledger->again[i].done);
	return n;
}

static void count_twice(const struct local *l, struct sums *s)
{
	for (size_t i = 0; i < l->suspect_count; i++) {
		size_t first = i;
		uint64_t n = results_of(l, l->suspects[i].id, &first);

		if (first != i || n < 2)
			continue;
		s->twice += n - 1;
		s->sum_twice += (u128)(n - 1) * l->suspects[i].n;
		if (!l->options.quiet)
			fprintf(stderr,
				"done %" PRIu64 " times: %" PRIu64 " (task %" PRIu64
				"), its worker was killed between put and ack\n",
				n, l->suspects[i].n, l->suspects[i].id);
	}
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/*
 * Each refused task once, however often it was refused: its worker may have been killed before the
 * ack.
 */
static uint64_t count_refused(struct local_ledger *ledger)
{
	static uint64_t id[LOCAL_LOG_MAX];
	uint64_t logged = atomic_load(&ledger->refused_count), n = 0, count = 0;

	for (; n < logged && n < LOCAL_LOG_MAX; n++)
		id[n] = atomic_load(&ledger->refused[n]);
	qsort(id, n, sizeof(id[0]), compare);
	/* A zero is of one killed between taking a place in the log and writing there. */
	for (uint64_t i = 0; i < n; i++)
		count += id[i] != 0 && (i == 0 || id[i] != id[i - 1]);
	return count + (logged - n);
}

static int gather(struct local *l, struct sums *s)
{
	const struct local_options *o = &l->options;
	uint64_t ours = 0, n;
	int r = sq_stat(l->pq, &s->pq);

	if (r < 0)
		return report_queue(o->pq, r);
	r = sq_stat(l->cq, &s->cq);
	if (r < 0)
		return report_queue(o->cq, r);
	for (unsigned i = 0; i < o->producers; i++) {
		const struct local_made *m = &l->ledger->made[i];
		uint64_t which = atomic_load(&m->which);

		s->made += m->at[which].count;
		s->sum_made += m->at[which].sum;
		if (sq_bound(l->pq, i + 1, &n) == 0)
			ours += n;
	}
	for (unsigned i = 0; i < o->workers; i++) {
		if (sq_bound(l->cq, i + 1, &n) == 0)
			s->done += n;
	}
	s->refused = count_refused(l->ledger);
	s->put = s->pq.put;
	s->foreign = s->put - ours;
	s->alien = s->cq.put - s->done;
	s->collected = atomic_load(&l->ledger->collected);
	s->wrong = atomic_load(&l->ledger->wrong);
	s->sum_collected = l->ledger->sum;
	count_twice(l, s);
	return 0;
}

static bool agree(bool ok, const char *what)
{
	if (!ok)
		fprintf(stderr, "  NOT TRUE: %s\n", what);
	return ok;
}

static bool check(const struct local *l, const struct sums *s)
{
	bool ok = true;

	ok &= agree(s->made + s->foreign == s->put,
		"the producers' own count is what the queue counted as put");
	ok &= agree(l->options.tasks == UINT64_MAX || atomic_load(&l->ledger->stop) ||
			    s->made == l->options.tasks,
		"as many tasks were made as were asked for");
	ok &= agree(s->pq.depth == 0 && s->pq.leased == 0, "no task is left in the queue");
	ok &= agree(s->cq.depth == 0 && s->cq.leased == 0, "no result is left in the queue");
	ok &= agree(s->done + s->refused == s->put + s->twice,
		"every task was done once, or is named above");
	ok &= agree(s->collected == s->cq.put, "every result put was collected");
	ok &= agree(s->wrong == 0, "every result is right");
	ok &= agree(l->ledger->written == s->collected || atomic_load(&l->ledger->reader_gone),
		"every result collected was written");
	if (s->foreign == 0 && s->alien == 0)
		ok &= agree(s->sum_collected == s->sum_made + s->sum_twice,
			"the sum of n over the results is that over the tasks, and of those named above");
	return ok;
}

int local_proof(struct local *l)
{
	double seconds = (double)(l->ended_ns - l->ledger->began_ns) / 1e9;
	char a[WIDE_MAX + 1], b[WIDE_MAX + 1];
	int error = atomic_load(&l->ledger->write_error);
	struct sums s = {0};
	uint64_t due;
	bool ok;
	int r = gather(l, &s);

	if (r != 0)
		return r;
	ok = check(l, &s);
	due = s.put + s.twice - s.refused;
	fprintf(stderr,
		"made       %12" PRIu64 "  by %" PRIu64 " producer%s, %" PRIu64 " restart%s\n",
		s.made, l->options.producers, words_plural(l->options.producers),
		l->restarts[LOCAL_PRODUCER], words_plural(l->restarts[LOCAL_PRODUCER]));
	if (s.foreign)
		fprintf(stderr, "           %12" PRIu64 "  more were put by others\n", s.foreign);
	fprintf(stderr,
		"done       %12" PRIu64 "  by %" PRIu64 " worker%s, %" PRIu64 " restart%s, %" PRIu64
		" task%s redelivered\n",
		s.done, l->options.workers, words_plural(l->options.workers),
		l->restarts[LOCAL_WORKER], words_plural(l->restarts[LOCAL_WORKER]),
		s.pq.redelivered, words_plural(s.pq.redelivered));
	if (s.refused)
		fprintf(stderr, "refused    %12" PRIu64 "  were no integers >= 0\n", s.refused);
	fprintf(stderr, "collected  %12" PRIu64 "  of them wrong: %" PRIu64 "\n", s.collected,
		s.wrong);
	if (l->ledger->written != s.collected)
		fprintf(stderr, "written    %12" PRIu64 "  %s%s\n", l->ledger->written,
			error ? "then: " : "then whoever read them had left",
			error ? strerrordesc_np(error) : "");
	if (s.alien)
		fprintf(stderr, "           %12" PRIu64 "  of them were put by others\n", s.alien);
	fprintf(stderr, "lost       %12" PRIu64 "\n",
		due + s.alien > s.collected ? due + s.alien - s.collected : 0);
	fprintf(stderr, "duplicated %12" PRIu64 "\n",
		s.done + s.refused > s.put ? s.done + s.refused - s.put : 0);
	fprintf(stderr, "sum of n   %12s  made, %s collected\n", wide(a, s.sum_made),
		wide(b, s.sum_collected));
	if (s.foreign || s.alien)
		fputs("           others took part: the sums need not agree\n", stderr);
	fprintf(stderr, "time       %12.3f  seconds, %.0f tasks/s\n", seconds,
		seconds > 0 ? (double)s.done / seconds : 0);
	if (atomic_load(&l->ledger->again_count) > LOCAL_LOG_MAX)
		fprintf(stderr, "more than %d redeliveries: not all of them can be told apart\n",
			LOCAL_LOG_MAX);
	if (ok && s.twice)
		fprintf(stderr,
			"proof: nothing lost; %" PRIu64
			" done again after a kill, as named above\n",
			s.twice);
	else if (ok)
		fputs("proof: nothing lost, nothing duplicated\n", stderr);
	else
		fputs("proof FAILED: see the lines marked NOT TRUE\n", stderr);
	return ok ? EXIT_DONE : EXIT_EMPTY;
}
