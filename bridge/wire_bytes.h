/* SPDX-License-Identifier: ISC */
#ifndef BRIDGE_WIRE_BYTES_H
#define BRIDGE_WIRE_BYTES_H

/* Little-endian numbers at any address, and the frame's header. For wire.c and wire_build.c. */

#include <endian.h>
#include <stdint.h>
#include <string.h>

#include "wire.h"

static inline uint16_t wire_get16(const uint8_t *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof(v));
	return le16toh(v);
}

static inline uint32_t wire_get32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return le32toh(v);
}

static inline uint64_t wire_get64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return le64toh(v);
}

static inline void wire_put16(uint8_t *p, uint16_t v)
{
	v = htole16(v);
	memcpy(p, &v, sizeof(v));
}

static inline void wire_put32(uint8_t *p, uint32_t v)
{
	v = htole32(v);
	memcpy(p, &v, sizeof(v));
}

static inline void wire_put64(uint8_t *p, uint64_t v)
{
	v = htole64(v);
	memcpy(p, &v, sizeof(v));
}

/* A memcpy that takes nothing from nowhere. */
static inline void wire_copy(uint8_t *to, const void *from, size_t len)
{
	if (len > 0)
		memcpy(to, from, len);
}

#define WIRE_FLAG_LAST     0x01u /* of owed */
#define WIRE_FLAG_OPTIONAL 0x80u /* who does not know the type skips the frame */

static inline void wire_put_header(
	uint8_t *p, size_t len, uint8_t type, uint8_t flags, uint16_t stream)
{
	wire_put32(p, (uint32_t)len);
	p[4] = type;
	p[5] = flags;
	wire_put16(p + 6, stream);
}

static inline bool wire_sequence_ok(uint64_t sequence)
{
	return sequence >= 1 && sequence <= WIRE_SEQUENCE_MAX;
}

static inline bool wire_stream_ok(uint16_t stream)
{
	return stream >= 1 && stream <= WIRE_STREAMS_MAX;
}

#endif
