/* SPDX-License-Identifier: ISC */
#ifndef SQI_PAYLOAD_H
#define SQI_PAYLOAD_H

/*
 * The bytes of a message in a cell. They are moved as relaxed or released atomic words, because a
 * reader may copy them while the cell changes hands. Such a copy counts only if the reader's CAS of
 * the cell's word succeeds afterwards. Called by ops/.
 */

#include <stddef.h>
#include <string.h>

#include "segment/layout.h"

/*
 * Writes to a cell that the caller has claimed. The stores release, though the commit (W2)
 * releases, too. A participant that read the cell's word before the claim may take these words for
 * the reference of the former message's block. It loads them with acquire, so it sees the claim
 * when it reads the word again.
 */
static inline void sqi_payload_write(struct sqi_cell *c, const void *data, size_t len)
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

/*
 * Copies the bytes of a message in a cell. Relaxed: the caller's CAS from the word that it has read
 * confirms afterwards that the cell still held that message (R1 to F1); if it fails, the copy is
 * thrown away.
 */
static inline void sqi_payload_read(const struct sqi_cell *c, void *buf, size_t len)
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
 * Copies a message that may be given to another participant meanwhile, and its memory used again.
 * Relaxed: the caller checks afterwards that the lease lasted until the copy was made (T4, or the
 * word of the cell), and throws the copy away if not. Whole words are read, to the end of the last
 * one; the memory of a queue is a multiple of words.
 */
#ifdef SQI_TSAN
/*
 * The user, or memcpy(), writes to a block with plain stores. To ThreadSanitizer that is a race,
 * and by the rules of C it is one; the caller's check makes it harmless.
 */
__attribute__((no_sanitize("thread")))
#endif
static inline void
sqi_payload_copy(void *buf, const void *data, size_t len)
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
