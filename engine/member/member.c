/* SPDX-License-Identifier: ISC */
#include "member/member.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

/*
 * The ids of participants, and whether they live. Called by join.c (an id is taken and dropped),
 * and by whatever asks for the dead; by any number of participants at once.
 *
 * A participant's id is a number never used again in this segment. While the participant lives it
 * holds a write lock on the byte of the segment's file at SQI_LOCK_BASE plus that number, through
 * an open file description of its own. The kernel drops the lock when the last descriptor of that
 * description is closed; at exit that is after the process's last instruction (D1). The lock is
 * taken before the id is written anywhere, so an id in a slot without its lock is that of a dead
 * participant, for ever. Process ids are not used: this is right with reused process ids, with
 * exec(), and in containers that share the segment but not the pid namespace.
 */

#define JOIN_TRIES 1000

/* The lock of the participant of this id, as fcntl() takes it. */
static struct flock lock_of(uint64_t id)
{
	/* For ids below SQI_ID_MAX, which are all that are passed to the kernel, the sum fits. */
	return (struct flock){
		.l_type = F_WRLCK,
		.l_whence = SEEK_SET,
		.l_start = (off_t)(SQI_LOCK_BASE + id),
		.l_len = 1,
	};
}

/*
 * True if the participant of this id lives. `fd` is a descriptor of the segment's file; the caller
 * need not be a participant. False also if the lock query fails.
 */
bool sqi_is_locked(int fd, uint64_t id)
{
	struct flock lock = lock_of(id);

	return id < SQI_ID_MAX && fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

/*
 * True if the participant of this id is dead, for good. False also if the lock query fails, or if
 * the descriptor is no longer one of the segment's file: an answer about another file would declare
 * the living dead.
 */
bool sqi_is_dead(const struct sqi_member *m, uint64_t id)
{
	struct flock lock = lock_of(id);

	if (id == m->id)
		return false;
	if (id >= SQI_ID_MAX)
		return true; /* condemned; or damage, for no participant has such an id */
	/* D1. If the query sees the lock dropped, all that the participant stored is visible. */
	return fcntl(m->file->fd, F_OFD_GETLK, &lock) == 0 && lock.l_type == F_UNLCK &&
	       sqi_has_descriptor(m->file);
}

/*
 * Takes an id that was never used, and its lock. 0; -EBADMSG: the segment's counter of ids is
 * damaged; or the error of fcntl().
 */
int sqi_new_id(struct sqi_member *m)
{
	for (int i = 0; i < JOIN_TRIES; i++) {
		uint64_t id = sqi_add(&m->ring->head->next_id, 1) + 1;
		struct flock lock = lock_of(id);

		if (id == 0 || id >= SQI_ID_MAX)
			return -EBADMSG;
		if (fcntl(m->file->fd, F_OFD_SETLK, &lock) == 0) {
			m->id = id;
			return 0;
		}
		/* EAGAIN, EACCES: a participant has this id, so the counter was damaged: go on. */
		if (errno != EAGAIN && errno != EACCES)
			return -errno;
	}
	return -EBADMSG;
}

/*
 * Drops the id's lock. Closing the descriptor does not, if this process's mapping, which other
 * handles share, was made through it: a mapping keeps the open file description.
 */
void sqi_drop_id(struct sqi_member *m)
{
	struct flock lock = lock_of(m->id);

	if (m->id == 0)
		return; /* it never had one */
	lock.l_type = F_UNLCK;
	/* It fails only if the descriptor is another file's by now; then nothing is to be done. */
	(void)fcntl(m->file->fd, F_OFD_SETLK, &lock);
}
