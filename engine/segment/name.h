/* SPDX-License-Identifier: ISC */
#ifndef SQI_NAME_H
#define SQI_NAME_H

#include <stdbool.h>
#include <stddef.h>

#include "sq.h"

/*
 * Queue names and the objects they stand for: `[prefix.]queue` is the file `sq.PREFIX.QUEUE` in the
 * directory of shared memory. Pure, but for the environment and the user's name.
 */

#define SQI_DIR      "/dev/shm"
#define SQI_PATH_MAX (sizeof(SQI_DIR) + 4 + 2 * SQ_NAME_MAX + 2)

/* sqi_name_check(): 0, or -EINVAL if `name` is no `[prefix.]queue`. */
int sqi_name_check(const char *name);

/*
 * sqi_name_prefix(): what names without a prefix of their own are taken to begin with. As sq_prefix().
 */
int sqi_name_prefix(char *buf, size_t cap);

/* sqi_name_path(): the path of the object. -EINVAL: a bad name, or a bad SQ_PREFIX. */
int sqi_name_path(char ret[static SQI_PATH_MAX], const char *name);

/*
 * sqi_name_of(): is `file` (an entry of the directory) a queue's? Then *ret points to
 * `prefix.queue` in it.
 */
bool sqi_name_of(const char **ret, const char *file);

#endif
