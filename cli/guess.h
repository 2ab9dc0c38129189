/* SPDX-License-Identifier: ISC */
#ifndef CLI_GUESS_H
#define CLI_GUESS_H

#define GUESS_NONE 16

/*
 * How far a mistyped word is from a name: 0 if the name begins so, GUESS_NONE if they have no more in
 * common than not. Pure.
 */
unsigned guess_distance(const char *word, const char *name);

#endif
