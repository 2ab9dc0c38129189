/* SPDX-License-Identifier: ISC */
#ifndef CALLS_H
#define CALLS_H

/*
 * Every public call, made with arguments left to chance on a segment that may be damaged in any
 * way, and what must hold all the same: the result is a documented one; only what belongs to the
 * caller is written; what is handed out lies where messages lie; a call that need not wait does not
 * sleep; and a call that waits does so for as long as was asked.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "chance.h"
#include "ops/handle.h"
#include "sq.h"

#define LEASES_MAX 6

/* One participant and what it has in hand. */
struct player {
	struct sq *h; /* NULL: not there */
	const char *name;
	struct sq_lease lease[LEASES_MAX];
	unsigned leases;
	size_t reserved; /* of a reservation: its size plus one */
	uint64_t mark;   /* an end of the queue, or an id, as some call told it */
	uint64_t key;    /* of a durable participant; 0: an ordinary one */
	int64_t grace;   /* its */
	bool alone;      /* nobody writes the segment but these calls, and time is virtual */
	bool unsteady;   /* but there is damage within a call */
	int64_t span_max_ns;
	/* The description as it is and as it should be; NULL: a forged one may do. */
	const unsigned char *shown, *made;
};

enum call {
	CALL_PUT,
	CALL_PUT_MANY,
	CALL_RESERVE,
	CALL_COMMIT,
	CALL_ABORT,
	CALL_GET,
	CALL_GET_MANY,
	CALL_LEASE,
	CALL_ACK,
	CALL_NACK,
	CALL_RETURN,
	CALL_TOUCH,
	CALL_STAT,
	CALL_RECOVER,
	CALL_JOIN,
	CALL_BIND,
	CALL_BOUND,
	CALL_LAST_PUT,
	CALL_DURABLE_RUN,
	CALL_RETIRE,
	CALL_HELD,
	CALL_FIND,
	CALL_LEASE_ID,
	CALL_MARK,
	CALL_PASSED,
	CALL_ARM,
	CALL_WANTED,
	CALL_SHUTDOWN,
	CALL_FOREVER, /* a call that waits for ever, until the queue is closed under it */
	CALLS_ON_A_HANDLE,
	CALL_OPEN = CALLS_ON_A_HANDLE, /* and close: by a second handle */
	CALL_CHECK,
	CALL_GC,
	CALL_LIST,
	CALL_SWEEP,
	CALLS,
};

/* player_open(): become a participant. 0 or a documented error. */
int player_open(struct player *p);

/* player_close(): leave, with whatever is in hand. */
void player_close(struct player *p);

/* player_die(): the lock is dropped and all that it held stays where it is, as after a kill. */
void player_die(struct player *p);

/* player_call(): make this call. Its result. */
long player_call(struct player *p, enum call which, struct chance *c);

#endif
