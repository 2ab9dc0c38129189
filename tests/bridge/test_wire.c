/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "frames.h"
#include "wire_bytes.h"

/*
 * Frames there and back, each limit at its edge and beyond it, and bytes that are none. What is
 * decoded lies in memory of exactly its size, so that a sanitizer sees a step beyond it.
 */

#define WHOLE (WIRE_HEADER + WIRE_FRAME_MAX)

static struct frames frames;
static uint8_t out[WHOLE];

static uint8_t *exactly(const void *bytes, size_t len)
{
	uint8_t *p = malloc(len > 0 ? len : 1);

	assert_non_null(p);
	if (len > 0)
		memcpy(p, bytes, len);
	return p;
}

/* Decodes bytes that are one frame, whole, and encode to themselves. */
static void there_and_back(const uint8_t *bytes, size_t len, struct wire_frame *ret)
{
	static uint8_t again[WHOLE];
	const char *why = "?";
	size_t used = 0;
	int r = wire_next(bytes, len, ret, &used, &why);

	if (r != 0)
		fail_msg("%d: %s", r, why);
	assert_int_equal(used, len);
	assert_int_equal(wire_encode(again, len, ret), (ssize_t)len);
	assert_memory_equal(again, bytes, len);
}

static void test_round_trip(void **state)
{
	struct wire_frame f, got;

	frames.state = 1;
	for (int i = 0; i < 200; i++)
		for (unsigned type = WIRE_SKIP; type < WIRE_TYPES; type++) {
			uint8_t *p;
			ssize_t n;

			frames_make(&frames, &f, type, i % 10 != 0);
			n = wire_encode(out, sizeof(out), &f);
			assert_true(n >= WIRE_HEADER);
			p = exactly(out, (size_t)n);
			there_and_back(p, (size_t)n, &got);
			assert_int_equal(got.type, type);
			assert_int_equal(got.stream, f.stream);
			free(p);
		}
}

/* The bytes of docs/PROTOCOL.md: a change here is another version. */
static void test_bytes(void **state)
{
	static const uint8_t data[] = {1, 0, 0, 0, 1, 0, 0, 0, 'x', 0, 0, 0, 0, 2, 0, 0, 0};
	static const uint8_t pairs[] = {2, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0};
	static const struct {
		struct wire_frame f;
		const char *hex;
	} known[] = {
		{{.type = WIRE_HELLO,
			 .hello = {1, 2, 0x1122334455667788, {0xaa, [15] = 0xbb}, 60000, 5000}},
			"28000000 01 00 0000 7371620a 0100 0200 8877665544332211 "
			"aa0000000000000000000000000000bb 60ea0000 88130000"},
		{{.type = WIRE_OPEN, .stream = 1, .open = {WIRE_PULL, 3, 0x0102, 9, 1048576, "pq"}},
			"22000000 02 00 0100 01 02 0000 03000000 0201000000000000 "
			"0900000000000000 0000100000000000 7071"},
		{{.type = WIRE_OPENED, .stream = 64, .opened = {WIRE_STALE, 5, 6, 7, 8, 9}},
			"30000000 03 00 4000 02 00000000000000 0500000000000000 "
			"0600000000000000 0700000000000000 0800000000000000 09000000 00000000"},
		{{.type = WIRE_OWED, .stream = 1, .ranges = {pairs, 1, true}},
			"0c000000 04 01 0100 0200000000000000 03000000"},
		{{.type = WIRE_CREDIT, .stream = 1, .credit = {10, 11}},
			"10000000 05 00 0100 0a00000000000000 0b00000000000000"},
		{{.type = WIRE_BATCH, .stream = 2, .batch = {5, 2, data, sizeof(data)}},
			"21000000 06 00 0200 0500000000000000 02000000 00000000 "
			"01000000 01000000 78 00000000 02000000"},
		{{.type = WIRE_PART, .stream = 2, .part = {5, 100000, 65504, 3, data, 1}},
			"21000000 07 00 0200 0500000000000000 a086010000000000 e0ff000000000000 "
			"03000000 00000000 01"},
		{{.type = WIRE_ACK, .stream = 2, .received = 7},
			"08000000 08 00 0200 0700000000000000"},
		{{.type = WIRE_SETTLE, .stream = 1, .ranges = {pairs, 1, false}},
			"0c000000 09 00 0100 0200000000000000 03000000"},
		{{.type = WIRE_NACK, .stream = 1, .ranges = {pairs, 1, false}},
			"0c000000 0a 00 0100 0200000000000000 03000000"},
		{{.type = WIRE_RETURNED, .stream = 1, .ranges = {pairs, 1, false}},
			"0c000000 10 00 0100 0200000000000000 03000000"},
		{{.type = WIRE_PING, .nonce = 1}, "08000000 0b 00 0000 0100000000000000"},
		{{.type = WIRE_PONG, .nonce = 2}, "08000000 0c 00 0000 0200000000000000"},
		{{.type = WIRE_DRAIN}, "00000000 0d 00 0000"},
		{{.type = WIRE_BYE}, "00000000 0e 00 0000"},
		{{.type = WIRE_ERROR, .stream = 3, .error = {WIRE_E_DENIED, 1000, "no", 2}},
			"0a000000 0f 00 0300 0300 0000 e8030000 6e6f"},
		{{.type = WIRE_SKIP, .stream = 999, .skip = {200, 0x83, data, 1}},
			"01000000 c8 83 e703 01"},
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		uint8_t want[256];
		struct wire_frame f;
		size_t n = 0;

		for (const char *p = known[i].hex; *p; p++) {
			unsigned byte;

			if (*p == ' ')
				continue;
			assert_int_equal(sscanf(p, "%2x", &byte), 1);
			want[n++] = (uint8_t)byte;
			p++;
		}
		assert_int_equal(wire_encode(out, sizeof(out), &known[i].f), (ssize_t)n);
		assert_memory_equal(out, want, n);
		there_and_back(want, n, &f);
		assert_int_equal(f.type, known[i].f.type);
		assert_int_equal(f.stream, known[i].f.stream);
		switch (f.type) {
		case WIRE_HELLO:
			assert_int_equal(f.hello.lowest, 1);
			assert_int_equal(f.hello.highest, 2);
			assert_true(f.hello.features == 0x1122334455667788);
			assert_int_equal(f.hello.instance[0], 0xaa);
			assert_int_equal(f.hello.instance[15], 0xbb);
			assert_int_equal(f.hello.redeliver_after_ms, 60000);
			assert_int_equal(f.hello.heartbeat_ms, 5000);
			break;
		case WIRE_OPEN:
			assert_string_equal(f.open.name, "pq");
			assert_int_equal(f.open.sequence, 9);
			assert_int_equal(f.open.owed, 3);
			break;
		case WIRE_OPENED:
			assert_int_equal(f.opened.capacity, 8);
			assert_int_equal(f.opened.small, 9);
			break;
		case WIRE_OWED:
			assert_true(f.ranges.last);
			break;
		case WIRE_ERROR:
			assert_int_equal(f.error.text_len, 2);
			assert_memory_equal(f.error.text, "no", 2);
			break;
		default:
			break;
		}
	}
}

/* Every beginning of every frame asks for more, and reads nothing behind what it was given. */
static void test_truncated(void **state)
{
	struct wire_frame f, untouched;

	frames.state = 2;
	memset(&untouched, 0x5a, sizeof(untouched));
	for (int i = 0; i < 20; i++)
		for (unsigned type = WIRE_SKIP; type < WIRE_TYPES; type++) {
			ssize_t n;

			frames_make(&frames, &f, type, true);
			n = wire_encode(out, sizeof(out), &f);
			assert_true(n >= WIRE_HEADER);
			for (size_t len = 0; len < (size_t)n; len++) {
				uint8_t *p = exactly(out, len);
				struct wire_frame got = untouched;
				const char *why = "kept";
				size_t used = 77;

				assert_int_equal(wire_next(p, len, &got, &used, &why), -EAGAIN);
				assert_memory_equal(&got, &untouched, sizeof(got));
				assert_int_equal(used, 77);
				assert_string_equal(why, "kept");
				assert_int_equal(wire_encode(p, len, &f), -ENOSPC);
				free(p);
			}
		}
}

static void test_many_in_a_buffer(void **state)
{
	static uint8_t buf[1 << 20];
	struct wire_frame f;
	size_t at = 0, end = 0, used;
	unsigned types[400];
	int n = 0;

	frames.state = 3;
	for (; n < 400 && end < sizeof(buf) - WHOLE; n++) {
		types[n] = (unsigned)frames_below(&frames, WIRE_TYPES);
		frames_make(&frames, &f, types[n], true);
		end += (size_t)wire_encode(buf + end, sizeof(buf) - end, &f);
	}
	assert_int_equal(n, 400);
	for (int i = 0; i < n; i++) {
		assert_int_equal(wire_next(buf + at, end - at, &f, &used, NULL), 0);
		assert_int_equal(f.type, types[i]);
		at += used;
	}
	assert_int_equal(at, end);
	assert_int_equal(wire_next(buf + at, 0, &f, &used, NULL), -EAGAIN);
}

/* Frames that are at their limits, with some bytes changed: right, or wrong for this reason. */
static void test_limits(void **state)
{
	static const uint8_t batch[] = {2, 0, 0, 0, 1, 0, 0, 0, 'x', 'y', 0, 0, 0, 0, 1, 0, 0, 0};
	static const uint8_t pairs[] = {
		2, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0};
	static const struct wire_frame hello = {
		.type = WIRE_HELLO, .hello = {1, 1, 0, {1}, 60000, 5000}};
	static const struct wire_frame pull = {
		.type = WIRE_OPEN, .stream = 1, .open = {WIRE_PULL, 1, 1, 70000, 64, "pq"}};
	static const struct wire_frame push = {
		.type = WIRE_OPEN, .stream = 1, .open = {WIRE_PUSH, 0, 0, 1, 64, "pq"}};
	static const struct wire_frame opened = {
		.type = WIRE_OPENED, .stream = 1, .opened = {WIRE_FRESH, 1, 1, 64, 64, 48}};
	static const struct wire_frame owed = {
		.type = WIRE_OWED, .stream = 1, .ranges = {pairs, 2, false}};
	static const uint8_t last[] = {0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 1, 0, 0, 0};
	static const struct wire_frame end = {
		.type = WIRE_SETTLE, .stream = 1, .ranges = {last, 1, false}};
	static const struct wire_frame settle = {
		.type = WIRE_SETTLE, .stream = 1, .ranges = {pairs, 2, false}};
	static const struct wire_frame credit = {
		.type = WIRE_CREDIT, .stream = 1, .credit = {1, 1}};
	static const struct wire_frame two = {
		.type = WIRE_BATCH, .stream = 1, .batch = {1, 2, batch, sizeof(batch)}};
	static const struct wire_frame part = {
		.type = WIRE_PART, .stream = 1, .part = {1, 10, 8, 1, batch, 2}};
	static const struct wire_frame ack = {.type = WIRE_ACK, .stream = 1, .received = 1};
	static const struct wire_frame ping = {.type = WIRE_PING, .nonce = 1};
	static const struct wire_frame error = {
		.type = WIRE_ERROR, .error = {WIRE_E_LIMIT, 0, "t", 1}};
	static const struct wire_frame skip = {.type = WIRE_SKIP, .skip = {99, 0x80, batch, 1}};
	static const struct {
		const struct wire_frame *f;
		size_t at; /* in the frame, header included */
		size_t width;
		uint64_t value;
		const char *why; /* NULL: it is right */
	} cases[] = {
		/* the header */
		{&ping, 0, 4, WIRE_FRAME_MAX + 1, "longer than any"},
		{&ping, 0, 4, UINT32_MAX, "longer than any"},
		{&ping, 0, 4, 7, "length is outside"},
		{&ping, 0, 4, 9, "length is outside"},
		{&hello, 0, 4, 39, "length is outside"},
		{&hello, 0, 4, 41, "length is outside"},
		{&pull, 0, 4, 32, "length is outside"},
		{&pull, 0, 4, 97, "length is outside"},
		{&settle, 0, 4, 0, "length is outside"},
		{&settle, 0, 4, WIRE_RANGES_MAX * 12 + 12, "length is outside"},
		{&two, 0, 4, 23, "length is outside"},
		{&part, 0, 4, 32, "length is outside"},
		{&error, 0, 4, 7, "length is outside"},
		{&error, 0, 4, 8 + WIRE_TEXT_MAX + 1, "length is outside"},
		{&ping, 4, 1, WIRE_TYPES, "unknown"},
		{&ping, 4, 1, 0, "unknown"},
		{&ping, 4, 1, 255, "unknown"},
		{&ping, 4, 1, WIRE_PONG, NULL},
		{&skip, 5, 1, 0x7f, "unknown"},
		{&skip, 5, 1, 0xff, NULL},
		{&skip, 6, 2, 65535, NULL},
		{&ping, 5, 1, 1, "flags"},
		{&ping, 5, 1, 0x80, "flags"},
		{&settle, 5, 1, 1, "flags"},
		{&owed, 5, 1, 1, NULL},
		{&owed, 5, 1, 2, "flags"},
		{&ping, 6, 2, 1, "stream"},
		{&ack, 6, 2, 0, "stream"},
		{&ack, 6, 2, WIRE_STREAMS_MAX, NULL},
		{&ack, 6, 2, WIRE_STREAMS_MAX + 1, "stream"},
		{&ack, 6, 2, 65535, "stream"},
		{&error, 6, 2, 1, NULL},
		{&error, 6, 2, WIRE_STREAMS_MAX, NULL},
		{&error, 6, 2, WIRE_STREAMS_MAX + 1, "stream"},
		/* hello */
		{&hello, 8, 4, 0x0a627172, "magic"},
		{&hello, 12, 2, 0, "versions"},
		{&hello, 12, 2, 2, "versions"},
		{&hello, 14, 2, 65535, NULL},
		{&hello, 24, 1, 0, "instance"},
		{&hello, 40, 4, WIRE_REDELIVER_MS_MAX, NULL},
		{&hello, 40, 4, WIRE_REDELIVER_MS_MAX + 1, "redeliver_after"},
		{&hello, 44, 4, 0, "heartbeat"},
		{&hello, 44, 4, WIRE_HEARTBEAT_MS_MAX, NULL},
		{&hello, 44, 4, WIRE_HEARTBEAT_MS_MAX + 1, "heartbeat"},
		/* open */
		{&pull, 8, 1, 0, "neither"},
		{&pull, 8, 1, 3, "neither"},
		{&pull, 9, 1, 1, "name's length"},
		{&pull, 9, 1, 3, "name's length"},
		{&pull, 9, 1, 255, "name's length"},
		{&pull, 10, 2, 1, "reserved"},
		{&pull, 10, 2, 0x8000, "reserved"},
		{&pull, 12, 4, WIRE_WINDOW_MAX, NULL},
		{&pull, 12, 4, WIRE_WINDOW_MAX + 1, "window"},
		{&pull, 16, 8, 0, "without an epoch"},
		{&pull, 16, 8, WIRE_EPOCH_MAX, NULL},
		{&pull, 16, 8, WIRE_EPOCH_MAX + 1, "no epoch"},
		{&push, 16, 8, 1, "push with an epoch"},
		{&push, 12, 4, 1, "without an epoch"},
		{&pull, 24, 8, WIRE_SEQUENCE_MAX, NULL},
		{&pull, 24, 8, WIRE_SEQUENCE_MAX + 1, "no sequence"},
		{&pull, 24, 8, 1, NULL},
		{&pull, 24, 8, 0, "more than it received"},
		{&push, 24, 8, 0, "no sequence"},
		{&push, 24, 8, UINT64_MAX, "no sequence"},
		{&pull, 32, 8, 0, "max_message"},
		{&pull, 32, 8, WIRE_MESSAGE_MAX, NULL},
		{&pull, 32, 8, WIRE_MESSAGE_MAX + 1, "max_message"},
		{&pull, 40, 1, '.', "no name"},
		{&pull, 40, 1, 0, "no name"},
		{&pull, 41, 1, 0, "no name"},
		{&pull, 41, 1, '/', "no name"},
		{&pull, 41, 1, '@', "no name"},
		{&pull, 41, 1, '[', "no name"},
		{&pull, 41, 1, '`', "no name"},
		{&pull, 41, 1, '{', "no name"},
		{&pull, 41, 1, ':', "no name"},
		{&pull, 41, 1, 0xe4, "no name"},
		{&pull, 40, 2, '-' | '_' << 8, NULL},
		{&pull, 40, 2, '0' | '9' << 8, NULL},
		{&pull, 40, 2, 'A' | 'Z' << 8, NULL},
		{&pull, 40, 2, 'a' | 'z' << 8, NULL},
		/* opened */
		{&opened, 8, 1, 2, NULL},
		{&opened, 8, 1, 3, "no result"},
		{&opened, 9, 1, 1, "reserved"},
		{&opened, 15, 1, 0x80, "reserved"},
		{&opened, 24, 8, WIRE_SEQUENCE_MAX, NULL},
		{&opened, 24, 8, WIRE_SEQUENCE_MAX + 1, "no sequence"},
		{&opened, 32, 8, 0, "max_message"},
		{&opened, 32, 8, WIRE_MESSAGE_MAX + 1, "max_message"},
		{&opened, 40, 8, 0, "capacity"},
		{&opened, 40, 8, WIRE_CAPACITY_MAX, NULL},
		{&opened, 40, 8, WIRE_CAPACITY_MAX + 1, "capacity"},
		{&opened, 48, 4, WIRE_SMALL_MAX, NULL},
		{&opened, 48, 4, WIRE_SMALL_MAX + 1, "small"},
		{&opened, 52, 4, 1, "reserved"},
		/* owed, settle, nack */
		{&settle, 0, 4, 13, "cut"},
		{&settle, 0, 4, 23, "cut"},
		{&settle, 0, 4, 12, NULL},
		{&settle, 4, 1, WIRE_NACK, NULL},
		{&settle, 4, 1, WIRE_RETURNED, NULL},
		{&settle, 8, 8, 0, "no sequence"},
		{&settle, 16, 4, 0, "empty"},
		{&settle, 28, 4, 0, "empty"},
		{&settle, 16, 4, 7, NULL},
		{&settle, 16, 4, 8, "overlapping"},
		{&settle, 16, 4, UINT32_MAX, "overlapping"},
		{&settle, 20, 8, 5, NULL},
		{&settle, 20, 8, 4, "overlapping"},
		{&settle, 20, 8, 1, "overlapping"},
		{&settle, 20, 8, WIRE_SEQUENCE_MAX, NULL},
		{&settle, 20, 8, WIRE_SEQUENCE_MAX + 1, "no sequence"},
		{&settle, 20, 8, UINT64_MAX, "no sequence"},
		{&settle, 8, 8, UINT64_MAX - 2, "no sequence"},
		{&end, 16, 4, 2, NULL},
		{&end, 16, 4, 3, "no sequence"},
		{&end, 16, 4, UINT32_MAX, "no sequence"},
		{&owed, 16, 4, 8, "overlapping"},
		/* credit, ack */
		{&credit, 8, 8, 0, NULL},
		{&credit, 8, 8, WIRE_SEQUENCE_MAX, NULL},
		{&credit, 8, 8, WIRE_SEQUENCE_MAX + 1, "no sequence"},
		{&credit, 16, 8, UINT64_MAX, NULL},
		{&ack, 8, 8, 0, NULL},
		{&ack, 8, 8, WIRE_SEQUENCE_MAX, NULL},
		{&ack, 8, 8, WIRE_SEQUENCE_MAX + 1, "no sequence"},
		/* batch */
		{&two, 8, 8, 0, "no sequence"},
		{&two, 8, 8, WIRE_SEQUENCE_MAX - 1, NULL},
		{&two, 8, 8, WIRE_SEQUENCE_MAX, "no sequence"},
		{&two, 8, 8, UINT64_MAX, "no sequence"},
		{&two, 16, 4, 0, "number of messages"},
		{&two, 16, 4, 1, "bytes behind"},
		{&two, 16, 4, 3, "fewer messages"},
		{&two, 16, 4, WIRE_BATCH_MESSAGES_MAX, "fewer messages"},
		{&two, 16, 4, WIRE_BATCH_MESSAGES_MAX + 1, "number of messages"},
		{&two, 16, 4, UINT32_MAX, "number of messages"},
		{&two, 20, 4, 1, "reserved"},
		{&two, 24, 4, 1, "longer than the frame"},
		{&two, 24, 4, 3, "fewer messages"},
		{&two, 24, 4, 10, "fewer messages"},
		{&two, 24, 4, 11, "longer than the frame"},
		{&two, 24, 4, UINT32_MAX, "longer than the frame"},
		{&two, 24, 4, UINT32_MAX - 7, "longer than the frame"},
		{&two, 34, 4, 1, "longer than the frame"},
		{&two, 34, 4, UINT32_MAX, "longer than the frame"},
		{&two, 28, 4, 0, "never attempted"},
		{&two, 38, 4, 0, "never attempted"},
		{&two, 38, 4, UINT32_MAX, NULL},
		/* part */
		{&part, 8, 8, 0, "no sequence"},
		{&part, 8, 8, WIRE_SEQUENCE_MAX + 1, "no sequence"},
		{&part, 16, 8, 0, "message's length"},
		{&part, 16, 8, 9, "not a part"},
		{&part, 16, 8, WIRE_MESSAGE_MAX, NULL},
		{&part, 16, 8, WIRE_MESSAGE_MAX + 1, "message's length"},
		{&part, 24, 8, 9, "not a part"},
		{&part, 24, 8, 10, "not a part"},
		{&part, 24, 8, UINT64_MAX, "not a part"},
		{&part, 24, 8, UINT64_MAX - 1, "not a part"},
		{&part, 32, 4, 0, "never attempted"},
		{&part, 36, 4, 1, "reserved"},
		/* error */
		{&error, 8, 2, 0, "no code"},
		{&error, 8, 2, 65535, NULL},
		{&error, 10, 2, 1, "reserved"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct wire_frame got, untouched;
		const char *why = NULL;
		size_t used = 77, len;
		uint8_t *p;
		ssize_t n = wire_encode(out, sizeof(out), cases[i].f);
		int r;

		assert_true(n > 0);
		for (size_t k = 0; k < cases[i].width; k++)
			out[cases[i].at + k] = (uint8_t)(cases[i].value >> 8 * k);
		/* A changed length takes its bytes with it. */
		len = WIRE_HEADER + (size_t)wire_get32(out);
		if (cases[i].at == 0 && len > WHOLE)
			len = WIRE_HEADER;
		p = exactly(out, len);
		memset(&untouched, 0x5a, sizeof(untouched));
		got = untouched;
		r = wire_next(p, len, &got, &used, &why);
		if (cases[i].why) {
			if (r != -EPROTO || !strstr(why, cases[i].why))
				fail_msg("case %zu: %d %s, not: %s", i, r, why ? why : "",
					cases[i].why);
			assert_memory_equal(&got, &untouched, sizeof(got));
			assert_int_equal(used, 77);
			assert_int_equal(wire_next(p, len, &got, &used, NULL), -EPROTO);
		} else {
			if (r != 0)
				fail_msg("case %zu: %d %s", i, r, why ? why : "");
			there_and_back(p, len, &got);
		}
		free(p);
	}
}

/* What is wrong with a header is said before the rest is there. */
static void test_header_is_enough(void **state)
{
	static const struct {
		uint8_t header[WIRE_HEADER];
		const char *why;
	} cases[] = {
		{{1, 0, 1, 0, WIRE_BATCH, 0, 1, 0}, "longer than any"},
		{{9, 0, 0, 0, WIRE_PING, 0, 0, 0}, "length is outside"},
		{{0, 0, 1, 0, WIRE_TYPES, 0, 0, 0}, "unknown"},
		{{0, 0, 1, 0, WIRE_BATCH, 1, 1, 0}, "flags"},
		{{0, 0, 1, 0, WIRE_BATCH, 0, 65, 0}, "stream"},
		{{0, 0, 1, 0, WIRE_BATCH, 0, 0, 1}, "stream"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint8_t *p = exactly(cases[i].header, WIRE_HEADER);
		struct wire_frame f;
		const char *why = "";
		size_t used;

		assert_int_equal(wire_next(p, WIRE_HEADER, &f, &used, &why), -EPROTO);
		assert_non_null(strstr(why, cases[i].why));
		free(p);
	}
}

/* The largest of each kind that has a largest, to the byte. */
static void test_largest(void **state)
{
	static uint8_t payload[WIRE_FRAME_MAX];
	struct wire_batch_build b;
	struct wire_ranges_build rb;
	struct wire_frame f = {.type = WIRE_PART, .stream = 1}, got;

	f.part = (struct wire_part){1, WIRE_PART_BYTES_MAX, 0, 1, payload, WIRE_PART_BYTES_MAX};
	assert_int_equal(wire_encode(out, sizeof(out), &f), WHOLE);
	there_and_back(out, WHOLE, &got);
	f.part.total++;
	f.part.len++;
	assert_int_equal(wire_encode(out, sizeof(out), &f), -EINVAL);

	f = (struct wire_frame){.type = WIRE_SKIP, .skip = {77, 0x80, payload, WIRE_FRAME_MAX}};
	assert_int_equal(wire_encode(out, sizeof(out), &f), WHOLE);
	there_and_back(out, WHOLE, &got);
	f.skip.len++;
	assert_int_equal(wire_encode(out, sizeof(out), &f), -EINVAL);

	assert_int_equal(wire_batch_begin(&b, out, sizeof(out), 1, 1), 0);
	assert_int_equal(wire_batch_add(&b, payload, WIRE_BATCH_BYTES_MAX + 1, 1), -EMSGSIZE);
	assert_int_equal(wire_batch_add(&b, payload, WIRE_BATCH_BYTES_MAX, 1), 0);
	assert_int_equal(wire_batch_add(&b, payload, 0, 1), -ENOSPC);
	assert_int_equal(wire_batch_end(&b), WHOLE);
	there_and_back(out, WHOLE, &got);

	assert_int_equal(wire_ranges_begin(&rb, out, sizeof(out), WIRE_NACK, 1), 0);
	for (uint64_t i = 0; i < WIRE_RANGES_MAX; i++)
		assert_int_equal(wire_ranges_add(&rb, 2 * i + 1), 0);
	assert_int_equal(wire_ranges_add(&rb, 2 * WIRE_RANGES_MAX + 1), -ENOSPC);
	assert_int_equal(wire_ranges_add(&rb, 2 * WIRE_RANGES_MAX), 0);
	assert_int_equal(wire_ranges_end(&rb, false), WIRE_HEADER + WIRE_RANGES_MAX * WIRE_RANGE);
	there_and_back(out, WIRE_HEADER + WIRE_RANGES_MAX * WIRE_RANGE, &got);
	assert_int_equal(got.ranges.count, WIRE_RANGES_MAX);
}

/* We do not send what we would not take. */
static void test_encode_refuses(void **state)
{
	static uint8_t payload[WIRE_FRAME_MAX + 64];
	struct wire_frame f;

	f = (struct wire_frame){.type = WIRE_PING, .stream = 1};
	assert_int_equal(wire_encode(out, sizeof(out), &f), -EINVAL);
	f = (struct wire_frame){.type = WIRE_TYPES};
	assert_int_equal(wire_encode(out, sizeof(out), &f), -EINVAL);
	f = (struct wire_frame){.type = WIRE_ACK, .stream = 65};
	assert_int_equal(wire_encode(out, sizeof(out), &f), -EINVAL);
	f = (struct wire_frame){.type = WIRE_SKIP, .skip = {WIRE_PING, 0x80, payload, 8}};
	assert_int_equal(wire_encode(out, sizeof(out), &f), -EINVAL);
	f = (struct wire_frame){.type = WIRE_SKIP, .skip = {99, 0, payload, 8}};
	assert_int_equal(wire_encode(out, sizeof(out), &f), -EINVAL);
	f = (struct wire_frame){
		.type = WIRE_OPEN, .stream = 1, .open = {WIRE_PULL, 0, 0, 0, 1, ""}};
	assert_int_equal(wire_encode(out, sizeof(out), &f), -EINVAL);
	memset(f.open.name, 'x', sizeof(f.open.name));
	assert_int_equal(wire_encode(out, sizeof(out), &f), -EINVAL);
	f.open.name[WIRE_NAME_MAX] = '\0';
	assert_int_equal(wire_encode(out, sizeof(out), &f), WIRE_HEADER + 32 + WIRE_NAME_MAX);
	f = (struct wire_frame){.type = WIRE_OWED, .stream = 1};
	assert_int_equal(wire_encode(out, sizeof(out), &f), -EINVAL);
	f.ranges.last = true;
	assert_int_equal(wire_encode(out, sizeof(out), &f), WIRE_HEADER);
	for (unsigned type = 0; type < WIRE_TYPES; type++)
		if (type == WIRE_SETTLE || type == WIRE_NACK || type == WIRE_RETURNED) {
			uint8_t one[WIRE_RANGE] = {[0] = 1, [8] = 1};

			f = (struct wire_frame){
				.type = type, .stream = 1, .ranges = {one, 1, true}};
			assert_int_equal(wire_encode(out, sizeof(out), &f), -EINVAL);
			f.ranges.last = false;
			assert_int_equal(wire_encode(out, sizeof(out), &f), 20);
		}
	f = (struct wire_frame){
		.type = WIRE_SETTLE, .stream = 1, .ranges = {payload, UINT32_MAX, false}};
	assert_int_equal(wire_encode(out, sizeof(out), &f), -EINVAL);
	f = (struct wire_frame){
		.type = WIRE_BATCH, .stream = 1, .batch = {1, 1, payload, SIZE_MAX}};
	assert_int_equal(wire_encode(out, sizeof(out), &f), -EINVAL);
	f.batch.len = SIZE_MAX - WIRE_BATCH_HEAD;
	assert_int_equal(wire_encode(out, sizeof(out), &f), -EINVAL);
	f.batch.len = SIZE_MAX - WIRE_BATCH_HEAD + 1;
	assert_int_equal(wire_encode(out, sizeof(out), &f), -EINVAL);
	f = (struct wire_frame){
		.type = WIRE_ERROR, .error = {1, 0, (const char *)payload, WIRE_TEXT_MAX + 1}};
	assert_int_equal(wire_encode(out, sizeof(out), &f), -EINVAL);
	f.error.text_len = UINT32_MAX;
	assert_int_equal(wire_encode(out, sizeof(out), &f), -EINVAL);
}

static void test_batch_build(void **state)
{
	static uint8_t data[3000];
	struct wire_batch_build b;

	frames.state = 4;
	for (int i = 0; i < 300; i++) {
		size_t cap = WIRE_HEADER + WIRE_BATCH_HEAD + WIRE_MESSAGE_HEAD +
			     frames_below(&frames, i % 2 ? 300 : 100000);
		uint64_t first = 1 + frames_below(&frames, 1000), seed = frames.state;
		struct wire_batch_walk walk;
		struct wire_message m;
		struct wire_frame f;
		uint8_t *p = malloc(cap);
		uint32_t n = 0;
		size_t len;
		int r;

		assert_int_equal(wire_batch_begin(&b, p, cap, 5, first), 0);
		assert_int_equal(wire_batch_end(&b), 0);
		for (;; n++) {
			len = frames_below(&frames, i % 3 ? 20 : 3000);
			memset(data, (int)n, len);
			r = wire_batch_add(&b, data, len, n + 1);
			if (r < 0)
				break;
		}
		assert_int_equal(r, -ENOSPC);
		if (n == 0) {
			/* Nothing fitted; an empty message does. */
			assert_int_equal(wire_batch_add(&b, NULL, 0, 1), 0);
			free(p);
			continue;
		}
		assert_int_equal(wire_batch_add(&b, data, 0, 0), -EINVAL);
		there_and_back(p, wire_batch_end(&b), &f);
		assert_int_equal(f.stream, 5);
		assert_int_equal(f.batch.count, n);
		frames.state = seed;
		wire_batch_start(&walk, &f.batch);
		for (uint32_t k = 0; k < n; k++) {
			assert_true(wire_batch_next(&walk, &m));
			len = frames_below(&frames, i % 3 ? 20 : 3000);
			memset(data, (int)k, len);
			assert_int_equal(m.sequence, first + k);
			assert_int_equal(m.attempts, k + 1);
			assert_int_equal(m.len, len);
			if (len > 0)
				assert_memory_equal(m.data, data, len);
		}
		assert_false(wire_batch_next(&walk, &m));
		free(p);
	}
}

static void test_batch_build_limits(void **state)
{
	struct wire_batch_build b;
	struct wire_frame f;

	assert_int_equal(wire_batch_begin(&b, out, 31, 1, 1), -ENOSPC);
	assert_int_equal(wire_batch_begin(&b, out, 0, 1, 1), -ENOSPC);
	assert_int_equal(wire_batch_begin(&b, out, sizeof(out), 0, 1), -EINVAL);
	assert_int_equal(wire_batch_begin(&b, out, sizeof(out), 65, 1), -EINVAL);
	assert_int_equal(wire_batch_begin(&b, out, sizeof(out), 1, 0), -EINVAL);
	assert_int_equal(wire_batch_begin(&b, out, sizeof(out), 1, WIRE_SEQUENCE_MAX + 1), -EINVAL);
	/* More room than a frame is not used. */
	assert_int_equal(wire_batch_begin(&b, out, SIZE_MAX, 1, 1), 0);
	assert_int_equal(b.cap, WHOLE);
	for (int i = 0; i < WIRE_BATCH_MESSAGES_MAX; i++)
		assert_int_equal(wire_batch_add(&b, NULL, 0, 1), 0);
	assert_int_equal(wire_batch_add(&b, NULL, 0, 1), -ENOSPC);
	there_and_back(out, wire_batch_end(&b), &f);
	assert_int_equal(f.batch.count, WIRE_BATCH_MESSAGES_MAX);
	/* Nor numbers behind the last. */
	assert_int_equal(wire_batch_begin(&b, out, sizeof(out), 1, WIRE_SEQUENCE_MAX - 1), 0);
	assert_int_equal(wire_batch_add(&b, NULL, 0, 1), 0);
	assert_int_equal(wire_batch_add(&b, NULL, 0, 1), 0);
	assert_int_equal(wire_batch_add(&b, NULL, 0, 1), -ENOSPC);
	there_and_back(out, wire_batch_end(&b), &f);
}

/* Sequences in any order come out as the same set in as few ranges as there are. */
static void test_ranges_build(void **state)
{
	enum { SPAN = 300 };

	frames.state = 5;
	for (int i = 0; i < 2000; i++) {
		bool in[SPAN + 2] = {false};
		size_t ranges_max = 1 + frames_below(&frames, 60);
		size_t cap = WIRE_HEADER + ranges_max * WIRE_RANGE +
			     frames_below(&frames, WIRE_RANGE);
		uint8_t *p = malloc(cap);
		struct wire_ranges_build b;
		struct wire_frame f;
		uint32_t want = 0, n = 0;
		uint64_t span = 1 + frames_below(&frames, SPAN);
		size_t len;

		assert_int_equal(wire_ranges_begin(&b, p, cap, WIRE_SETTLE, 9), 0);
		assert_int_equal(wire_ranges_end(&b, true), 0);
		for (int k = 0; k < 200; k++) {
			uint64_t s = i % 3 ? 1 + frames_below(&frames, span) : (uint64_t)k + 1;
			uint32_t now = 0;
			int r = wire_ranges_add(&b, s);

			for (uint64_t j = 1; j <= SPAN; j++)
				now += in[j] && !in[j - 1];
			if (in[s]) {
				assert_int_equal(r, -EEXIST);
			} else if (now == ranges_max && !in[s - 1] && !in[s + 1]) {
				assert_int_equal(r, -ENOSPC);
			} else {
				assert_int_equal(r, 0);
				in[s] = true;
			}
		}
		for (uint64_t j = 1; j <= SPAN; j++)
			want += in[j] && !in[j - 1];
		len = wire_ranges_end(&b, true);
		assert_int_equal(len, WIRE_HEADER + want * WIRE_RANGE);
		there_and_back(p, len, &f);
		assert_int_equal(f.type, WIRE_SETTLE);
		assert_int_equal(f.ranges.count, want);
		for (uint64_t j = 1; j <= SPAN; j++) {
			struct wire_range r;

			if (!in[j] || in[j - 1])
				continue;
			r = wire_range_at(&f.ranges, n++);
			assert_int_equal(r.first, j);
			for (uint64_t m = j; m < j + r.count; m++)
				assert_true(in[m]);
			assert_false(in[j + r.count]);
		}
		free(p);
	}
}

static void test_ranges_build_limits(void **state)
{
	struct wire_ranges_build b;
	struct wire_frame f;

	assert_int_equal(wire_ranges_begin(&b, out, 19, WIRE_OWED, 1), -ENOSPC);
	assert_int_equal(wire_ranges_begin(&b, out, 20, WIRE_OWED, 0), -EINVAL);
	assert_int_equal(wire_ranges_begin(&b, out, 20, WIRE_ACK, 1), -EINVAL);
	assert_int_equal(wire_ranges_begin(&b, out, 20, WIRE_RETURNED, 1), 0);
	assert_int_equal(wire_ranges_end(&b, true), 0);
	assert_int_equal(wire_ranges_begin(&b, out, 20, WIRE_OWED, 1), 0);
	assert_int_equal(wire_ranges_end(&b, false), 0);
	assert_int_equal(wire_ranges_end(&b, true), WIRE_HEADER);
	there_and_back(out, WIRE_HEADER, &f);
	assert_true(f.ranges.last);
	assert_int_equal(wire_ranges_add(&b, 0), -EINVAL);
	assert_int_equal(wire_ranges_add(&b, WIRE_SEQUENCE_MAX + 1), -EINVAL);
	assert_int_equal(wire_ranges_add(&b, WIRE_SEQUENCE_MAX), 0);
	assert_int_equal(wire_ranges_add(&b, WIRE_SEQUENCE_MAX - 1), 0);
	assert_int_equal(wire_ranges_add(&b, 7), -ENOSPC);
	assert_int_equal(wire_ranges_end(&b, false), 20);
	there_and_back(out, 20, &f);
	assert_false(f.ranges.last);
	/* A range's count has an end: what is beyond it begins another. */
	assert_int_equal(wire_ranges_begin(&b, out, 100, WIRE_OWED, 1), 0);
	assert_int_equal(wire_ranges_add(&b, 1), 0);
	wire_put32(out + WIRE_HEADER + 8, UINT32_MAX);
	assert_int_equal(wire_ranges_add(&b, (uint64_t)UINT32_MAX + 1), 0);
	assert_int_equal(wire_ranges_end(&b, false), WIRE_HEADER + 2 * WIRE_RANGE);
	there_and_back(out, WIRE_HEADER + 2 * WIRE_RANGE, &f);
}

/*
 * Three million frames with some bytes changed, cut or lengthened: each is a frame that encodes to
 * itself, the beginning of one, or an error with a reason. Replays from its seed.
 */
static void test_mutated(void **state)
{
	enum { FRAMES = 3000000 };
	unsigned long good = 0, more = 0, wrong = 0, kind[WIRE_TYPES] = {0};
	struct wire_frame f, got;

	frames.state = 6;
	for (long i = 0; i < FRAMES; i++) {
		unsigned type = (unsigned)frames_below(&frames, WIRE_TYPES);
		const char *why = NULL;
		size_t len, used = 0;
		uint8_t *p;
		int r;

		frames_make(&frames, &f, type, true);
		len = (size_t)wire_encode(out, sizeof(out), &f);
		for (uint64_t k = frames_below(&frames, 4); k > 0; k--) {
			size_t at = (size_t)frames_below(
				&frames, frames_below(&frames, 2) ? 48 : len);

			if (at >= len)
				at = len - 1;
			out[at] = (uint8_t)(frames_below(&frames, 2)
						    ? out[at] ^ 1u << frames_below(&frames, 8)
						    : frames_random(&frames));
		}
		if (frames_below(&frames, 8) == 0)
			len = (size_t)frames_below(&frames, len + 40);
		if (frames_below(&frames, 8) == 0 && len >= WIRE_HEADER)
			wire_put32(out, (uint32_t)(len - WIRE_HEADER));
		p = exactly(out, len);
		r = wire_next(p, len, &got, &used, &why);
		if (r == 0) {
			assert_in_range(used, WIRE_HEADER, len);
			there_and_back(p, used, &got);
			kind[got.type]++;
			good++;
		} else if (r == -EAGAIN) {
			assert_true(len < WHOLE);
			more++;
		} else {
			assert_int_equal(r, -EPROTO);
			assert_non_null(why);
			wrong++;
		}
		free(p);
	}
	print_message("%d frames: %lu good, %lu cut, %lu wrong\n", FRAMES, good, more, wrong);
	/* The run is worth something: all of it happens often. */
	assert_true(good > FRAMES / 10 && more > FRAMES / 20 && wrong > FRAMES / 10);
	for (unsigned type = 0; type < WIRE_TYPES; type++)
		assert_true(kind[type] > 1000);
}

static void test_names(void **state)
{
	char name[WIRE_NAME_MAX + 1];

	memset(name, 'n', sizeof(name));
	assert_true(wire_name_ok(name, 1));
	assert_true(wire_name_ok(name, WIRE_NAME_MAX));
	assert_false(wire_name_ok(name, WIRE_NAME_MAX + 1));
	assert_false(wire_name_ok(name, 0));
	assert_string_equal(wire_type_name(WIRE_HELLO), "hello");
	assert_string_equal(wire_type_name(WIRE_ERROR), "error");
	assert_string_equal(wire_type_name(WIRE_RETURNED), "returned");
	assert_string_equal(wire_type_name(WIRE_SKIP), "?");
	assert_string_equal(wire_type_name(WIRE_TYPES), "?");
	assert_string_equal(wire_direction_name(WIRE_PULL), "pull");
	assert_string_equal(wire_direction_name(WIRE_PUSH), "push");
	assert_string_equal(wire_direction_name(0), "?");
	for (uint16_t code = 1; code <= WIRE_E_INTERNAL; code++)
		assert_string_not_equal(wire_code_name(code), "?");
	assert_string_equal(wire_code_name(0), "?");
	assert_string_equal(wire_code_name(WIRE_E_INTERNAL + 1), "?");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_many_in_a_buffer),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_header_is_enough),
		cmocka_unit_test(test_largest),
		cmocka_unit_test(test_encode_refuses),
		cmocka_unit_test(test_batch_build),
		cmocka_unit_test(test_batch_build_limits),
		cmocka_unit_test(test_ranges_build),
		cmocka_unit_test(test_ranges_build_limits),
		cmocka_unit_test(test_mutated),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
