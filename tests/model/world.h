/* SPDX-License-Identifier: ISC */
#ifndef TESTS_MODEL_WORLD_H
#define TESTS_MODEL_WORLD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "explore.h"
#include "handle.h"

/*
 * A segment in plain memory, participants that do a few operations each, and what they saw. Values
 * are unique and small numbers; a value's block message is the same value many times over.
 */

#define OPS_MAX    6
#define VALUES_MAX 16
#define BLOCK_LEN  100

enum op_kind {
	OP_END = 0,
	OP_PUT,
	OP_PUT_BLOCK,
	OP_RESERVE, /* and commit, by a block */
	OP_GET,
	OP_LEASE,
	OP_ACK,
	OP_NACK,
	OP_TOUCH,
	OP_RECOVER,
	OP_SWEEP,  /* end overdue leases */
	OP_EXPIRE, /* time passes: all leases are overdue */
	OP_CLOSE,  /* leave */
	OP_JOIN,   /* be another participant, in a slot that may have been used */
	OP_SHUTDOWN,
	OP_SHUTDOWN_NOW,
	OP_STAT,
};

struct op {
	enum op_kind kind;
	unsigned value;
	bool wait; /* for ever, or as long as anybody could make news */
};

struct scenario {
	const char *name;
	unsigned capacity;
	int64_t lease_time;
	uint64_t turn;     /* at which all counters start */
	unsigned filled;   /* values 1 to this are in the queue already ... */
	bool filled_block; /* ... in blocks */
	struct op ops[CO_MAX][OPS_MAX];
	struct bounds bounds;
};

/* What became of an operation. */
struct deed {
	enum op_kind kind;
	unsigned value; /* put, or delivered */
	unsigned attempts;
	int result; /* PENDING while it is under way */
	unsigned long begin, end;
	bool died_in; /* or stopped for ever */
};

#define PENDING 1000

struct world {
	const struct scenario *scenario;
	struct sqi_geometry g;
	struct sq handle[CO_MAX];
	bool present[CO_MAX];
	struct sq_lease lease[CO_MAX];
	struct deed deed[CO_MAX][OPS_MAX];
	struct sq auditor;
};

extern struct world world;

/* Make the segment and the participants of this scenario. Called before each run. */
void world_reset(const struct scenario *scenario);

/* A participant's life: its operations. */
void world_body(unsigned self);
void world_killed(unsigned self);

/* An operation by a handle, outside any schedule or inside. */
int world_put(struct sq *h, unsigned value, bool block, int64_t timeout);
int world_get(struct sq *h, unsigned *ret, int64_t timeout);

/* After the run: is it all as promised? Notes failures by explore_fail(). */
void check_run(void);

extern const struct scenario scenarios[];

#endif
