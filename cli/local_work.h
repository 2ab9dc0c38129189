/* SPDX-License-Identifier: ISC */
#ifndef CLI_LOCAL_WORK_H
#define CLI_LOCAL_WORK_H

#include "local.h"

/* A worker's life. Returns an exit code. */

int local_work(const struct local_options *o, struct local_ledger *ledger, unsigned index);

#endif
