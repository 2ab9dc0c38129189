/* SPDX-License-Identifier: ISC */
#ifndef TESTS_MODEL_WORLD_H
#define TESTS_MODEL_WORLD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "explore.h"
#include "ops/handle.h"
#include "kernel.h"
#include "spec.h"

/*
 * A segment in plain memory, and participants that make a few calls each. Values are unique and
 * small numbers; a message is its value many times over.
 */

#define CALLS_MAX   8
#define BLOCK_LEN   24 /* one word more than a cell has room for */
#define SEGMENT_MAX (16 << 10)
#define LEASES_MAX  CLAIMS_MAX
#define SEGMENTS    KERNEL_FILES
#define COPIES_MAX  (LEASES_MAX + 1) /* and one for what it buries */

enum op_kind {
	OP_END = 0,
	OP_PUT,
	OP_PUT_MANY, /* the value and the next */
	OP_PUT_BLOCK,
	OP_RESERVE, /* and commit, by a block */
	OP_RESERVE_SMALL,
	OP_RESERVE_LESS, /* a block is reserved, and little of it committed */
	OP_GET,
	OP_GET_MANY, /* up to two */
	OP_GET_TINY, /* with no room for any */
	OP_LEASE,
	OP_ACK, /* the first lease it has; or the second, if the value is 1 */
	OP_NACK,
	OP_RETURN,
	OP_TOUCH,
	OP_RECOVER,
	OP_SLICE,  /* time passes, and it looks after the dead in passing: some of it */
	OP_SWEEP,  /* end overdue leases, find redeliveries that nobody heard of */
	OP_EXPIRE, /* time passes: all leases are overdue */
	OP_ELAPSE, /* time passes: the graces of all who are away are over */
	OP_CLOSE,  /* leave */
	OP_JOIN,   /* be another participant, in a slot that may have been used; or come at first */
	OP_COLLECT, /* decide that the queue goes, if nobody but collectors is there */
	OP_GONE,    /* it did: tell all */
	OP_SHUTDOWN,
	OP_SHUTDOWN_NOW,
	OP_BIND, /* to the key that is the value */
	OP_WAIT_EMPTY,
	OP_STAT,
	OP_OPEN, /* as the durable participant of the key that is the value; it was not there before */
	OP_RETIRE,
	OP_HELD,     /* learn what it has leased */
	OP_FIND,     /* the message of this value: of those that were there, or its own last */
	OP_LEASE_ID, /* the same, and lease it */
	OP_MARK,
	OP_PASSED, /* the mark it made */
	OP_WANTED,
	OP_LAST_PUT,
	OP_GET_ARMED, /* wait in a loop of its own */
	OP_PUT_ARMED,
	OP_BLOCK_ARMED,
};

enum how_long { NO_WAIT = 0, FOR_EVER, A_WHILE };

struct op {
	enum op_kind kind;
	unsigned value;
	enum how_long wait;
};

/* Counters that begin near their ends. */
enum wraps {
	WRAP_TURN = 1,
	WRAP_EVENTS = 2,     /* the eventcounts */
	WRAP_GENERATION = 4, /* of blocks */
	WRAP_ID = 8,
	WRAP_ALL = 15,
};

struct scenario {
	const char *name;
	unsigned capacity;
	int64_t lease_time;
	unsigned wraps;
	unsigned filled;         /* values 1 to this are in the queue already ... */
	bool filled_block;       /* ... in blocks */
	unsigned nacked;         /* and the first of them was leased and given back that often */
	unsigned max_attempts;   /* then it is a dead letter */
	bool wide;               /* small messages of two words, not one */
	uint8_t durable[CO_MAX]; /* keys of those that are durable participants at first */
	bool grace;              /* theirs ends; else it is for ever */
	struct op ops[CO_MAX][CALLS_MAX];
	struct bounds bounds; /* of the search */
	int longer;           /* preemptions when there is time; or ALL */
	unsigned steps;       /* of its own, that no call may take more of */
	bool large;           /* too large for all of it: only at random */
};

struct segment {
	unsigned char *memory;
	struct sqi_geometry g;
};

/* What the participants have beside their handles. No padding. */
struct hand {
	struct sq_lease lease[LEASES_MAX]; /* data NULL: none */
	uint64_t value[LEASES_MAX];        /* of each */
	uint64_t present;
	uint64_t buffer[2]; /* of a small reservation */
	uint64_t id;        /* of its last put, plus one */
	uint64_t puts;      /* that went in, since it came */
	uint64_t collected; /* it decided that the queue goes */
	uint64_t mark;
	uint64_t was_back; /* the last that it got or leased was a redelivery */
	struct {
		uint64_t id, lease;
		uint64_t data[BLOCK_LEN / 8];
	} copy[COPIES_MAX]; /* of what it leased, in a queue with a lease time */
};

struct world {
	const struct scenario *scenario;
	struct segment segment[SEGMENTS]; /* the queue, and the one for its dead letters */
	struct sq handle[SEGMENTS][ACTORS];
	struct hand hand[ACTORS];
	uint64_t first; /* position of the first message ever */
};

extern struct world world;

/* Make the segments and the participants of this scenario: the first state. */
void world_reset(const struct scenario *scenario);

/* A participant's life: its calls. What befalls it. */
void world_body(unsigned who);
void world_killed(unsigned who);
bool world_matters(unsigned who);

/* From what the engine returned to the specification: of a message, its value. */
unsigned world_value(const void *message, size_t len);

/* world_enter(): into a slot of the queue, under that key if it is not 0. */
int world_enter(unsigned who, uint64_t key);

/* world_durable.c: the calls for a forwarder, which keeps books of its own. */
bool world_is_durable_call(enum op_kind kind);
void world_durable_call(unsigned who, const struct op *op, struct result *r);

/* Is this one of the counts that decide nothing? */
bool world_idle(const void *address);

/* A call, told to the specification. */
void world_call(unsigned who, const struct op *op);

extern const struct scenario scenarios[];

/* check.c: with some stopped, are the others free? At the end, is it all as promised? */
void check_flow(void);
void check_end(void);

#endif
