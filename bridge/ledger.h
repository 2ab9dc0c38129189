/* SPDX-License-Identifier: ISC */
#ifndef LEDGER_H
#define LEDGER_H

#include <stddef.h>
#include <stdint.h>

/*
 * A stream's books, in shared memory: what must survive the daemon's death, and nothing else.
 *
 * Entries say which message bears which sequence. The sender's: which lease was numbered. A pull's
 * receiver's: what it owes. An entry lies in any free place; it is there or not, at every
 * instruction (its last word is written last, and cleared first). One daemon has a ledger at a time.
 */

#define LEDGER_NAME_MAX 240
#define LEDGER_INSTANCE 16

struct ledger_entry {
	uint64_t id;       /* of the message, in this host's queue */
	uint64_t sequence; /* 1 to 2^56 - 1 */
	uint32_t attempts; /* of the lease, modulo 256 */
};

struct ledger;

/*
 * ledger_open(): the ledger of this name, made with room for `entries` if there is none; one
 * that is there gets that room, but for what is in use there, or for want of memory. *ret is the caller's.
 *
 *	-EBUSY    another daemon has it
 *	-EPROTO   it is not a ledger, or of another version
 *	-EUCLEAN  it belongs to another user
 *	-ENOBUFS  no shared memory left
 *	-EINVAL, -EACCES, -EMFILE, -ENFILE, -ENOMEM
 */
int ledger_open(struct ledger **ret, const char *name, uint32_t entries);

/* ledger_close(): let another have it. ledger_remove(): and it is gone. NULL is allowed. */
void ledger_close(struct ledger *);
void ledger_remove(struct ledger *);

/* How many entries there is room for, and how many there are. */
uint32_t ledger_room(const struct ledger *);
uint32_t ledger_count(const struct ledger *);

/* ledger_add(): to *ret_place where. -ENOSPC. */
int ledger_add(struct ledger *, const struct ledger_entry *, uint32_t *ret_place);
void ledger_clear(struct ledger *, uint32_t place);

/* ledger_next(): the first entry at *place or behind it; *place is where. -ENOENT: none. */
int ledger_next(const struct ledger *, uint32_t *place, struct ledger_entry *ret);

/*
 * Words of the head. The epoch is written last when a run of a pull begins, and first, as 0, when
 * it ends. `entered`: the highest sequence that the receiver has made an entry for.
 */
#define LEDGER_DISOWNED UINT64_MAX /* no epoch: what is left is done here, and not reported */
uint64_t ledger_epoch(const struct ledger *);
void ledger_set_epoch(struct ledger *, uint64_t epoch);
uint64_t ledger_entered(const struct ledger *);
void ledger_set_entered(struct ledger *, uint64_t sequence);
/* The sender's: sq_durable_run() of the participant whose leases the entries are of; 0: not known. */
uint64_t ledger_run(const struct ledger *);
void ledger_set_run(struct ledger *, uint64_t run);
void ledger_instance(const struct ledger *, uint8_t ret[LEDGER_INSTANCE]);
void ledger_set_instance(struct ledger *, const uint8_t instance[LEDGER_INSTANCE]);

#endif
