/* SPDX-License-Identifier: ISC */
#include "square.h"

#include <endian.h>
#include <string.h>

#define CHUNK        10000000000000000000u /* the largest power of ten below 2^64 */
#define CHUNK_DIGITS 19

#define EIGHT 100000000u /* a number below has eight digits at most */

/*
 * The eight digits of a number below EIGHT, one a byte, the first the lowest: fours, then pairs, then
 * digits, all of them at a time. Each division is a multiplication and a shift, exact for what it is
 * made of.
 */
static uint64_t eight_digits(uint64_t v)
{
	uint64_t q;

	v = v / 10000 | v % 10000 << 32;
	q = v * 5243 >> 19 & 0x0000007f0000007f; /* each below 10000, by 100 */
	v = q | (v - q * 100) << 16;
	q = v * 103 >> 10 & 0x000f000f000f000f; /* each below 100, by 10 */
	return q | (v - q * 10) << 8;
}

/* Writes them but for so many in front: eight characters, of which the first ones count. How many. */
static size_t write_eight(char *to, uint64_t digits, unsigned but)
{
	uint64_t text = htole64((digits >> 8 * but) + 0x3030303030303030);

	memcpy(to, &text, 8);
	return 8 - but;
}

/* The zeros in front of them; not the last. */
static unsigned zeros_of(uint64_t digits)
{
	return (unsigned)__builtin_ctzll(digits | (uint64_t)1 << 56) / 8;
}

/* Into its place at once: most of the time of a task was moving short texts. */
size_t natural_text(char ret[static NATURAL_MAX], uint64_t v)
{
	uint64_t last = eight_digits(v % EIGHT);
	size_t len;

	if (v < EIGHT)
		return write_eight(ret, last, zeros_of(last));
	len = natural_text(ret, v / EIGHT);
	return len + write_eight(ret + len, last, 0);
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
	/* Computed once, written twice: most tasks are small. */
	bool once = n < EIGHT;
	uint64_t digits = once ? eight_digits(n) : 0;
	unsigned zeros = zeros_of(digits);
	size_t at = once ? write_eight(ret, digits, zeros) : natural_text(ret, n);

	memcpy(ret + at, " * ", 3);
	at += 3;
	at += once ? write_eight(ret + at, digits, zeros) : natural_text(ret + at, n);
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

/*
 * The decimal digits among the next eight characters, to the first that is none: their value, and to
 * *ret how many they are. All eight at a time, as bytes of one word, the first character the lowest:
 * first pairs of digits are made of it, then fours, then eight, each by a multiplication. (The idea is
 * W. Mula's and D. Lemire's.)
 */
static uint64_t read_eight(unsigned *ret, const char *at, const char *end)
{
	unsigned beyond = end - at < 8 ? 8 - (unsigned)(end - at) : 0;
	uint64_t v, other;

	/* Never beyond the end: rather from some characters before. */
	memcpy(&v, at - beyond, 8);
	v = le64toh(v) >> 4 * beyond >> 4 * beyond ^ 0x3030303030303030;
	/* The high bit of each byte above 9; what it carries only spoils what comes behind it. */
	other = ((v + 0x7676767676767676) | v) & 0x8080808080808080;
	*ret = other ? (unsigned)__builtin_ctzll(other) / 8 : 8;
	if (*ret == 0)
		return 0;
	v <<= 8 * (8 - *ret); /* zeros in front */
	v = (v * 10 + (v >> 8)) & 0x00ff00ff00ff00ff;
	v = (v * 100 + (v >> 16)) & 0x0000ffff0000ffff;
	return (v * 10000 + (v >> 32)) & 0xffffffff;
}

/*
 * The decimal number at *at, which is moved behind it. False: there is none, or it is too large. Eight
 * characters before the end belong to the text.
 */
static bool read_wide(u128 *ret, const char **at, const char *end)
{
	static const uint64_t power[] = {
		1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000};
	const char *begin = *at;
	unsigned n = 8;
	uint64_t low = 0;
	u128 v;

	/* Most are short, and arithmetic of 64 bits is fast. */
	while (n == 8 && *at - begin <= CHUNK_DIGITS - 8) {
		uint64_t eight = read_eight(&n, *at, end);

		low = low * power[n] + eight;
		*at += n;
	}
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

static bool skip(const char **at, const char *end, const char *text, size_t len)
{
	if ((size_t)(end - *at) < len || memcmp(*at, text, len) != 0)
		return false;
	*at += len;
	return true;
}

/*
 * Check by arithmetic on what the text says, independently of the code that made it. There is one
 * text for each number, so the second is compared with the first as it stands.
 */
bool square_check(uint64_t *ret, const char *text, size_t len)
{
	const char *end = text + len, *at = text;
	size_t digits;
	u128 n, square;

	if (len < sizeof("0 * 0 = 0") - 1 || !read_wide(&n, &at, end))
		return false;
	digits = (size_t)(at - text);
	if (!skip(&at, end, " * ", 3) || !skip(&at, end, text, digits) ||
		!skip(&at, end, " = ", 3) || !read_wide(&square, &at, end) || at != end)
		return false;
	if (n > UINT64_MAX || square != n * n)
		return false;
	*ret = (uint64_t)n;
	return true;
}
