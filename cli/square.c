/* SPDX-License-Identifier: ISC */
#include "square.h"

#include <string.h>

#include "parse.h"

#define CHUNK        10000000000000000000u /* the largest power of ten below 2^64 */
#define CHUNK_DIGITS 19

size_t natural_text(char ret[static NATURAL_MAX], uint64_t v)
{
	char digits[NATURAL_MAX];
	size_t at = sizeof(digits);

	do
		digits[--at] = (char)('0' + v % 10);
	while (v /= 10);
	memcpy(ret, digits + at, sizeof(digits) - at);
	return sizeof(digits) - at;
}

size_t wide_text(char ret[static WIDE_MAX], u128 v)
{
	uint64_t low;
	size_t len;

	if (v <= UINT64_MAX) {
		char small[NATURAL_MAX];

		len = natural_text(small, (uint64_t)v);
		memcpy(ret, small, len);
		return len;
	}
	/* At most 39 digits, so one chunk of 19 and at most 20 more before it. */
	low = (uint64_t)(v % CHUNK);
	len = natural_text(ret, (uint64_t)(v / CHUNK));
	for (size_t i = CHUNK_DIGITS; i-- > 0; low /= 10)
		ret[len + i] = (char)('0' + low % 10);
	return len + CHUNK_DIGITS;
}

size_t square_text(char ret[static SQUARE_MAX], uint64_t n)
{
	char wide[WIDE_MAX], digits[NATURAL_MAX];
	size_t len = natural_text(digits, n), at = 0, more;

	memcpy(ret, digits, len);
	at += len;
	memcpy(ret + at, " * ", 3);
	at += 3;
	memcpy(ret + at, digits, len);
	at += len;
	memcpy(ret + at, " = ", 3);
	at += 3;
	more = wide_text(wide, (u128)n * n);
	memcpy(ret + at, wide, more);
	return at + more;
}

size_t square_length_max(uint64_t max)
{
	char text[SQUARE_MAX];

	return square_text(text, max);
}

bool square_check(uint64_t *ret, const char *text, size_t len)
{
	const char *space = memchr(text, ' ', len);
	char right[SQUARE_MAX];
	uint64_t n;

	if (!space || parse_natural(&n, text, (unsigned long)(space - text)))
		return false;
	/* There is one right text for each n. */
	if (square_text(right, n) != len || memcmp(right, text, len) != 0)
		return false;
	*ret = n;
	return true;
}
