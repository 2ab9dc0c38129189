/* SPDX-License-Identifier: ISC */
#ifndef SQI_PUT_H
#define SQI_PUT_H

/* Appends a message. See put.c. */

#include <sys/uio.h>

#include "ops/handle.h"

/* A message to put: bytes to copy to a cell, or a block that is filled already. */
struct sqi_message {
	const void *data; /* NULL: it is empty, or in the block */
	size_t len;
	struct sqi_ref block;
};

/* One attempt to put a message that a cell can hold. */
int sqi_put_small(struct sq *h, const void *data, size_t len);

/*
 * One attempt to put as many of n messages as it can as one group: the number put; 0 if there is no
 * room for two, or they are not for that, or another participant is ahead: put them one by one.
 */
int sqi_put_group(struct sq *h, const struct iovec *iov, int n);

/*
 * An attempt for sqi_call(): of any message that needs no more than a cell, and of one that needs a
 * block. The block is allocated and filled first, and is the caller's to free if the call fails.
 */
int sqi_attempt_put(struct sq *h, void *message);
int sqi_attempt_put_block(struct sq *h, void *message);

#endif
