/* SPDX-License-Identifier: ISC */
#ifndef SQI_SELECT_H
#define SQI_SELECT_H

/* Which message comes next. See select.c. */

#include "ops/handle.h"

/* A message that was tried too often comes next. No errno value, and passed on by all in ops/. */
#define SQI_DEAD_LETTER (-4096)

int sqi_select(struct sq *h, uint64_t *ret_pos, uint64_t *ret_word);

#endif
