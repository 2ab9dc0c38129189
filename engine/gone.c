/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "handle.h"
#include "name.h"
#include "segment.h"

/*
 * The end of a queue: removed by somebody, or found abandoned. Called by segment.c, queue.c, stat.c,
 * and by whoever looks after the queue in passing.
 *
 * Whoever has it open is told in the segment (SQI_CLOSED_GONE): puts fail, gets drain and then fail.
 * A file that lost its name in another way (an rm, a log-out) is noticed by those who look at it.
 *
 * An abandoned queue is removed only if nobody comes meanwhile. Both sides first say what they are
 * about to do and look then what the other has said, so at least one of them sees the other:
 *
 *	collector: going = its id; looks for participants; going = DONE, if it is still its id
 *	opener:    its id into a slot, locked; looks at going; if it is an id, it takes that away
 *
 * Participants' ids are never used again, so a collector that was stopped finds its own id only if
 * nobody has been here since. Once it says DONE the queue is removed, whoever unlinks the file.
 */

void sqi_wake_everybody(struct sqi_head *head)
{
	sqi_wake_all(&head->came);
	sqi_wake_all(&head->went);
	sqi_wake_all(&head->freed);
}

void sqi_gone(struct sqi_head *head)
{
	uint64_t closed;

	do {
		closed = sqi_look(&head->closed);
		if (closed & SQI_CLOSED_GONE)
			return;
	} while (!sqi_cas(&head->closed, closed, closed | SQI_CLOSED_GONE));
	sqi_wake_everybody(head);
}

/* Who shut it down meant it to end; that its name then goes, too, is no news. */
int sqi_closed_error(const struct sq *h)
{
	return (sqi_look(&h->head->closed) & (SQI_CLOSED_HOW | SQI_CLOSED_GONE)) == SQI_CLOSED_GONE
		       ? -EIDRM
		       : -EPIPE;
}

/* Has the file lost its name? */
static bool is_nameless(const struct sq *h)
{
	struct stat st;

	return fstat(h->fd, &st) == 0 && st.st_dev == h->dev && st.st_ino == h->ino &&
	       st.st_nlink == 0;
}

void sqi_look_for_name(struct sq *h)
{
	if (!(sqi_look(&h->head->closed) & SQI_CLOSED_GONE) && is_nameless(h))
		sqi_gone(h->head);
}

int sqi_stays(struct sq *h)
{
	for (unsigned rounds = 0; rounds < SQI_ROUNDS_MAX; rounds++) {
		uint64_t going = sqi_look(&h->head->going);

		if (going == SQI_GOING_DONE || (sqi_look(&h->head->closed) & SQI_CLOSED_GONE) ||
			is_nameless(h))
			return -ENOENT;
		if (going == 0 || sqi_cas(&h->head->going, going, 0))
			return 0;
	}
	return -EBADMSG;
}

bool sqi_remove_if(struct sq *h, bool (*is_abandoned)(const struct sq *h))
{
	uint64_t going = sqi_look(&h->head->going);

	/* Of another collector, which may have been killed; or damage. */
	if (going != 0 && going != SQI_GOING_DONE && sqi_is_dead(h, going) &&
		sqi_cas(&h->head->going, going, 0))
		going = 0;
	if (going != 0 || !sqi_cas(&h->head->going, 0, h->id))
		return going == SQI_GOING_DONE;
	if (is_abandoned(h) && sqi_cas(&h->head->going, h->id, SQI_GOING_DONE))
		return true;
	(void)sqi_cas(&h->head->going, h->id, 0);
	return false;
}

int sqi_finish_removal(struct sq *h, const char *name)
{
	char path[SQI_PATH_MAX];

	if (sqi_look(&h->head->going) != SQI_GOING_DONE)
		return 0;
	sqi_gone(h->head);
	/* The name may stand for another by now. */
	if (!sqi_segment_is(name, h->dev, h->ino) || sqi_name_path(path, name) < 0)
		return 0;
	return unlink(path) == 0 || errno == ENOENT ? 0 : -errno;
}
