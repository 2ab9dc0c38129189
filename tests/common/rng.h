/* SPDX-License-Identifier: ISC */
#ifndef TESTS_RNG_H
#define TESTS_RNG_H

/*
 * Random numbers from a seed, the same wherever they are drawn: a seed that a test prints, or that a
 * mutation is caught by, must go on meaning the same run. So none of these may be changed.
 */

#include <stdint.h>

#define RNG_GOLDEN 0x9e3779b97f4a7c15

/* The finalizer of splitmix64 (Steele, Lea, Flood; Vigna): neighbouring seeds become unlike. */
static inline uint64_t rng_mix(uint64_t v)
{
	v += RNG_GOLDEN;
	v = (v ^ v >> 30) * 0xbf58476d1ce4e5b9;
	v = (v ^ v >> 27) * 0x94d049bb133111eb;
	return v ^ v >> 31;
}

/* splitmix64: any state will do. */
static inline uint64_t rng_split(uint64_t *state)
{
	uint64_t v = rng_mix(*state);

	*state += RNG_GOLDEN;
	return v;
}

/* xorshift64* (Vigna). A state of 0 is taken for another. */
static inline uint64_t rng_next(uint64_t *state)
{
	uint64_t x = *state ? *state : RNG_GOLDEN;

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	*state = x;
	return x * 0x2545f4914f6cdd1d;
}

/* xorshift64 (Marsaglia): the state itself. It must not be 0. */
static inline uint64_t rng_shift(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

#endif
