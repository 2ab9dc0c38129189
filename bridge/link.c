/* SPDX-License-Identifier: ISC */
#include "link.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "link_impl.h"
#include "send.h"

/*
 * A connection's life: hello, frames to their streams, heartbeats, drain and bye; and what is to be
 * sent, in what order.
 */

#define SILENCES_MAX 3 /* heartbeats in which nothing was heard: the peer is gone */
#define MS           ((int64_t)1000000)

void link_event(struct link *l, const char *event, const char *queue, const char *detail)
{
	if (l->setup.event)
		l->setup.event(l->setup.context, l, event, queue, detail);
}

/* What the peer said of an error, to be shown: its text may hold any bytes. */
void link_event_error(
	struct link *l, const char *event, const char *queue, const struct wire_error *e)
{
	char text[32 + WIRE_TEXT_MAX];

	(void)snprintf(text, sizeof(text), "%s%s%.*s", wire_code_name(e->code),
		e->text_len ? ": " : "", (int)e->text_len, e->text);
	link_event(l, event, queue, text);
}

/* The peer broke the protocol: it is told, and the connection closed. */
int link_broken(struct link *l, const char *why)
{
	link_event(l, "protocol", NULL, why);
	link_bye(l, WIRE_E_PROTOCOL, why, 0);
	return -EPROTO;
}

int link_new(struct link **ret, const struct link_setup *setup)
{
	struct link *l = calloc(1, sizeof(*l));

	if (!l)
		return -ENOMEM;
	l->setup = *setup;
	*ret = l;
	return 0;
}

void link_free(struct link *l)
{
	if (!l)
		return;
	for (unsigned i = 0; i < l->count; i++)
		stream_free(l->streams[i]);
	free(l);
}

int link_add(struct link *l, enum wire_direction direction, const char *queue,
	const struct link_end *end)
{
	struct stream *st;

	if (l->count == WIRE_STREAMS_MAX)
		return -ENOSPC;
	st = stream_new(direction, queue);
	if (!st)
		return -ENOMEM;
	st->end = *end;
	l->streams[l->count++] = st;
	return 0;
}

int link_adopt(struct link *l, enum wire_direction direction, const char *queue,
	const struct link_end *end, int64_t now_ns)
{
	int r = link_add(l, direction, queue, end);

	if (r == 0)
		l->streams[l->count - 1]->flowed_ns = now_ns;
	return r;
}

void link_up(struct link *l, int64_t now_ns)
{
	l->counts.reconnects++;
	l->up = true;
	l->greeted = l->closing = false;
	l->say_hello = true;
	l->say_ping = l->say_pong = l->say_bye = false;
	l->say_drain = l->draining;
	l->peer_drains = false;
	l->quiet = NOT_ASKED;
	l->heard_ns = l->said_ns = now_ns;
	l->ping_sent_ns = 0;
	l->peer_heartbeat_ms = l->peer_retry_ms = 0;
}

void link_down(struct link *l, int64_t now_ns)
{
	if (!l->up)
		return;
	l->up = false;
	for (unsigned i = 0; i < l->count; i++) {
		stream_flowed(l->streams[i], now_ns);
		stream_down(l->streams[i]);
	}
}

bool link_is_up(const struct link *l)
{
	return l->up && l->greeted;
}

const uint8_t *link_peer_instance(const struct link *l)
{
	return l->peer_instance;
}

static bool streams_idle(const struct link *l)
{
	for (unsigned i = 0; i < l->count; i++)
		if (!stream_idle(l->streams[i]))
			return false;
	return true;
}

static int hello(struct link *l, const struct wire_hello *f)
{
	bool idle;

	if (l->greeted)
		return link_broken(l, "a second hello");
	if (f->lowest > WIRE_VERSION || f->highest < WIRE_VERSION) {
		link_event(l, "version", NULL, "the peer speaks another one");
		link_bye(l, WIRE_E_VERSION, "this side speaks version 1", 0);
		return -EPROTO;
	}
	l->greeted = true;
	memcpy(l->peer_instance, f->instance, sizeof(l->peer_instance));
	l->peer_heartbeat_ms = f->heartbeat_ms;
	l->peer_redeliver_ms = f->redeliver_after_ms;
	l->say_ping = true; /* measure the round trip at once */
	for (unsigned i = 0; i < l->count; i++)
		if (l->streams[i]->end.sender)
			sender_stop(l->streams[i]->end.sender, l->draining && l->setup.hub);
	/*
	 * A leaf that drains opens its pulls all the same: the hub may hold some of it for us. It
	 * opens its pushes while anything is under way: results may still come into those queues.
	 */
	idle = streams_idle(l);
	for (unsigned i = 0; !l->setup.hub && i < l->count; i++) {
		struct stream *st = l->streams[i];

		st->say_open = !l->draining || st->direction == WIRE_PULL || !idle;
		st->state = st->say_open ? STREAM_OPENING : STREAM_CLOSED;
	}
	link_event(l, "greeted", NULL, NULL);
	return 0;
}

static struct stream *find_number(const struct link *l, uint16_t number)
{
	for (unsigned i = 0; i < l->count; i++)
		if (l->streams[i]->number == number)
			return l->streams[i];
	return NULL;
}

/* One answer may be for several pings: the last of them. */
static void pong(struct link *l, uint64_t nonce, int64_t now_ns)
{
	if (nonce == l->ping_nonce && l->ping_sent_ns)
		l->counts.rtt_ns = now_ns - l->ping_sent_ns;
	l->ping_sent_ns = 0;
	if (l->quiet == ASKED && nonce >= l->quiet_nonce && nonce <= l->ping_nonce)
		l->quiet = streams_idle(l) ? ANSWERED : NOT_ASKED;
}

static int frame(struct link *l, const struct wire_frame *f, int64_t now_ns)
{
	struct stream *st;

	if (!l->greeted && f->type != WIRE_HELLO && f->type != WIRE_ERROR && f->type != WIRE_BYE)
		return link_broken(l, "the first frame is not hello");
	switch (f->type) {
	case WIRE_HELLO:
		return hello(l, &f->hello);
	case WIRE_SKIP:
		return 0;
	case WIRE_PING:
		l->pong = f->nonce;
		l->say_pong = true;
		return 0;
	case WIRE_PONG:
		pong(l, f->nonce, now_ns);
		return 0;
	case WIRE_DRAIN:
		link_event(l, "peer_drains", NULL, NULL);
		l->peer_drains = true;
		/* A hub that drains waits for what is under way, and so for the results of a leaf. */
		for (unsigned i = 0; l->setup.hub && i < l->count; i++)
			stream_withdraw(l->streams[i]);
		return 0;
	case WIRE_BYE:
		link_event(l, "peer_left", NULL, NULL);
		return -ESHUTDOWN;
	case WIRE_OPEN:
		return stream_open(l, f);
	case WIRE_ERROR:
		if (f->stream == 0) {
			l->peer_retry_ms = f->error.retry_after_ms;
			link_event_error(l, "peer_error", NULL, &f->error);
			return -ESHUTDOWN;
		}
		break;
	default:
		break;
	}
	st = find_number(l, f->stream);
	/* Of a stream that we have closed: the peer may not know yet. */
	if (!st || f->stream == 0)
		return 0;
	return stream_input(l, st, f, now_ns);
}

int link_input(struct link *l, const uint8_t *bytes, size_t len, int64_t now_ns, size_t *ret_used)
{
	size_t used = 0;
	int r = 0;

	l->heard_ns = now_ns;
	while (r == 0 && !l->closing) {
		struct wire_frame f;
		const char *why = "";
		size_t n;

		r = wire_next(bytes + used, len - used, &f, &n, &why);
		if (r == -EAGAIN) {
			r = 0;
			break;
		}
		if (r < 0) {
			r = link_broken(l, why);
			break;
		}
		l->counts.frames_in++;
		r = frame(l, &f, now_ns);
		used += n;
	}
	*ret_used = used;
	return r;
}

/* A frame to be sent. 0: no room for it. */
size_t link_put(struct link *l, uint8_t *buf, size_t cap, const struct wire_frame *f)
{
	ssize_t n = wire_encode(buf, cap, f);

	if (n <= 0) {
		if (n != -ENOSPC)
			link_event(l, "internal", NULL, wire_type_name(f->type));
		return 0;
	}
	l->counts.frames_out++;
	return (size_t)n;
}

/* One frame of the connection's own, or none. */
static size_t say(struct link *l, uint8_t *buf, size_t cap, int64_t now_ns)
{
	struct wire_frame f = {0};
	bool *said;
	size_t n;

	if (l->say_hello) {
		f.type = WIRE_HELLO;
		f.hello = (struct wire_hello){.lowest = WIRE_VERSION,
			.highest = WIRE_VERSION,
			.redeliver_after_ms = l->setup.redeliver_after_ms,
			.heartbeat_ms = l->setup.heartbeat_ms};
		memcpy(f.hello.instance, l->setup.instance, sizeof(f.hello.instance));
		said = &l->say_hello;
	} else if (l->say_bye) {
		f.type = l->bye.code ? WIRE_ERROR : WIRE_BYE;
		f.error = l->bye;
		said = &l->say_bye;
	} else if (l->say_pong) {
		f.type = WIRE_PONG;
		f.nonce = l->pong;
		said = &l->say_pong;
	} else if (l->say_ping && l->greeted) {
		f.type = WIRE_PING;
		f.nonce = l->ping_nonce + 1;
		said = &l->say_ping;
	} else if (l->say_drain && l->greeted) {
		f.type = WIRE_DRAIN;
		said = &l->say_drain;
	} else {
		return 0;
	}
	n = link_put(l, buf, cap, &f);
	if (n == 0)
		return 0;
	*said = false;
	if (f.type == WIRE_PING) {
		l->ping_nonce = f.nonce;
		l->ping_sent_ns = now_ns;
		if (l->quiet == TO_ASK) {
			l->quiet = ASKED;
			l->quiet_nonce = f.nonce;
		}
	}
	return n;
}

/* What is to be said of streams, each frame where it fits. */
static size_t say_all(struct link *l, uint8_t *buf, size_t cap, int64_t now_ns)
{
	size_t n = 0, more;

	while ((more = say(l, buf + n, cap - n, now_ns)) > 0)
		n += more;
	if (!l->greeted || l->closing)
		return n;
	for (unsigned i = 0; i < l->count; i++)
		while ((more = stream_say(l, l->streams[i], buf + n, cap - n, now_ns)) > 0)
			n += more;
	return n;
}

size_t link_output(struct link *l, uint8_t *buf, size_t cap, int64_t now_ns)
{
	size_t n, more;
	unsigned idle = 0;

	if (!l->up)
		return 0;
	n = say_all(l, buf, cap, now_ns);
	/* A frame of each stream in turn, until none has one that fits. */
	while (l->greeted && !l->closing && l->count > 0 && idle < l->count) {
		more = stream_send(l, l->streams[l->turn % l->count], buf + n, cap - n);
		l->turn = (l->turn + 1) % l->count;
		idle = more > 0 ? 0 : idle + 1;
		n += more;
	}
	if (n > 0)
		l->said_ns = now_ns;
	return n;
}

/*
 * Before leaving, ask by ping whether the connection is quiet. Nothing is under way here, and the
 * peer was told that we drain. But a message that it sent before it knew may still come, and would
 * stay leased to us for long if we were gone by then; and what we said last may be lost with the
 * connection. Frames keep their order: the ping is sent behind all that we said, and its answer
 * comes behind all that the peer had sent.
 */
static void ask_if_quiet(struct link *l)
{
	if (!l->draining || !l->greeted || l->say_drain)
		return;
	if (!streams_idle(l)) {
		l->quiet = NOT_ASKED;
	} else if (l->quiet == NOT_ASKED) {
		l->quiet = TO_ASK;
		l->say_ping = true;
	}
}

int64_t link_tick(struct link *l, int64_t now_ns, bool *ret_dead)
{
	int64_t beat = l->setup.heartbeat_ms * MS, silence, next = INT64_MAX;

	*ret_dead = false;
	for (unsigned i = 0; i < l->count; i++) {
		int64_t at = stream_tick(l, l->streams[i], now_ns);

		next = at < next ? at : next;
	}
	if (!l->up)
		return next;
	ask_if_quiet(l);
	silence = SILENCES_MAX * (l->peer_heartbeat_ms ? l->peer_heartbeat_ms * MS : beat);
	if (now_ns - l->heard_ns >= silence) {
		*ret_dead = true;
		link_event(l, "silent", NULL, NULL);
	}
	if (now_ns - l->said_ns >= beat)
		l->say_ping = true;
	if (l->heard_ns + silence < next)
		next = l->heard_ns + silence;
	return l->said_ns + beat < next ? l->said_ns + beat : next;
}

void link_drain(struct link *l)
{
	if (l->draining)
		return;
	l->draining = l->say_drain = true;
	/*
	 * The hub withdraws what it has not sent. A leaf's results are still sent, for its workers
	 * are finishing.
	 */
	for (unsigned i = 0; l->setup.hub && i < l->count; i++)
		stream_withdraw(l->streams[i]);
}

bool link_idle(const struct link *l)
{
	if (l->draining && link_is_up(l) && l->quiet != ANSWERED)
		return false;
	return streams_idle(l);
}

void link_bye(struct link *l, enum wire_code code, const char *text, uint32_t retry_after_ms)
{
	size_t len = strlen(text);

	if (l->closing)
		return;
	len = len < sizeof(l->bye_text) ? len : sizeof(l->bye_text);
	memcpy(l->bye_text, text, len);
	l->bye = (struct wire_error){.code = (uint16_t)code,
		.retry_after_ms = retry_after_ms,
		.text = l->bye_text,
		.text_len = (uint32_t)len};
	l->say_bye = l->closing = true;
}

void link_forget(struct link *l, unsigned i, int64_t now_ns)
{
	stream_forget(l, l->streams[i], now_ns);
}

uint64_t link_move(struct link *l, unsigned i, int64_t now_ns)
{
	uint64_t n = stream_give_back(l->streams[i]);

	stream_forget(l, l->streams[i], now_ns);
	return n;
}

bool link_give_up(struct link *l, int64_t now_ns)
{
	bool any = false;

	for (unsigned i = 0; i < l->count; i++)
		any |= stream_give_up(l, l->streams[i], now_ns);
	return any;
}

uint32_t link_patience_ms(const struct link *l)
{
	return l->peer_redeliver_ms;
}

uint32_t link_retry_after_ms(const struct link *l)
{
	return l->peer_retry_ms;
}

bool link_denied(const struct link *l)
{
	for (unsigned i = 0; i < l->count; i++)
		if (l->streams[i]->flowed_ns || !l->streams[i]->denied)
			return false;
	return l->count > 0;
}

const char *link_peer(const struct link *l)
{
	return l->setup.peer;
}

const struct link_counts *link_counts(const struct link *l)
{
	return &l->counts;
}

unsigned link_streams(const struct link *l)
{
	return l->count;
}

void link_stream(const struct link *l, unsigned i, enum wire_direction *ret_direction,
	const char **ret_queue, struct link_end *ret_end)
{
	*ret_direction = l->streams[i]->direction;
	*ret_queue = l->streams[i]->queue;
	*ret_end = l->streams[i]->end;
}
