/* SPDX-License-Identifier: ISC */
#ifndef SQI_SEGMENT_H
#define SQI_SEGMENT_H

#include <sys/stat.h>

#include "layout.h"

/* The file behind a queue: made, opened and looked through, but not mapped. */

/*
 * sqi_segment_open(): a descriptor of the queue's object, checked. -ENOENT, -EACCES, -EPROTO and
 * *ret_why, ...
 */
int sqi_segment_open(int *ret_fd, struct sqi_geometry *ret, struct stat *ret_st,
	const char **ret_why, const char *name);

/*
 * sqi_segment_look(): the same, for reading only. Its caller must not map it: others may cut the
 * file short.
 */
int sqi_segment_look(int *ret_fd, struct sqi_geometry *ret, struct stat *ret_st, const char *name);

/* sqi_segment_is(): does the name stand for this file? */
bool sqi_segment_is(const char *name, uint64_t dev, uint64_t ino);

#endif
