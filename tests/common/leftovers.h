/* SPDX-License-Identifier: ISC */
#ifndef TESTS_LEFTOVERS_H
#define TESTS_LEFTOVERS_H

/* The queues under a test's own prefix: what it leaves in /dev/shm fails the gate. */

#include <stddef.h>

#include "sq.h"

static inline int leftovers_remove_one(const char *name, void *data)
{
	(void)sq_unlink(name);
	++*(int *)data;
	return 0;
}

/* Remove them. How many there were, or a negative errno. */
static inline int leftovers_remove(const char *prefix)
{
	int n = 0, r = sq_list(prefix, leftovers_remove_one, &n);

	return r < 0 ? r : n;
}

#endif
