/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <sys/stat.h>

#include "handle.h"

/*
 * Which message comes next: of those that wait for redelivery the one that waits longest, or the
 * first of the ring, by turns as far as there are both; or none; or none for ever. By turns, so that
 * a message that is given back again and again keeps no other from being delivered. Messages that
 * were tried too often are moved to the dead letters on the way. Called by get.c and lease.c.
 */

/* The queue for dead letters. It may have been removed, and made again, since we opened it. */
static struct sq *dead_letters(struct sq *h)
{
	struct stat st;

	if (h->dead_letters && (fstat(h->dead_letters->fd, &st) < 0 || st.st_nlink == 0)) {
		sq_close(h->dead_letters);
		h->dead_letters = NULL;
	}
	if (!h->dead_letters && sq_open(&h->dead_letters, h->g.in.dead_letter) < 0)
		h->dead_letters = NULL;
	return h->dead_letters;
}

/*
 * Move a message to the dead letters. 0: moved, or taken by somebody else. -EAGAIN: it stays, for
 * want of that queue or of room in it. -EBADMSG: it was damaged itself.
 */
static int bury(struct sq *h, uint64_t pos, uint64_t w)
{
	struct sq *to = dead_letters(h);
	struct sq_lease lease;
	int r;

	if (!to)
		return -EAGAIN;
	r = sqi_lease(h, pos, w, &lease);
	if (r <= 0)
		return r;
	/*
	 * A death between these two delivers it to both: at least once, as sq.h says of dead
	 * letters. So does a lease that ends between them.
	 */
	if (sq_put(to, lease.data, lease.len, SQ_NOWAIT) < 0) {
		/*
		 * Quietly: the next sweep will try again. Stale: somebody else has it now, which is
		 * as good.
		 */
		(void)sqi_give_back(h, &lease, true);
		r = -EAGAIN;
	} else if (sqi_finish(h, &lease) == 0) {
		(void)sqi_add(&h->head->dead_letters, 1);
		r = 0;
	}
	sqi_lease_drop(h, &lease);
	return r < 0 ? r : 0;
}

/* A message waiting for redelivery that has attempts left. -EAGAIN: none. */
static int next_back(struct sq *h, uint64_t *ret_pos, uint64_t *ret_word)
{
	bool any = true;

	while (sqi_back_find(h, any, ret_pos, ret_word)) {
		int r;

		if (sqi_tries_left(h, *ret_pos, *ret_word))
			return 0;
		r = bury(h, *ret_pos, *ret_word);
		if (r == -EBADMSG)
			return r;
		if (r < 0)
			any = false; /* no room for it there: it waits, and the others go on */
	}
	return -EAGAIN;
}

/* 0: *ret_word is FULL or BACK. -EAGAIN: none. -EPIPE: none and never again. */
int sqi_next(struct sq *h, uint64_t *ret_pos, uint64_t *ret_word)
{
	for (unsigned rounds = 0; rounds < SQI_SEARCHES_MAX; rounds++) {
		int r;

		if ((sqi_look(&h->head->closed) & SQI_CLOSED_HOW) == SQI_CLOSED_NOW)
			return -EPIPE;
		if (sqi_back_maybe(h)) {
			r = h->ring_turn ? sqi_front(h, ret_pos, ret_word) : -EAGAIN;
			if (r == -EAGAIN || r == -EPIPE)
				r = next_back(h, ret_pos, ret_word);
			if (r != -EAGAIN)
				return r;
		}
		r = sqi_front(h, ret_pos, ret_word);
		if (r != -EAGAIN && r != -EPIPE)
			return r;
		/*
		 * One may have gone from the ring to those behind the search's back. Each time
		 * there was a redelivery; but not for ever.
		 */
		if (rounds < SQI_SEARCHES_MAX / 2 && sqi_back_maybe(h))
			continue;
		if (!sqi_look(&h->head->closed))
			return r;
		r = sqi_drained(h);
		if (r < 0)
			return r;
	}
	return -EBADMSG;
}
