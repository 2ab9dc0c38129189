/* SPDX-License-Identifier: ISC */
#ifndef CLI_PAGES_H
#define CLI_PAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "names.h"
#include "status_page.h"

/*
 * Status pages of bridges, as commands show them. Nothing is opened but the page, and nothing is
 * changed.
 */

/* Of a page that was just read: how it is with its daemon. One word. */
const char *pages_state(const struct status_page *page);

/* It runs, and its page is not older than it should be. */
bool pages_well(const struct status_page *page);

/* How long ago that was; the clock may have been set since, then 0. */
uint64_t pages_age_ns(const struct status_page *page);

/* How often a link came up again. */
uint64_t pages_reconnects(const struct status_link *l);

/* `pull` or `push`. */
const char *pages_direction(const struct status_stream *s);

/* The fields of a stream's JSON object, without the braces. */
void pages_print_stream(const struct status_page *page, const struct status_stream *s);

/* The streams of all bridges that carry this queue: lines for people, or one JSON array. */
void pages_print_carriers(const char *full, bool json);

/*
 * Daemons of a prefix (NULL: any) and name (NULL: any) that have left files and no page: they do not
 * run, and nothing of theirs is under way. report() is told each.
 */
void pages_left(
	const char *prefix, const char *name, void (*report)(const char *prefix, const char *name));

#endif
