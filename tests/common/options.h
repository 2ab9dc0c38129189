/* SPDX-License-Identifier: ISC */
#ifndef TESTS_OPTIONS_H
#define TESTS_OPTIONS_H

/*
 * The options of a test program: --seed 5, --seed=5, -v. What is not asked for is passed over, and of
 * two of a name the last counts.
 */

#include <stdbool.h>
#include <stdint.h>

/* The value of this option as text, as a number, or else `fallback`. The text is argv's. */
const char *option_text(int argc, char **argv, const char *option, const char *fallback);
uint64_t option_number(int argc, char **argv, const char *option, uint64_t fallback);

/* Is this word among them? */
bool option_flag(int argc, char **argv, const char *option);

#endif
