/* SPDX-License-Identifier: ISC */
#include "local_tell.h"

#include <inttypes.h>
#include <string.h>

#include "words.h"

static const char *wide(char buf[WIDE_MAX + 1], u128 v)
{
	buf[wide_text(buf, v)] = '\0';
	return buf;
}

/* The tasks that were done more than once. */
static void tell_again(const struct local *l)
{
	for (size_t i = 0; i < l->suspect_count; i++)
		if (l->suspects[i].times > 0)
			fprintf(stderr,
				"done %" PRIu64 " times: %" PRIu64 " (task %" PRIu64
				"), its worker was killed between put and ack\n",
				l->suspects[i].times, l->suspects[i].n, l->suspects[i].id);
}

static void tell_work(const struct local *l, const struct local_proof *p)
{
	uint64_t producers = l->options.producers, workers = l->options.workers;
	uint64_t made_again = l->restarts[LOCAL_PRODUCER], done_again = l->restarts[LOCAL_WORKER];

	fprintf(stderr,
		"made       %12" PRIu64 "  by %" PRIu64 " producer%s, %" PRIu64 " restart%s\n",
		p->made, producers, words_plural(producers), made_again, words_plural(made_again));
	if (p->foreign)
		fprintf(stderr, "           %12" PRIu64 "  more were put by others\n", p->foreign);
	fprintf(stderr,
		"done       %12" PRIu64 "  by %" PRIu64 " worker%s, %" PRIu64 " restart%s, %" PRIu64
		" task%s redelivered\n",
		p->done, workers, words_plural(workers), done_again, words_plural(done_again),
		p->pq.redelivered, words_plural(p->pq.redelivered));
	if (p->refused)
		fprintf(stderr, "refused    %12" PRIu64 "  were no integers >= 0\n", p->refused);
}

static void tell_results(const struct local *l, const struct local_proof *p)
{
	int error = atomic_load(&l->ledger->write_error);

	fprintf(stderr, "collected  %12" PRIu64 "  of them wrong: %" PRIu64 "\n", p->collected,
		p->wrong);
	if (l->ledger->written != p->collected)
		fprintf(stderr, "written    %12" PRIu64 "  %s%s\n", l->ledger->written,
			error ? "then: " : "then whoever read them had left",
			error ? strerrordesc_np(error) : "");
	if (p->alien)
		fprintf(stderr, "           %12" PRIu64 "  of them were put by others\n", p->alien);
}

void local_tell(const struct local *l, const struct local_proof *p)
{
	char a[WIDE_MAX + 1], b[WIDE_MAX + 1];

	if (!l->options.quiet)
		tell_again(l);
	for (unsigned i = 0; i < p->untrue_count; i++)
		fprintf(stderr, "  NOT TRUE: %s\n", p->untrue[i]);
	tell_work(l, p);
	tell_results(l, p);
	fprintf(stderr, "lost       %12" PRIu64 "\n", p->lost);
	fprintf(stderr, "duplicated %12" PRIu64 "\n", p->duplicated);
	fprintf(stderr, "sum of n   %12s  made, %s collected\n", wide(a, p->sum_made),
		wide(b, p->sum_collected));
	if (p->foreign || p->alien)
		fputs("           others took part: the sums need not agree\n", stderr);
	fprintf(stderr, "time       %12.3f  seconds, %.0f tasks/s\n", p->seconds, p->rate);
	if (atomic_load(&l->ledger->again_count) > LOCAL_LOG_MAX)
		fprintf(stderr, "more than %d redeliveries: not all of them can be told apart\n",
			LOCAL_LOG_MAX);
	if (p->untrue_count > 0)
		fputs("proof FAILED: see the lines marked NOT TRUE\n", stderr);
	else if (p->twice)
		fprintf(stderr,
			"proof: nothing lost; %" PRIu64
			" done again after a kill, as named above\n",
			p->twice);
	else
		fputs("proof: nothing lost, nothing duplicated\n", stderr);
}

static void json_number(FILE *f, const char *name, uint64_t n)
{
	fprintf(f, ",\"%s\":%" PRIu64, name, n);
}

static void json_again(FILE *f, const struct local *l)
{
	const char *between = "";

	fputs(",\"done_again\":[", f);
	for (size_t i = 0; i < l->suspect_count; i++) {
		const struct local_suspect *s = &l->suspects[i];

		if (s->times == 0)
			continue;
		fprintf(f, "%s{\"task\":%" PRIu64 ",\"n\":%" PRIu64 ",\"times\":%" PRIu64 "}",
			between, s->id, s->n, s->times);
		between = ",";
	}
	fputs("]", f);
}

/* No text in it has a character that JSON would want escaped: names, reasons, our own words. */
void local_tell_json(FILE *f, const struct local *l, const struct local_proof *p)
{
	const struct local_options *o = &l->options;
	int error = atomic_load(&l->ledger->write_error);
	char a[WIDE_MAX + 1], b[WIDE_MAX + 1];

	fprintf(f, "{\"proof\":\"%s\",\"not_true\":[", p->untrue_count ? "failed" : "holds");
	for (unsigned i = 0; i < p->untrue_count; i++)
		fprintf(f, "%s\"%s\"", i > 0 ? "," : "", p->untrue[i]);
	fprintf(f, "],\"queues\":[\"%s\",\"%s\"]", o->pq, o->cq);
	json_number(f, "seed", o->seed);
	json_number(f, "producers", o->producers);
	json_number(f, "workers", o->workers);
	json_number(f, "producer_restarts", l->restarts[LOCAL_PRODUCER]);
	json_number(f, "worker_restarts", l->restarts[LOCAL_WORKER]);
	json_number(f, "made", p->made);
	json_number(f, "made_by_others", p->foreign);
	json_number(f, "done", p->done);
	json_number(f, "done_by_others", p->alien);
	json_number(f, "redelivered", p->pq.redelivered);
	json_number(f, "refused", p->refused);
	json_number(f, "collected", p->collected);
	json_number(f, "wrong", p->wrong);
	json_number(f, "written", local_keeps_results(o) ? 0 : l->ledger->written);
	if (error)
		fprintf(f, ",\"write_error\":\"%s\"", strerrordesc_np(error));
	json_number(f, "lost", p->lost);
	json_number(f, "duplicated", p->duplicated);
	json_again(f, l);
	fprintf(f, ",\"all_named\":%s",
		atomic_load(&l->ledger->again_count) > LOCAL_LOG_MAX ? "false" : "true");
	fprintf(f, ",\"sum_made\":\"%s\",\"sum_collected\":\"%s\"", wide(a, p->sum_made),
		wide(b, p->sum_collected));
	fprintf(f, ",\"seconds\":%.3f,\"tasks_per_second\":%.0f}\n", p->seconds, p->rate);
}
