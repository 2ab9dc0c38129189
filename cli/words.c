/* SPDX-License-Identifier: ISC */
#include "words.h"

#include <bsd/libutil.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>

#define SECOND ((uint64_t)1000000000)

const char *words_plural(uint64_t n)
{
	return n == 1 ? "" : "s";
}

const char *words_span(char buf[static WORDS_SPAN_MAX], uint64_t ns)
{
	static const struct {
		uint64_t below, unit;
		int digits;
		const char *name;
	} spans[] = {
		{1000, 1, 0, "ns"},
		{SECOND / 1000, 1000, 0, "us"},
		{SECOND, SECOND / 1000, 0, "ms"},
		{10 * SECOND, SECOND, 1, "s"},
		{120 * SECOND, SECOND, 0, "s"},
		{7200 * SECOND, 60 * SECOND, 0, "m"},
		{172800 * SECOND, 3600 * SECOND, 0, "h"},
		{UINT64_MAX, 86400 * SECOND, 0, "d"},
	};
	size_t i = 0;

	while (ns >= spans[i].below && spans[i].below != UINT64_MAX)
		i++;
	/* What has passed, and so rounded down. */
	if (spans[i].digits)
		(void)snprintf(buf, WORDS_SPAN_MAX, "%" PRIu64 ".%" PRIu64 "%s", ns / spans[i].unit,
			ns % spans[i].unit * 10 / spans[i].unit, spans[i].name);
	else
		(void)snprintf(
			buf, WORDS_SPAN_MAX, "%" PRIu64 "%s", ns / spans[i].unit, spans[i].name);
	return buf;
}

const char *words_size(char buf[static WORDS_SIZE_MAX], uint64_t bytes)
{
	int64_t n = bytes > INT64_MAX ? INT64_MAX : (int64_t)bytes;

	(void)humanize_number(buf, 5, n, "", HN_AUTOSCALE, HN_NOSPACE | HN_DECIMAL);
	return buf;
}
