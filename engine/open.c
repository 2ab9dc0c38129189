/* SPDX-License-Identifier: ISC */
#include "sq.h"

#include <errno.h>
#include <stdlib.h>

#include "call.h"
#include "member/join.h"
#include "member/recovery.h"
#include "member/removal.h"
#include "member/upkeep.h"
#include "ring/lease_time.h"
#include "segment/closed.h"
#include "segment/file.h"

/*
 * The public calls that open and close a handle, shut its queue down, and recover what the dead hold
 * in it. See sq.h. Any number of participants may be in it at once.
 */

/* Opens a queue, as the durable participant of a key if that is not 0. */
static int open_as(struct sq **ret, const char *name, uint64_t key, int64_t grace)
{
	const char *why;
	struct stat st;
	struct sq *h;
	int r;

	if (!ret)
		return -EINVAL;
	h = calloc(1, sizeof(*h));
	if (!h)
		return -ENOMEM;
	/*
	 * No fork may come between the opening of the descriptor and its entry in the list of those
	 * that a forked child has to close.
	 */
	r = sqi_attach_lock();
	if (r < 0)
		goto free_handle;
	r = sqi_file_open(&h->file.fd, &h->ring.g, &st, &why, name);
	if (r == 0)
		r = sqi_attach(&h->file, st.st_dev, st.st_ino, h->ring.g.total);
	sqi_attach_unlock();
	if (r < 0)
		goto free_handle;
	h->ring.base = h->file.base;
	/* Opener, step 1: the id into a slot. Steps 2 and 3: is the queue being removed? */
	r = sqi_handle_init(h, key, grace);
	if (r < 0)
		goto leave;
	r = sqi_check_present(&h->member);
	if (r < 0) {
		(void)sqi_finish_removal(
			&h->member, name); /* it has no name any more, in any case */
		goto leave;
	}
	sqi_upkeep(&h->member);
	*ret = h;
	return 0;

leave:
	sqi_leave(
		&h->member); /* also without a slot: the lock on the id may outlive the descriptor */
	sqi_detach(&h->file);
free_handle:
	free(h);
	return r;
}

int sq_open(struct sq **ret, const char *name)
{
	return open_as(ret, name, 0, 0);
}

int sq_open_durable(struct sq **ret, const char *name, uint64_t key, int64_t grace)
{
	return key && grace >= SQ_FOREVER ? open_as(ret, name, key, grace) : -EINVAL;
}

void sq_close(struct sq *h)
{
	if (!h)
		return;
	sq_close(h->dead_letters);
	if (!h->file.forked) {
		/* If there has to be a lap, it gives back the reservation, too. */
		if (sqi_leaves_at_once(&h->member))
			sq_abort(h);
		sqi_leave(&h->member);
		sqi_detach(&h->file);
	}
	sqi_copies_deinit(&h->copies);
	free(h->buffer);
	free(h);
}

int sq_shutdown(struct sq *h, bool immediate)
{
	uint64_t closed, want = immediate ? SQI_CLOSED_NOW : SQI_CLOSED_DRAINING;
	int r = sqi_handle_check(h, SQ_NOWAIT);

	if (r < 0)
		return r;
	do
		closed = sqi_load_seq(&h->ring.head->closed);
	while ((closed & SQI_CLOSED_HOW) < want &&
		!sqi_cas(&h->ring.head->closed, closed, (closed & SQI_CLOSED_GONE) | want));
	sqi_wake_all_events(h->ring.head);
	return 0;
}

int sq_recover(struct sq *h)
{
	int r = sqi_handle_check(h, SQ_NOWAIT);

	if (r < 0)
		return r;
	r = sqi_recover_dead(&h->member);
	sqi_lease_time_expire(&h->ring, 0, h->ring.mask + 1);
	return r;
}
