/* SPDX-License-Identifier: ISC */
#include <errno.h>

#include "cell.h"
#include "handle.h"

/*
 * What a forwarder needs, which keeps books of its own about messages: leases that outlive its
 * process, and where a message is by its id. Beside any number of participants.
 *
 * A durable participant is a slot with a key. When its tenant dies, recovery lets go of all that
 * was half done, but leaves the leases and the slot; the next to come with the key before the grace
 * is over is its tenant, and the leases are his (party.c, recover.c). The key's entry in the journal
 * sees to it that there is one live holder at a time. See docs/MEMORY_MODEL.md, "Graces".
 */

static int check(const struct sq *h)
{
	if (!h)
		return -EINVAL;
	return h->forked ? -EBADF : 0;
}

int sq_retire(struct sq *h)
{
	int r = check(h);

	/* From here on our death is an ordinary one. */
	if (r == 0)
		sqi_post(&h->slot->durable, 0);
	return r;
}

/*
 * In one segment it differs for each run, for ids are never used again; and from those of another
 * segment of that name, as good as surely: one made in another second, or as another file.
 */
int sq_durable_run(struct sq *h, uint64_t *ret)
{
	int r = check(h);

	if (r < 0)
		return r;
	if (!ret)
		return -EINVAL;
	if (sqi_look(&h->slot->durable) == 0)
		return -ENOENT;
	*ret = sqi_look(&h->slot->run) + (h->head->created_s << 32) + (h->ino << 20);
	return 0;
}

int sq_held(struct sq *h, struct sq_lease *ret, int n)
{
	int found = 0, r = check(h);

	if (r < 0)
		return r;
	if (n < 0 || (!ret && n > 0))
		return -EINVAL;
	for (uint64_t i = 0; i <= h->mask; i++) {
		uint64_t w = sqi_look(&sqi_cell(h, i)->word);

		if (sqi_word_state(w) != SQI_TAKEN || sqi_word_owner(w) != h->owner)
			continue;
		/* Those that are only counted may end before they are asked for. */
		r = found < n ? sqi_lease_again(h, i, w, &ret[found]) : 1;
		if (r < 0)
			return r;
		found += r;
	}
	return found;
}

/* The word of the cell that holds the message of this id. False: it has gone. */
static bool find(const struct sq *h, uint64_t id, uint64_t *ret_word)
{
	const struct sqi_cell *c = sqi_cell(h, id);

	for (;;) {
		uint64_t w = sqi_look(&c->word), meta;

		switch (sqi_word_state(w)) {
		case SQI_FULL:
		case SQI_TAKEN:
		case SQI_BACK:
			break;
		default:
			return false;
		}
		meta = sqi_watch(&c->meta);
		if (sqi_look(&c->word) != w)
			continue; /* each time somebody has got on with it */
		*ret_word = w;
		return sqi_cell_id(meta, id, h->mask, h->shift) == id;
	}
}

int sq_find(struct sq *h, uint64_t id)
{
	int r = check(h);
	uint64_t w;

	if (r < 0)
		return r;
	if (!find(h, id, &w))
		return SQ_GONE;
	return sqi_word_state(w) == SQI_TAKEN ? SQ_LEASED : SQ_WAITING;
}

int sq_lease_id(struct sq *h, uint64_t id, struct sq_lease *ret)
{
	struct sq_lease lease;
	int r = check(h);
	uint64_t w;

	if (r == 0 && !ret)
		r = -EINVAL;
	while (r == 0) {
		if (!find(h, id, &w))
			return -ENOENT;
		if (sqi_word_state(w) == SQI_TAKEN)
			return -EBUSY;
		r = sqi_lease(h, id, w, &lease);
		if (r > 0) {
			*ret = lease;
			return 0;
		}
	}
	return r;
}

int sq_mark(struct sq *h, uint64_t *ret)
{
	int r = check(h);

	if (r == 0 && !ret)
		r = -EINVAL;
	return r == 0 ? sqi_tail(h, ret) : r;
}

int sq_passed(struct sq *h, uint64_t mark)
{
	int r = check(h);

	if (r < 0)
		return r;
	for (uint64_t i = 0; i <= h->mask; i++)
		if (sqi_older(h, i, mark))
			return 0;
	return 1;
}

int sq_arm(struct sq *h, enum sq_news news, struct sq_watch *ret)
{
	int r = check(h);
	sqi_u32 *event;

	if (r < 0)
		return r;
	if (!ret)
		return -EINVAL;
	switch (news) {
	case SQ_CAME:
		event = &h->head->came;
		break;
	case SQ_WENT:
		event = &h->head->went;
		break;
	case SQ_FREED:
		event = &h->head->freed;
		break;
	default:
		return -EINVAL;
	}
	ret->value = sqi_arm(event);
	ret->word = (uint32_t *)event;
	return 0;
}

int sq_wanted(struct sq *h)
{
	int r = check(h);

	if (r < 0)
		return r;
	r = sqi_peek(&h->head->wanted) != 0;
	if (r)
		sqi_poke(&h->head->wanted, 0); /* relaxed: who looks again will say so again */
	return r;
}
