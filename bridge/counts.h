/* SPDX-License-Identifier: ISC */
#ifndef BRIDGE_COUNTS_H
#define BRIDGE_COUNTS_H

#include <stdint.h>

#include "conn.h"
#include "metrics.h"

/*
 * The daemon's numbers: what its parts have counted goes into the sets of metrics.h when somebody
 * asks. Hub and leaf tell what they refuse and what connections have carried.
 */

struct daemon;
struct peer;

/* Of a stream; since_ns: from when `lowest` has been the oldest in flight, or owed. */
struct counts_stream {
	struct metrics_set set;
	uint64_t lowest;
	int64_t since_ns;
};

struct counts_peer {
	struct metrics_set set;
	struct counts_stream *stream[WIRE_STREAMS_MAX];
	uint64_t bytes_in, bytes_out, key_updates; /* of connections that have ended */
	int64_t changed_ns;                        /* it has been up, or down, since */
};

void counts_init(struct daemon *d);
void counts_peer_add(struct peer *p);
void counts_peer_free(struct peer *p);

/* A connection of this peer has ended. One was refused. */
void counts_ended(struct peer *p, const struct conn *c);
void counts_refused(struct daemon *d, const struct conn *c, enum conn_end end);

/* The queue of stream i was removed, or made anew. */
void counts_queue_gone(struct peer *p, unsigned i);

/*
 * Bring up to date the state of links and streams, and how old the oldest message is. Called once a
 * second, and before they are shown.
 */
void counts_second(struct daemon *d);

/* The text, as serve.h wants it; ctx is the struct daemon. */
size_t counts_text(void *ctx, char *buf, size_t cap);

#endif
