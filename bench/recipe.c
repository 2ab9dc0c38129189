/* SPDX-License-Identifier: ISC */
#include "recipe.h"

#include <string.h>

static size_t number(char *buf, uint64_t v)
{
	char digits[20];
	size_t at = sizeof(digits);

	do
		digits[--at] = (char)('0' + v % 10);
	while (v /= 10);
	memcpy(buf, digits + at, sizeof(digits) - at);
	return sizeof(digits) - at;
}

size_t recipe_text(char *buf, uint64_t n)
{
	size_t len = number(buf, n), at = len;

	memcpy(buf + at, " * ", 3);
	memcpy(buf + at + 3, buf, len);
	at += 3 + len;
	memcpy(buf + at, " = ", 3);
	return at + 3 + number(buf + at + 3, n * n);
}

/* The number at *at, of a few digits; what follows it must be `behind`. */
static int read_number(const char **at, const char *end, const char *behind, uint64_t *ret)
{
	size_t len = strlen(behind);
	const char *begin = *at;
	uint64_t v = 0;

	while (*at < end && **at >= '0' && **at <= '9' && *at - begin < 19)
		v = v * 10 + (uint64_t)(*(*at)++ - '0');
	if (*at == begin || (size_t)(end - *at) < len || memcmp(*at, behind, len) != 0)
		return 0;
	*at += len;
	*ret = v;
	return 1;
}

int recipe_check(const char *text, size_t len, uint64_t *ret)
{
	const char *end = text + len;
	uint64_t n, m, square;

	if (!read_number(&text, end, " * ", &n) || !read_number(&text, end, " = ", &m) ||
		!read_number(&text, end, "", &square) || text != end || n != m || square != n * n)
		return 0;
	*ret = n;
	return 1;
}
