/* SPDX-License-Identifier: ISC */
#ifndef CLI_SQUARE_H
#define CLI_SQUARE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The recipe's task: from the text of n to the text `n * n = n²`. Exact for every n of 64 bits.
 * Pure.
 */

__extension__ typedef unsigned __int128 u128;

#define NATURAL_MAX 20                               /* digits of 2^64 - 1 */
#define WIDE_MAX    39                               /* digits of 2^128 - 1 */
#define SQUARE_MAX  (2 * NATURAL_MAX + WIDE_MAX + 6) /* bytes of a result */

/* The decimal digits of v, without a terminating zero. Returns how many. */
size_t natural_text(char ret[static NATURAL_MAX], uint64_t v);
size_t wide_text(char ret[static WIDE_MAX], u128 v);

/* The result for n. Returns its length. */
size_t square_text(char ret[static SQUARE_MAX], uint64_t n);

/* The length of the longest result for any task to max. */
size_t square_length_max(uint64_t max);

/* Is this text a right result? Then *ret is its n. */
bool square_check(uint64_t *ret, const char *text, size_t len);

#endif
