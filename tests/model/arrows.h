/* SPDX-License-Identifier: ISC */
#ifndef TESTS_MODEL_ARROWS_H
#define TESTS_MODEL_ARROWS_H

#include <stdint.h>

/* The arrow of word.h that leads from one word of a cell to another; NULL: there is none. */
const char *arrow_of(uint64_t from, uint64_t to);

/* Around each step of this participant: what it does to a cell's word is one of the arrows. */
void arrows_before(unsigned who);
void arrows_after(void);

#endif
