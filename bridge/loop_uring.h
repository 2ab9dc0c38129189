/* SPDX-License-Identifier: ISC */
#ifndef BRIDGE_LOOP_URING_H
#define BRIDGE_LOOP_URING_H

#include <liburing.h>

#include "loop_in.h"

/* The io_uring driver. Only loop_uring*.c include this: no other file knows io_uring. */

#define URING_OP_FUTEX_WAIT 51 /* IORING_OP_FUTEX_WAIT: kernel 6.7; liburing has it from 2.5 on */

struct uring {
	struct io_uring ring;
};

/* loop_uring_setup.c: 0, or the error and in `why` the remedy. Fills stats.defer and so on. */
int loop_uring_setup(struct loop *l, const struct loop_config *config, char *why);

#endif
