/* SPDX-License-Identifier: ISC */
#ifndef CHANCE_H
#define CHANCE_H

/*
 * Where a damage test's decisions come from: a seed, or the bytes of a fuzzer. When those are used
 * up every further decision is 0, and chance_dry() says so.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rng.h"

struct chance {
	uint64_t state;            /* never 0 */
	const unsigned char *data; /* a fuzzer's, or NULL */
	size_t left;
};

static inline struct chance chance_of_seed(uint64_t seed)
{
	return (struct chance){.state = rng_mix(seed) | 1};
}

static inline struct chance chance_of_bytes(const void *data, size_t len)
{
	return (struct chance){.data = data, .left = len};
}

static inline bool chance_dry(const struct chance *c)
{
	return c->data && c->left == 0;
}

/* A number of so many bytes. */
static inline uint64_t chance_bytes(struct chance *c, unsigned bytes)
{
	uint64_t v = 0;

	if (!c->data)
		return rng_next(&c->state) >> (64 - 8 * bytes);
	for (; bytes > 0 && c->left > 0; bytes--, c->left--)
		v = v << 8 | *c->data++;
	return v;
}

static inline uint64_t chance_u64(struct chance *c)
{
	return chance_bytes(c, 8);
}

/* 0 to n - 1. A fuzzer pays one byte for a small choice. */
static inline uint64_t chance_below(struct chance *c, uint64_t n)
{
	return chance_bytes(c, c->data && n <= 256 ? 1 : c->data && n <= 65536 ? 2 : 8) % n;
}

/* Once in n times. */
static inline bool chance_in(struct chance *c, unsigned n)
{
	return chance_below(c, n) == 0;
}

#endif
