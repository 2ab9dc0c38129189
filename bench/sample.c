/* SPDX-License-Identifier: ISC */
#include "sample.h"

#include <time.h>

#include "now.h"
#include "probe.h"
#include "say.h"
#include "stop.h"

#define LOOK_NS 100000000 /* between two probes while they are far */

/* What is left of the time for waiting, of all rows together. */
static int64_t left_ns = -1;

static void spend(int64_t since_ns)
{
	int64_t spent = now_ns() - since_ns;

	left_ns -= spent < left_ns ? spent : left_ns;
}

/* A probe at least; further ones while it says far and there is time. */
static int begin(const struct options *o, const struct row *row, struct sample *s)
{
	const struct timespec look = {.tv_nsec = LOOK_NS};
	int64_t began = now_ns();
	int code;

	if (left_ns < 0)
		left_ns = o->near_ns;
	for (;;) {
		code = probe(o->cpus, &s->before_ns);
		if (code != EXIT_DONE || s->before_ns <= STATS_NEAR_MAX_NS)
			break;
		if (stop_came())
			return stop_report();
		if (now_ns() - began >= left_ns)
			break;
		out_progress("%s, %s: waiting until the CPUs are near", row->work, row->side);
		(void)nanosleep(&look, NULL);
	}
	spend(began);
	out_progress(
		"run %u of %u: %s, %s", row->series.n + 1, (unsigned)o->runs, row->work, row->side);
	return code;
}

int sample_take(struct sample *ret, const struct options *o, const struct row *row, sample_run *run,
	void *arg)
{
	int code;

	for (;;) {
		struct sample s = {0};
		int64_t began;

		code = begin(o, row, &s);
		began = now_ns();
		if (code == EXIT_DONE)
			code = run(arg, &s.value);
		if (code == EXIT_DONE)
			code = probe(o->cpus, &s.after_ns);
		*ret = s;
		if (code != EXIT_DONE || left_ns == 0 || stats_near(&s))
			return code;
		spend(began);
	}
}

int sample_add(struct row *row, const struct options *o, sample_run *run, void *arg)
{
	struct sample s;
	int code = sample_take(&s, o, row, run, arg);

	if (code == EXIT_DONE)
		stats_add(&row->series, s);
	return code;
}
