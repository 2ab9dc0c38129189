/* SPDX-License-Identifier: ISC */
#ifndef STEP_H
#define STEP_H

/*
 * What the files of the single-step test offer each other.
 *
 * An operation (struct op) is run by a child on a queue of its own (struct scene), and is
 * interrupted after k of its instructions. Then the others, through handles in the tracer, check
 * the contract.
 *
 * Messages are numbers, and who put them can be told from the number: the others beforehand
 * (FIRST ...), the child in its operation (CHILD ...), the others afterwards (OTHER ...).
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "ops/handle.h"
#include "sq.h"

#define FIRST    1
#define CHILD    32
#define OTHER    64
#define VALUES   1024
#define SMALL    24  /* bytes: in a cell */
#define BLOCK    200 /* bytes: in a block */
#define CAPACITY 4
#define KEY      7 /* the child's puts are counted under it */
#define MANY     3 /* messages of sq_put_many() and sq_get_many() */
#define TAKEN    4 /* messages that the child may take */
#define HELD_MAX 4

enum mode { KILL, RECOVER, STOP, STOP_KILL, LATE, MODES };

/* What becomes of a message that the child may take, in the order in which that can happen. */
enum fate {
	FATE_UNTOUCHED,  /* given to another at once, as if the child had not been there */
	FATE_RECLAIMED,  /* given to another when the child was found dead */
	FATE_GIVEN_BACK, /* given to another at once, one attempt higher */
	FATE_GONE,       /* to the child, or settled by it */
};

/* Written by the child, read by the tracer; shared. */
struct report {
	int64_t result;    /* of the operation */
	uint64_t key_base; /* what sq_count_bind() said */
	uint64_t taken[TAKEN];
	uint64_t takes;         /* messages that the child has for good */
	int64_t finish;         /* of what it did afterwards */
	_Atomic uint64_t slept; /* of a sleeper: 0, or its result + 1 */
	uint64_t slept_value;
	int64_t slept_at_ns;
};

struct op;

/* The child's own. */
struct me {
	const struct op *op;
	struct report *report;
	const char *name;
	char other[32];
	struct sq *h;
	struct sq_lease lease[TAKEN];
	unsigned leases;
	void *at;
	size_t len;
	unsigned char buf[4][256];
	struct iovec iov[4];
	struct sq_stat stat;
	uint64_t count;
};

struct delivery {
	uint64_t value;
	unsigned attempts; /* 0: by sq_get(), which does not say */
	bool recovered;    /* after the others had recovered */
};

/* One run of an operation. */
struct scene {
	const struct op *op;
	struct report *report;
	enum mode mode;
	char name[32], other[32];
	struct sq *o; /* the others */
	struct sq *x; /* one more: what the child is to come across, it holds */
	struct sq *g; /* the grave */
	struct sq *n; /* a newcomer, who may take the slot of one who was dead */
	struct sq_lease x_lease[HELD_MAX], n_lease;
	uint64_t n_value;
	bool n_has_lease;
	struct sqi_ref blocks[16];
	unsigned blocks_held;
	pid_t child_pid, sleeper;
	size_t heap;

	uint64_t next;          /* value */
	uint64_t interrupted;   /* `next` when the child was ... */
	unsigned listed_before; /* ... and `listed` */
	uint64_t put;           /* messages that the others put for good */
	uint64_t dead_put;      /* and one who was dead before */
	bool recovered;
	unsigned tries_max;
	unsigned awaited, late; /* sleepers; and those that woke a second later */
	struct delivery list[VALUES];
	unsigned listed;
	unsigned times[VALUES]; /* deliveries of each value */
};

/* flags */
#define COLD    1u    /* the handle has not been used before */
#define CLOCKED 2u    /* reads clocks, so that the path may differ by some instructions */
#define NO_KEY  4u    /* the child does not bind KEY */
#define BARE    8u    /* the child opens no handle beforehand */
#define DEAD    16u   /* somebody is dead before */
#define CLOSING 32u   /* the queue is shut down, before or by the operation */
#define LEAVES  64u   /* the child is no participant after the operation */
#define RESCUE  128u  /* the dead are looked for in the operation */
#define EITHER  256u  /* in STOP mode its messages may or may not go in */
#define QUICK   512u  /* in the quick suite */
#define DEEP    2048u /* late, though it is CLOCKED */
#define CROWDED 8192u /* what others have in /dev/shm changes its path */
#define UNLINKS 4096u /* the queue's name goes */
#define SETS    1024u /* the first messages are put by set() */

struct op {
	const char *name;
	const struct sq_config *config;
	unsigned flags;
	size_t size;     /* of its messages */
	unsigned first;  /* messages put beforehand, of that size */
	unsigned puts;   /* messages that the child puts */
	unsigned takes;  /* messages that it may take: the first ones */
	unsigned base;   /* attempts that those have had before */
	unsigned final;  /* the outcome when it was not interrupted; 0: not looked at */
	bool wakes;      /* its stages are wake-ups: when it was not interrupted, there was one */
	bool shuts;      /* when it has returned the queue is shut down */
	unsigned sleeps; /* its path is followed until it has slept that often */
	unsigned holds;  /* cells that others hold meanwhile */
	unsigned group;  /* cells that it may itself hold, if more than one */
	int64_t timeout;
	int64_t results[3]; /* what it may say when it was not killed */
	unsigned nresults;
	void (*set)(struct scene *);
	void (*prepare)(struct me *);
	void (*start)(struct scene *); /* when the child is prepared */
	int64_t (*run)(struct me *);
	void (*finish)(struct me *);
	/* Before its so many-th change of the segment the child stands still, and others do this. */
	unsigned before;
	void (*meanwhile)(struct scene *);
	void (*besides)(struct scene *); /* what the others do besides their laps */
	void (*settle)(struct scene *);  /* what x still has to do at the end */
	unsigned (*stage)(
		struct scene *); /* how far it has got, seen from outside; never goes back */
	void (*verify)(struct scene *, int pid); /* instead of the laps and all that follows */
};

extern const struct op ops_put[], ops_take[], ops_settle[], ops_party[], ops_durable[], ops_file[],
	ops_sleep[], ops_grave[];
extern const struct sq_config narrow, plain, timed, buried;
extern char scene_grave[32]; /* where its dead letters go */

/* scene.c */
void scene_init(struct scene *s, const struct op *op, enum mode mode, struct report *report,
	const char *name);
void scene_end(struct scene *s);
void scene_put(struct scene *s, struct sq *h, uint64_t value, size_t size);
void scene_try_put(struct scene *s);
bool scene_take(struct scene *s, struct sq *h, bool lease);
void scene_note(struct scene *s, uint64_t value, unsigned attempts);
void scene_drain(struct scene *s, struct sq *h);
void scene_put_off(struct sq *h);
uint64_t scene_claim(struct sq *h);
unsigned scene_dead(const struct scene *s);
void scene_corpse(struct scene *s, void (*life)(struct scene *, struct sq *));
bool scene_state(const struct scene *s, enum sqi_state state);

/* check.c: what must be true of any operation */
void check_others(struct scene *s);
void check_laps(struct scene *s, unsigned n);
void check_result(struct scene *s);
void check_recovery(struct scene *s);
unsigned check_end(struct scene *s);
void check_idle(struct scene *s);

/* heap.c: what was allocated since the mark is freed */
size_t heap_mark(void);
void heap_release(size_t mark);

/* closing.c */
void check_closing(struct scene *s, int pid);

/* step.c */
void step_end_child(struct scene *s, int pid);

/* child.c: what children do */
void child_live(const struct op *op, struct report *report, const char *name, pid_t parent);
void me_take(struct me *me, const void *data, size_t len);

#endif
