/* SPDX-License-Identifier: ISC */
#include <bsd/string.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ledger.h"
#include "link_impl.h"
#include "send.h"

/* A stream's frames, to be sent: what is to be said, and then messages. Called by link.c. */

#define BATCH_ROOM_MIN 512 /* a smaller batch waits for the next buffer */
/* A longer message goes in parts, which fit in any buffer, straight to its place over there. */
#define BATCH_MESSAGE_MAX (LINK_OUTPUT_MIN - WIRE_HEADER - WIRE_BATCH_HEAD - WIRE_MESSAGE_HEAD)
#define CHUNK             1024

static size_t say_open(struct link *l, struct stream *st, uint8_t *buf, size_t cap)
{
	struct wire_frame f = {.type = WIRE_OPEN, .stream = st->number};

	f.open.direction = st->direction;
	f.open.max_message = st->end.max_message;
	if (f.open.max_message == 0) /* no queue here yet: it will be made like the hub's */
		f.open.max_message = st->direction == WIRE_PULL ? WIRE_MESSAGE_MAX : 1;
	(void)strlcpy(f.open.name, st->queue, sizeof(f.open.name));
	if (st->direction == WIRE_PULL && st->end.receiver) {
		f.open.epoch = receiver_epoch(st->end.receiver);
		f.open.sequence = receiver_received(st->end.receiver);
		f.open.owed = receiver_owed_count(st->end.receiver);
	} else if (st->direction == WIRE_PUSH) {
		f.open.sequence = st->end.sender ? sender_lowest(st->end.sender) : 1;
		if (f.open.sequence == 0)
			f.open.sequence = 1;
	}
	return link_put(l, buf, cap, &f);
}

/* The leaf's numbers: from 1, as it carries them. */
static uint16_t number_of(const struct link *l, const struct stream *st)
{
	uint16_t n = 0;

	while (l->streams[n] != st)
		n++;
	return (uint16_t)(n + 1);
}

/*
 * Ranges of an array, as many as there is room for; *at is how far it has got, and what is left of
 * the range there.
 */
static size_t say_ranges(struct link *l, struct stream *st, enum wire_type type, struct range *all,
	size_t count, size_t *at, bool last, uint8_t *buf, size_t cap)
{
	struct wire_ranges_build b;
	size_t n;

	if (wire_ranges_begin(&b, buf, cap, type, st->number) < 0)
		return 0;
	for (; *at < count; ++*at)
		for (struct range *r = &all[*at]; r->count > 0; r->first++, r->count--)
			if (wire_ranges_add(&b, r->first) == -ENOSPC)
				goto full;
full:
	n = wire_ranges_end(&b, last && *at == count);
	l->counts.frames_out += n > 0;
	return n;
}

static size_t say_owed(struct link *l, struct stream *st, uint8_t *buf, size_t cap)
{
	size_t n = say_ranges(
		l, st, WIRE_OWED, st->owed, st->owed_count, &st->owed_at, true, buf, cap);

	if (n > 0 && st->owed_at == st->owed_count)
		st->say_owed = false;
	return n;
}

static size_t say_returned(struct link *l, struct stream *st, uint8_t *buf, size_t cap)
{
	size_t at = 0, n = say_ranges(l, st, WIRE_RETURNED, st->returned, st->returned_count, &at,
			       false, buf, cap);

	memmove(st->returned, st->returned + at, (st->returned_count - at) * sizeof(*st->returned));
	st->returned_count -= at;
	return n;
}

/* What a pull's receiver has to say of its messages. */
static size_t say_done(struct link *l, struct stream *st, uint8_t *buf, size_t cap)
{
	struct range some[CHUNK];
	size_t max, n, at = 0;

	/*
	 * What receiver_settled() and receiver_recalled() return must be sent now: they return it
	 * once a connection.
	 */
	if (cap < WIRE_HEADER + WIRE_RANGE)
		return 0;
	max = (cap - WIRE_HEADER) / WIRE_RANGE;
	if (max > CHUNK)
		max = CHUNK;
	n = receiver_settled(st->end.receiver, some, max);
	if (n > 0)
		return say_ranges(l, st, WIRE_SETTLE, some, n, &at, false, buf, cap);
	n = receiver_recalled(st->end.receiver, some, max);
	if (n == 0)
		return 0;
	for (size_t i = 0; i < n; i++)
		st->not_done += some[i].count;
	return say_ranges(l, st, WIRE_NACK, some, n, &at, false, buf, cap);
}

/* One frame, or none. */
size_t stream_say(struct link *l, struct stream *st, uint8_t *buf, size_t cap, int64_t now_ns)
{
	struct wire_frame f = {.stream = st->number};
	size_t n;

	if (st->say_error) {
		f.type = WIRE_ERROR;
		f.error = (struct wire_error){.code = st->error,
			.text = st->error_text,
			.text_len = (uint32_t)strlen(st->error_text)};
		n = link_put(l, buf, cap, &f);
		if (n > 0) {
			st->say_error = false;
			st->number = 0;
			if (!l->setup.hub) {
				/*
				 * What the hub sends until it has received this belongs to the
				 * refused stream.
				 */
				st->state = STREAM_REFUSED;
				if (st->retry_ns < now_ns + STREAM_RETRY_NS)
					st->retry_ns = now_ns + STREAM_RETRY_NS;
			}
		}
		return n;
	}
	if (st->say_open) {
		st->number = number_of(l, st);
		n = say_open(l, st, buf, cap);
		st->say_open = n == 0;
		return n;
	}
	if (st->say_opened) {
		f.type = WIRE_OPENED;
		f.opened = st->opened;
		n = link_put(l, buf, cap, &f);
		st->say_opened = n == 0;
		return n;
	}
	if (st->state != STREAM_FLOWING)
		return 0;
	if (st->say_owed)
		return say_owed(l, st, buf, cap);
	if (st->returned_count > 0)
		return say_returned(l, st, buf, cap);
	if (!st->end.receiver)
		return 0;
	if (st->direction == WIRE_PULL) {
		n = say_done(l, st, buf, cap);
		if (n > 0)
			return n;
	}
	if (st->direction == WIRE_PUSH && st->acked != receiver_received(st->end.receiver)) {
		f.type = WIRE_ACK;
		f.received = receiver_received(st->end.receiver);
		n = link_put(l, buf, cap, &f);
		if (n > 0)
			st->acked = f.received;
		return n;
	}
	if (st->say_credit) {
		f.type = WIRE_CREDIT;
		f.credit = st->credit;
		n = link_put(l, buf, cap, &f);
		st->say_credit = n == 0;
		return n;
	}
	return 0;
}

static size_t send_part(
	struct link *l, struct stream *st, const struct sender_message *m, uint8_t *buf, size_t cap)
{
	struct wire_frame f = {.type = WIRE_PART, .stream = st->number};
	size_t room = cap - WIRE_HEADER - WIRE_PART_HEAD, left = m->len - st->part_offset, n;

	if (room > WIRE_PART_BYTES_MAX)
		room = WIRE_PART_BYTES_MAX;
	f.part = (struct wire_part){
		.sequence = m->sequence,
		.total = m->len,
		.offset = st->part_offset,
		.attempts = m->attempts,
		.data = (const uint8_t *)m->data + st->part_offset,
		.len = (uint32_t)(left < room ? left : room),
	};
	n = link_put(l, buf, cap, &f);
	if (n == 0)
		return 0;
	st->part_offset += f.part.len;
	if (st->part_offset == m->len) {
		st->part_offset = 0;
		sender_sent(st->end.sender);
	}
	return n;
}

/* Messages: one frame of them, or nothing. */
size_t stream_send(struct link *l, struct stream *st, uint8_t *buf, size_t cap)
{
	struct sender *s = st->end.sender;
	struct wire_batch_build b;
	struct sender_message m;
	size_t n;
	int r;

	if (!s || st->state != STREAM_FLOWING || cap < BATCH_ROOM_MIN)
		return 0;
	r = sender_next(s, &m);
	if (r == -EPIPE && !st->drained) {
		st->drained = true;
		link_event(l, "queue_drained", st->queue, NULL);
	}
	if (r < 0)
		return 0;
	if (st->part_offset > 0 || m.len > BATCH_MESSAGE_MAX)
		return send_part(l, st, &m, buf, cap);
	if (wire_batch_begin(&b, buf, cap, st->number, m.sequence) < 0)
		return 0;
	do {
		if (wire_batch_add(&b, m.data, m.len, m.attempts) < 0)
			break;
		sender_sent(s);
	} while (sender_next(s, &m) == 0 && m.len <= BATCH_MESSAGE_MAX);
	n = wire_batch_end(&b);
	l->counts.frames_out += n > 0;
	return n;
}
