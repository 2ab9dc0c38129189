/* SPDX-License-Identifier: ISC */
#ifndef BRIDGE_LEFTOVER_H
#define BRIDGE_LEFTOVER_H

#include <stdbool.h>

#include "keys.h"
#include "wire.h"

/* Ledgers of this daemon's name in /dev/shm, and what is to become of them at its start. */

struct daemon;

struct leftover_name {
	char peer[KEYS_IDENTITY_MAX + 1], queue[WIRE_NAME_MAX + 1];
	enum wire_direction direction;
};

/*
 * leftover_name(): the reverse of end_ledger(): which stream this file is the ledger of. False: it
 * is no ledger of this daemon's.
 */
bool leftover_name(struct leftover_name *ret, const char *file, const struct daemon *d);

/*
 * leftover_clear(): streams that are not carried any more: whatever queue of this host still has
 * leases for them gets these back, and their ledgers are removed; of streams that have another
 * local queue now, the old one gets its leases back. And what a killed daemon has left half made.
 * The name's lock is held, so nobody else has to do with any of these.
 */
void leftover_clear(struct daemon *d);

/*
 * leftover_undo(): the start of a daemon that made its name's instance was refused: nobody else needs
 * what it has made, and no command but this would remove it. Its books, if all are empty, and the
 * instance are removed. The name's lock is held, and nothing else is open.
 */
void leftover_undo(struct daemon *d);

#endif
