/* SPDX-License-Identifier: ISC */
#include "dead_letter.h"

#include <errno.h>
#include <sys/stat.h>

#include "ops/lease.h"

/* Messages that were tried too often, and the queue they are moved to. */

/* The queue for dead letters. It may have been removed, and made again, since we opened it. */
static struct sq *dead_letters(struct sq *h)
{
	struct stat st;

	if (h->dead_letters && (fstat(h->dead_letters->file.fd, &st) < 0 || st.st_nlink == 0)) {
		sq_close(h->dead_letters);
		h->dead_letters = NULL;
	}
	if (!h->dead_letters && sq_open(&h->dead_letters, h->ring.g.in.dead_letter) < 0)
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
	bool turn = h->ring_turn;
	struct sq_lease lease;
	int r;

	if (!to)
		return -EAGAIN;
	r = sqi_lease_at(h, pos, w, &lease);
	h->ring_turn = turn; /* nobody was given it */
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
		(void)sqi_lease_give_back(h, &lease, true);
		r = -EAGAIN;
	} else if (sqi_lease_ack(h, &lease) == 0) {
		(void)sqi_add(&h->ring.head->dead_letters, 1);
		r = 0;
	}
	sqi_lease_forget(h, &lease);
	return r < 0 ? r : 0;
}

/* The attempt has come upon one: move it, and try again, as often as that happens. */
int sqi_bury_and_go_on(struct sq *h, int (*attempt)(struct sq *h, void *arg), void *arg)
{
	int r;

	do {
		r = bury(h, h->dead_letter.pos, h->dead_letter.word);
		if (r == -EBADMSG)
			return r;
		h->dead_letter.refused |= r < 0;
		r = attempt(h, arg);
	} while (r == SQI_DEAD_LETTER);
	return r;
}
