/* SPDX-License-Identifier: ISC */
#ifndef CLI_WAITING_H
#define CLI_WAITING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * A command that waits says so once it has waited for a second, and only once in its life: so a
 * user knows why nothing happens, and a slow queue does not fill a log.
 */

struct waiting {
	bool quiet;
	int64_t since_ns; /* 0: it does not wait */
	/* Set when it was said. Workers, which would all say the same, share one. */
	_Atomic bool *said;
};

/* What waiting is for: the queue has no room, or no items. */
enum waiting_for { WAITING_ROOM, WAITING_ITEMS };

/* Nothing has come of it since the last call: perhaps say so. */
void waiting_on(struct waiting *w, const char *queue, enum waiting_for what);

/* Something has. */
void waiting_over(struct waiting *w);

/* The text for --help. */
#define WAITING_HELP       "  -q, --quiet     do not say that it waits\n"
#define WAITING_HELP_TOTAL "  -q, --quiet     do not say that it waits, nor how many there were\n"

#endif
