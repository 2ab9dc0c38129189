/* SPDX-License-Identifier: ISC */
#ifndef SQI_DEAD_LETTER_H
#define SQI_DEAD_LETTER_H

/* Moving a message to the dead letters. See dead_letter.c. */

#include "ops/handle.h"

int sqi_past_dead_letters(struct sq *h, int (*attempt)(struct sq *h, void *arg), void *arg);

#endif
