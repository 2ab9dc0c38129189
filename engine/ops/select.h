/* SPDX-License-Identifier: ISC */
#ifndef SQI_SELECT_H
#define SQI_SELECT_H

/* Chooses the message that comes next. See select.c. */

#include "ops/handle.h"

/* A dead letter comes next. This is no errno value; all of ops/ pass it on. */
#define SQI_DEAD_LETTER (-4096)

int sqi_select(struct sq *h, uint64_t *ret_pos, uint64_t *ret_word);

#endif
