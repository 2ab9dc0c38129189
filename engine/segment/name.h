/* SPDX-License-Identifier: ISC */
#ifndef SQI_NAME_H
#define SQI_NAME_H

#include <stdbool.h>
#include <stddef.h>

#include "sq.h"

/*
 * Queue names and the files they stand for: `[prefix.]queue` is the file `sq.PREFIX.QUEUE` in the
 * directory of shared memory. Called by whatever is given a name, from any thread; there is no
 * state. Nothing is read but the environment and the name of the user.
 */

#define SQI_DIR      "/dev/shm"
#define SQI_PATH_MAX (sizeof(SQI_DIR) + 4 + 2 * SQ_NAME_MAX + 2)

/* sqi_name_check(): 0, or -EINVAL if `name` is not of the form `[prefix.]queue`, or NULL. */
int sqi_name_check(const char *name);

/*
 * sqi_name_prefix(): the prefix of names that are given without one: SQ_PREFIX, or the user's name.
 * Results as sq_prefix().
 */
int sqi_name_prefix(char *buf, size_t cap);

/*
 * sqi_name_path(): the path of the file. -EINVAL: a bad name, or a bad SQ_PREFIX. Another error:
 * the user's name cannot be found out.
 */
int sqi_name_path(char ret[static SQI_PATH_MAX], const char *name);

/*
 * sqi_name_of(): true if `file` (an entry of the directory) is named as a queue's file is. Then
 * *ret points to `prefix.queue` in it.
 */
bool sqi_name_of(const char **ret, const char *file);

#endif
