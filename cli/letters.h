/* SPDX-License-Identifier: ISC */
#ifndef CLI_LETTERS_H
#define CLI_LETTERS_H

#include "sq.h"

/*
 * letters_why(): why the dead letters of this queue stay in it: "missing", "full", ... Static. Only
 * of a queue with undelivered ones.
 */
const char *letters_why(const struct sq_stat *st);

#endif
