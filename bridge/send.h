/* SPDX-License-Identifier: ISC */
#ifndef SEND_H
#define SEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sq.h"

/*
 * The sending side of a stream: leases messages from this host's queue, numbers them, hands them
 * out to be sent, again after every cut, and settles the leases when the other side has them for
 * good. No I/O but the queue and the ledger; one thread; nothing blocks.
 *
 * Invariant: every message handed out is leased by the stream's durable participant and has an
 * entry in the ledger, until it is settled or given back. Numbers are handed out in order, without
 * holes, from one above what the receiver has.
 */

struct sender;

struct sender_setup {
	const char *queue;  /* this host's */
	const char *ledger; /* its name */
	uint64_t key;       /* of the durable participant */
	int64_t grace;      /* how long its leases stay when it is gone, as sq_open_durable() */
	uint32_t window;    /* messages in flight at most */
};

struct sender_message {
	const void *data; /* in the queue's memory, until it is settled */
	size_t len;
	uint64_t sequence;
	uint32_t attempts;
};

struct sender_counts {
	uint64_t sent, settled, given_back;
	uint64_t lost_leases; /* ended by the queue's lease time, or by hand */
	uint64_t damaged;
};

/*
 * sender_open(): take up the stream where it was left, by whatever end. Errors of
 * sq_open_durable() and ledger_open().
 */
int sender_open(struct sender **ret, const struct sender_setup *setup);

/* sender_close(): everything stays leased and numbered, for the next sender_open(). */
void sender_close(struct sender *);

/*
 * A connection begins; the receiver has all to `received`. sender_resume(): what it has stays in
 * flight, the rest is sent again. -ERANGE: that cannot be of these numbers: the receiver has lost
 * its memory, or ours is. sender_renumber(): then number all anew, from there.
 */
int sender_resume(struct sender *, uint64_t received);
int sender_renumber(struct sender *, uint64_t received);

/* sender_credit(): what may be sent: sequences up to this, and bytes in this connection. */
void sender_credit(struct sender *, uint64_t sequence, uint64_t bytes);

/*
 * sender_next(): the next message to send. -EAGAIN: none, or no credit; -EPIPE: the queue is shut
 * down and drained. sender_sent(): it is on its way; the next one follows.
 */
int sender_next(struct sender *, struct sender_message *ret);
void sender_sent(struct sender *);

/* sender_pause(): the connection has ended. */
void sender_pause(struct sender *);

/* sender_stop(): lease nothing new (true), or go on (false). */
void sender_stop(struct sender *, bool stop);

/*
 * sender_withdraw(): what is leased and was not sent is given back to the queue, and its numbers are
 * free again. begun: but not the next one, of which a part is on its way. Of what was sent before the
 * connection says what the receiver has, nothing is known, and it stays.
 */
void sender_withdraw(struct sender *, bool begun);

/* sender_received(): settle all to this sequence. sender_settle(): settle these. */
void sender_received(struct sender *, uint64_t sequence);
void sender_settle(struct sender *, uint64_t first, uint64_t count);

/*
 * After a resume, the receiver says what it still owes of what it has. sender_owed(): these.
 * sender_reconcile(): those were all; what it has and does not owe is settled.
 */
void sender_owed(struct sender *, uint64_t first, uint64_t count);
void sender_reconcile(struct sender *);

/*
 * sender_return(): these were not begun, others shall have them, and it does not count as an attempt.
 * sender_return_all(): all shall be others'; of those that were sent it does count.
 */
void sender_return(struct sender *, uint64_t first, uint64_t count);
void sender_return_all(struct sender *);

/*
 * sender_touch(): in a queue with a lease time: all leases have more of it, and those that had ended
 * before are let go of. begun: a part of the next one is on its way. False: its lease is one that had
 * ended, and it can never be whole.
 */
bool sender_touch(struct sender *, bool begun);

/* sender_passed(): has everything put into the queue before the mark left it? sender_mark(). */
int sender_mark(struct sender *, uint64_t *ret);
bool sender_passed(struct sender *, uint64_t mark);

/* sender_wants(): would it send a message that came now? */
bool sender_wants(const struct sender *);

/* sender_credit_left(): how much more may be sent before more is granted: messages, and bytes. */
void sender_credit_left(const struct sender *, uint64_t *ret_messages, uint64_t *ret_bytes);

struct sq *sender_queue(const struct sender *);
struct ledger *sender_ledger(const struct sender *);
uint32_t sender_in_flight(const struct sender *);
uint64_t sender_lowest(
	const struct sender *); /* sequence not settled; the next one if there is none */
uint64_t sender_next_sequence(const struct sender *);
const struct sender_counts *sender_counts(const struct sender *);

#endif
