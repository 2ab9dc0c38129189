/* SPDX-License-Identifier: ISC */
#ifndef CLI_PARSE_H
#define CLI_PARSE_H

#include <stdint.h>

/*
 * Words of the command line to numbers. Each returns NULL, or what is wrong with the text and what
 * is allowed, to be printed behind it; *ret is written only with NULL.
 */

/* A whole number from min to max. */
const char *parse_count(uint64_t *ret, const char *text, uint64_t min, uint64_t max);

/* A whole number with an optional unit: 64k, 1M, 2g (powers of 1024). */
const char *parse_size(uint64_t *ret, const char *text, uint64_t min, uint64_t max);

/* A span of time: 250ms, 1.5s, 2m, 1h; a bare number is seconds. To nanoseconds, max at most. */
#define PARSE_SPAN_MAX INT64_C(9000000000000000000)
const char *parse_span(int64_t *ret, const char *text);
const char *parse_span_to(int64_t *ret, const char *text, int64_t max);

/* The same, and not 0. */
const char *parse_duration(int64_t *ret, const char *text);

/* A rate: 100 (a second), 100/s, 10/3s. So many in so many nanoseconds. */
const char *parse_rate(uint64_t *ret_count, int64_t *ret_span, const char *text);

/* An integer >= 0 up to 2^64 - 1 in decimal, of exactly these len bytes. */
const char *parse_natural(uint64_t *ret, const char *text, unsigned long len);

#endif
