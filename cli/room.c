/* SPDX-License-Identifier: ISC */
#include "room.h"

#include <bsd/libutil.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/statvfs.h>

#include "report.h"
#include "sq.h"

#define SHM "/dev/shm"
#define MIB ((uint64_t)1 << 20)

static const char *human(char ret[static 8], uint64_t bytes)
{
	(void)humanize_number(ret, 5, (int64_t)bytes, "", HN_AUTOSCALE, HN_NOSPACE | HN_DECIMAL);
	return ret;
}

static int report_room(const char *queue, uint64_t wanted, const struct statvfs *shm)
{
	uint64_t there = (uint64_t)shm->f_bavail * shm->f_frsize;
	uint64_t used = (uint64_t)shm->f_blocks * shm->f_frsize - there;
	char want_text[8], there_text[8];

	return report(EXIT_CANNOT_CREATE,
		"no room for %s: %s wanted (%" PRIu64 " bytes), %s there in " SHM " (%" PRIu64
		" bytes); lower --capacity or --block-memory, remove something, or make it larger with "
		"`mount -o remount,size=%" PRIu64 "M " SHM "`",
		queue, human(want_text, wanted), wanted, human(there_text, there), there,
		(used + wanted + MIB - 1) / MIB);
}

int room_check(const char *queue, uint64_t n, uint64_t size)
{
	struct statvfs shm;
	uint64_t there;

	if (statvfs(SHM, &shm) < 0)
		return report(EXIT_CANNOT_CREATE, "there is no " SHM " (%s); mount a tmpfs there",
			strerror(errno));
	there = (uint64_t)shm.f_bavail * shm.f_frsize;
	/* No blocks at all: a file system without a limit of its own. */
	return shm.f_blocks && there / n < size ? report_room(queue, n * size, &shm) : EXIT_DONE;
}

int room_report(const char *queue, int error, uint64_t size)
{
	struct statvfs shm;

	switch (-error) {
	case EEXIST:
		return report(EXIT_CANNOT_CREATE,
			"somebody has just made a queue %s; use it, or another name", queue);
	case ENOSPC:
		if (statvfs(SHM, &shm) == 0)
			return report_room(queue, size, &shm);
		break;
	case EFBIG:
		return report(EXIT_CANNOT_CREATE,
			"%s needs %" PRIu64
			" bytes, which is above this shell's limit for files; raise it with "
			"`ulimit -f`",
			queue, size);
	case EACCES:
	case EPERM:
	case EROFS:
		return report(
			EXIT_DENIED, "not allowed to make queues in " SHM ": see `ls -ld " SHM "`");
	default:
		break;
	}
	return report(EXIT_CANNOT_CREATE, "cannot make %s: %s; see `df " SHM "` and `ulimit -a`",
		queue, sq_strerror(error));
}
