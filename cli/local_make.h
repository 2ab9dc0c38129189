/* SPDX-License-Identifier: ISC */
#ifndef CLI_LOCAL_MAKE_H
#define CLI_LOCAL_MAKE_H

#include "local.h"

/* A producer's life. Returns an exit code. */

int local_make(const struct local_options *o, struct local_ledger *ledger, unsigned index);

#endif
