/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <sys/stat.h>

#include "handle.h"

#define SEARCHES_MAX 4096 /* each may be a walk over all cells, so fewer than SQI_ROUNDS_MAX */

/*
 * Which message comes next: one that waits for redelivery, else the first of the ring, else perhaps
 * none for ever. Messages that were tried too often are moved to the dead letters on the way.
 * Called by get.c and lease.c.
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
	/*
	 * Our user may be reading it still, by a lease that has ended without his knowing. Ours here would
	 * end that claim with it: so somebody else buries it, or we when he has learnt of the end.
	 */
	if (sqi_due_is_pinned_by_us(h, pos))
		return -EAGAIN;
	r = sqi_take(h, pos, w, &lease);
	if (r <= 0)
		return r;
	/*
	 * A death between these two delivers it to both: at least once, as sq.h says of dead
	 * letters.
	 */
	if (sq_put(to, lease.data, lease.len, SQ_NOWAIT) < 0) {
		/*
		 * Quietly: the next sweep will try again. Stale: somebody else has it now, which is
		 * as good.
		 */
		(void)sqi_give_back(h, &lease, true);
		return -EAGAIN;
	}
	if (sqi_finish(h, &lease) == 0)
		(void)sqi_add(&h->head->dead_letters, 1);
	return 0;
}

/* A message waiting for redelivery that has attempts left. -EAGAIN: none. */
static int next_back(struct sq *h, uint64_t *ret_pos, uint64_t *ret_word)
{
	unsigned limit = sqi_attempts_limit(h), any = ~0u;

	while (sqi_back_find(h, any, ret_pos, ret_word)) {
		int r;

		if (sqi_word_attempts(*ret_word) < limit)
			return 0;
		r = bury(h, *ret_pos, *ret_word);
		if (r == -EBADMSG)
			return r;
		if (r < 0)
			any = limit; /* no room for it there: it waits, and the others go on */
	}
	return -EAGAIN;
}

/* 0: *ret_word is FULL or BACK. -EAGAIN: none. -EPIPE: none and never again. */
int sqi_next(struct sq *h, uint64_t *ret_pos, uint64_t *ret_word)
{
	for (unsigned rounds = 0; rounds < SEARCHES_MAX; rounds++) {
		int r;

		if (sqi_look(&h->head->closed) > 1)
			return -EPIPE;
		if (sqi_look(&h->head->back_seq) != h->back_seen) {
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
		if (rounds < SEARCHES_MAX / 2 && sqi_look(&h->head->back_seq) != h->back_seen)
			continue;
		if (!sqi_look(&h->head->closed))
			return r;
		r = sqi_drained(h);
		if (r < 0)
			return r;
	}
	return -EBADMSG;
}
