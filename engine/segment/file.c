/* SPDX-License-Identifier: ISC */
#include "segment/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "segment/name.h"

/*
 * The files of queues. Called by the public calls that are given a name (queue.c, admin.c, gc.c,
 * stat.c) and by removal.c; from any thread, any number of processes at once. There is no state.
 *
 * A segment is made under a temporary name, is given all its memory and its head, and is then
 * linked to its own name: under that name there is a complete segment or none. Its maker holds a
 * lock on the file until it is linked, so that sq_sweep() can tell a file that is being made from
 * one whose maker was killed.
 */

#define MAKE_TRIES    8
#define PIECE         ((uint64_t)1 << 20) /* bytes allocated at a time */
#define STAT_BLOCK    512                 /* bytes: what st_blocks counts */
#define TEMPORARY_MAX (sizeof(SQI_DIR) + sizeof(SQI_FILE_TEMPORARY) + 20)

int sqi_file_lock(int fd)
{
	struct flock all = {.l_type = F_WRLCK,
		.l_whence = SEEK_SET,
		.l_start = (off_t)SQI_LOCK_BASE,
		.l_len = 1};

	return fcntl(fd, F_OFD_SETLK, &all) == 0 ? 0 : -errno;
}

/*
 * Reserves the file's memory. A signal may make posix_fallocate() fail, and undo what it has done
 * (on some kernels, for a file in memory), so the file is done in pieces: each is short enough to
 * be complete between two signals. posix_fallocate() returns its error.
 */
static int allocate(int fd, uint64_t size)
{
	for (uint64_t at = 0; at < size;) {
		uint64_t len = size - at < PIECE ? size - at : PIECE;
		int r = posix_fallocate(fd, (off_t)at, (off_t)len);

		if (r == 0)
			at += len;
		else if (r != EINTR)
			return -r;
	}
	return 0;
}

/*
 * 0, or -ENOSPC if there is not enough memory. Asked before anything is allocated: an allocation
 * that fails in the middle would have made others fail, too.
 */
static int check_room(uint64_t size)
{
	struct statvfs vfs;

	if (statvfs(SQI_DIR, &vfs) < 0)
		return -errno;
	/* If f_blocks is 0 the file system has no limit of its own. */
	return vfs.f_blocks && (uint64_t)vfs.f_bavail * vfs.f_frsize < size ? -ENOSPC : 0;
}

/* Locks the empty file, reserves its memory, and writes its head. All other bytes are 0. */
static int fill(int fd, const struct sqi_geometry *g, uint32_t mode)
{
	struct sqi_head head;
	struct timespec now;
	int r = sqi_file_lock(fd);

	if (r < 0)
		return r;
	r = allocate(fd, g->total);
	if (r < 0)
		return r;
	memset(&head, 0, sizeof(head));
	(void)clock_gettime(CLOCK_REALTIME, &now);
	memcpy(head.magic, SQI_MAGIC, sizeof(head.magic));
	head.version = SQI_LAYOUT_VERSION;
	head.head_size = sizeof(head);
	head.fingerprint = sqi_fingerprint(g);
	head.total = g->total;
	head.in = g->in;
	head.created_s = (uint64_t)now.tv_sec;
	if (pwrite(fd, &head, sizeof(head), 0) != (ssize_t)sizeof(head))
		return errno ? -errno : -EIO;
	return fchmod(fd, mode) < 0 ? -errno : 0;
}

/* One try to make the file. -EAGAIN: a sweep removed it before it was locked. */
static int make(const char *path, const struct sqi_geometry *g, uint32_t mode)
{
	char temporary[TEMPORARY_MAX];
	uint64_t nonce;
	int fd, r;

	if (getrandom(&nonce, sizeof(nonce), 0) != (ssize_t)sizeof(nonce))
		return -errno;
	(void)snprintf(temporary, sizeof(temporary), SQI_DIR "/" SQI_FILE_TEMPORARY "%016llx",
		(unsigned long long)nonce);
	fd = open(temporary, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	r = fill(fd, g, mode);
	if (r == 0 && link(temporary, path) < 0)
		r = errno == ENOENT ? -EAGAIN : -errno; /* ENOENT: a sweep removed `temporary` */
	(void)unlink(temporary);
	(void)close(fd);
	return r;
}

int sqi_file_make(const char *path, const struct sqi_geometry *g, uint32_t mode)
{
	int r = check_room(g->total);

	for (int i = 0; r == 0 && i < MAKE_TRIES; i++) {
		r = make(path, g, mode);
		if (r != -EAGAIN)
			return r;
		r = 0;
	}
	return r < 0 ? r : -EAGAIN;
}

/*
 * Opens the file, but not as descriptor 0, 1 or 2, even if one of those is closed: what the program
 * prints would be written into the segment. Returns the descriptor, or -1 with errno.
 */
static int open_high(const char *path, int access)
{
	int fd = open(path, access | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK), high;

	if (fd < 0 || fd > STDERR_FILENO)
		return fd;
	high = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	(void)close(fd);
	return high;
}

/*
 * True unless the queue may be a trap. Every user may make files in this directory, so another user
 * may have made one of this name first. A name without a prefix therefore means only a queue of
 * this user's or of root's; a name with a prefix, or SQ_PREFIX, says that any owner is meant.
 */
static bool is_ours_to_use(const char *name, uid_t owner)
{
	return strchr(name, '.') || getenv("SQ_PREFIX") || owner == geteuid() || owner == 0;
}

/* sqi_file_open(), with `access` O_RDWR or O_RDONLY. */
static int open_checked(int *ret_fd, struct sqi_geometry *ret, struct stat *ret_st,
	const char **ret_why, const char *name, int access)
{
	_Alignas(struct sqi_head) char head[sizeof(struct sqi_head)] = {0};
	char path[SQI_PATH_MAX];
	const char *why = NULL;
	struct stat st;
	int fd, r = sqi_name_path(path, name);

	if (r < 0)
		return r;
	fd = open_high(path, access);
	if (fd < 0 && errno != ELOOP && errno != EISDIR && errno != ENXIO)
		return errno == EPERM ? -EACCES : -errno;
	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		why = "not a file of shared memory";
	else if (pread(fd, head, sizeof(head), 0) < 0)
		why = "unreadable";
	else
		why = sqi_head_check(ret, head, (uint64_t)st.st_size);
	/* All memory was reserved when the file was made. Using what is missing may be a SIGBUS. */
	if (!why && (uint64_t)st.st_blocks * STAT_BLOCK < (uint64_t)st.st_size)
		why = "has holes: its memory is not all there";
	if (why) {
		if (fd >= 0)
			(void)close(fd);
		*ret_why = why;
		return -EPROTO;
	}
	if (!is_ours_to_use(name, st.st_uid)) {
		(void)close(fd);
		return -EPERM;
	}
	*ret_st = st;
	*ret_fd = fd;
	return 0;
}

int sqi_file_open(int *ret_fd, struct sqi_geometry *ret, struct stat *ret_st, const char **ret_why,
	const char *name)
{
	return open_checked(ret_fd, ret, ret_st, ret_why, name, O_RDWR);
}

int sqi_file_open_readonly(
	int *ret_fd, struct sqi_geometry *ret, struct stat *ret_st, const char *name)
{
	const char *why;

	return open_checked(ret_fd, ret, ret_st, &why, name, O_RDONLY);
}

bool sqi_file_is(const char *name, uint64_t dev, uint64_t ino)
{
	char path[SQI_PATH_MAX];
	struct stat st;

	return sqi_name_path(path, name) == 0 && lstat(path, &st) == 0 && st.st_dev == dev &&
	       st.st_ino == ino;
}
