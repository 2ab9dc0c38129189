/* SPDX-License-Identifier: ISC */
#ifndef CLI_SHARE_H
#define CLI_SHARE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Several readers share a queue, each behind a pipe of its own. A pipe takes 64 KiB, thousands of
 * items, and what it has taken has left the queue: a slow reader would get all of them, and the
 * others none. So no more lies unread in a pipe than its reader takes in about a millisecond: one
 * item, if it needs longer for each.
 */

struct share {
	bool on;                       /* standard output is a pipe */
	int at_once;                   /* items that may be put into it, at least 1 ... */
	int unread_max;                /* ... while no more bytes than that are there */
	int64_t items, bytes, from_ns; /* written since then */
};

void share_init(struct share *ret);

/* So much was written. */
void share_wrote(struct share *share, int items, size_t bytes);

/* Wait until more may be. 0, or as output_wait(). */
int share_wait(struct share *share);

#endif
