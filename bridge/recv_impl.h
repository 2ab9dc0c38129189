/* SPDX-License-Identifier: ISC */
#ifndef RECV_IMPL_H
#define RECV_IMPL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <bsd/sys/queue.h>

#include "ledger.h"
#include "recv.h"

/* What the receiving side's files share. No other file includes this. */

#define STAGES_MAX 16

/* A message that was put and is not settled. */
struct owed {
	TAILQ_ENTRY(owed) order;
	struct sq_lease lease; /* if recalled */
	uint64_t id, sequence;
	uint32_t place;
	bool recalled, told;
};
TAILQ_HEAD(owed_list, owed);

/* A message for which the queue had no room. */
struct held {
	TAILQ_ENTRY(held) order;
	void *data;
	size_t len, cap; /* cap: bytes of ours, 0 if they are the queue's */
	bool reserved;
};
TAILQ_HEAD(held_list, held);

/* Messages found done at one moment, and where the push queues ended then. */
struct stage {
	TAILQ_ENTRY(stage) next;
	struct owed_list done;
	uint64_t mark[RECEIVER_PUSHES_MAX];
	uint64_t marked[RECEIVER_PUSHES_MAX]; /* the run in which; 0: not yet */
	bool passed[RECEIVER_PUSHES_MAX];
};
TAILQ_HEAD(stage_list, stage);

struct receiver {
	struct sq *q;
	struct ledger *ledger;
	uint32_t window;
	uint64_t window_bytes, max_message;
	uint64_t received;

	/* With a ledger: in the workers' hands; ours again; and places for more. */
	struct owed *pool;
	struct owed_list owed, recalled, unused;
	struct owed_list found; /* done, and not yet in a stage */
	uint32_t owed_count;    /* of all that is not in `unused` */

	struct held_list held;
	uint32_t held_count;
	struct held *part; /* of which not all pieces have come */
	uint64_t part_filled;

	struct stage_list stages;
	unsigned stage_count;
	struct range *told; /* settled, to be told: a ring */
	uint32_t told_first, told_count;
	int64_t looked_all_ns; /* the last look at all that is owed */
	int64_t looked_ns;     /* the last look at marks */
	uint64_t looked_count; /* what the senders had settled then */
	int64_t rest_until_ns; /* no new marks, and no look at marks, before */

	/* For the credit. */
	uint64_t granted, granted_bytes, put_bytes;
	uint64_t done, done_before;   /* messages done */
	int64_t measured_ns, done_ns; /* done_ns: something was done, last */
	double rate;                  /* messages done a nanosecond */
	uint32_t boost;
	uint32_t waiting;    /* put and not begun, at the last scan */
	uint64_t scanned_at; /* R then */

	struct receiver_counts counts;
};

/* recv.c */
void receiver_forget(struct receiver *r, struct owed *o);

/* recv_done.c */
void receiver_free_stages(struct receiver *r);
void receiver_tell_again(struct receiver *r);

#endif
