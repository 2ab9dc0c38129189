/* SPDX-License-Identifier: ISC */
#include "ops/copies.h"

#include <stdlib.h>
#include <string.h>

#include "world.h"

/*
 * In the place of the engine's own copies.c: copies lie in the participant's hand, and so in the
 * state that is searched, and what is not in use is zero.
 */

static struct hand *hand_of(const struct sqi_copies *copies)
{
	for (unsigned i = 0; i < ACTORS; i++)
		if (copies == &world.handle[0][i].copies)
			return &world.hand[i];
	abort();
}

int sqi_copy_new(struct sqi_copies *copies, size_t len, uint32_t *ret, void **ret_data)
{
	struct hand *hand = hand_of(copies);

	if (len > sizeof(hand->copy[0].data))
		abort();
	for (uint32_t i = 0; i < COPIES_MAX; i++)
		if (hand->copy[i].lease == 0) {
			*ret = i + 1;
			*ret_data = hand->copy[i].data;
			return 0;
		}
	abort();
}

void sqi_copy_name(struct sqi_copies *copies, uint32_t number, uint64_t id, unsigned lease)
{
	hand_of(copies)->copy[number - 1].id = id;
	hand_of(copies)->copy[number - 1].lease = lease;
}

bool sqi_copy_is(const struct sqi_copies *copies, uint32_t number, uint64_t id, unsigned lease)
{
	const struct hand *hand = hand_of(copies);

	return number > 0 && number <= COPIES_MAX && hand->copy[number - 1].lease == lease &&
	       hand->copy[number - 1].id == id;
}

uint32_t sqi_copy_find(
	const struct sqi_copies *copies, uint64_t id, unsigned lease, const void **ret_data)
{
	for (uint32_t i = 0; i < COPIES_MAX; i++)
		if (sqi_copy_is(copies, i + 1, id, lease)) {
			*ret_data = hand_of(copies)->copy[i].data;
			return i + 1;
		}
	return 0;
}

void sqi_copy_drop(struct sqi_copies *copies, uint32_t number)
{
	memset(&hand_of(copies)->copy[number - 1], 0, sizeof(hand_of(copies)->copy[0]));
}

void sqi_copies_deinit(struct sqi_copies *copies)
{
	memset(hand_of(copies)->copy, 0, sizeof(hand_of(copies)->copy));
}
