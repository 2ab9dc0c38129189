/* SPDX-License-Identifier: ISC */
#ifndef CLI_STATE_H
#define CLI_STATE_H

#include "sq.h"

/* A queue's state, in a word or two: for `ls` and `stat`. */
const char *state_of(const struct sq_stat *st);

#endif
