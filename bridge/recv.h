/* SPDX-License-Identifier: ISC */
#ifndef RECV_H
#define RECV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sq.h"

/*
 * The receiving side of a stream: puts messages into this host's queue, each once, and, of a pull,
 * sees when they are done. No I/O but the queue and the ledger; one thread; nothing blocks.
 *
 * Invariant: sequence s was put exactly if s <= receiver_received(), which is the queue's own
 * durable count. Of a pull, what was put and is not settled has an entry in the ledger.
 */

struct receiver;
struct sender;

struct receiver_setup {
	const char *queue;
	uint64_t key;          /* of the count */
	const char *ledger;    /* NULL: a push; nothing is owed */
	uint32_t window;       /* messages owed at most */
	uint64_t window_bytes; /* held at most, for want of room in the queue; and one message */
};

struct receiver_counts {
	uint64_t put, settled, abandoned, returned;
	uint64_t held_bytes; /* now */
};

/* A run of sequences. */
struct range {
	uint64_t first;
	uint32_t count;
};

/* receiver_open(): take up the stream where it was left. Errors of sq_open(), sq_count_bind(), ledger_open(). */
int receiver_open(struct receiver **ret, const struct receiver_setup *setup);
void receiver_close(struct receiver *);

/* receiver_received(): R. Counts what is in the queue, not what is held for it. */
uint64_t receiver_received(const struct receiver *);

/* A connection begins, or has ended: what was held is dropped, and will come again. */
void receiver_reset(struct receiver *);

/*
 * receiver_put(): the next message. receiver_part(): a piece of one too long for a batch. `data` is
 * borrowed. -EPROTO: it is not the next one. -EMSGSIZE; -ENOMEM; -EPIPE: the queue is shut down.
 */
int receiver_put(struct receiver *, uint64_t sequence, const void *data, size_t len);
int receiver_part(struct receiver *, uint64_t sequence, uint64_t total, uint64_t offset,
	const void *data, size_t len);

/* receiver_flush(): what is held goes into the queue, if there is room now. -EPIPE, -EBADMSG. */
int receiver_flush(struct receiver *);

/*
 * A pull's epoch. receiver_begin(): a new one; nothing is owed. receiver_abandon(): the sender has
 * given up on it: what no worker has begun is removed.
 */
uint64_t receiver_epoch(const struct receiver *);
void receiver_begin(struct receiver *, uint64_t epoch);
void receiver_abandon(struct receiver *);

/* receiver_disown(): the sender has lost its memory: what is here is done here, and not reported. */
void receiver_disown(struct receiver *);

/*
 * A queue in which results leave this host. No sender: it is not there, or cannot be used. `run`:
 * not 0, and another each time that the sender is of another queue. stands(of): is what is put by
 * the queue's name still put where the sender sees it? NULL: it is. absent(of): of one without a
 * sender: is there no queue of its name at all, so that nothing can have been put into it? NULL: it
 * is there.
 */
#define RECEIVER_PUSHES_MAX 64
struct receiver_push {
	struct sender *sender;
	uint64_t run;
	uint64_t capacity; /* of its queue: what a look at it costs */
	bool (*stands)(const void *of);
	bool (*absent)(const void *of);
	const void *of;
};

/*
 * receiver_scan(): see what has been done. A worker puts its results before it acknowledges the
 * task: what is in these queues now must have left them before the task is settled. The n are the
 * same ones, in the same order, in each call, and none is left out because it cannot be used now.
 * True: something is settled, and receiver_settled() tells what, until it returns 0.
 */
bool receiver_scan(struct receiver *, const struct receiver_push *push, unsigned n, int64_t now_ns);
size_t receiver_settled(struct receiver *, struct range *ret, size_t max);

/* receiver_scan_again(): when the next scan may find what this one rested from; else INT64_MAX. */
int64_t receiver_scan_again(const struct receiver *);

/* receiver_owed(): what is owed, in order, to *ret, which the caller frees. -ENOMEM. */
int receiver_owed(const struct receiver *, struct range **ret, size_t *ret_n);

/*
 * Tasks to be done elsewhere: receiver_recall() takes those that no worker has begun out of the
 * queue, receiver_recalled() tells which, until it returns 0, again in each connection; and only
 * when the sender has said that it has them back, receiver_returned(), are they removed here.
 */
void receiver_recall(struct receiver *);
size_t receiver_recalled(struct receiver *, struct range *ret, size_t max);
void receiver_returned(struct receiver *, uint64_t first, uint64_t count);

/*
 * receiver_credit(): what the sender may send now. True: that is news. `rtt_ns`: of the connection.
 * `stop`: nothing new is wanted.
 */
bool receiver_credit(struct receiver *, int64_t now_ns, int64_t rtt_ns, bool stop,
	uint64_t *ret_sequence, uint64_t *ret_bytes);

/* receiver_credit_left(): what of the credit has not been used yet: messages, and bytes. */
void receiver_credit_left(const struct receiver *, uint64_t *ret_messages, uint64_t *ret_bytes);

/* receiver_lowest(): of the sequences that are owed, the lowest; 0: nothing is owed. */
uint64_t receiver_lowest(const struct receiver *);

struct ledger *receiver_ledger(const struct receiver *);
struct sq *receiver_queue(const struct receiver *);
/* receiver_idle(): nothing is owed or held, no message is half here, nothing settled is to be told. */
bool receiver_idle(const struct receiver *);
uint32_t receiver_owed_count(const struct receiver *);
const struct receiver_counts *receiver_counts(const struct receiver *);

#endif
