/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "frames.h"
#include "wire_bytes.h"

/*
 * libFuzzer's target. Any bytes are a frame, the beginning of one, or an error; a frame encodes to
 * the bytes it came from; and what can be read of it lies inside them.
 */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t len, size_t max, unsigned seed);
size_t LLVMFuzzerMutate(uint8_t *data, size_t len, size_t max);

#define CLAIM(x)                                                                                   \
	do {                                                                                       \
		if (!(x))                                                                          \
			__builtin_trap();                                                          \
	} while (0)

static void look(const struct wire_frame *f, const uint8_t *begin, const uint8_t *end)
{
	struct wire_batch_walk walk;
	struct wire_message m;
	uint32_t n = 0;

	if (f->type == WIRE_BATCH) {
		wire_batch_start(&walk, &f->batch);
		while (wire_batch_next(&walk, &m)) {
			CLAIM(m.sequence == f->batch.first + n && m.data > begin);
			CLAIM(m.data <= end && m.len <= (size_t)(end - m.data));
			n++;
		}
		CLAIM(n == f->batch.count && walk.at == end);
	} else if (f->type == WIRE_OWED || f->type == WIRE_SETTLE || f->type == WIRE_NACK ||
		   f->type == WIRE_RETURNED) {
		uint64_t last = 0;

		for (; n < f->ranges.count; n++) {
			struct wire_range r = wire_range_at(&f->ranges, n);

			CLAIM(r.count > 0 && r.first > last);
			last = r.first + r.count - 1;
			CLAIM(last <= WIRE_SEQUENCE_MAX);
		}
	} else if (f->type == WIRE_PART) {
		CLAIM(f->part.data + f->part.len == end);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	while (len > 0) {
		uint8_t *again;
		struct wire_frame f;
		const char *why = NULL;
		size_t used = 0;
		int r = wire_next(data, len, &f, &used, &why);

		if (r == -EAGAIN)
			CLAIM(len < WIRE_HEADER + WIRE_FRAME_MAX);
		else if (r == -EPROTO)
			CLAIM(why && *why);
		else
			CLAIM(r == 0 && used >= WIRE_HEADER && used <= len);
		if (r < 0)
			break;
		look(&f, data, data + used);
		again = malloc(used);
		CLAIM(again);
		CLAIM(wire_encode(again, used - 1, &f) == -ENOSPC);
		CLAIM(wire_encode(again, used, &f) == (ssize_t)used);
		CLAIM(memcmp(again, data, used) == 0);
		free(again);
		data += used;
		len -= used;
	}
	return 0;
}

/* Now and then a valid frame to begin with, and often a length that is right. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t len, size_t max, unsigned seed)
{
	static struct frames frames;
	struct wire_frame f;

	frames.state = seed;
	if (len == 0 || frames_below(&frames, 16) == 0) {
		ssize_t n;

		frames_make(&frames, &f, (enum wire_type)frames_below(&frames, WIRE_TYPES), true);
		n = wire_encode(data, max, &f);
		return n > 0 ? (size_t)n : 0;
	}
	len = LLVMFuzzerMutate(data, len, max);
	if (len >= WIRE_HEADER && frames_below(&frames, 2))
		wire_put32(data, (uint32_t)(len - WIRE_HEADER));
	return len;
}
