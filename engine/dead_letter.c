/* SPDX-License-Identifier: ISC */
#include "dead_letter.h"

#include <errno.h>
#include <sys/stat.h>

#include "ops/take.h"

/*
 * Moves messages that were tried too often to the queue for dead letters, which is an ordinary
 * queue: by its public calls. Called by queue.c and lease.c, by any number of participants at once.
 *
 * Invariant: a dead letter is removed here only after it was put there. So a death in between can
 * double it, but not lose it.
 */

/*
 * The queue for dead letters, opened if it is not yet, and again if it was removed. NULL if it
 * cannot be opened.
 */
static struct sq *open_dead_letters(struct sq *h)
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
 * Moves the dead letter of the word w. Returns 0 if it was moved, or taken by another participant;
 * -EAGAIN if it stays, because that queue or room in it is missing; -EBADMSG if it was damaged and
 * is dropped.
 */
static int move_dead_letter(struct sq *h, uint64_t pos, uint64_t w)
{
	struct sq *to = open_dead_letters(h);
	bool turn = h->ring_is_next;
	struct sq_lease lease;
	int r;

	if (!to)
		return -EAGAIN;
	r = sqi_lease_at(h, pos, w, &lease);
	h->ring_is_next = turn; /* the lease is internal: it is not a delivery */
	if (r <= 0)
		return r;
	/*
	 * If this participant dies, or the lease ends, between the put and the ack, then the
	 * message is in both queues: at least once, as sq.h says of dead letters.
	 */
	if (sq_put(to, lease.data, lease.len, SQ_NOWAIT) < 0) {
		/*
		 * Quietly: the next sweep finds it, and it is tried again. -ESTALE would mean that
		 * another participant has it, which is no error here.
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

/* The attempt found a dead letter: moves it and tries again, as long as the attempt finds one. */
int sqi_bury_and_go_on(struct sq *h, int (*attempt)(struct sq *h, void *arg), void *arg)
{
	int r;

	do {
		r = move_dead_letter(h, h->dead_letter.pos, h->dead_letter.word);
		if (r == -EBADMSG)
			return r;
		h->dead_letter.refused |= r < 0;
		r = attempt(h, arg);
	} while (r == SQI_DEAD_LETTER);
	return r;
}
