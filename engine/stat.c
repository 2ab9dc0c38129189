/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "cell.h"
#include "handle.h"
#include "segment.h"

/*
 * Walks over a segment: what is in it, whether old messages are still there, whether it is
 * abandoned. Reading only, but for what sq_gc() removes. Beside any number of participants.
 */

#define EPHEMERAL_GRACE_S 60
#define JOIN_NAP_MIN_NS   100000
#define JOIN_NAP_MAX_NS   10000000

static void count_cells(const struct sq *h, struct sq_stat *st)
{
	for (uint64_t i = 0; i <= h->mask; i++) {
		switch (sqi_word_state(sqi_look(&sqi_cell(h, i)->word))) {
		case SQI_FULL:
			st->depth++;
			break;
		case SQI_BACK:
			st->depth++;
			st->back++;
			break;
		case SQI_TAKEN:
			st->leased++;
			break;
		default:
			break;
		}
	}
}

static void count_slots(const struct sq *h, struct sq_stat *st)
{
	for (unsigned n = 0; n < h->g.in.participants; n++) {
		const struct sqi_slot *slot = sqi_slot(h, n);
		uint64_t id = sqi_look(&slot->id);

		st->participants += id != 0 && !sqi_is_dead(h, id);
		st->put += sqi_look(&slot->puts);
		st->got += sqi_peek(&slot->gots);
		st->acked += sqi_peek(&slot->acks);
		st->nacked += sqi_peek(&slot->nacks);
		st->redelivered += sqi_peek(&slot->redelivered);
	}
}

int sq_stat(struct sq *h, struct sq_stat *ret)
{
	struct sq_stat st = {0};

	if (!h || !ret)
		return -EINVAL;
	if (h->forked)
		return -EBADF;
	st.capacity = h->g.capacity;
	st.max_message = h->g.in.max_message;
	st.small_message = h->small;
	st.participants_max = h->g.in.participants;
	st.bytes = h->g.total;
	st.lease_time = (int64_t)h->g.in.lease_ns;
	st.max_attempts = h->g.in.max_attempts;
	st.flags = h->g.in.flags;
	st.closed = (uint32_t)sqi_look(&h->head->closed);
	memcpy(st.dead_letter, h->g.in.dead_letter, sizeof(st.dead_letter) - 1);
	count_cells(h, &st);
	count_slots(h, &st);
	st.overdue = sqi_peek(&h->head->overdue);
	st.reclaimed = sqi_peek(&h->head->reclaimed);
	st.revoked = sqi_peek(&h->head->revoked);
	st.dead_letters = sqi_peek(&h->head->dead_letters);
	st.damaged = sqi_peek(&h->head->damaged);
	st.blocks = h->g.blocks;
	sqi_block_count(h, &st.blocks_free);
	/* The cells were counted before the puts: what was put in between has not left yet. */
	st.took = st.put > st.depth + st.leased ? st.put - st.depth - st.leased : 0;
	*ret = st;
	return 0;
}

/* Is the message in this cell, if any, from before position `tail`? */
bool sqi_older(const struct sq *h, uint64_t index, uint64_t tail)
{
	const struct sqi_cell *c = sqi_cell(h, index);
	unsigned bits = SQI_TURN_BITS + h->shift, unused = bits < 64 ? 64 - bits : 0;

	for (;;) {
		uint64_t w = sqi_look(&c->word), id;

		switch (sqi_word_state(w)) {
		case SQI_FULL:
		case SQI_TAKEN:
		case SQI_BACK:
			break;
		default:
			return false;
		}
		id = sqi_cell_id(sqi_watch(&c->meta), index, h->mask, h->shift);
		if (sqi_look(&c->word) == w)
			return (int64_t)((tail - id) << unused) > 0;
	}
}

/*
 * A message stays in its cell until it is done, redelivered or not. So it is enough to go over the
 * cells once, and to wait at each until what was in it at the time of the call has left.
 */
int sq_join(struct sq *h, int64_t timeout)
{
	int64_t nap = JOIN_NAP_MIN_NS, now, deadline = INT64_MAX;
	uint64_t tail;
	int r;

	if (!h || timeout < SQ_FOREVER)
		return -EINVAL;
	if (h->forked)
		return -EBADF;
	now = sqi_now_ns();
	if (timeout >= 0 && timeout < INT64_MAX - now)
		deadline = now + timeout;
	r = sqi_tail(h, &tail);
	if (r < 0)
		return r;
	for (uint64_t i = 0; i <= h->mask; i++) {
		while (sqi_older(h, i, tail)) {
			struct timespec ts;

			if (timeout == SQ_NOWAIT)
				return -EAGAIN;
			now = sqi_now_ns();
			if (now >= deadline)
				return -ETIMEDOUT;
			sqi_rescue_now_and_then(h);
			if (nap > deadline - now)
				nap = deadline - now;
			ts = (struct timespec){.tv_nsec = nap};
			(void)clock_nanosleep(CLOCK_MONOTONIC, 0, &ts, NULL);
			nap = nap * 2 < JOIN_NAP_MAX_NS ? nap * 2 : JOIN_NAP_MAX_NS;
		}
	}
	return 0;
}

static bool abandoned(const struct sq *h)
{
	struct timespec now;

	if (!(h->g.in.flags & SQ_EPHEMERAL))
		return false;
	for (unsigned n = 0; n < h->g.in.participants; n++) {
		uint64_t id = sqi_look(&sqi_slot(h, n)->id);

		if (id == 0 || id == h->id)
			continue;
		/* The durable ones will come again. */
		if (sqi_look(&sqi_slot(h, n)->durable) != 0 || !sqi_is_dead(h, id))
			return false;
	}
	(void)clock_gettime(CLOCK_REALTIME, &now);
	/* Somebody has used it, not only looked; or nobody came for a good while. */
	return sqi_look(&h->head->joins) > 0 ||
	       (uint64_t)now.tv_sec > h->head->created_s + EPHEMERAL_GRACE_S;
}

int sq_gc(const char *name)
{
	struct sq *h;
	int r = sq_open(&h, name);

	if (r < 0)
		return r;
	(void)sqi_rescue(h);
	/* The name may stand for another by now. */
	if (abandoned(h) && sqi_segment_is(name, h->dev, h->ino)) {
		r = sq_unlink(name);
		if (r == 0)
			r = 1;
	}
	sq_close(h);
	return r;
}
