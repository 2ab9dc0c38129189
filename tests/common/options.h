/* SPDX-License-Identifier: ISC */
#ifndef TESTS_OPTIONS_H
#define TESTS_OPTIONS_H

/*
 * The options of a test program: --seed 5, --seed=5, -v. Of two of a name the last counts. A program asks
 * for each that it takes, and then says so by options_end(). What is wrong ends it, with exit code 64
 * and a line that names the options it takes.
 */

#include <stdbool.h>
#include <stdint.h>

/* The value of this option as text, as a number, or else `fallback`. The text is argv's. */
const char *option_text(int argc, char **argv, const char *option, const char *fallback);
uint64_t option_number(int argc, char **argv, const char *option, uint64_t fallback);

/* Is this word among them? */
bool option_flag(int argc, char **argv, const char *option);

/* options_end(): all were asked for, and there must be no others. */
void options_end(int argc, char **argv);

/* option_is_taken(): was this option asked for, as one that there may be? */
bool option_is_taken(const char *option);

#endif
