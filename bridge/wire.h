/* SPDX-License-Identifier: ISC */
#ifndef BRIDGE_WIRE_H
#define BRIDGE_WIRE_H

/*
 * The frames of docs/PROTOCOL.md: bytes to structures and back. Pure: no input or output, no
 * memory taken, no state between calls. The state machine of a link calls it, and nobody else.
 *
 * Invariant: a frame that wire_next() returned is within every limit below, and its pointers lie in
 * the caller's buffer. wire_encode() makes of it the very bytes it came from.
 *
 * What a peer sends never trips an assertion here. What we ourselves want to send is checked by the
 * same rules: -EINVAL then, and it is our own mistake.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define WIRE_VERSION 1 /* what we speak, lowest and highest */

/* Limits. A frame's length is that of its payload, without the header. */
#define WIRE_HEADER             8
#define WIRE_FRAME_MAX          65536
#define WIRE_NAME_MAX           64    /* a queue's name */
#define WIRE_STREAMS_MAX        64    /* streams of a link, numbered from 1; 0 is the connection */
#define WIRE_BATCH_MESSAGES_MAX 4096  /* messages in a batch */
#define WIRE_RANGES_MAX         4096  /* ranges in a frame */
#define WIRE_TEXT_MAX           256   /* an error's text */
#define WIRE_WINDOW_MAX         65536 /* messages of a stream under way */
#define WIRE_MESSAGE_MAX        (1u << 30) /* bytes of a message, as the engine's */
#define WIRE_CAPACITY_MAX       (1u << 30) /* messages in a queue, as the engine's */
#define WIRE_SMALL_MAX          4096       /* bytes of a small message, as the engine's */
#define WIRE_SEQUENCE_MAX       ((uint64_t)INT64_MAX) /* so that no sum wraps */
#define WIRE_EPOCH_MAX          (UINT64_MAX - 1)      /* one more is no epoch, in a ledger */
#define WIRE_HEARTBEAT_MS_MAX   3600000u              /* an hour */
#define WIRE_REDELIVER_MS_MAX   2592000000u           /* thirty days */
#define WIRE_INSTANCE           16                    /* bytes */

/* What stands before the bytes in a batch, before each message in it, in a part; a range. */
#define WIRE_BATCH_HEAD   16
#define WIRE_MESSAGE_HEAD 8
#define WIRE_PART_HEAD    32
#define WIRE_RANGE        12

/* The longest message that a batch takes: a longer one goes in parts, each of so many bytes. */
#define WIRE_BATCH_BYTES_MAX (WIRE_FRAME_MAX - WIRE_BATCH_HEAD - WIRE_MESSAGE_HEAD)
#define WIRE_PART_BYTES_MAX  (WIRE_FRAME_MAX - WIRE_PART_HEAD)

enum wire_type {
	WIRE_SKIP = 0, /* of a kind we do not know, and need not */
	WIRE_HELLO = 1,
	WIRE_OPEN,
	WIRE_OPENED,
	WIRE_OWED,
	WIRE_CREDIT,
	WIRE_BATCH,
	WIRE_PART,
	WIRE_ACK,
	WIRE_SETTLE,
	WIRE_NACK,
	WIRE_PING,
	WIRE_PONG,
	WIRE_DRAIN,
	WIRE_BYE,
	WIRE_ERROR,
	WIRE_RETURNED,
};
#define WIRE_TYPES 17

enum wire_direction {
	WIRE_PULL = 1, /* the hub's queue is the sender, the leaf's the receiver */
	WIRE_PUSH,     /* the other way */
};

enum wire_result {
	WIRE_RESUMED,
	WIRE_FRESH,
	WIRE_STALE,
};

/* An error's code. Those not named here are allowed, and mean no more than their text. */
enum wire_code {
	WIRE_E_PROTOCOL = 1, /* a frame that is none, or not now */
	WIRE_E_VERSION,      /* no version in common */
	WIRE_E_DENIED,       /* the key may not do this, or nobody may */
	WIRE_E_NO_QUEUE,     /* the queue is not there, or cannot be opened */
	WIRE_E_CLOSED,       /* the queue is shut down */
	WIRE_E_TOO_LARGE,    /* the sender's largest message does not fit in the receiver's queue */
	WIRE_E_LIMIT,        /* too many streams, or links */
	WIRE_E_REPLACED,     /* a newer connection of the same peer */
	WIRE_E_LEAVING,      /* going away: come back after the time said */
	WIRE_E_INTERNAL,     /* memory, damage, and the like: the text says */
};

struct wire_hello {
	uint16_t lowest, highest; /* versions */
	uint64_t features;
	uint8_t instance[WIRE_INSTANCE]; /* not all zero */
	uint32_t redeliver_after_ms;
	uint32_t heartbeat_ms;
};

struct wire_open {
	enum wire_direction direction;
	uint32_t owed;     /* pull: messages; push: 0 */
	uint64_t epoch;    /* pull: 0 if there was none yet; push: 0 */
	uint64_t sequence; /* pull: R; push: the lowest not acknowledged */
	uint64_t max_message;
	char name[WIRE_NAME_MAX + 1];
};

struct wire_opened {
	enum wire_result result;
	uint64_t epoch;
	uint64_t sequence; /* push: R */
	uint64_t max_message;
	uint64_t capacity;
	uint32_t small;
};

/* Of owed, settle, nack and returned: ascending, apart from each other; see wire_range_at(). */
struct wire_ranges {
	const uint8_t *data;
	uint32_t count;
	bool last; /* of owed: the last of these frames. It alone may have no ranges */
};

struct wire_range {
	uint64_t first;
	uint32_t count;
};

struct wire_credit {
	uint64_t sequence;
	uint64_t bytes;
};

/* See wire_batch_start(). */
struct wire_batch {
	uint64_t first;
	uint32_t count;
	const uint8_t *data; /* the messages, with their heads */
	size_t len;
};

struct wire_message {
	uint64_t sequence;
	const uint8_t *data;
	uint32_t len;
	uint32_t attempts;
};

struct wire_part {
	uint64_t sequence;
	uint64_t total;  /* bytes of the message */
	uint64_t offset; /* of these bytes in it */
	uint32_t attempts;
	const uint8_t *data;
	uint32_t len;
};

struct wire_error {
	uint16_t code;
	uint32_t retry_after_ms;
	const char *text; /* not terminated; any bytes: escape them before they are shown */
	uint32_t text_len;
};

struct wire_skip {
	uint8_t type, flags;
	const uint8_t *data;
	uint32_t len;
};

struct wire_frame {
	enum wire_type type;
	uint16_t stream;
	union {
		struct wire_hello hello;
		struct wire_open open;
		struct wire_opened opened;
		struct wire_ranges ranges; /* owed, settle, nack, returned */
		struct wire_credit credit;
		struct wire_batch batch;
		struct wire_part part;
		uint64_t received; /* ack */
		uint64_t nonce;    /* ping, pong */
		struct wire_error error;
		struct wire_skip skip;
	};
};

/*
 * wire_next(): the first frame in these bytes, to *ret, and how many bytes it is, to *ret_used.
 *
 *	-EAGAIN  these bytes begin a frame and do not end it. Never with WIRE_HEADER +
 *	         WIRE_FRAME_MAX bytes or more
 *	-EPROTO  they do not: *ret_why (which may be NULL) says in words which limit was broken;
 *	         static. As soon as the bytes that break it are there
 */
int wire_next(const uint8_t *buf, size_t len, struct wire_frame *ret, size_t *ret_used,
	const char **ret_why);

/*
 * wire_encode(): write a frame. Returns its bytes. Batches and ranges are better built in place, by
 * the builders below.
 *
 *	-ENOSPC  cap is not enough
 *	-EINVAL  it is outside a limit
 */
ssize_t wire_encode(uint8_t *buf, size_t cap, const struct wire_frame *frame);

/* Going through a decoded batch: start, then next until it says false. */
struct wire_batch_walk {
	const uint8_t *at;
	uint64_t sequence;
	uint32_t left;
};
void wire_batch_start(struct wire_batch_walk *ret, const struct wire_batch *batch);
bool wire_batch_next(struct wire_batch_walk *walk, struct wire_message *ret);

/* Range i < ranges->count. */
struct wire_range wire_range_at(const struct wire_ranges *ranges, uint32_t i);

/*
 * Building a batch in the buffer that is sent: each message is copied once. begin: -ENOSPC without
 * room for any message, -EINVAL. add: -ENOSPC if the frame (or cap) is full, nothing changed;
 * -EMSGSIZE if no batch takes it; -EINVAL if attempts is 0. end: the frame's bytes, 0 if it is
 * empty.
 */
struct wire_batch_build {
	uint8_t *buf;
	size_t used, cap;
	uint64_t first;
	uint32_t count;
	uint16_t stream;
};
int wire_batch_begin(
	struct wire_batch_build *ret, uint8_t *buf, size_t cap, uint16_t stream, uint64_t first);
int wire_batch_add(struct wire_batch_build *build, const void *data, size_t len, uint32_t attempts);
size_t wire_batch_end(struct wire_batch_build *build);

/*
 * Building owed, settle, nack or returned in the buffer that is sent, from sequences in any order; fastest in
 * ascending order. begin: -ENOSPC without room for one range, -EINVAL. add: -EEXIST if it is there,
 * -ENOSPC if it needs a range and there is no room for one, -EINVAL if it is no sequence; nothing
 * changed then. end: the frame's bytes; 0 if it is empty, but for the last of owed.
 */
struct wire_ranges_build {
	uint8_t *buf;
	uint32_t count, max;
	enum wire_type type;
	uint16_t stream;
};
int wire_ranges_begin(struct wire_ranges_build *ret, uint8_t *buf, size_t cap, enum wire_type type,
	uint16_t stream);
int wire_ranges_add(struct wire_ranges_build *build, uint64_t sequence);
size_t wire_ranges_end(struct wire_ranges_build *build, bool last);

/* Is this a queue's name on the wire? Letters, digits, `-` and `_`, 1 to WIRE_NAME_MAX bytes. */
bool wire_name_ok(const char *name, size_t len);

/* Owed, settle, nack, returned. */
static inline bool wire_type_has_ranges(enum wire_type type)
{
	return type == WIRE_OWED || type == WIRE_SETTLE || type == WIRE_NACK ||
	       type == WIRE_RETURNED;
}

/* A frame's name as docs/PROTOCOL.md has it, a direction's, a code's; "?" if there is none. */
const char *wire_type_name(enum wire_type type);
const char *wire_direction_name(enum wire_direction direction);
const char *wire_code_name(uint16_t code);

#endif
