/* SPDX-License-Identifier: ISC */
#ifndef CLI_NAMES_H
#define CLI_NAMES_H

#include <stdbool.h>
#include <stddef.h>

#include "sq.h"

/*
 * Names of queues, as users type them (`pq`) and in full (`prefix.pq`). Nothing here opens a queue,
 * because to open one is to take part in it.
 */

#define NAMES_MAX (2 * SQ_NAME_MAX + 2) /* bytes of a full name and its terminating zero */

/* The full name. 0, or -EINVAL: no name, or SQ_PREFIX is no prefix. */
int names_full(char ret[static NAMES_MAX], const char *queue);

/* EXIT_DONE, or the exit code after having said what is wrong with the first name that is none. */
int names_check(int n, char *const *queues);

/* The full names of all queues of a prefix (NULL: ours; "*": all), sorted; to be freed. */
struct names {
	char **name;
	size_t n;
};

/* EXIT_DONE, or the exit code after having said what is wrong. */
int names_list(struct names *ret, const char *prefix);
void names_free(struct names *names);

/* Is there a queue, or anything else, of this full name? */
bool names_taken(const char *full);

#endif
