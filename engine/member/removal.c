/* SPDX-License-Identifier: ISC */
#include "member/removal.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "segment/closed.h"
#include "segment/file.h"
#include "segment/name.h"

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

/* Has the file lost its name? */
static bool is_nameless(const struct sqi_attachment *file)
{
	struct stat st;

	return fstat(file->fd, &st) == 0 && st.st_dev == file->dev && st.st_ino == file->ino &&
	       st.st_nlink == 0;
}

void sqi_check_name(struct sqi_member *m)
{
	if (!(sqi_load_seq(&m->ring->head->closed) & SQI_CLOSED_GONE) && is_nameless(m->file))
		sqi_note_removed(m->ring->head);
}

int sqi_check_present(struct sqi_member *m)
{
	for (unsigned rounds = 0; rounds < SQI_ROUNDS_MAX; rounds++) {
		uint64_t going = sqi_load_seq(&m->ring->head->removal);

		if (going == SQI_REMOVAL_DONE ||
			(sqi_load_seq(&m->ring->head->closed) & SQI_CLOSED_GONE) ||
			is_nameless(m->file))
			return -ENOENT;
		if (going == 0 || sqi_cas(&m->ring->head->removal, going, 0))
			return 0;
	}
	return -EBADMSG;
}

bool sqi_remove_if(struct sqi_member *m, bool (*is_abandoned)(const struct sqi_member *m))
{
	uint64_t going = sqi_load_seq(&m->ring->head->removal);

	/* Of another collector, which may have been killed; or damage. */
	if (going != 0 && going != SQI_REMOVAL_DONE && sqi_is_dead(m, going) &&
		sqi_cas(&m->ring->head->removal, going, 0))
		going = 0;
	if (going != 0 || !sqi_cas(&m->ring->head->removal, 0, m->id))
		return going == SQI_REMOVAL_DONE;
	if (is_abandoned(m) && sqi_cas(&m->ring->head->removal, m->id, SQI_REMOVAL_DONE))
		return true;
	(void)sqi_cas(&m->ring->head->removal, m->id, 0);
	return false;
}

int sqi_finish_removal(struct sqi_member *m, const char *name)
{
	char path[SQI_PATH_MAX];

	if (sqi_load_seq(&m->ring->head->removal) != SQI_REMOVAL_DONE)
		return 0;
	sqi_note_removed(m->ring->head);
	/* The name may stand for another by now. */
	if (!sqi_file_is(name, m->file->dev, m->file->ino) || sqi_name_path(path, name) < 0)
		return 0;
	return unlink(path) == 0 || errno == ENOENT ? 0 : -errno;
}
