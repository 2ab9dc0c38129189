/* SPDX-License-Identifier: ISC */
#ifndef END_H
#define END_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "link.h"
#include "sq.h"

/*
 * The ends of streams: from the names of a daemon, its peer and a queue to the books and the
 * participant that belong to them, the same after every restart.
 */

struct end_setup {
	const char *prefix; /* of this host's queues */
	const char *name;   /* of this daemon: unique among those of a prefix */
	const char *peer;   /* the leaf's identity, on either side */
	const char *queue;  /* as the wire has it */
	const char *local;  /* this host's queue, with its prefix */
	enum wire_direction direction;
	uint32_t window;
	uint64_t window_bytes;
	int64_t grace; /* a sender's: how long its leases outlive the daemon, as sq_open_durable() */
};

/* end_sender(), end_receiver(): open an end. Errors of sender_open(), receiver_open(), sq_stat(). */
int end_sender(struct link_end *ret, const struct end_setup *setup);
int end_receiver(struct link_end *ret, const struct end_setup *setup);

/* end_look(): is the queue of this end still the one of its name, and what is there if not? */
enum end_state { END_STANDS, END_REMOVED, END_REMADE };
enum end_state end_look(const struct link_end *end, const char *local);

/*
 * end_retire(): the stream is not carried any more by the queue `local`, which is open as q: what the
 * queue has leased to its participant is the queue's again, *ret of them. That is 0 if it does not know
 * the stream. -EBUSY: another lives that carries it; errors of sq_open_durable().
 */
int end_retire(uint32_t *ret, struct sq *q, const struct end_setup *setup);

/* end_ledger(): the name of a stream's ledger. -ENAMETOOLONG. */
int end_ledger(char *ret, size_t cap, const struct end_setup *setup);

#endif
