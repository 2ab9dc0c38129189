/* SPDX-License-Identifier: ISC */
#include "guess.h"

#include <string.h>

/* Which word was meant by one that is none. */

#define WORD_MAX 16

static unsigned min(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

/*
 * How many letters are to be changed, dropped, put in or swapped with their neighbour, to get from
 * one word to the other; WORD_MAX, if one of them is longer than that.
 */
static unsigned distance(const char *a, const char *b)
{
	unsigned row[WORD_MAX + 1][WORD_MAX + 1];
	size_t n = strlen(a), m = strlen(b);

	if (n > WORD_MAX || m > WORD_MAX)
		return WORD_MAX;
	for (unsigned i = 0; i <= n; i++)
		for (unsigned k = 0; k <= m; k++) {
			if (i == 0 || k == 0) {
				row[i][k] = i + k;
				continue;
			}
			row[i][k] = min(min(row[i - 1][k], row[i][k - 1]) + 1,
				row[i - 1][k - 1] + (a[i - 1] != b[k - 1]));
			if (i > 1 && k > 1 && a[i - 1] == b[k - 2] && a[i - 2] == b[k - 1])
				row[i][k] = min(row[i][k], row[i - 2][k - 2] + 1);
		}
	return row[n][m];
}

unsigned guess_distance(const char *word, const char *name)
{
	unsigned d = distance(word, name);

	if (*word && strncmp(name, word, strlen(word)) == 0)
		return 0;
	return d < WORD_MAX && 2 * d < strlen(name) + 1 ? d : GUESS_NONE;
}
