/* SPDX-License-Identifier: ISC */
#ifndef SQI_PAYLOAD_H
#define SQI_PAYLOAD_H

/*
 * The bytes of a message in a cell. They are moved by relaxed atomic words, because a reader may
 * copy while the cell changes hands: its copy counts only if its CAS of the cell's word then
 * succeeds.
 */

#include <stddef.h>
#include <string.h>

#include "segment/layout.h"

/*
 * Into a cell that we have claimed. Released, though the commit does that once more: who takes these
 * words for a block's reference, and read the cell's word before our claim, sees the claim when he
 * looks at it again.
 */
static inline void sqi_cell_write(struct sqi_cell *c, const void *data, size_t len)
{
	const unsigned char *from = data;
	uint64_t v = 0;
	size_t i;

	for (i = 0; i < len / 8; i++) {
		memcpy(&v, from + i * 8, 8);
		sqi_store_release(&c->data[i], v);
	}
	if (len % 8) {
		v = 0;
		memcpy(&v, from + i * 8, len % 8);
		sqi_store_release(&c->data[i], v);
	}
}

static inline void sqi_cell_read(const struct sqi_cell *c, void *buf, size_t len)
{
	unsigned char *to = buf;
	uint64_t v;
	size_t i;

	for (i = 0; i < len / 8; i++) {
		v = sqi_load_relaxed(&c->data[i]);
		memcpy(to + i * 8, &v, 8);
	}
	if (len % 8) {
		v = sqi_load_relaxed(&c->data[i]);
		memcpy(to + i * 8, &v, len % 8);
	}
}

#if defined(__SANITIZE_THREAD__)
#define SQI_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define SQI_TSAN 1
#endif
#endif

/*
 * Copy a message, wherever it lies, that may be given to others meanwhile and its memory used
 * again: whoever wants to use the copy sees afterwards that this was not so. Whole words are read,
 * to the end of the last one: memory of a queue is a multiple of them.
 */
#ifdef SQI_TSAN
/* The writer of a block is the user, or memcpy(): to ThreadSanitizer that is a race, and is one. */
__attribute__((no_sanitize("thread")))
#endif
static inline void
sqi_copy_bytes(void *buf, const void *data, size_t len)
{
	const sqi_u64 *from = data;
	unsigned char *to = buf;

	for (size_t i = 0; i * 8 < len; i++) {
#ifdef SQI_TSAN
		uint64_t v = *(const volatile uint64_t *)(const void *)&from[i];
#else
		uint64_t v = sqi_load_relaxed(&from[i]);
#endif

		memcpy(to + i * 8, &v, len - i * 8 < 8 ? len - i * 8 : 8);
	}
}

#endif
