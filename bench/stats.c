/* SPDX-License-Identifier: ISC */
#include "stats.h"

#include <assert.h>
#include <stdlib.h>

bool stats_near(const struct sample *s)
{
	return s->before_ns > 0 && s->after_ns > 0 && s->before_ns <= STATS_NEAR_MAX_NS &&
	       s->after_ns <= STATS_NEAR_MAX_NS;
}

void stats_add(struct series *series, struct sample sample)
{
	assert(series->n < STATS_RUNS_MAX);
	series->run[series->n++] = sample;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double stats_median(double *v, unsigned n)
{
	qsort(v, n, sizeof(*v), by_value);
	return n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

struct summary stats_summary(const struct series *series, bool near)
{
	double value[STATS_RUNS_MAX], before[STATS_RUNS_MAX], after[STATS_RUNS_MAX];
	struct summary ret = {0};

	for (unsigned i = 0; i < series->n; i++) {
		const struct sample *s = &series->run[i];

		if (stats_near(s) != near)
			continue;
		value[ret.n] = s->value;
		before[ret.n] = s->before_ns;
		after[ret.n++] = s->after_ns;
	}
	if (ret.n == 0)
		return ret;
	ret.median = stats_median(value, ret.n);
	ret.min = value[0];
	ret.max = value[ret.n - 1];
	ret.before_ns = stats_median(before, ret.n);
	ret.after_ns = stats_median(after, ret.n);
	return ret;
}

struct ratio stats_ratio(const struct series *a, const struct series *b)
{
	struct summary x = stats_summary(a, true), y = stats_summary(b, true);
	struct ratio ret = {.near = x.n > 0 && y.n > 0};
	unsigned pairs = a->n < b->n ? a->n : b->n;

	if (!ret.near) {
		x = stats_summary(a, false);
		y = stats_summary(b, false);
	}
	if (x.n == 0 || y.n == 0 || y.median <= 0)
		return ret;
	ret.n = x.n < y.n ? x.n : y.n;
	ret.median = ret.min = ret.max = x.median / y.median;
	for (unsigned i = 0; i < pairs; i++) {
		const struct sample *s = &a->run[i], *t = &b->run[i];

		if (stats_near(s) != ret.near || stats_near(t) != ret.near || t->value <= 0)
			continue;
		if (s->value / t->value < ret.min)
			ret.min = s->value / t->value;
		if (s->value / t->value > ret.max)
			ret.max = s->value / t->value;
	}
	return ret;
}

static int by_number(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

void stats_sort(uint32_t *values, size_t n)
{
	qsort(values, n, sizeof(*values), by_number);
}

double stats_percentile(const uint32_t *sorted, size_t n, double share)
{
	size_t at = (size_t)((double)n * share);

	return n == 0 ? 0 : (double)sorted[at < n ? at : n - 1];
}
