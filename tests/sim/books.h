/* SPDX-License-Identifier: ISC */
#ifndef TESTS_SIM_BOOKS_H
#define TESTS_SIM_BOOKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * What is right. The books see all that is done to any queue, and know the contract:
 *
 *  - every task is done: there is a run of it that was acknowledged, and whose every result was
 *    collected. Not required of a task whose only memory went: its maker's before the hub had it,
 *    or the hub's;
 *  - every result is collected once, and every task done once, but for so many times as a lease of
 *    it ended while somebody might have used it, or had: each excuse is noted as it happens;
 *  - the hub's lease of a task is acknowledged only when the leaf's worker has acknowledged it, and
 *    everything put into that leaf's push queues before has come to the hub's;
 *  - over one link messages of one queue keep their order, but for redelivered ones.
 */

#define LEAVES_MAX 5
#define HUB        LEAVES_MAX
#define HOSTS      (LEAVES_MAX + 1)

#define TASKS_MAX    300
#define MESSAGES_MAX 4096 /* tasks, and then results */
#define RUNS_MAX     2048
#define NO_MESSAGE   UINT64_MAX

enum queue { PQ, CQ, DQ, QUEUES }; /* tasks, results, results of another kind */

void books_open(void);

/* A message as bytes: its number, and then all alike. message_in(): NO_MESSAGE if it is none. */
void message_fill(void *data, size_t len, uint64_t m);
uint64_t message_in(const void *data, size_t len);

/*
 * A task, or a result of a run, is about to be put at this host; books_put() says how it went,
 * and is not called by whoever dies in it. NO_MESSAGE: the books are full.
 */
uint64_t books_task(unsigned host, enum queue queue);
uint64_t books_result(unsigned host, enum queue queue, unsigned run);
void books_put(uint64_t m, bool done);
void books_unsure(uint64_t m); /* the process that put it died in that */

/* A worker's: a run of this task begins; its first result is about to be put; and its end. */
unsigned books_run(unsigned host, uint64_t task, uint64_t id);
void books_acking(unsigned run);
void books_run_failed(unsigned run); /* the worker died, or gave it up */

/* Has this run put a result? */
bool books_used(unsigned run);

void books_collect(unsigned host, uint64_t m);

/* A bridge's: about to put into the hub's queue, or a leaf's; and how that went. */
void books_arriving(unsigned leaf, uint64_t m);
void books_arrived(unsigned leaf, uint64_t m, bool done);
void books_coming(unsigned leaf, uint64_t m);
void books_came(unsigned leaf, uint64_t m, bool done, uint64_t id);

/* The hub's lease of what this leaf was sent: about to be settled; about to be given back. */
void books_settling(unsigned leaf, uint64_t m);
void books_returning(unsigned leaf, uint64_t m, bool may_come);
/* A leaf's bridge: has it in its own hands; has removed it; has given it to the workers again. */
void books_held(unsigned leaf, uint64_t m);
void books_removed(unsigned leaf, uint64_t m);
void books_released(unsigned leaf, uint64_t m);
/* It must have withdrawn all that was given to others and that nobody has begun. */
void books_withdrawn(unsigned leaf, enum queue queue);
/* A leaf's: its push lease is acknowledged: it will not be sent again. */
void books_left(uint64_t m);

/* Memory went: all of a leaf's; one queue of it; what the hub had, or one queue of it (QUEUES: all). */
void books_wiped(unsigned leaf);
void books_remade(unsigned leaf, enum queue queue, bool push);
/* It will never connect again. */
void books_out(unsigned leaf);
/* Put by a bridge into a queue of this host that had been removed. */
void books_put_away(unsigned host, uint64_t m);
void books_hub_lost(enum queue queue);

unsigned books_made(void);
unsigned books_unfinished(void); /* of those made, and required */
uint64_t books_an_unfinished(void);
void books_tell(uint64_t m); /* for debugging */

#endif
