/* SPDX-License-Identifier: ISC */
#include "member/removal.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "segment/closed.h"
#include "segment/file.h"
#include "segment/name.h"

/*
 * The removal of a queue. Called by queue.c (openers), gc.c (collectors) and upkeep.c; by any
 * number of participants at once.
 *
 * The participants of a removed queue are told by SQI_CLOSED_GONE in the segment: puts fail; gets
 * go on until the queue is empty, and then fail. If the file lost its name in another way (rm, a
 * log-out), upkeep notices it and sets that bit.
 *
 * An abandoned queue is removed only if no participant joins meanwhile. A collector and an opener
 * each write first and look then, and these four steps are sequentially consistent, so at least one
 * of them sees the other. The word is `removal` in the head (see docs/MEMORY_MODEL.md, "The
 * end of a queue", which has these steps):
 *
 *	   collector                                 opener
 *	1  removal: 0 -> its id                      its id into a slot, its byte locked (join.c)
 *	2  looks for participants: if there is one,  looks at removal: DONE is -ENOENT; an id is
 *	   removal back to 0                         taken away, by a CAS to 0
 *	3  removal: its id -> DONE                   looks whether the file has a name: none is
 *	                                             -ENOENT
 *	4  sets SQI_CLOSED_GONE, unlinks the file
 *
 * Ids are never used again, so a collector that was stopped finds its id there only if no opener
 * has passed step 2 since. After DONE the queue is removed, though the collector may have been
 * killed: any participant may do step 4.
 */

/* True if the file has no name any more. */
static bool is_nameless(const struct sqi_attachment *file)
{
	struct stat st;

	return fstat(file->fd, &st) == 0 && st.st_dev == file->dev && st.st_ino == file->ino &&
	       st.st_nlink == 0;
}

/* Sets SQI_CLOSED_GONE if the file has no name any more. */
void sqi_check_name(struct sqi_member *m)
{
	if (!(sqi_load_seq(&m->ring->head->closed) & SQI_CLOSED_GONE) && is_nameless(m->file))
		sqi_note_removed(m->ring->head);
}

/*
 * Steps 2 and 3 of an opener, which is a participant already. 0: the queue stays while the opener
 * has it open. -ENOENT: it is removed. -EBADMSG: the word changes all the time, which is damage.
 */
int sqi_check_present(struct sqi_member *m)
{
	for (unsigned rounds = 0; rounds < SQI_ROUNDS_MAX; rounds++) {
		/* Opener's step 2. */
		uint64_t removal = sqi_load_seq(&m->ring->head->removal);

		/* Its step 3 is the last of these looks. */
		if (removal == SQI_REMOVAL_DONE ||
			(sqi_load_seq(&m->ring->head->closed) & SQI_CLOSED_GONE) ||
			is_nameless(m->file))
			return -ENOENT;
		/* Step 2: a collector's id is taken away. */
		if (removal == 0 || sqi_cas(&m->ring->head->removal, removal, 0))
			return 0;
	}
	return -EBADMSG;
}

/*
 * Steps 1 to 3 of a collector. True if the queue is removed now, by the caller or by another; then
 * sqi_finish_removal() is to be called. False if it is in use, or another collector is at it.
 */
bool sqi_remove_if(struct sqi_member *m, bool (*is_abandoned)(const struct sqi_member *m))
{
	uint64_t removal = sqi_load_seq(&m->ring->head->removal);

	/* The id of a collector that was killed is cleared; so is one that is damage. */
	if (removal != 0 && removal != SQI_REMOVAL_DONE && sqi_is_dead(m, removal) &&
		sqi_cas(&m->ring->head->removal, removal, 0))
		removal = 0;
	/* Collector's step 1. */
	if (removal != 0 || !sqi_cas(&m->ring->head->removal, 0, m->id))
		return removal == SQI_REMOVAL_DONE;
	/* Steps 2 and 3. */
	if (is_abandoned(m) && sqi_cas(&m->ring->head->removal, m->id, SQI_REMOVAL_DONE))
		return true;
	(void)sqi_cas(&m->ring->head->removal, m->id, 0);
	return false;
}

/*
 * Step 4, if the queue is removed; else nothing. 0, or the error of unlink(): the caller may not
 * remove the file.
 */
int sqi_finish_removal(struct sqi_member *m, const char *name)
{
	char path[SQI_PATH_MAX];

	if (sqi_load_seq(&m->ring->head->removal) != SQI_REMOVAL_DONE)
		return 0;
	/* Step 4. */
	sqi_note_removed(m->ring->head);
	/* The name may be another file's by now. */
	if (!sqi_file_is(name, m->file->dev, m->file->ino) || sqi_name_path(path, name) < 0)
		return 0;
	return unlink(path) == 0 || errno == ENOENT ? 0 : -errno;
}
