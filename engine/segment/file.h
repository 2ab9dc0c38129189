/* SPDX-License-Identifier: ISC */
#ifndef SQI_FILE_H
#define SQI_FILE_H

/* The file behind a queue: made, opened and looked through, but not mapped. */

#include <sys/stat.h>

#include "segment/layout.h"

/* sqi_file_make(): a whole segment under its name. -EEXIST, -ENOSPC, -EAGAIN, ... */
int sqi_file_make(const char *path, const struct sqi_geometry *g, uint32_t mode);

/* sqi_file_lock(): the lock that its maker holds. 0, or -EAGAIN: it is held. */
int sqi_file_lock(int fd);

#define SQI_FILE_TEMPORARY "sq.tmp-" /* how the names of files begin that are being made */

/*
 * sqi_file_open(): a descriptor of the queue's object, checked. -ENOENT, -EACCES, -EPROTO and
 * *ret_why, ...
 */
int sqi_file_open(int *ret_fd, struct sqi_geometry *ret, struct stat *ret_st, const char **ret_why,
	const char *name);

/*
 * sqi_file_open_readonly(): the same, for reading only. Its caller must not map it: others may cut the
 * file short.
 */
int sqi_file_open_readonly(
	int *ret_fd, struct sqi_geometry *ret, struct stat *ret_st, const char *name);

/* sqi_file_is(): does the name stand for this file? */
bool sqi_file_is(const char *name, uint64_t dev, uint64_t ino);

#endif
