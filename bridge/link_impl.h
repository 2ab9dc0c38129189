/* SPDX-License-Identifier: ISC */
#ifndef LINK_IMPL_H
#define LINK_IMPL_H

#include "link.h"
#include "recv.h"

/* What link.c, stream.c and stream_say.c share, and nobody else includes. */

#define STREAM_RETRY_NS ((int64_t)2000000000) /* a stream that was refused is asked for again */

enum stream_state {
	STREAM_CLOSED,      /* not in this connection */
	STREAM_OPENING,     /* the leaf has asked */
	STREAM_RECONCILING, /* the hub's pull: what the leaf owes is being told */
	STREAM_FLOWING,
	STREAM_REFUSED, /* the leaf asks again later */
};

struct stream {
	enum wire_direction direction;
	char queue[WIRE_NAME_MAX + 1];
	struct link_end end;
	uint64_t run;    /* from 1; one more each time that `end` is another */
	uint16_t number; /* in this connection */
	enum stream_state state;

	/* What is to be said. */
	bool say_open, say_opened, say_owed, say_credit, say_error;
	struct wire_opened opened;
	struct range *owed;
	size_t owed_count, owed_at;
	uint64_t acked; /* R, as last told; UINT64_MAX: never */
	struct wire_credit credit;
	struct range *returned;
	size_t returned_count, returned_room;
	uint64_t base;     /* of a pull's sender: the lowest in flight when it was opened */
	uint64_t named;    /* messages that the peer has named since then */
	uint64_t not_done; /* messages that we have said are not done here */
	uint16_t error;
	const char *error_text;
	uint64_t part_offset; /* of the next message, if it goes in parts */
	int64_t retry_ns, touched_ns, lease_time;
	/* When it last flowed; at the hub, of one that never did, when it was found or first opened. */
	int64_t flowed_ns;
	bool given_up; /* since then */
	bool drained;  /* its queue is shut down and empty, and that was told */
	bool denied;   /* the leaf's: the hub said last that our key may not have it */
};

struct link {
	struct link_setup setup;
	struct stream *streams[WIRE_STREAMS_MAX];
	unsigned count, turn; /* turn: whose messages come next */

	bool up, greeted, draining, peer_drains, closing;
	/*
	 * While we drain: whether all that the peer sent before it heard so has come, and all that we
	 * had to say has come to it. A ping asked that is answered says so.
	 */
	enum { NOT_ASKED, TO_ASK, ASKED, ANSWERED } quiet;
	uint64_t quiet_nonce;
	bool say_hello, say_ping, say_drain, say_bye;
	uint64_t pong, ping_nonce;
	bool say_pong;
	int64_t ping_sent_ns, heard_ns, said_ns;
	uint32_t peer_heartbeat_ms, peer_retry_ms, peer_redeliver_ms;
	uint8_t peer_instance[WIRE_INSTANCE];
	struct wire_error bye;
	char bye_text[WIRE_TEXT_MAX];
	struct link_counts counts;
};

/* link.c */
void link_event(struct link *l, const char *event, const char *queue, const char *detail);
void link_event_error(
	struct link *l, const char *event, const char *queue, const struct wire_error *e);
size_t link_put(struct link *l, uint8_t *buf, size_t cap, const struct wire_frame *f);
int link_broken(struct link *l, const char *why);

/* stream.c: frames of one stream that have come */
struct stream *stream_new(enum wire_direction direction, const char *queue);
void stream_free(struct stream *st);
void stream_down(struct stream *st);
void stream_flowed(struct stream *st, int64_t now_ns);
int stream_open(struct link *l, const struct wire_frame *f);
int stream_input(struct link *l, struct stream *st, const struct wire_frame *f, int64_t now_ns);
int64_t stream_tick(struct link *l, struct stream *st, int64_t now_ns);
bool stream_idle(const struct stream *st);
void stream_withdraw(struct stream *st);
void stream_end_epoch(struct stream *st);
bool stream_give_up(struct link *l, struct stream *st, int64_t now_ns);
uint64_t stream_give_back(struct stream *st);
void stream_forget(struct link *l, struct stream *st, int64_t now_ns);
void stream_refuse(struct stream *st, uint16_t code, const char *text);

/* stream_say.c: frames of one stream to be sent */
size_t stream_say(struct link *l, struct stream *st, uint8_t *buf, size_t cap, int64_t now_ns);
size_t stream_send(struct link *l, struct stream *st, uint8_t *buf, size_t cap);

#endif
