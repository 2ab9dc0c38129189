/* SPDX-License-Identifier: ISC */
#ifndef CLI_LOCAL_SHOW_H
#define CLI_LOCAL_SHOW_H

#include <stdbool.h>

#include "local.h"

/* Progress, to standard error. */

/* Is it a terminal that knows escapes? */
bool local_show_escapes(void);

void local_show_start(const struct local *l);
void local_show(const struct local *l);

/* Take the progress line off the terminal, for something else to be written there. */
void local_show_clear(const struct local *l);

#endif
