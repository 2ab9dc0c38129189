/* SPDX-License-Identifier: ISC */
#ifndef SQI_PAYLOAD_H
#define SQI_PAYLOAD_H

/*
 * The bytes of a message in shared memory. A reader may copy them while the memory changes hands:
 * its copy counts only if the step after it shows that the memory still held that message (R1 to
 * F1, T4). Called by ops/.
 *
 * The bytes are moved sixteen at a time by volatile accesses, which the compiler neither repeats nor
 * leaves out. By the letter of C that is a race, if a writer comes in between. But gcc and clang
 * make of it what the processor does, and whatever bytes a copy has then, it is thrown away.
 * ThreadSanitizer goes by the letter, so under it whole words are moved, by atomic accesses.
 */

#include <stddef.h>
#include <string.h>

#include "segment/layout.h"

#if defined(__SANITIZE_THREAD__)
#define SQI_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define SQI_TSAN 1
#endif
#endif

#ifdef SQI_TSAN

static inline void sqi_payload_write(void *to, const void *data, size_t len)
{
	const unsigned char *from = data;

	for (size_t i = 0; i * 8 < len; i++) {
		uint64_t v = 0;

		memcpy(&v, from + i * 8, len - i * 8 < 8 ? len - i * 8 : 8);
		sqi_store_release((sqi_u64 *)to + i, v);
	}
}

/* The user, or memcpy(), writes to a block with plain stores: no word of ours would help. */
__attribute__((no_sanitize("thread"))) static inline void sqi_payload_read(
	void *buf, const void *data, size_t len)
{
	const volatile uint64_t *from = data;
	unsigned char *to = buf;

	for (size_t i = 0; i * 8 < len; i++) {
		uint64_t v = from[i];

		memcpy(to + i * 8, &v, len - i * 8 < 8 ? len - i * 8 : 8);
	}
}

#else

/* At any address, over any object. */
typedef uint64_t sqi_bytes16 __attribute__((vector_size(16), aligned(1), may_alias));
typedef uint64_t sqi_bytes8 __attribute__((aligned(1), may_alias));
typedef uint32_t sqi_bytes4 __attribute__((aligned(1), may_alias));
typedef unsigned char sqi_bytes1;

#define SQI_MOVE(type, to, from, at)                                                               \
	do {                                                                                       \
		SQ_STEP();                                                                         \
		*(volatile type *)((unsigned char *)(to) + (at)) = *(                              \
			const volatile type *)((const unsigned char *)(from) + (at));              \
	} while (0)

/* Moves these bytes. If their number is no multiple of the step, the last step begins earlier. */
static inline void sqi_payload_move(void *to, const void *from, size_t len)
{
	size_t at = 0;

	if (len >= 16) {
		for (; len - at >= 64; at += 64) {
			SQI_MOVE(sqi_bytes16, to, from, at);
			SQI_MOVE(sqi_bytes16, to, from, at + 16);
			SQI_MOVE(sqi_bytes16, to, from, at + 32);
			SQI_MOVE(sqi_bytes16, to, from, at + 48);
		}
		if (len & 32) {
			SQI_MOVE(sqi_bytes16, to, from, at);
			SQI_MOVE(sqi_bytes16, to, from, at + 16);
			at += 32;
		}
		if (len & 16)
			SQI_MOVE(sqi_bytes16, to, from, at);
		if (len & 15)
			SQI_MOVE(sqi_bytes16, to, from, len - 16);
	} else if (len >= 8) {
		SQI_MOVE(sqi_bytes8, to, from, 0);
		if (len > 8)
			SQI_MOVE(sqi_bytes8, to, from, len - 8);
	} else if (len >= 4) {
		SQI_MOVE(sqi_bytes4, to, from, 0);
		if (len > 4)
			SQI_MOVE(sqi_bytes4, to, from, len - 4);
	} else {
		for (; at < len; at++)
			SQI_MOVE(sqi_bytes1, to, from, at);
	}
}

/*
 * Writes to a cell that the caller has claimed. The fence, with the acquire loads of those who
 * read: a participant that read the cell's word before the claim may take these bytes for the
 * reference of the former message's block. It then sees the claim when it reads the word again.
 */
static inline void sqi_payload_write(void *to, const void *data, size_t len)
{
	atomic_thread_fence(memory_order_release);
	sqi_payload_move(to, data, len);
}

/* Copies a message out. The fence: what the caller looks at next, to confirm it, it sees later. */
static inline void sqi_payload_read(void *buf, const void *data, size_t len)
{
	sqi_payload_move(buf, data, len);
	atomic_thread_fence(memory_order_acquire);
}

#endif

#endif
