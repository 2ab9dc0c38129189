/* SPDX-License-Identifier: ISC */
#ifndef BENCH_PAYLOAD_H
#define BENCH_PAYLOAD_H

#include <stddef.h>
#include <stdint.h>

/*
 * A message is words: its value, which is not 0, and numbers that count on from it. All are written
 * by the producer and all are read by the consumer. A message of value 0 says that no more come.
 */

static inline void payload_write(void *to, size_t size, uint64_t value)
{
	uint64_t *word = (uint64_t *)to;

	for (size_t i = 0; i < size / 8; i++)
		word[i] = value + i;
}

/* The sum of its words, which the caller adds up. */
static inline uint64_t payload_read(const void *from, size_t size, uint64_t *ret_value)
{
	const uint64_t *word = (const uint64_t *)from;
	uint64_t sum = 0;

	for (size_t i = 0; i < size / 8; i++)
		sum += word[i];
	*ret_value = word[0];
	return sum;
}

/* What the sums of the values from first to first + n - 1 add up to. */
static inline uint64_t payload_total(size_t size, uint64_t first, uint64_t n)
{
	uint64_t words = size / 8;
	/* modulo 2^64, as the sums are; one of two neighbours is even */
	uint64_t pairs = n % 2 ? n * ((n - 1) / 2) : n / 2 * (n - 1);
	uint64_t inner = words * (words - 1) / 2;

	return words * (first * n + pairs) + inner * n;
}

#endif
