/* SPDX-License-Identifier: ISC */
#ifndef SQI_FILE_H
#define SQI_FILE_H

/* The file of a queue: made, opened and checked, but not mapped. See file.c. */

#include <sys/stat.h>

#include "segment/layout.h"

/*
 * sqi_file_make(): makes a segment of this geometry and gives it this path. -EEXIST: the path is
 * taken. -ENOSPC: too little memory. -EAGAIN: removed while it was made, again and again. Or the
 * error of a system call.
 */
int sqi_file_make(const char *path, const struct sqi_geometry *g, uint32_t mode);

/*
 * sqi_file_lock(): takes the lock that the maker of a file holds until the file is complete. 0, or
 * -EAGAIN: another process holds it.
 */
int sqi_file_lock(int fd);

#define SQI_FILE_TEMPORARY "sq.tmp-" /* the names of files that are being made begin so */

/*
 * sqi_file_open(): opens the queue's file for reading and writing, and checks its head, its length
 * and its owner. -ENOENT: there is none. -EACCES: not permitted. -EPROTO: it is not a whole queue;
 * *ret_why says what is wrong. -EPERM: it belongs to another user, and the name has no prefix. Or
 * another error of a system call. The outputs are written on success only; *ret_why with -EPROTO
 * only.
 */
int sqi_file_open(int *ret_fd, struct sqi_geometry *ret, struct stat *ret_st, const char **ret_why,
	const char *name);

/*
 * sqi_file_open_readonly(): the same, for reading only. The caller must not map the file: who may
 * write it may truncate it, and then a load from the mapping is a SIGBUS.
 */
int sqi_file_open_readonly(
	int *ret_fd, struct sqi_geometry *ret, struct stat *ret_st, const char *name);

/* sqi_file_is(): true if the name stands for the file of this device and inode. */
bool sqi_file_is(const char *name, uint64_t dev, uint64_t ino);

#endif
