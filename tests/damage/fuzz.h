/* SPDX-License-Identifier: ISC */
#ifndef FUZZ_H
#define FUZZ_H

/*
 * A fuzz target: libFuzzer calls LLVMFuzzerTestOneInput() with inputs it breeds; fuzz_main.c, where
 * there is no libFuzzer, with inputs from seeds, and writes the corpus to start from.
 */

#include <stddef.h>
#include <stdint.h>

#include "chance.h"

#define FUZZ_INPUT_MAX 4096

/* One input. Always 0; what is wrong aborts. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* fuzz_seed(): an input that gets far, to begin with. Its length, at most FUZZ_INPUT_MAX. */
size_t fuzz_seed(unsigned char *ret, struct chance *c);

#endif
