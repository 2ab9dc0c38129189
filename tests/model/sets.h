/* SPDX-License-Identifier: ISC */
#ifndef TESTS_MODEL_SETS_H
#define TESTS_MODEL_SETS_H

#include "spec.h"

/* What spec.c (the rules) and sets.c (the automaton) know of each other. */

enum place {
	PLACE_NOWHERE = 0, /* never put */
	PLACE_QUEUED,
	PLACE_BACK,       /* to be redelivered */
	PLACE_LIMBO_DEAD, /* its holder died */
	PLACE_LIMBO_OVER, /* its lease was ended, which is not yet announced */
	PLACE_LIMBO_BACK, /* its lease was given back, which is not yet announced */
	PLACE_GONE,
	PLACE_HELD, /* plus whose */
};

/* Held by the durable participant of a key, which is not here now: this plus the key. */
#define PLACE_KEPT (PLACE_HELD + ACTORS)
#define KEYS       5
#define KEEPS      0x80                 /* its leases outlive it */
#define AWAY(key)  (1u << ((key)-1))    /* there is a durable participant of it, and not here */
#define OVER(key)  (0x10u << ((key)-1)) /* and its grace may be over */
#define WANT_OWED  1
#define WANT_MAYBE 2

#define HOLE      VALUES_MAX
#define BURIED    0x80
#define ORDER_MAX 11

/* A call under way. */
struct pending {
	uint8_t call, count, done, stop;
	uint8_t value[MANY_MAX];
	uint8_t attempts;
	uint8_t told;
	uint8_t holding; /* a block being copied by a get, or what a lease is about to have */
	uint8_t burying; /* a dead letter; plus BURIED: it is there, and not yet removed here */
	uint8_t early;   /* a put that began before the queue was shut down */
	uint8_t want;    /* it looked in vain, and has not said so yet */
	uint16_t must;   /* values it has to have settled at its end */
};

/* An abstract queue. No padding. */
struct queue {
	uint8_t length, left;
	uint8_t away;   /* of keys: AWAY, and OVER */
	uint8_t closed; /* 0, 1 draining, 2 at once */
	uint8_t sealed; /* somebody was told that it is drained */
	uint8_t order[ORDER_MAX];
	uint16_t due;
	uint16_t returned;                            /* held by a lease that does not count */
	uint16_t must_pass[ACTORS], may_pass[ACTORS]; /* before one's mark: surely, perhaps */
	uint8_t place[VALUES_MAX];
	uint8_t attempts[VALUES_MAX]; /* that count */
	uint8_t number[VALUES_MAX];   /* of the last lease */
	uint8_t copies[VALUES_MAX];   /* among the dead letters */
	struct claim {
		uint8_t value, number; /* value 0: none */
	} claim[ACTORS][CLAIMS_MAX];
	uint8_t key[ACTORS];
	uint8_t durable[ACTORS];  /* the key of a durable participant, plus KEEPS; or 0 */
	uint8_t last_put[ACTORS]; /* as the handle knows it */
	uint8_t last[KEYS];       /* put under a key */
	uint8_t count[KEYS];      /* puts: all, and by key */
	uint8_t wanted;
	struct pending pending[ACTORS];
};

_Static_assert(sizeof(struct queue) == 5 + ORDER_MAX + 4 + 4 * VALUES_MAX +
					       (7 + 2 * CLAIMS_MAX) * ACTORS + 2 * KEYS + 1 +
					       ACTORS * sizeof(struct pending),
	"padding would be compared");

enum event_kind {
	EVENT_BEGIN,
	EVENT_END,
	EVENT_KILL,
	EVENT_EXPIRE,
	EVENT_ELAPSE,
	EVENT_STARVE,
	EVENT_COUNT,
	EVENT_DEAD_LETTER,
};

struct event {
	uint8_t kind, who, call, count, stop;
	uint8_t value[MANY_MAX];
	uint8_t attempts, number;
	uint8_t unused[7];
};

struct rules {
	unsigned capacity, blocks, max_attempts;
	uint32_t block; /* values that were put as blocks */
	bool wants;
	bool timed; /* leases end by themselves */
};

extern struct rules rules;

bool spec_is_block(unsigned value);

/* What the files of rules, spec.c and spec_durable.c, offer each other. */
bool spec_present(const struct queue *q, unsigned v);
void spec_move(struct queue *q, unsigned v, unsigned to);
void spec_begin_lease(struct queue *next, unsigned who, unsigned v);
void spec_lease(const struct queue *q, unsigned who, unsigned v);
void spec_stop(const struct queue *q, unsigned who, enum stop why);
void spec_leave(struct queue *q, unsigned who, unsigned to);
bool spec_is_taken(const struct queue *q, unsigned who, unsigned key);
bool spec_is_durable_call(unsigned call);
void spec_durable_act(const struct queue *q, unsigned who);
void spec_durable_begin(const struct queue *q, struct pending *p, unsigned who);
bool spec_durable_end(struct queue *q, const struct event *e);
void spec_durable_happen(const struct queue *q);

/* Add all queues that this one can become by one effect. */
void spec_step(const struct queue *q);
void set_add(const struct queue *q);

void spec_apply_begin(struct queue *q, const struct event *e);
bool spec_apply_end(struct queue *q, const struct event *e);
void spec_apply_kill(struct queue *q, const struct event *e);
void spec_apply_expire(struct queue *q);
void spec_apply_elapse(struct queue *q);
bool spec_apply_count(const struct queue *q, const struct event *e);
bool spec_apply_dead_letter(struct queue *q, const struct event *e);
bool spec_apply_starve(const struct queue *q, const struct event *e);

#endif
