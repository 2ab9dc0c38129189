/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "handle.h"

/*
 * Participants, and whether they live. Called by queue.c and recover.c.
 *
 * A participant's id is a number never used again in this segment, and a write lock on the byte of
 * the object's file at SQI_LOCK_BASE plus that number, held through an open file description of its
 * own. The kernel drops the lock when the last descriptor of it is gone, which is after the
 * process's memory is gone. The lock is taken before the id is published, so an id in a slot
 * without its lock is dead, and stays so. No pid is involved: this is right across pid reuse, exec,
 * and containers that share the segment but not the pid namespace.
 */

#define ID_MAX     ((uint64_t)1 << 60)
#define JOIN_TRIES 1000

static struct flock byte_of(uint64_t id)
{
	/* The sum wraps in no case: ids are below ID_MAX. */
	return (struct flock){
		.l_type = F_WRLCK,
		.l_whence = SEEK_SET,
		.l_start = (off_t)(SQI_LOCK_BASE + id),
		.l_len = 1,
	};
}

/*
 * Is our descriptor still that of the object? A program that closes all descriptors, and opens
 * others, has made it something else: then we can tell nothing about anybody, and must not close
 * it.
 */
bool sqi_has_file(const struct sq *h)
{
	struct stat st;

	return fstat(h->fd, &st) == 0 && st.st_dev == h->dev && st.st_ino == h->ino;
}

/* Has the participant of this id gone for good? When in doubt, no. */
bool sqi_is_dead(const struct sq *h, uint64_t id)
{
	struct flock lock = byte_of(id);

	if (id == h->id)
		return false;
	if (id >= ID_MAX)
		return true; /* nobody's: damage */
	return fcntl(h->fd, F_OFD_GETLK, &lock) == 0 && lock.l_type == F_UNLCK && sqi_has_file(h);
}

static int new_id(struct sq *h)
{
	for (int i = 0; i < JOIN_TRIES; i++) {
		uint64_t id = sqi_add(&h->head->next_id, 1) + 1;
		struct flock lock = byte_of(id);

		if (id == 0 || id >= ID_MAX)
			return -EBADMSG;
		if (fcntl(h->fd, F_OFD_SETLK, &lock) == 0) {
			h->id = id;
			return 0;
		}
		/* Held by somebody: the counter was damaged, and is past this one now. */
		if (errno != EAGAIN && errno != EACCES)
			return -errno;
	}
	return -EBADMSG;
}

static bool take_slot(struct sq *h)
{
	for (unsigned n = 0; n < h->g.in.participants; n++) {
		struct sqi_slot *slot = sqi_slot(h, n);

		if (sqi_look(&slot->id) != 0 || !sqi_cas(&slot->id, 0, h->id))
			continue;
		h->slot = slot;
		h->owner = n + 1;
		/*
		 * The former tenant's intent is void, and only then is there one of ours to decide
		 * about.
		 */
		sqi_post(&slot->intent_base, ~(uint64_t)0);
		sqi_post(&slot->journal, 0);
		sqi_post(&slot->decision, h->id << 2);
		sqi_post(&slot->pid, (uint64_t)getpid());
		h->puts = sqi_peek(&slot->puts);
		return true;
	}
	return false;
}

/* Become a participant. -EUSERS: no slot is free, and none is held by the dead. */
int sqi_join_party(struct sq *h)
{
	int r = new_id(h);

	if (r < 0)
		return r;
	if (take_slot(h))
		return 0;
	(void)sqi_rescue(h);
	return take_slot(h) ? 0 : -EUSERS;
}

/* Give back what we hold, and the slot. The caller closes the descriptor afterwards. */
void sqi_leave_party(struct sq *h)
{
	if (h->slot)
		sqi_reap(h, h->owner - 1, h->id);
	h->slot = NULL;
}
