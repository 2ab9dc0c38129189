/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <sys/stat.h>

#include "handle.h"

/*
 * Which message comes next: one that waits for redelivery, else the first of the ring, else perhaps
 * none for ever. Messages that were tried too often are moved to the dead letters on the way.
 * Called by get.c and lease.c.
 */

/*
 * Move a message to the dead letters. 0: moved, or taken by somebody else. Else it stays, and why.
 */
static int bury(struct sq *h, uint64_t pos, uint64_t w)
{
	struct sq_lease lease;
	struct stat st;
	int r;

	/* It may have been removed, and made again, since we opened it. */
	if (h->dead_letters && (fstat(h->dead_letters->fd, &st) < 0 || st.st_nlink == 0)) {
		sq_close(h->dead_letters);
		h->dead_letters = NULL;
	}
	if (!h->dead_letters) {
		r = sq_open(&h->dead_letters, h->g.in.dead_letter);
		if (r < 0)
			return r;
	}
	r = sqi_take(h, pos, w, &lease);
	if (r <= 0)
		return r;
	/*
	 * A death between these two delivers it to both: at least once, as sq.h says of dead
	 * letters.
	 */
	r = sq_put(h->dead_letters, lease.data, lease.len, SQ_NOWAIT);
	if (r < 0) {
		/*
		 * Quietly: the next sweep will try again. Stale: somebody else has it now, which is
		 * as good.
		 */
		(void)sqi_give_back(h, &lease, true);
		return r;
	}
	if (sqi_finish(h, &lease) == 0)
		(void)sqi_add(&h->head->dead_letters, 1);
	return 0;
}

/* A message waiting for redelivery that has attempts left. -EAGAIN: none. */
static int next_back(struct sq *h, uint64_t *ret_pos, uint64_t *ret_word)
{
	unsigned limit = h->g.in.max_attempts ? h->g.in.max_attempts : ~0u, any = ~0u;

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
	for (;;) {
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
		if (!sqi_look(&h->head->closed))
			return r;
		r = sqi_drained(h);
		if (r < 0)
			return r;
	}
}
