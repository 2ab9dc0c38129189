/* SPDX-License-Identifier: ISC */
#ifndef SQI_GET_H
#define SQI_GET_H

/* Removes a message. See get.c. */

#include <sys/types.h>

#include "ops/handle.h"

ssize_t sqi_get_try(struct sq *h, void *buf, size_t cap);

#endif
