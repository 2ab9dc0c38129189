/* SPDX-License-Identifier: ISC */
#include "wire.h"

#include <errno.h>
#include <string.h>

#include "wire_bytes.h"

/*
 * Frames that grow in the buffer they are sent from: batches and ranges. What end() returns is what
 * wire_next() takes, for nothing is added that breaks a limit.
 */

int wire_batch_begin(
	struct wire_batch_build *ret, uint8_t *buf, size_t cap, uint16_t stream, uint64_t first)
{
	if (!wire_stream_ok(stream) || !wire_sequence_ok(first))
		return -EINVAL;
	if (cap < WIRE_HEADER + WIRE_BATCH_HEAD + WIRE_MESSAGE_HEAD)
		return -ENOSPC;
	if (cap > WIRE_HEADER + WIRE_FRAME_MAX)
		cap = WIRE_HEADER + WIRE_FRAME_MAX;
	*ret = (struct wire_batch_build){
		.buf = buf,
		.used = WIRE_HEADER + WIRE_BATCH_HEAD,
		.cap = cap,
		.first = first,
		.stream = stream,
	};
	return 0;
}

int wire_batch_add(struct wire_batch_build *b, const void *data, size_t len, uint32_t attempts)
{
	uint8_t *p = b->buf + b->used;

	if (len > WIRE_BATCH_BYTES_MAX)
		return -EMSGSIZE;
	if (attempts < 1)
		return -EINVAL;
	if (b->cap - b->used < WIRE_MESSAGE_HEAD + len || b->count == WIRE_BATCH_MESSAGES_MAX ||
		b->count > WIRE_SEQUENCE_MAX - b->first)
		return -ENOSPC;
	wire_put32(p, (uint32_t)len);
	wire_put32(p + 4, attempts);
	wire_copy(p + WIRE_MESSAGE_HEAD, data, len);
	b->used += WIRE_MESSAGE_HEAD + len;
	b->count++;
	return 0;
}

size_t wire_batch_end(struct wire_batch_build *b)
{
	uint8_t *p = b->buf + WIRE_HEADER;

	if (b->count == 0)
		return 0;
	wire_put_header(b->buf, b->used - WIRE_HEADER, WIRE_BATCH, 0, b->stream);
	wire_put64(p, b->first);
	wire_put32(p + 8, b->count);
	wire_put32(p + 12, 0);
	return b->used;
}

int wire_ranges_begin(struct wire_ranges_build *ret, uint8_t *buf, size_t cap, enum wire_type type,
	uint16_t stream)
{
	size_t max;

	if (!wire_stream_ok(stream) || (type != WIRE_OWED && type != WIRE_SETTLE &&
					       type != WIRE_NACK && type != WIRE_RETURNED))
		return -EINVAL;
	if (cap < WIRE_HEADER + WIRE_RANGE)
		return -ENOSPC;
	max = (cap - WIRE_HEADER) / WIRE_RANGE;
	*ret = (struct wire_ranges_build){
		.buf = buf,
		.max = (uint32_t)(max < WIRE_RANGES_MAX ? max : WIRE_RANGES_MAX),
		.type = type,
		.stream = stream,
	};
	return 0;
}

static uint8_t *range_at(struct wire_ranges_build *b, uint32_t i)
{
	return b->buf + WIRE_HEADER + (size_t)i * WIRE_RANGE;
}

static void range_set(uint8_t *p, uint64_t first, uint32_t count)
{
	wire_put64(p, first);
	wire_put32(p + 8, count);
}

/* How many ranges begin at or below this sequence. Most often all of them do. */
static uint32_t range_below(struct wire_ranges_build *b, uint64_t sequence)
{
	uint32_t low = 0, high = b->count;

	if (high > 0 && wire_get64(range_at(b, high - 1)) <= sequence)
		return high;
	while (low < high) {
		uint32_t mid = low + (high - low) / 2;

		if (wire_get64(range_at(b, mid)) <= sequence)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

int wire_ranges_add(struct wire_ranges_build *b, uint64_t sequence)
{
	struct wire_range before = {0}, after = {0};
	bool ends, begins;
	uint8_t *p;
	uint32_t i;

	if (!wire_sequence_ok(sequence))
		return -EINVAL;
	i = range_below(b, sequence);
	p = range_at(b, i);
	if (i > 0)
		before = (struct wire_range){wire_get64(p - 12), wire_get32(p - 4)};
	if (i < b->count)
		after = (struct wire_range){wire_get64(p), wire_get32(p + 8)};
	if (i > 0 && sequence < before.first + before.count)
		return -EEXIST;

	ends = i > 0 && sequence == before.first + before.count && before.count < UINT32_MAX;
	begins = i < b->count && sequence + 1 == after.first && after.count < UINT32_MAX;
	if (ends && begins && (uint64_t)before.count + 1 + after.count <= UINT32_MAX) {
		/* It joins the two. */
		range_set(p - WIRE_RANGE, before.first, before.count + 1 + after.count);
		memmove(p, p + WIRE_RANGE, (size_t)(b->count - i - 1) * WIRE_RANGE);
		b->count--;
	} else if (ends) {
		range_set(p - WIRE_RANGE, before.first, before.count + 1);
	} else if (begins) {
		range_set(p, sequence, after.count + 1);
	} else {
		if (b->count == b->max)
			return -ENOSPC;
		memmove(p + WIRE_RANGE, p, (size_t)(b->count - i) * WIRE_RANGE);
		range_set(p, sequence, 1);
		b->count++;
	}
	return 0;
}

size_t wire_ranges_end(struct wire_ranges_build *b, bool last)
{
	size_t len = (size_t)b->count * WIRE_RANGE;
	uint8_t flags = b->type == WIRE_OWED && last ? WIRE_FLAG_LAST : 0;

	if (b->count == 0 && !flags)
		return 0;
	wire_put_header(b->buf, len, (uint8_t)b->type, flags, b->stream);
	return WIRE_HEADER + len;
}
