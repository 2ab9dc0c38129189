/* SPDX-License-Identifier: ISC */
#include "square.h"

#include <string.h>

#define CHUNK        10000000000000000000u /* the largest power of ten below 2^64 */
#define CHUNK_DIGITS 19

/* Two digits at a time: half the divisions. */
static const char pairs[] = "00010203040506070809101112131415161718192021222324252627282930313233"
			    "34353637383940414243444546474849505152535455565758596061626364656667"
			    "6869707172737475767778798081828384858687888990919293949596979899";

/* How many digits v has. The number of its bits, times log10(2), is that or one less. */
static size_t digits_of(uint64_t v)
{
	static const uint64_t power[] = {1, 10, 100, 1000, 10000, 100000, 1000000, 10000000,
		100000000, 1000000000, 10000000000, 100000000000, 1000000000000, 10000000000000,
		100000000000000, 1000000000000000, 10000000000000000, 100000000000000000,
		1000000000000000000, CHUNK};
	unsigned bits = 64 - (unsigned)__builtin_clzll(v | 1), n = bits * 1233 >> 12;

	return n + ((v | 1) >= power[n]);
}

/* Into its place at once: most of the time of a task was moving short texts. */
size_t natural_text(char ret[static NATURAL_MAX], uint64_t v)
{
	size_t len = digits_of(v), at = len;

	for (; v >= 10; v /= 100)
		memcpy(&ret[at -= 2], &pairs[v % 100 * 2], 2);
	if (at > 0)
		ret[0] = (char)('0' + v);
	return len;
}

size_t wide_text(char ret[static WIDE_MAX], u128 v)
{
	uint64_t low;
	size_t len;

	if (v <= UINT64_MAX)
		return natural_text(ret, (uint64_t)v);
	/*
	 * What is above the lowest 19 digits may itself be more than 64 bits: once more, at most.
	 */
	low = (uint64_t)(v % CHUNK);
	len = wide_text(ret, v / CHUNK);
	for (size_t i = CHUNK_DIGITS; i-- > 0; low /= 10)
		ret[len + i] = (char)('0' + low % 10);
	return len + CHUNK_DIGITS;
}

size_t square_text(char ret[static SQUARE_MAX], uint64_t n)
{
	size_t at = natural_text(ret, n);

	memcpy(ret + at, " * ", 3);
	at += 3;
	at += natural_text(ret + at, n);
	memcpy(ret + at, " = ", 3);
	at += 3;
	return at + wide_text(ret + at, (u128)n * n);
}

size_t square_length_max(uint64_t max)
{
	char text[SQUARE_MAX];

	return square_text(text, max);
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* The decimal number at *at, which is moved behind it. False: there is none, or it is too large. */
static bool read_wide(u128 *ret, const char **at, const char *end)
{
	const char *begin = *at;
	uint64_t low = 0;
	u128 v;

	/* Most are short, and arithmetic of 64 bits is fast. */
	for (; *at < end && is_digit(**at) && *at - begin < CHUNK_DIGITS; ++*at)
		low = low * 10 + (unsigned)(**at - '0');
	for (v = low; *at < end && is_digit(**at); ++*at) {
		unsigned digit = (unsigned)(**at - '0');

		if (v > (~(u128)0 - digit) / 10)
			return false;
		v = v * 10 + digit;
	}
	*ret = v;
	/* One text for each number: no leading zeros. */
	return *at > begin && (*begin != '0' || *at == begin + 1);
}

static bool skip(const char **at, const char *end, const char *text)
{
	size_t len = strlen(text);

	if ((size_t)(end - *at) < len || memcmp(*at, text, len) != 0)
		return false;
	*at += len;
	return true;
}

/* Check by arithmetic on what the text says, independently of the code that made it. */
bool square_check(uint64_t *ret, const char *text, size_t len)
{
	const char *end = text + len;
	u128 n, m, square;

	if (!read_wide(&n, &text, end) || !skip(&text, end, " * ") || !read_wide(&m, &text, end) ||
		!skip(&text, end, " = ") || !read_wide(&square, &text, end) || text != end)
		return false;
	if (n > UINT64_MAX || m != n || square != n * n)
		return false;
	*ret = (uint64_t)n;
	return true;
}
