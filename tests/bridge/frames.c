/* SPDX-License-Identifier: ISC */
#include "frames.h"

#include <string.h>

#include "rng.h"
#include "wire_bytes.h"

uint64_t frames_random(struct frames *f)
{
	return rng_split(&f->state);
}

uint64_t frames_below(struct frames *f, uint64_t n)
{
	return frames_random(f) % n;
}

/* From 0 to max, at the ends more often than chance would have it. */
static uint64_t edge(struct frames *f, uint64_t max)
{
	switch (frames_below(f, 8)) {
	case 0:
		return 0;
	case 1:
		return max;
	case 2:
		return max > 0 ? 1 : 0;
	default:
		return max == UINT64_MAX ? frames_random(f) : frames_below(f, max + 1);
	}
}

static uint64_t from(struct frames *f, uint64_t min, uint64_t max)
{
	return min + edge(f, max - min);
}

static void bytes(struct frames *f, uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)frames_random(f);
}

static void make_ranges(struct frames *f, struct wire_frame *ret, bool small)
{
	uint32_t n = (uint32_t)from(f, 1, small ? 12 : WIRE_RANGES_MAX);
	uint64_t next = from(f, 1, WIRE_SEQUENCE_MAX / 2);

	ret->ranges.last = ret->type == WIRE_OWED && frames_below(f, 2);
	if (ret->ranges.last && frames_below(f, 4) == 0)
		n = 0;
	for (uint32_t i = 0; i < n; i++) {
		uint32_t count = (uint32_t)from(f, 1, UINT32_MAX);

		next += edge(f, 1000);
		wire_put64(f->room + (size_t)i * WIRE_RANGE, next);
		wire_put32(f->room + (size_t)i * WIRE_RANGE + 8, count);
		next += count;
	}
	ret->ranges.count = n;
	ret->ranges.data = f->room;
}

static void make_batch(struct frames *f, struct wire_frame *ret, bool small)
{
	size_t cap = small ? 200 : WIRE_FRAME_MAX - WIRE_BATCH_HEAD, used = 0;
	uint32_t want = (uint32_t)from(f, 1, small ? 10 : WIRE_BATCH_MESSAGES_MAX), n = 0;

	while (n < want && cap - used >= WIRE_MESSAGE_HEAD) {
		size_t room = cap - used - WIRE_MESSAGE_HEAD;
		size_t most = frames_below(f, 20) ? 64 : room;
		size_t len = (size_t)edge(f, most < room ? most : room);

		wire_put32(f->room + used, (uint32_t)len);
		wire_put32(f->room + used + 4, (uint32_t)from(f, 1, 255));
		bytes(f, f->room + used + WIRE_MESSAGE_HEAD, len);
		used += WIRE_MESSAGE_HEAD + len;
		n++;
	}
	ret->batch = (struct wire_batch){
		.first = from(f, 1, WIRE_SEQUENCE_MAX - n + 1),
		.count = n,
		.data = f->room,
		.len = used,
	};
}

static void make_part(struct frames *f, struct wire_frame *ret, bool small)
{
	uint32_t len = (uint32_t)from(f, 1, small ? 200 : WIRE_PART_BYTES_MAX);
	uint64_t total = from(f, len, WIRE_MESSAGE_MAX);

	bytes(f, f->room, len);
	ret->part = (struct wire_part){
		.sequence = from(f, 1, WIRE_SEQUENCE_MAX),
		.total = total,
		.offset = edge(f, total - len),
		.attempts = (uint32_t)from(f, 1, UINT32_MAX),
		.data = f->room,
		.len = len,
	};
}

static void make_open(struct frames *f, struct wire_frame *ret)
{
	static const char allowed[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
	struct wire_open *o = &ret->open;
	size_t len = (size_t)from(f, 1, WIRE_NAME_MAX);

	*o = (struct wire_open){.direction = frames_below(f, 2) ? WIRE_PULL : WIRE_PUSH};
	o->sequence = from(f, 1, WIRE_SEQUENCE_MAX);
	o->max_message = from(f, 1, WIRE_MESSAGE_MAX);
	if (o->direction == WIRE_PULL) {
		o->epoch = edge(f, WIRE_EPOCH_MAX);
		if (o->epoch)
			o->owed = (uint32_t)edge(
				f, o->sequence < WIRE_WINDOW_MAX ? o->sequence : WIRE_WINDOW_MAX);
	}
	for (size_t i = 0; i < len; i++)
		o->name[i] = allowed[frames_below(f, sizeof(allowed) - 1)];
}

static void make_skip(struct frames *f, struct wire_frame *ret, bool small)
{
	ret->stream = (uint16_t)frames_random(f);
	ret->skip = (struct wire_skip){
		.type = (uint8_t)(frames_below(f, 4) ? from(f, WIRE_TYPES, UINT8_MAX) : 0),
		.flags = (uint8_t)(WIRE_FLAG_OPTIONAL | frames_random(f)),
		.data = f->room,
		.len = (uint32_t)edge(f, small ? 200 : WIRE_FRAME_MAX),
	};
	bytes(f, f->room, ret->skip.len);
}

void frames_make(struct frames *f, struct wire_frame *ret, enum wire_type type, bool small)
{
	memset(ret, 0, sizeof(*ret));
	ret->type = type;
	ret->stream = (uint16_t)from(f, 1, WIRE_STREAMS_MAX);
	switch (type) {
	case WIRE_SKIP:
		make_skip(f, ret, small);
		break;
	case WIRE_HELLO:
		ret->stream = 0;
		ret->hello.lowest = (uint16_t)from(f, 1, UINT16_MAX);
		ret->hello.highest = (uint16_t)from(f, ret->hello.lowest, UINT16_MAX);
		ret->hello.features = edge(f, UINT64_MAX);
		bytes(f, ret->hello.instance, WIRE_INSTANCE);
		ret->hello.instance[frames_below(f, WIRE_INSTANCE)] |= 1;
		ret->hello.redeliver_after_ms = (uint32_t)edge(f, WIRE_REDELIVER_MS_MAX);
		ret->hello.heartbeat_ms = (uint32_t)from(f, 1, WIRE_HEARTBEAT_MS_MAX);
		break;
	case WIRE_OPEN:
		make_open(f, ret);
		break;
	case WIRE_OPENED:
		ret->opened = (struct wire_opened){
			.result = (enum wire_result)frames_below(f, 3),
			.epoch = edge(f, WIRE_EPOCH_MAX),
			.sequence = edge(f, WIRE_SEQUENCE_MAX),
			.max_message = from(f, 1, WIRE_MESSAGE_MAX),
			.capacity = from(f, 1, WIRE_CAPACITY_MAX),
			.small = (uint32_t)edge(f, WIRE_SMALL_MAX),
		};
		break;
	case WIRE_OWED:
	case WIRE_SETTLE:
	case WIRE_NACK:
	case WIRE_RETURNED:
		make_ranges(f, ret, small);
		break;
	case WIRE_CREDIT:
		ret->credit.sequence = edge(f, WIRE_SEQUENCE_MAX);
		ret->credit.bytes = edge(f, UINT64_MAX);
		break;
	case WIRE_BATCH:
		make_batch(f, ret, small);
		break;
	case WIRE_PART:
		make_part(f, ret, small);
		break;
	case WIRE_ACK:
		ret->received = edge(f, WIRE_SEQUENCE_MAX);
		break;
	case WIRE_PING:
	case WIRE_PONG:
		ret->stream = 0;
		ret->nonce = edge(f, UINT64_MAX);
		break;
	case WIRE_DRAIN:
		if (frames_below(f, 2))
			ret->stream = 0;
		break;
	case WIRE_BYE:
		ret->stream = 0;
		break;
	case WIRE_ERROR:
		if (frames_below(f, 2))
			ret->stream = 0;
		ret->error.code = (uint16_t)from(f, 1, UINT16_MAX);
		ret->error.retry_after_ms = (uint32_t)edge(f, UINT32_MAX);
		ret->error.text = (const char *)f->room;
		ret->error.text_len = (uint32_t)edge(f, WIRE_TEXT_MAX);
		bytes(f, f->room, ret->error.text_len);
		break;
	}
}
