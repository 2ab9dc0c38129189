/* SPDX-License-Identifier: ISC */
#ifndef CLI_LOCAL_TELL_H
#define CLI_LOCAL_TELL_H

#include <stdio.h>

#include "local.h"
#include "local_proof.h"

/* The proof for people, to standard error. */
void local_tell(const struct local *l, const struct local_proof *p);

/* The same for programs: a JSON object in one line. */
void local_tell_json(FILE *f, const struct local *l, const struct local_proof *p);

#endif
