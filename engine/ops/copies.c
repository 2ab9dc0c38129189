/* SPDX-License-Identifier: ISC */
#include "ops/copies.h"

#include <errno.h>
#include <stdlib.h>

/*
 * Copies of leased messages, in a table of the handle. Called by ops/take.c and the public calls
 * of the same handle, so by one thread at a time.
 *
 * Invariant: a copy that is not free is not moved or freed, though the table may be.
 */

#define KEEP_MAX 4096 /* a free copy of up to so many bytes keeps its memory */

/* Doubles the table; the new copies are free. Returns 0 or -ENOMEM. */
static int grow(struct sqi_copies *copies)
{
	uint32_t count = copies->count ? 2 * copies->count : 4;
	struct sqi_copy *list = realloc(copies->list, count * sizeof(*list));

	if (!list)
		return -ENOMEM;
	for (uint32_t i = copies->count; i < count; i++) {
		list[i] = (struct sqi_copy){.next = copies->free};
		copies->free = i + 1;
	}
	copies->list = list;
	copies->count = count;
	return 0;
}

int sqi_copy_new(struct sqi_copies *copies, size_t len, uint32_t *ret, void **ret_data)
{
	struct sqi_copy *copy;

	if (!copies->free && grow(copies) < 0)
		return -ENOMEM;
	copy = &copies->list[copies->free - 1];
	if (copy->cap < len || !copy->data) {
		size_t cap = len > 64 ? len : 64;
		void *data = malloc(cap);

		if (!data)
			return -ENOMEM;
		free(copy->data);
		copy->data = data;
		copy->cap = cap;
	}
	*ret = copies->free;
	*ret_data = copy->data;
	copies->free = copy->next;
	return 0;
}

void sqi_copy_name(struct sqi_copies *copies, uint32_t number, uint64_t id, unsigned lease)
{
	copies->list[number - 1].id = id;
	copies->list[number - 1].lease = lease;
}

bool sqi_copy_is(const struct sqi_copies *copies, uint32_t number, uint64_t id, unsigned lease)
{
	const struct sqi_copy *copy;

	if (number == 0 || number > copies->count)
		return false;
	copy = &copies->list[number - 1];
	return copy->lease != 0 && copy->id == id && copy->lease == lease;
}

uint32_t sqi_copy_find(
	const struct sqi_copies *copies, uint64_t id, unsigned lease, const void **ret_data)
{
	for (uint32_t i = 0; i < copies->count; i++)
		if (sqi_copy_is(copies, i + 1, id, lease)) {
			*ret_data = copies->list[i].data;
			return i + 1;
		}
	return 0;
}

void sqi_copy_drop(struct sqi_copies *copies, uint32_t number)
{
	struct sqi_copy *copy = &copies->list[number - 1];

	copy->lease = 0;
	if (copy->cap > KEEP_MAX) {
		free(copy->data);
		copy->data = NULL;
		copy->cap = 0;
	}
	copy->next = copies->free;
	copies->free = number;
}

void sqi_copies_deinit(struct sqi_copies *copies)
{
	for (uint32_t i = 0; i < copies->count; i++)
		free(copies->list[i].data);
	free(copies->list);
	*copies = (struct sqi_copies){0};
}
