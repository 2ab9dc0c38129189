/* SPDX-License-Identifier: ISC */
#ifndef SQI_GET_H
#define SQI_GET_H

/* Removes a message. See get.c. */

#include <sys/types.h>
#include <sys/uio.h>

#include "ops/handle.h"

ssize_t sqi_get_try(struct sq *h, void *buf, size_t cap);

/*
 * One attempt to get up to n small messages as one group, one behind another to buf; where each is,
 * to ret[]. The number got; 0 if there are no two for that: get them one by one.
 */
int sqi_get_group(struct sq *h, void *buf, size_t cap, struct iovec *ret, int n);

#endif
