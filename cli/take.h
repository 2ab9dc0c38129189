/* SPDX-License-Identifier: ISC */
#ifndef CLI_TAKE_H
#define CLI_TAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hold.h"
#include "share.h"
#include "sq.h"
#include "waiting.h"

/*
 * From a queue to standard output. Items are leased, written, and acknowledged only then: if the
 * write fails, or we are killed, the queue still has them. Half an item that was written counts as
 * none: it is taken back where it can be (see output.h).
 *
 * A batch ends when it is full or the queue is empty for the moment, so that no item waits for
 * others to come; and nothing is leased while our reader is not ready.
 */

#define TAKE_BATCH 512
#define TAKE_BYTES ((size_t)64 << 10)

struct take {
	struct sq *q; /* borrowed */
	const char *queue;
	uint64_t limit;  /* 0: none */
	int64_t timeout; /* for each item */
	char delimiter;
	bool follow; /* no timeout at all */
	bool share;  /* leave to others what our reader is not ready for (see share.h) */
	struct waiting waiting;
	struct hold *hold; /* NULL: whether the queue still has its name does not matter */

	uint64_t done; /* written and acknowledged */
	uint64_t late; /* written, but the lease had ended */
	int write_error;
	bool torn; /* half an item is out, and could not be taken back */
	struct share sharing;
	int n; /* leases in hand */
	size_t len;
	struct sq_lease lease[TAKE_BATCH];
	size_t end[TAKE_BATCH]; /* of each in the buffer */
	char buffer[TAKE_BYTES];
};

/*
 * 0: as many as were asked for. Else why no more: -EIO is the output's, -EINTR says that it was to
 * end, -ENOENT that the queue was removed and what was in it has been taken, the others are the
 * queue's.
 */
int take_run(struct take *take);

/* What an end that was not asked for means. Returns the exit code. */
int take_report(const struct take *take, int error);

/* Say so if items may have been given to others too, or half of one is out. */
void take_report_odd(const struct take *take);

#endif
