/* SPDX-License-Identifier: ISC */
#ifndef CLI_LOCAL_CREW_H
#define CLI_LOCAL_CREW_H

#include "local.h"

/* Start the processes. 0, or an exit code after it was reported. */

int local_crew_start(struct local *l);

#endif
