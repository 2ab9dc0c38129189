/* SPDX-License-Identifier: ISC */
#include "parse.h"

#include <bsd/libutil.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *between(uint64_t min, uint64_t max, const char *more)
{
	static char text[128];

	(void)snprintf(text, sizeof(text),
		"must be a whole number from %" PRIu64 " to %" PRIu64 "%s", min, max, more);
	return text;
}

const char *parse_count(uint64_t *ret, const char *text, uint64_t min, uint64_t max)
{
	uint64_t v;

	if (parse_natural(&v, text, strlen(text)) || v < min || v > max)
		return between(min, max, "");
	*ret = v;
	return NULL;
}

/* The units of which one, at least, is in the range. */
static const char *units_below(uint64_t max)
{
	if (max >> 40)
		return ", perhaps with k, M, G or T behind it";
	if (max >> 30)
		return ", perhaps with k, M or G behind it";
	if (max >> 20)
		return ", perhaps with k or M behind it";
	return max >> 10 ? ", perhaps with k behind it" : "";
}

const char *parse_size(uint64_t *ret, const char *text, uint64_t min, uint64_t max)
{
	const char *wrong = between(min, max, units_below(max));
	size_t digits = strspn(text, "0123456789");
	uint64_t plain, v;

	/*
	 * expand_number() knows the units, but it also takes octal and hexadecimal, anything behind
	 * the unit, and numbers beyond its range as the largest one. These are refused here.
	 */
	if (parse_natural(&plain, text, digits))
		return wrong;
	while (digits > 1 && *text == '0') {
		text++;
		digits--;
	}
	if (text[digits] && (!strchr("kKmMgGtT", text[digits]) || text[digits + 1]))
		return wrong;
	if (expand_number(text, &v) < 0 || v < plain || v < min || v > max)
		return wrong;
	*ret = v;
	return NULL;
}

/* Whole days: a longest span is given as that. */
static const char *span_wrong(int64_t max)
{
	static char text[160];

	(void)snprintf(text, sizeof(text),
		"must be a span of time such as 250ms, 1.5s, 2m or 1h: a number and ns, us, ms, s, m, h or d "
		"(without one: seconds), to %" PRId64 "d",
		max / 86400000000000);
	return text;
}

const char *parse_span_to(int64_t *ret, const char *text, int64_t max)
{
	static const struct {
		const char *name;
		double ns;
	} units[] = {
		{"", 1e9},
		{"s", 1e9},
		{"ms", 1e6},
		{"us", 1e3},
		{"ns", 1},
		{"m", 60e9},
		{"min", 60e9},
		{"h", 3600e9},
		{"d", 86400e9},
	};
	size_t digits = strspn(text, "0123456789.");
	char *end;
	double v;

	if (digits > 0 && digits < 32) {
		v = strtod(text, &end);
		for (size_t i = 0; end == text + digits && i < sizeof(units) / sizeof(units[0]);
			i++)
			if (strcmp(end, units[i].name) == 0 && v * units[i].ns <= (double)max) {
				*ret = (int64_t)(v * units[i].ns);
				return NULL;
			}
	}
	return span_wrong(max);
}

const char *parse_span(int64_t *ret, const char *text)
{
	return parse_span_to(ret, text, PARSE_SPAN_MAX);
}

const char *parse_duration(int64_t *ret, const char *text)
{
	int64_t span;
	const char *wrong = parse_span(&span, text);

	if (wrong)
		return wrong;
	if (span == 0)
		return "must be above 0";
	*ret = span;
	return NULL;
}

const char *parse_rate(uint64_t *ret_count, int64_t *ret_span, const char *text)
{
	static const char allowed[] = "must be a rate such as 100 (a second), 100/s or 10/3s";
	const char *slash = strchr(text, '/');
	char number[32];
	int64_t span = 1000000000;
	uint64_t count;
	size_t len = slash ? (size_t)(slash - text) : strlen(text);

	if (len == 0 || len >= sizeof(number))
		return allowed;
	memcpy(number, text, len);
	number[len] = '\0';
	if (parse_count(&count, number, 1, 1000000000))
		return allowed;
	if (slash && strchr("0123456789", slash[1]) && slash[1]) {
		if (parse_span(&span, slash + 1) || span <= 0)
			return allowed;
	} else if (slash) {
		/* "/s": one of them */
		char one[32];

		(void)snprintf(one, sizeof(one), "1%.20s", slash + 1);
		if (!slash[1] || parse_span(&span, one))
			return allowed;
	}
	*ret_count = count;
	*ret_span = span;
	return NULL;
}

const char *parse_natural(uint64_t *ret, const char *text, unsigned long len)
{
	static const char allowed[] = "is no integer from 0 to 18446744073709551615";
	uint64_t v = 0;

	if (len == 0)
		return allowed;
	for (unsigned long i = 0; i < len; i++) {
		unsigned digit = (unsigned char)text[i] - (unsigned)'0';

		if (digit > 9 || __builtin_mul_overflow(v, (uint64_t)10, &v) ||
			__builtin_add_overflow(v, (uint64_t)digit, &v))
			return allowed;
	}
	*ret = v;
	return NULL;
}
