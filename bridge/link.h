/* SPDX-License-Identifier: ISC */
#ifndef LINK_H
#define LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sq.h"
#include "wire.h"

/*
 * One peer: the state machine of docs/PROTOCOL.md. Bytes of an authenticated connection, time and
 * the news of queues go in; bytes come out, and operations on queues are made. No I/O of its own:
 * the daemon drives it over TLS and io_uring, the simulator over a network that it makes up.
 *
 * A link outlives its connections: its streams stay, with what is in flight, until the peer comes
 * again or is given up. One thread; nothing blocks.
 */

struct link;
struct sender;
struct receiver;

/*
 * What the daemon knows of a queue, and makes for a stream. One of the two is not NULL. The file is
 * the one that the queue's name here led to: another of that name is another queue.
 */
struct link_end {
	struct sender *sender;
	struct receiver *receiver;
	uint64_t max_message, capacity;
	uint32_t small;
	uint64_t device, file;
	uint64_t identity; /* of a receiver's count of puts; 0: not known */
	char local[2 * SQ_NAME_MAX + 2];
};

struct link_setup {
	const char *peer;                /* its identity: for the log */
	bool hub;                        /* we are the hub: the peer opens the streams */
	uint8_t instance[WIRE_INSTANCE]; /* ours */
	uint32_t heartbeat_ms, redeliver_after_ms;
	void *context;
	/*
	 * The hub's: the peer asks for this stream. 0 and *ret, which stays the link's until
	 * link_free(); or a code (WIRE_E_...) and *ret_why, static.
	 */
	int (*open)(void *context, struct link *, enum wire_direction, const char *queue,
		struct link_end *ret, const char **ret_why);
	/*
	 * The leaf's: the hub has told how large its queue is. Now ours can be made, if it is not
	 * there. As open().
	 */
	int (*opened)(void *context, struct link *, enum wire_direction, const char *queue,
		const struct wire_opened *, struct link_end *ret, const char **ret_why);
	/*
	 * The leaf's: is there no queue here under the local name of this push? NULL: that is not known.
	 * Asked after a task was seen to be done, of a push that has no end.
	 */
	bool (*absent)(void *context, const char *queue);
	/*
	 * Something to be logged and counted: an event's name, of which stream's queue or NULL, and
	 * words about it or NULL.
	 */
	void (*event)(void *context, struct link *, const char *event, const char *queue,
		const char *detail);
	uint64_t (*random)(void *context); /* for epochs: 1 to WIRE_EPOCH_MAX */
};

struct link_counts {
	uint64_t frames_in, frames_out;
	uint64_t reconnects;
	int64_t rtt_ns; /* of the last ping; 0: none yet */
};

int link_new(struct link **ret, const struct link_setup *setup);

/* link_free(): with its streams; what is in flight stays durable. NULL is allowed. */
void link_free(struct link *);

/*
 * The leaf's: carry this stream. `end` may be empty, if its queue is not there yet; what is in it
 * is the link's from now on. -ENOSPC: too many.
 */
int link_add(struct link *, enum wire_direction, const char *queue, const struct link_end *end);

/*
 * The hub's, after a restart: this stream of the peer was found in a ledger, and is the link's
 * until the peer asks for it, or is given up; from now on it counts as away.
 */
int link_adopt(struct link *, enum wire_direction, const char *queue, const struct link_end *end,
	int64_t now_ns);

/*
 * link_forget(): stream i has no end until it is opened again: its queue is not there any more under
 * its name. The peer is told, if it is there, and the leaf asks anew after a while. The end is
 * closed: no word of its queue may be watched any more.
 */
void link_forget(struct link *, unsigned i, int64_t now_ns);

/*
 * link_move(): as link_forget(), of a queue that stands, but whose stream has another one from now
 * on: what is leased of it for the peer is given back first. How many messages that were.
 */
uint64_t link_move(struct link *, unsigned i, int64_t now_ns);

/* link_up(): a connection is there, authenticated. link_down(): it is not there any more. */
void link_up(struct link *, int64_t now_ns);
void link_down(struct link *, int64_t now_ns);
bool link_is_up(const struct link *);

/* The peer's instance, as its hello told it. */
const uint8_t *link_peer_instance(const struct link *);

/*
 * link_input(): bytes have come; *ret_used of them were whole frames and are done with. Negative:
 * the connection is to be closed, after what link_output() still has (an error frame) was sent.
 *
 *	-EPROTO    the peer broke the protocol
 *	-ESHUTDOWN the peer said good-bye, or we did
 *	-ENOMEM, ...
 */
int link_input(struct link *, const uint8_t *bytes, size_t len, int64_t now_ns, size_t *ret_used);

/*
 * link_output(): up to cap bytes (at least LINK_OUTPUT_MIN) of whole frames to send; 0: nothing to
 * say now. What it returned must be sent, or the connection closed.
 */
#define LINK_OUTPUT_MIN 4096
size_t link_output(struct link *, uint8_t *buf, size_t cap, int64_t now_ns);

/*
 * link_tick(): something may have come into a queue, or left it, or time went by. Returns when to
 * call again at the latest. *ret_dead: the peer has been silent too long, close the connection.
 */
int64_t link_tick(struct link *, int64_t now_ns, bool *ret_dead);

/* link_drain(): take nothing new; what is under way is finished. link_idle(): it is. */
void link_drain(struct link *);
bool link_idle(const struct link *);

/* link_bye(): end the connection by bye; link_output() has it. */
void link_bye(struct link *, enum wire_code code, const char *text, uint32_t retry_after_ms);

/*
 * link_give_up(): the hub's: has the peer not carried a pull for so long that others shall have its
 * messages? Then they do; true: there were some. A peer that is away, that comes and goes without
 * getting so far, and that is there but does not open it: one clock, which only stands while it flows.
 */
bool link_give_up(struct link *, int64_t now_ns);

/* link_patience_ms(): how long the peer said it waits for us before it gives up; 0: never heard. */
uint32_t link_patience_ms(const struct link *);

/* How long the peer asked to be left alone, when it ended the last connection by an error; or 0. */
uint32_t link_retry_after_ms(const struct link *);

/* The leaf's: none of its streams has ever flowed, and all are denied to its key. */
bool link_denied(const struct link *);

const char *link_peer(const struct link *);
const struct link_counts *link_counts(const struct link *);

/* Each stream, for whoever shows them: 0 to link_streams() - 1. */
unsigned link_streams(const struct link *);
void link_stream(const struct link *, unsigned i, enum wire_direction *ret_direction,
	const char **ret_queue, struct link_end *ret_end);

#endif
