/* SPDX-License-Identifier: ISC */
#ifndef BRIDGE_STATUS_H
#define BRIDGE_STATUS_H

#include <stdbool.h>
#include <stddef.h>

#include "loop.h"
#include "status_page.h"

/*
 * The daemon's status page: its numbers, as counts.h has them, put where `sqctl` finds them. Not for
 * each message, but once a second, and soon after a link came or went. Embedded in struct daemon.
 */

struct daemon;

struct status {
	struct status_writer writer;
	struct status_page page; /* the last one, and room for the next */
	size_t links_room, streams_room;
	struct loop_timer timer;
	bool failing; /* so it was told */
};

/* status_init(): whose page it will be. Nothing is written. */
void status_init(struct daemon *d);

/* status_write(): show all as it is now. status_soon(): within a moment. */
void status_write(struct daemon *d);
void status_soon(struct daemon *d);

/*
 * status_end(): the last page. It stays if something is under way, which will be found again at the
 * next start; else it is removed. Before loop_free().
 */
void status_end(struct daemon *d);

#endif
