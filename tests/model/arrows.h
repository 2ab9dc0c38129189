/* SPDX-License-Identifier: ISC */
#ifndef TESTS_MODEL_ARROWS_H
#define TESTS_MODEL_ARROWS_H

/* Around each step of this participant: what it does to a cell's word is one of the arrows. */
void arrows_before(unsigned who);
void arrows_after(void);

/* The arrow that the step was which changed a cell's word just now; NULL: it is none. */
const char *arrow_told(void);

#endif
