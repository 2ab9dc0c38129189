/* SPDX-License-Identifier: ISC */
#include "wire.h"

#include <errno.h>
#include <string.h>

#include "wire_bytes.h"

/*
 * Each kind of frame has up to three functions, side by side: `get` takes the payload apart and
 * checks what a structure cannot hold (reserved bytes, lengths inside); `check` is the rest of the
 * limits, for what came and for what goes; `put` writes the payload. They return what is wrong in
 * words, or NULL. The payload's length is within the kind's minimum and maximum when they are called.
 */

#define MAGIC 0x0a627173u /* "sqb\n" */

/* hello: magic 4, lowest 2, highest 2, features 8, instance 16, redeliver_after 4, heartbeat 4 */

static const char *hello_get(const uint8_t *p, size_t len, struct wire_frame *f)
{
	struct wire_hello *h = &f->hello;

	if (wire_get32(p) != MAGIC)
		return "hello: the magic number is another";
	h->lowest = wire_get16(p + 4);
	h->highest = wire_get16(p + 6);
	h->features = wire_get64(p + 8);
	memcpy(h->instance, p + 16, WIRE_INSTANCE);
	h->redeliver_after_ms = wire_get32(p + 32);
	h->heartbeat_ms = wire_get32(p + 36);
	return NULL;
}

static const char *hello_check(const struct wire_frame *f)
{
	static const uint8_t none[WIRE_INSTANCE];
	const struct wire_hello *h = &f->hello;

	if (h->lowest < 1 || h->lowest > h->highest)
		return "hello: no range of versions";
	if (memcmp(h->instance, none, sizeof(none)) == 0)
		return "hello: the instance is zero";
	if (h->redeliver_after_ms > WIRE_REDELIVER_MS_MAX)
		return "hello: redeliver_after is above its limit";
	if (h->heartbeat_ms < 1 || h->heartbeat_ms > WIRE_HEARTBEAT_MS_MAX)
		return "hello: heartbeat is outside its limits";
	return NULL;
}

static void hello_put(uint8_t *p, const struct wire_frame *f)
{
	const struct wire_hello *h = &f->hello;

	wire_put32(p, MAGIC);
	wire_put16(p + 4, h->lowest);
	wire_put16(p + 6, h->highest);
	wire_put64(p + 8, h->features);
	memcpy(p + 16, h->instance, WIRE_INSTANCE);
	wire_put32(p + 32, h->redeliver_after_ms);
	wire_put32(p + 36, h->heartbeat_ms);
}

/* open: direction 1, name length 1, zero 2, owed 4, epoch 8, sequence 8, max_message 8, name */
#define OPEN_HEAD 32

bool wire_name_ok(const char *name, size_t len)
{
	if (len < 1 || len > WIRE_NAME_MAX)
		return false;
	for (size_t i = 0; i < len; i++) {
		char c = name[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
			    c == '-' || c == '_'))
			return false;
	}
	return true;
}

static const char *open_get(const uint8_t *p, size_t len, struct wire_frame *f)
{
	struct wire_open *o = &f->open;
	size_t name_len = p[1];

	if (len - OPEN_HEAD != name_len)
		return "open: the name's length is not what is left of the frame";
	if (wire_get16(p + 2) != 0)
		return "open: reserved bytes are not zero";
	if (!wire_name_ok((const char *)p + OPEN_HEAD, name_len))
		return "open: that is no name of a queue";
	o->direction = p[0];
	o->owed = wire_get32(p + 4);
	o->epoch = wire_get64(p + 8);
	o->sequence = wire_get64(p + 16);
	o->max_message = wire_get64(p + 24);
	memcpy(o->name, p + OPEN_HEAD, name_len);
	o->name[name_len] = '\0';
	return NULL;
}

static const char *open_check(const struct wire_frame *f)
{
	const struct wire_open *o = &f->open;

	if (o->direction != WIRE_PULL && o->direction != WIRE_PUSH)
		return "open: neither pull nor push";
	if (o->owed > WIRE_WINDOW_MAX)
		return "open: owes more than a window";
	if (o->epoch > WIRE_EPOCH_MAX)
		return "open: that is no epoch";
	if (o->epoch == 0 && o->owed > 0)
		return "open: owes without an epoch";
	if (o->direction == WIRE_PUSH && o->epoch != 0)
		return "open: a push with an epoch";
	if (o->sequence > WIRE_SEQUENCE_MAX || (o->direction == WIRE_PUSH && o->sequence < 1))
		return "open: no sequence";
	if (o->owed > o->sequence)
		return "open: owes more than it received";
	if (o->max_message < 1 || o->max_message > WIRE_MESSAGE_MAX)
		return "open: max_message is outside its limits";
	if (!wire_name_ok(o->name, strnlen(o->name, sizeof(o->name))))
		return "open: that is no name of a queue";
	return NULL;
}

static void open_put(uint8_t *p, const struct wire_frame *f)
{
	const struct wire_open *o = &f->open;
	size_t name_len = strlen(o->name);

	p[0] = (uint8_t)o->direction;
	p[1] = (uint8_t)name_len;
	wire_put16(p + 2, 0);
	wire_put32(p + 4, o->owed);
	wire_put64(p + 8, o->epoch);
	wire_put64(p + 16, o->sequence);
	wire_put64(p + 24, o->max_message);
	memcpy(p + OPEN_HEAD, o->name, name_len);
}

/* opened: result 1, zero 7, epoch 8, sequence 8, max_message 8, capacity 8, small 4, zero 4 */

static const char *opened_get(const uint8_t *p, size_t len, struct wire_frame *f)
{
	struct wire_opened *o = &f->opened;

	/* The first eight bytes are one number below 256. */
	if (wire_get64(p) > UINT8_MAX || wire_get32(p + 44) != 0)
		return "opened: reserved bytes are not zero";
	o->result = p[0];
	o->epoch = wire_get64(p + 8);
	o->sequence = wire_get64(p + 16);
	o->max_message = wire_get64(p + 24);
	o->capacity = wire_get64(p + 32);
	o->small = wire_get32(p + 40);
	return NULL;
}

static const char *opened_check(const struct wire_frame *f)
{
	const struct wire_opened *o = &f->opened;

	if (o->result != WIRE_RESUMED && o->result != WIRE_FRESH && o->result != WIRE_STALE)
		return "opened: no result";
	if (o->epoch > WIRE_EPOCH_MAX)
		return "opened: that is no epoch";
	if (o->sequence > WIRE_SEQUENCE_MAX)
		return "opened: no sequence";
	if (o->max_message < 1 || o->max_message > WIRE_MESSAGE_MAX)
		return "opened: max_message is outside its limits";
	if (o->capacity < 1 || o->capacity > WIRE_CAPACITY_MAX)
		return "opened: capacity is outside its limits";
	if (o->small > WIRE_SMALL_MAX)
		return "opened: small is above its limit";
	return NULL;
}

static void opened_put(uint8_t *p, const struct wire_frame *f)
{
	const struct wire_opened *o = &f->opened;

	wire_put64(p, (uint64_t)o->result);
	wire_put64(p + 8, o->epoch);
	wire_put64(p + 16, o->sequence);
	wire_put64(p + 24, o->max_message);
	wire_put64(p + 32, o->capacity);
	wire_put32(p + 40, o->small);
	wire_put32(p + 44, 0);
}

/* owed, settle, nack, returned: ranges of first 8, count 4 */

static const char *ranges_get(const uint8_t *p, size_t len, struct wire_frame *f)
{
	if (len % WIRE_RANGE != 0)
		return "ranges: the last one is cut";
	f->ranges.data = p;
	f->ranges.count = (uint32_t)(len / WIRE_RANGE);
	return NULL;
}

static const char *ranges_check(const struct wire_frame *f)
{
	uint64_t after = 1; /* the lowest that may come next */

	if (f->ranges.count == 0 && !(f->type == WIRE_OWED && f->ranges.last))
		return "ranges: none";
	if (f->ranges.last && f->type != WIRE_OWED)
		return "ranges: a last one where there is none";
	for (uint32_t i = 0; i < f->ranges.count; i++) {
		struct wire_range r = wire_range_at(&f->ranges, i);

		if (r.count < 1)
			return "ranges: an empty one";
		if (!wire_sequence_ok(r.first) || r.count - 1 > WIRE_SEQUENCE_MAX - r.first)
			return "ranges: no sequence";
		if (r.first < after)
			return "ranges: not in order, or overlapping";
		after = r.first + r.count;
	}
	return NULL;
}

static void ranges_put(uint8_t *p, const struct wire_frame *f)
{
	wire_copy(p, f->ranges.data, (size_t)f->ranges.count * WIRE_RANGE);
}

struct wire_range wire_range_at(const struct wire_ranges *ranges, uint32_t i)
{
	const uint8_t *p = ranges->data + (size_t)i * WIRE_RANGE;

	return (struct wire_range){.first = wire_get64(p), .count = wire_get32(p + 8)};
}

/* credit: sequence 8, bytes 8 */

static const char *credit_get(const uint8_t *p, size_t len, struct wire_frame *f)
{
	f->credit.sequence = wire_get64(p);
	f->credit.bytes = wire_get64(p + 8);
	return NULL;
}

static const char *credit_check(const struct wire_frame *f)
{
	return f->credit.sequence > WIRE_SEQUENCE_MAX ? "credit: no sequence" : NULL;
}

static void credit_put(uint8_t *p, const struct wire_frame *f)
{
	wire_put64(p, f->credit.sequence);
	wire_put64(p + 8, f->credit.bytes);
}

/* batch: first 8, count 4, zero 4, then count times {length 4, attempts 4, bytes} */

static const char *batch_get(const uint8_t *p, size_t len, struct wire_frame *f)
{
	if (wire_get32(p + 12) != 0)
		return "batch: reserved bytes are not zero";
	f->batch.first = wire_get64(p);
	f->batch.count = wire_get32(p + 8);
	f->batch.data = p + WIRE_BATCH_HEAD;
	f->batch.len = len - WIRE_BATCH_HEAD;
	return NULL;
}

static const char *batch_check(const struct wire_frame *f)
{
	const struct wire_batch *b = &f->batch;
	const uint8_t *p = b->data;
	size_t left = b->len;

	if (b->count < 1 || b->count > WIRE_BATCH_MESSAGES_MAX)
		return "batch: the number of messages is outside its limits";
	if (!wire_sequence_ok(b->first) || b->count - 1 > WIRE_SEQUENCE_MAX - b->first)
		return "batch: no sequence";
	for (uint32_t i = 0; i < b->count; i++) {
		size_t n;

		if (left < WIRE_MESSAGE_HEAD)
			return "batch: fewer messages than it says";
		n = wire_get32(p);
		if (wire_get32(p + 4) < 1)
			return "batch: a message that was never attempted";
		p += WIRE_MESSAGE_HEAD;
		left -= WIRE_MESSAGE_HEAD;
		if (n > left)
			return "batch: a message longer than the frame";
		p += n;
		left -= n;
	}
	return left > 0 ? "batch: bytes behind the last message" : NULL;
}

static void batch_put(uint8_t *p, const struct wire_frame *f)
{
	wire_put64(p, f->batch.first);
	wire_put32(p + 8, f->batch.count);
	wire_put32(p + 12, 0);
	wire_copy(p + WIRE_BATCH_HEAD, f->batch.data, f->batch.len);
}

void wire_batch_start(struct wire_batch_walk *ret, const struct wire_batch *batch)
{
	*ret = (struct wire_batch_walk){
		.at = batch->data, .sequence = batch->first, .left = batch->count};
}

bool wire_batch_next(struct wire_batch_walk *walk, struct wire_message *ret)
{
	if (walk->left == 0)
		return false;
	*ret = (struct wire_message){
		.sequence = walk->sequence,
		.data = walk->at + WIRE_MESSAGE_HEAD,
		.len = wire_get32(walk->at),
		.attempts = wire_get32(walk->at + 4),
	};
	walk->at += WIRE_MESSAGE_HEAD + ret->len;
	walk->sequence++;
	walk->left--;
	return true;
}

/* part: sequence 8, total 8, offset 8, attempts 4, zero 4, bytes */

static const char *part_get(const uint8_t *p, size_t len, struct wire_frame *f)
{
	if (wire_get32(p + 28) != 0)
		return "part: reserved bytes are not zero";
	f->part.sequence = wire_get64(p);
	f->part.total = wire_get64(p + 8);
	f->part.offset = wire_get64(p + 16);
	f->part.attempts = wire_get32(p + 24);
	f->part.data = p + WIRE_PART_HEAD;
	f->part.len = (uint32_t)(len - WIRE_PART_HEAD);
	return NULL;
}

static const char *part_check(const struct wire_frame *f)
{
	const struct wire_part *a = &f->part;

	if (!wire_sequence_ok(a->sequence))
		return "part: no sequence";
	if (a->total < 1 || a->total > WIRE_MESSAGE_MAX)
		return "part: the message's length is outside its limits";
	if (a->len < 1 || a->offset >= a->total || a->len > a->total - a->offset)
		return "part: not a part of that message";
	return a->attempts < 1 ? "part: a message that was never attempted" : NULL;
}

static void part_put(uint8_t *p, const struct wire_frame *f)
{
	wire_put64(p, f->part.sequence);
	wire_put64(p + 8, f->part.total);
	wire_put64(p + 16, f->part.offset);
	wire_put32(p + 24, f->part.attempts);
	wire_put32(p + 28, 0);
	wire_copy(p + WIRE_PART_HEAD, f->part.data, f->part.len);
}

/* ack, ping, pong: a number */

static const char *received_get(const uint8_t *p, size_t len, struct wire_frame *f)
{
	f->received = wire_get64(p);
	return NULL;
}

static const char *received_check(const struct wire_frame *f)
{
	return f->received > WIRE_SEQUENCE_MAX ? "ack: no sequence" : NULL;
}

static void received_put(uint8_t *p, const struct wire_frame *f)
{
	wire_put64(p, f->received);
}

static const char *nonce_get(const uint8_t *p, size_t len, struct wire_frame *f)
{
	f->nonce = wire_get64(p);
	return NULL;
}

static void nonce_put(uint8_t *p, const struct wire_frame *f)
{
	wire_put64(p, f->nonce);
}

/* error: code 2, zero 2, retry after 4, text */
#define ERROR_HEAD 8

static const char *error_get(const uint8_t *p, size_t len, struct wire_frame *f)
{
	if (wire_get16(p + 2) != 0)
		return "error: reserved bytes are not zero";
	f->error.code = wire_get16(p);
	f->error.retry_after_ms = wire_get32(p + 4);
	f->error.text = (const char *)p + ERROR_HEAD;
	f->error.text_len = (uint32_t)(len - ERROR_HEAD);
	return NULL;
}

static const char *error_check(const struct wire_frame *f)
{
	return f->error.code < 1 ? "error: no code" : NULL;
}

static void error_put(uint8_t *p, const struct wire_frame *f)
{
	wire_put16(p, f->error.code);
	wire_put16(p + 2, 0);
	wire_put32(p + 4, f->error.retry_after_ms);
	wire_copy(p + ERROR_HEAD, f->error.text, f->error.text_len);
}

/* The kinds: where they may stand (the connection, a stream, or either), and their payload's
 * limits. */
enum place { CONNECTION = 1, STREAM = 2, EITHER = 3 };

static const struct kind {
	const char *name;
	enum place place;
	uint8_t flags;
	uint32_t min, max;
	const char *(*get)(const uint8_t *p, size_t len, struct wire_frame *f);
	const char *(*check)(const struct wire_frame *f);
	void (*put)(uint8_t *p, const struct wire_frame *f);
} kinds[] = {
	[WIRE_HELLO] = {"hello", CONNECTION, 0, 40, 40, hello_get, hello_check, hello_put},
	[WIRE_OPEN] = {"open", STREAM, 0, OPEN_HEAD + 1, OPEN_HEAD + WIRE_NAME_MAX, open_get,
		open_check, open_put},
	[WIRE_OPENED] = {"opened", STREAM, 0, 48, 48, opened_get, opened_check, opened_put},
	[WIRE_OWED] = {"owed", STREAM, WIRE_FLAG_LAST, 0, WIRE_RANGES_MAX *WIRE_RANGE, ranges_get,
		ranges_check, ranges_put},
	[WIRE_CREDIT] = {"credit", STREAM, 0, 16, 16, credit_get, credit_check, credit_put},
	[WIRE_BATCH] = {"batch", STREAM, 0, WIRE_BATCH_HEAD + WIRE_MESSAGE_HEAD, WIRE_FRAME_MAX,
		batch_get, batch_check, batch_put},
	[WIRE_PART] = {"part", STREAM, 0, WIRE_PART_HEAD + 1, WIRE_FRAME_MAX, part_get, part_check,
		part_put},
	[WIRE_ACK] = {"ack", STREAM, 0, 8, 8, received_get, received_check, received_put},
	[WIRE_SETTLE] = {"settle", STREAM, 0, WIRE_RANGE, WIRE_RANGES_MAX *WIRE_RANGE, ranges_get,
		ranges_check, ranges_put},
	[WIRE_NACK] = {"nack", STREAM, 0, WIRE_RANGE, WIRE_RANGES_MAX *WIRE_RANGE, ranges_get,
		ranges_check, ranges_put},
	[WIRE_PING] = {"ping", CONNECTION, 0, 8, 8, nonce_get, NULL, nonce_put},
	[WIRE_PONG] = {"pong", CONNECTION, 0, 8, 8, nonce_get, NULL, nonce_put},
	[WIRE_DRAIN] = {"drain", EITHER, 0, 0, 0, NULL, NULL, NULL},
	[WIRE_BYE] = {"bye", CONNECTION, 0, 0, 0, NULL, NULL, NULL},
	[WIRE_ERROR] = {"error", EITHER, 0, ERROR_HEAD, ERROR_HEAD + WIRE_TEXT_MAX, error_get,
		error_check, error_put},
	[WIRE_RETURNED] = {"returned", STREAM, 0, WIRE_RANGE, WIRE_RANGES_MAX *WIRE_RANGE,
		ranges_get, ranges_check, ranges_put},
};

static const struct kind *kind_of(unsigned type)
{
	return type > WIRE_SKIP && type < sizeof(kinds) / sizeof(kinds[0]) ? &kinds[type] : NULL;
}

static const char *header_check(const struct kind *k, size_t len, uint8_t flags, uint16_t stream)
{
	if (len > WIRE_FRAME_MAX)
		return "the frame is longer than any may be";
	if (!k)
		return flags & WIRE_FLAG_OPTIONAL ? NULL : "the frame's type is unknown";
	if (len < k->min || len > k->max)
		return "the frame's length is outside its type's limits";
	if (flags & ~k->flags)
		return "the frame has flags that its type does not know";
	if (stream == 0 ? !(k->place & CONNECTION)
			: !(k->place & STREAM) || !wire_stream_ok(stream))
		return "the frame's stream is none";
	return NULL;
}

static const char *payload_get(
	const struct kind *k, const uint8_t *buf, size_t len, struct wire_frame *f)
{
	const char *why;

	f->type = buf[4];
	if (k->get == ranges_get)
		f->ranges.last = buf[5] & WIRE_FLAG_LAST;
	why = k->get ? k->get(buf + WIRE_HEADER, len, f) : NULL;
	return !why && k->check ? k->check(f) : why;
}

int wire_next(const uint8_t *buf, size_t len, struct wire_frame *ret, size_t *ret_used,
	const char **ret_why)
{
	struct wire_frame f;
	const struct kind *k;
	const char *why;
	size_t n;

	if (len < WIRE_HEADER)
		return -EAGAIN;
	n = wire_get32(buf);
	k = kind_of(buf[4]);
	f.stream = wire_get16(buf + 6);
	why = header_check(k, n, buf[5], f.stream);
	if (why)
		goto wrong;
	if (len - WIRE_HEADER < n)
		return -EAGAIN;
	if (k) {
		why = payload_get(k, buf, n, &f);
		if (why)
			goto wrong;
	} else {
		f.type = WIRE_SKIP;
		f.skip = (struct wire_skip){
			.type = buf[4],
			.flags = buf[5],
			.data = buf + WIRE_HEADER,
			.len = (uint32_t)n,
		};
	}
	*ret = f;
	*ret_used = WIRE_HEADER + n;
	return 0;
wrong:
	if (ret_why)
		*ret_why = why;
	return -EPROTO;
}

/* How long the payload will be. A sum that wraps is below the kind's minimum. */
static size_t payload_size(const struct wire_frame *f, const struct kind *k)
{
	switch (f->type) {
	case WIRE_OPEN:
		return OPEN_HEAD + strnlen(f->open.name, sizeof(f->open.name));
	case WIRE_OWED:
	case WIRE_SETTLE:
	case WIRE_NACK:
	case WIRE_RETURNED:
		return (size_t)f->ranges.count * WIRE_RANGE;
	case WIRE_BATCH:
		return WIRE_BATCH_HEAD + f->batch.len;
	case WIRE_PART:
		return WIRE_PART_HEAD + (size_t)f->part.len;
	case WIRE_ERROR:
		return ERROR_HEAD + (size_t)f->error.text_len;
	case WIRE_SKIP:
		return f->skip.len;
	default:
		return k->min;
	}
}

ssize_t wire_encode(uint8_t *buf, size_t cap, const struct wire_frame *f)
{
	const struct kind *k = kind_of(f->type);
	bool skip = f->type == WIRE_SKIP && !kind_of(f->skip.type);
	uint8_t type = (uint8_t)f->type, flags = 0;
	size_t n;

	if (!k && !skip)
		return -EINVAL;
	if (skip) {
		type = f->skip.type;
		flags = f->skip.flags;
	} else if (f->type == WIRE_OWED && f->ranges.last) {
		flags = WIRE_FLAG_LAST;
	}
	n = payload_size(f, k);
	if (header_check(k, n, flags, f->stream) || (k && k->check && k->check(f)))
		return -EINVAL;
	if (cap < WIRE_HEADER || cap - WIRE_HEADER < n)
		return -ENOSPC;
	wire_put_header(buf, n, type, flags, f->stream);
	if (skip)
		wire_copy(buf + WIRE_HEADER, f->skip.data, n);
	else if (k->put)
		k->put(buf + WIRE_HEADER, f);
	return (ssize_t)(WIRE_HEADER + n);
}

const char *wire_type_name(enum wire_type type)
{
	const struct kind *k = kind_of(type);

	return k ? k->name : "?";
}

const char *wire_direction_name(enum wire_direction direction)
{
	return direction == WIRE_PULL ? "pull" : direction == WIRE_PUSH ? "push" : "?";
}

const char *wire_code_name(uint16_t code)
{
	static const char *const names[] = {
		[WIRE_E_PROTOCOL] = "protocol",
		[WIRE_E_VERSION] = "version",
		[WIRE_E_DENIED] = "denied",
		[WIRE_E_NO_QUEUE] = "no_queue",
		[WIRE_E_CLOSED] = "closed",
		[WIRE_E_TOO_LARGE] = "too_large",
		[WIRE_E_LIMIT] = "limit",
		[WIRE_E_REPLACED] = "replaced",
		[WIRE_E_LEAVING] = "leaving",
		[WIRE_E_INTERNAL] = "internal",
	};

	return code >= 1 && code < sizeof(names) / sizeof(names[0]) ? names[code] : "?";
}
