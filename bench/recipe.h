/* SPDX-License-Identifier: ISC */
#ifndef BENCH_RECIPE_H
#define BENCH_RECIPE_H

#include <stdint.h>

/*
 * The recipe's job: integers n from 0 on in one queue, `n * n = n²` in another. A task is the eight
 * bytes of n. The results are made and checked as sqctl does: cli/square.h.
 */

#define RECIPE_N_MAX 1000000u /* as in manager.py: n and its square */

/* The i-th task of a run: as if by chance, and the same in every run. */
static inline uint64_t recipe_task(uint64_t i)
{
	return (i * 0x9e3779b97f4a7c15u >> 32) % (RECIPE_N_MAX + 1);
}

#endif
