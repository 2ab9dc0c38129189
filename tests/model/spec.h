/* SPDX-License-Identifier: ISC */
#ifndef TESTS_MODEL_SPEC_H
#define TESTS_MODEL_SPEC_H

#include <stdbool.h>
#include <stdint.h>

#include "explore.h"

/*
 * What a queue promises, as an automaton over what can be seen from outside: calls that begin and
 * end, and deaths. It is the exact check of the history: a search as J. Wing and C. Gong's for
 * linearizations, made step by step. Its state is the set of all abstract queues that explain what
 * was seen so far; a call's end removes those that do not explain its result; if none is left,
 * something is wrong. Every effect takes place in one moment between its call's begin and end, or
 * before the death of who made it, or never.
 *
 * States are numbered and transitions remembered, so that each is computed once, however many
 * schedules go through it; and the number, being part of the run's state, stands for the history.
 *
 * The relaxations, each at its line in spec.c, are what sq.h documents: a redelivered message may
 * be late; so may one that a killed participant had in hand, until a recovery; one in the hands of
 * a sweep; leased messages, and cells in somebody's hands, take up room.
 */

enum call {
	CALL_NONE = 0,
	CALL_PUT,
	CALL_PUT_BLOCK,
	CALL_GET,
	CALL_LEASE,
	CALL_ACK,
	CALL_NACK,
	CALL_TOUCH,
	CALL_RETURN,
	CALL_RECOVER,
	CALL_SWEEP,
	CALL_CLOSE,
	CALL_SHUTDOWN,
	CALL_SHUTDOWN_NOW,
	CALL_BIND,
	CALL_WAIT_EMPTY, /* sq_join() */
	CALL_OPEN,       /* as the durable participant of a key */
	CALL_RETIRE,
	CALL_HELD,
	CALL_FIND, /* where a message is, by its id */
	CALL_LEASE_ID,
	CALL_MARK,
	CALL_PASSED,
	CALL_WANTED,
	CALL_LAST_PUT,
	CALL_OTHER, /* changes nothing that can be seen */
};

#define VALUES_MAX 16 /* 1 to 15 */
#define MANY_MAX   2  /* messages in one call */
#define CLAIMS_MAX 2  /* leases at a time */

/* How a call ended before it had done all it was to do. */
enum stop {
	STOP_NOT = 0,
	STOP_AGAIN, /* full, or empty; at once or after a while */
	STOP_PIPE,
	STOP_STALE,
	STOP_BUSY,
	STOP_SIZE,
	STOP_NOENT,
};

/* What came out of a call. */
struct result {
	enum stop stop;
	unsigned done;            /* messages put or delivered, leased or held; or 1 */
	unsigned value[MANY_MAX]; /* delivered */
	unsigned attempts;        /* of a lease, or the first held */
	unsigned count; /* that a bind, an open or a question told; attempts of the second held */
};

/* What sq_last_put() told is of a message that has been overwritten. */
#define VALUE_UNKNOWN 0xff

/* A new history: an empty queue of that many cells, and blocks. */
void spec_reset(unsigned capacity, unsigned blocks, unsigned max_attempts, bool timed);

void spec_begin(unsigned who, enum call call, unsigned count, const unsigned value[MANY_MAX]);
void spec_end(unsigned who, enum call call, const struct result *r);
void spec_kill(unsigned who);
void spec_expire(void); /* all leases of this moment may be overdue from now on */
void spec_elapse(void); /* the graces of all durable ones that are away are over from now on */
void spec_starve(unsigned who);
void spec_count(unsigned key, unsigned puts); /* under a key; or all, under 0 */
void spec_dead_letter(unsigned value);        /* 0: and no more */

/* For people: what may be in the queue now. */
/* The values that are in the ring for sure: a bit each. */
unsigned spec_surely_queued(void);

void spec_print(void);
unsigned spec_states(void);

/* From now on it is followed whether somebody looked for a message in vain. */
void spec_note_wanted(void);

#endif
