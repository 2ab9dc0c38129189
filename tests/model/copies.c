/* SPDX-License-Identifier: ISC */
#include "copies.h"

#include <stdlib.h>
#include <string.h>

#include "world.h"

/*
 * In the place of the engine's own copies.c: copies lie in the participant's hand, and so in the
 * state that is searched, and what is not in use is zero.
 */

static struct hand *hand_of(const struct sq *h)
{
	return &world.hand[h - world.handle[0]];
}

int sqi_copy_new(struct sq *h, size_t len, uint32_t *ret, void **ret_data)
{
	struct hand *hand = hand_of(h);

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

void sqi_copy_name(struct sq *h, uint32_t number, uint64_t id, unsigned lease)
{
	hand_of(h)->copy[number - 1].id = id;
	hand_of(h)->copy[number - 1].lease = lease;
}

bool sqi_copy_is(const struct sq *h, uint32_t number, uint64_t id, unsigned lease)
{
	const struct hand *hand = hand_of(h);

	return number > 0 && number <= COPIES_MAX && hand->copy[number - 1].lease == lease &&
	       hand->copy[number - 1].id == id;
}

uint32_t sqi_copy_find(const struct sq *h, uint64_t id, unsigned lease, const void **ret_data)
{
	for (uint32_t i = 0; i < COPIES_MAX; i++)
		if (sqi_copy_is(h, i + 1, id, lease)) {
			*ret_data = hand_of(h)->copy[i].data;
			return i + 1;
		}
	return 0;
}

void sqi_copy_drop(struct sq *h, uint32_t number)
{
	memset(&hand_of(h)->copy[number - 1], 0, sizeof(hand_of(h)->copy[0]));
}

void sqi_copies_deinit(struct sq *h)
{
	memset(hand_of(h)->copy, 0, sizeof(hand_of(h)->copy));
}
