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

/* Does the participant of this id live, as far as this descriptor of the object can tell? */
bool sqi_is_locked(int fd, uint64_t id)
{
	struct flock lock = byte_of(id);

	return id < SQI_ID_MAX && fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

/* Has the participant of this id gone for good? False if that cannot be told. */
bool sqi_is_dead(const struct sq *h, uint64_t id)
{
	struct flock lock = byte_of(id);

	if (id == h->id)
		return false;
	if (id >= SQI_ID_MAX)
		return true; /* nobody's: damage */
	return fcntl(h->fd, F_OFD_GETLK, &lock) == 0 && lock.l_type == F_UNLCK && sqi_has_file(h);
}

static int new_id(struct sq *h)
{
	for (int i = 0; i < JOIN_TRIES; i++) {
		uint64_t id = sqi_add(&h->head->next_id, 1) + 1;
		struct flock lock = byte_of(id);

		if (id == 0 || id >= SQI_ID_MAX)
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

/* The slot bears our id. */
static void move_in(struct sq *h, unsigned number)
{
	struct sqi_slot *slot = sqi_slot(h, number);

	h->slot = slot;
	h->owner = number + 1;
	/*
	 * The former tenant's intent is void, and only then is there one of ours to decide about.
	 */
	sqi_post(&slot->intent_base, ~(uint64_t)0);
	sqi_post(&slot->journal, 0);
	sqi_post(&slot->ending, 0);
	sqi_post(&slot->decision, h->id << 2);
	sqi_post(&slot->pid, (uint64_t)getpid());
	h->puts = sqi_peek(&slot->puts);
}

static bool take_slot(struct sq *h)
{
	for (unsigned n = 0; n < h->g.in.participants; n++) {
		struct sqi_slot *slot = sqi_slot(h, n);

		if (sqi_look(&slot->id) == 0 && sqi_cas(&slot->id, 0, h->id)) {
			move_in(h, n);
			return true;
		}
	}
	return false;
}

/* G3. False: the grace of that one, who is dead, is over, and nothing of it is left. */
static bool adopt(struct sq *h, unsigned number, uint64_t id)
{
	struct sqi_slot *slot = sqi_slot(h, number);

	if (!sqi_is_kept(slot, id) && !sqi_is_condemned(id))
		sqi_reap(h, number, id);
	if (!sqi_is_condemned(id) && !sqi_condemn(slot, &id)) {
		if (sqi_cas(&slot->id, id, h->id))
			return true;
		id |= SQI_CONDEMNED; /* another was faster */
	}
	sqi_reap(h, number, id);
	return false;
}

/*
 * The slot of the durable participant of this key, which is ours: with the leases in it. It has a
 * dead tenant, for the key's only live holder is us.
 */
static bool take_kept_slot(struct sq *h, uint64_t index)
{
	for (unsigned n = 0; n < h->g.in.participants; n++) {
		const struct sqi_slot *slot = sqi_slot(h, n);
		uint64_t id = sqi_look(&slot->id);

		if (id == 0 || (sqi_look(&slot->durable) & SQI_DURABLE_INDEX) != index + 1)
			continue;
		if (adopt(h, n, id)) {
			move_in(h, n);
			return true;
		}
	}
	return false;
}

/* A slot, if need be one of the dead. */
static int settle(struct sq *h)
{
	if (take_slot(h))
		return 0;
	(void)sqi_rescue(h);
	return take_slot(h) ? 0 : -EUSERS;
}

static int join_durably(struct sq *h, uint64_t key, uint64_t grace)
{
	uint64_t index;
	int r = sqi_journal_claim(h, key, &index);

	h->held = SQI_HELD_UNKNOWN;
	if (r < 0)
		return r;
	if (take_kept_slot(h, index)) {
		sqi_post(&h->slot->grace, grace);
		return 0;
	}
	r = settle(h);
	if (r < 0)
		return r;
	/* G0. Last `durable`: whoever finds us dead before has an ordinary slot to free. */
	sqi_post(&h->slot->grace, grace);
	sqi_post(&h->slot->run, h->id);
	sqi_post(&h->slot->durable, h->id << 16 | SQI_DURABLE_NEW | (index + 1));
	return 0;
}

/*
 * Become a participant; a durable one, if there is a key. -EUSERS: no slot is free, and none is
 * held by the dead. -EBUSY: the key's holder lives. -ENOSPC: no room for another key.
 */
int sqi_join_party(struct sq *h, uint64_t key, int64_t grace)
{
	int r = new_id(h);

	if (r < 0)
		return r;
	if (!key)
		return settle(h);
	return join_durably(h, key, grace == SQ_FOREVER ? SQI_GRACE_FOREVER : (uint64_t)grace);
}

/* Give back what we hold, and the slot. The caller closes the descriptor afterwards. */
void sqi_leave_party(struct sq *h)
{
	struct flock lock = byte_of(h->id);

	if (h->slot)
		sqi_give_up_slot(h);
	h->slot = NULL;
	/*
	 * The descriptor's end is not that of its description, if this process's other handles
	 * share the mapping that was made by it.
	 */
	lock.l_type = F_UNLCK;
	(void)fcntl(h->fd, F_OFD_SETLK, &lock); /* if it fails, it is not our file any more */
}
