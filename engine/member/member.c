/* SPDX-License-Identifier: ISC */
#include "member/member.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

/*
 * Participants, and whether they live.
 *
 * A participant's id is a number never used again in this segment, and a write lock on the byte of
 * the object's file at SQI_LOCK_BASE plus that number, held through an open file description of its
 * own. The kernel drops the lock when the last descriptor of it is gone, which is after the
 * process's memory is gone. The lock is taken before the id is published, so an id in a slot
 * without its lock is dead, and stays so. No pid is involved: this is right across pid reuse, exec,
 * and containers that share the segment but not the pid namespace.
 */

#define JOIN_TRIES 1000

static struct flock byte_of(uint64_t id)
{
	/* The sum wraps in no case: ids are below SQI_ID_MAX. */
	return (struct flock){
		.l_type = F_WRLCK,
		.l_whence = SEEK_SET,
		.l_start = (off_t)(SQI_LOCK_BASE + id),
		.l_len = 1,
	};
}

/* Does the participant of this id live, as far as this descriptor of the object can tell? */
bool sqi_is_locked(int fd, uint64_t id)
{
	struct flock lock = byte_of(id);

	return id < SQI_ID_MAX && fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

/* Has the participant of this id gone for good? False if that cannot be told. */
bool sqi_is_dead(const struct sqi_member *m, uint64_t id)
{
	struct flock lock = byte_of(id);

	if (id == m->id)
		return false;
	if (id >= SQI_ID_MAX)
		return true; /* nobody's: damage */
	return fcntl(m->file->fd, F_OFD_GETLK, &lock) == 0 && lock.l_type == F_UNLCK &&
	       sqi_has_descriptor(m->file);
}

int sqi_new_id(struct sqi_member *m)
{
	for (int i = 0; i < JOIN_TRIES; i++) {
		uint64_t id = sqi_add(&m->ring->head->next_id, 1) + 1;
		struct flock lock = byte_of(id);

		if (id == 0 || id >= SQI_ID_MAX)
			return -EBADMSG;
		if (fcntl(m->file->fd, F_OFD_SETLK, &lock) == 0) {
			m->id = id;
			return 0;
		}
		/* Held by somebody: the counter was damaged, and is past this one now. */
		if (errno != EAGAIN && errno != EACCES)
			return -errno;
	}
	return -EBADMSG;
}

/*
 * The descriptor's end is not that of its description, if this process's other handles share the
 * mapping that was made by it.
 */
void sqi_drop_id(struct sqi_member *m)
{
	struct flock lock = byte_of(m->id);

	lock.l_type = F_UNLCK;
	(void)fcntl(m->file->fd, F_OFD_SETLK, &lock); /* if it fails, it is not our file any more */
}
