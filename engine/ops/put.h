/* SPDX-License-Identifier: ISC */
#ifndef SQI_PUT_H
#define SQI_PUT_H

/* Appends a message. See put.c. */

#include "ops/handle.h"

/* A message to put: bytes to copy to a cell, or a block that is filled already. */
struct sqi_message {
	const void *data; /* NULL: the message is in the block */
	size_t len;
	struct sqi_ref block;
};

int sqi_put_try(struct sq *h, const struct sqi_message *m);

#endif
