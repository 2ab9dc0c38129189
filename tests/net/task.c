/* SPDX-License-Identifier: ISC */
#include "task.h"

#include <string.h>

#include "rng.h"

#define SIZE_MIN 16

static uint64_t seed(enum task_kind kind, uint64_t number)
{
	return rng_mix(number * 2 + (kind == RESULT));
}

size_t task_size(enum task_kind kind, uint64_t number)
{
	uint64_t r = seed(kind, number), one_in = r % 1000, at = r >> 16;

	if (one_in < 900)
		return SIZE_MIN + at % 48;
	if (one_in < 990)
		return 64 + at % 1000;
	if (one_in < 999)
		return 1024 + at % 15000;
	return 16384 + at % (TASK_SIZE_MAX - 16384 + 1);
}

/* Word i of it; the first is the number. */
static uint64_t word(uint64_t seeded, uint64_t number, size_t i)
{
	return i == 0 ? number : seeded * (2 * i + 1);
}

size_t task_write(uint8_t *buf, enum task_kind kind, uint64_t number)
{
	size_t size = task_size(kind, number);
	uint64_t seeded = seed(kind, number), w;

	for (size_t at = 0; at < size; at += sizeof(w)) {
		w = word(seeded, number, at / sizeof(w));
		memcpy(buf + at, &w, size - at < sizeof(w) ? size - at : sizeof(w));
	}
	return size;
}

bool task_read(const uint8_t *buf, size_t len, enum task_kind kind, uint64_t *ret)
{
	uint64_t number, seeded, w;

	if (len < SIZE_MIN)
		return false;
	memcpy(&number, buf, sizeof(number));
	if (len != task_size(kind, number))
		return false;
	seeded = seed(kind, number);
	for (size_t at = 0; at < len; at += sizeof(w)) {
		w = word(seeded, number, at / sizeof(w));
		if (memcmp(buf + at, &w, len - at < sizeof(w) ? len - at : sizeof(w)) != 0)
			return false;
	}
	*ret = number;
	return true;
}
