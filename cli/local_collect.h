/* SPDX-License-Identifier: ISC */
#ifndef CLI_LOCAL_COLLECT_H
#define CLI_LOCAL_COLLECT_H

#include "local.h"

/* The collector's life. Returns an exit code. */

int local_collect(const struct local_options *o, struct local_ledger *ledger);

#endif
