/* SPDX-License-Identifier: ISC */
#ifndef SQI_WAIT_H
#define SQI_WAIT_H

/* Waits until a call can be done. See wait.c. */

#include "ops/handle.h"

int sqi_wait(struct sq *h, struct sqi_side *side, int64_t timeout,
	int (*attempt)(struct sq *h, void *arg), void *arg);
void sqi_pass_on(struct sq *h, struct sqi_event *event);

#endif
