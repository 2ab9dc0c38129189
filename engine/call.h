/* SPDX-License-Identifier: ISC */
#ifndef SQI_CALL_H
#define SQI_CALL_H

/* What the public calls on a handle have in common. See call.c. */

#include <stdint.h>

#include "ops/handle.h"

int sqi_handle_check(const struct sq *h, int64_t timeout);
void sqi_upkeep_in_passing(struct sq *h);
int sqi_call(struct sq *h, struct sqi_side *side, int64_t timeout,
	int (*attempt)(struct sq *h, void *arg), void *arg);

#endif
