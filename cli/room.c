/* SPDX-License-Identifier: ISC */
#include "room.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <string.h>
#include <sys/statvfs.h>

#include "report.h"
#include "sq.h"
#include "words.h"

#define SHM         "/dev/shm"
#define MIB         ((uint64_t)1 << 20)
#define LARGE       ((uint64_t)1 << 30)
#define INODES      2 /* while it is made: a name for the time being, and its own */
#define MORE_INODES 1024

static uint64_t bytes_there(const struct statvfs *shm)
{
	return (uint64_t)shm->f_bavail * shm->f_frsize;
}

/* No blocks, or no files, at all: a file system without a limit of its own. */
static bool lacks_bytes(const struct statvfs *shm, uint64_t n, uint64_t size)
{
	return shm->f_blocks && bytes_there(shm) / n < size;
}

static bool lacks_inodes(const struct statvfs *shm, uint64_t n)
{
	return shm->f_files && shm->f_favail < n;
}

static int report_bytes(const char *queue, uint64_t wanted, const struct statvfs *shm)
{
	uint64_t there = bytes_there(shm);
	uint64_t used = (uint64_t)shm->f_blocks * shm->f_frsize - there;
	char want_text[WORDS_SIZE_MAX], there_text[WORDS_SIZE_MAX];

	return report(EXIT_CANNOT_CREATE,
		"no room for %s: %s wanted (%" PRIu64 " bytes), %s there in " SHM " (%" PRIu64
		" bytes); lower --capacity or --block-memory, remove something, or make it larger with "
		"`mount -o remount,size=%" PRIu64 "M " SHM "`",
		queue, words_size(want_text, wanted), wanted, words_size(there_text, there), there,
		(used + wanted + MIB - 1) / MIB);
}

static int report_inodes(const char *queue, uint64_t n, const struct statvfs *shm)
{
	return report(EXIT_CANNOT_CREATE,
		"no inode for %s: %" PRIu64 " of %" PRIu64 " are left in " SHM
		", however much memory there is; remove files from it, or allow more with "
		"`mount -o remount,nr_inodes=%" PRIu64 " " SHM "`",
		queue, (uint64_t)shm->f_favail, (uint64_t)shm->f_files,
		(uint64_t)shm->f_files + n + MORE_INODES);
}

int room_check(const char *queue, uint64_t n, uint64_t size)
{
	struct statvfs shm;

	if (statvfs(SHM, &shm) < 0)
		return report(EXIT_CANNOT_CREATE, "there is no " SHM " (%s); mount a tmpfs there",
			strerror(errno));
	if (lacks_bytes(&shm, n, size))
		return report_bytes(queue, n * size, &shm);
	return lacks_inodes(&shm, n) ? report_inodes(queue, n, &shm) : EXIT_DONE;
}

void room_report_large(const char *queue, uint64_t n, uint64_t size)
{
	char size_text[WORDS_SIZE_MAX], there_text[WORDS_SIZE_MAX];
	struct statvfs shm;

	if (statvfs(SHM, &shm) < 0 || (n * size < LARGE && n * size <= bytes_there(&shm)))
		return;
	(void)report(EXIT_DONE,
		"%s %s %s of memory, and leaves %s in " SHM
		"; --max-message, --block-memory and --capacity say how much, `sqctl rm` gives it back",
		queue, n == 1 ? "takes" : "take", words_size(size_text, n * size),
		words_size(there_text, bytes_there(&shm)));
}

/* The same errno has two causes; and there may be room again since. */
static int report_no_room(const char *queue, uint64_t size)
{
	struct statvfs shm;

	if (statvfs(SHM, &shm) == 0 && lacks_bytes(&shm, 1, size))
		return report_bytes(queue, size, &shm);
	if (statvfs(SHM, &shm) == 0 && lacks_inodes(&shm, INODES))
		return report_inodes(queue, 1, &shm);
	return report(EXIT_CANNOT_CREATE,
		"there was no room for %s in " SHM " just now, and there is again: try once more",
		queue);
}

int room_report(const char *queue, int error, uint64_t size)
{
	switch (-error) {
	case EEXIST:
		return report(EXIT_CANNOT_CREATE,
			"somebody has just made a queue %s; use it, or another name", queue);
	case ENOSPC:
		return report_no_room(queue, size);
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
