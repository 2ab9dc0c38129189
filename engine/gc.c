/* SPDX-License-Identifier: ISC */
#include "sq.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "member/recovery.h"
#include "member/removal.h"
#include "ops/handle.h"
#include "segment/file.h"
#include "segment/name.h"

/*
 * sq_gc(): gives back what the dead held in a queue, and removes a queue that is abandoned. See
 * sq.h. Any number of processes may be in it at once; member/removal.c decides which of them
 * removes the queue.
 */

#define EPHEMERAL_GRACE_S 60

/*
 * Returns true if an ephemeral queue has no participant but this one, and was used before or is
 * older than a minute. The collector's step 2 asks it once more.
 */
static bool is_abandoned(const struct sqi_member *m)
{
	struct timespec now;

	if (!(m->ring->g.in.flags & SQ_EPHEMERAL))
		return false;
	for (struct sqi_slots s = {0}; sqi_slots_next(m->ring, &s);) {
		if (s.id == 0 || s.id == m->id)
			continue;
		/* A durable participant that is away may come again. */
		if (sqi_load_seq(&s.slot->durable) != 0 || !sqi_is_dead(m, s.id))
			return false;
	}
	(void)clock_gettime(CLOCK_REALTIME, &now);
	/* It was used, not only looked at; or no participant came for a while. */
	return sqi_load_seq(&m->ring->head->joins) > 0 ||
	       (uint64_t)now.tv_sec > m->ring->head->created_s + EPHEMERAL_GRACE_S;
}

/*
 * Returns true if the caller can remove the queue's file. Nothing is decided that cannot be carried
 * out: once the removal is decided nobody can open the queue, and as long as its name stands nobody
 * can make another. In a sticky directory of another's the kernel lets only the file's owner unlink
 * it, or a process that may act as the owner; chmod(2), here to the mode that it has, asks just
 * that. (Being root is no answer: of a user namespace one may be root and not act as the owner.)
 */
static bool may_remove(const struct sqi_attachment *file)
{
	struct stat dir, st;

	if (stat(SQI_DIR, &dir) < 0 || fstat(file->fd, &st) < 0 ||
		faccessat(AT_FDCWD, SQI_DIR, W_OK | X_OK, AT_EACCESS) < 0)
		return false;
	return !(dir.st_mode & S_ISVTX) || geteuid() == dir.st_uid ||
	       fchmod(file->fd, st.st_mode & 07777) == 0;
}

int sq_gc(const char *name)
{
	struct sq *h;
	int r = sq_open(&h, name);

	if (r == -EUSERS)
		return 0; /* all slots are taken by live participants: nothing can be given back */
	if (r < 0)
		return r;
	(void)sqi_recover_dead(&h->member);
	/* The collector's steps 1 to 3 are sqi_remove_if(), and step 4 is sqi_finish_removal(). */
	if (is_abandoned(&h->member) && may_remove(&h->file) &&
		sqi_file_is(name, h->file.dev, h->file.ino) &&
		sqi_remove_if(&h->member, is_abandoned)) {
		r = sqi_finish_removal(&h->member, name);
		if (r == 0)
			r = 1;
	}
	sq_close(h);
	return r;
}
