/* SPDX-License-Identifier: ISC */
#ifndef CLI_OUTPUT_H
#define CLI_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Standard output, for items that must be written whole, or given back to their queue.
 *
 * Errors are negative errno values. All that say that nobody reads any more, on a pipe, a socket or
 * a terminal, are -EPIPE.
 */

/* Has its reader gone? Never blocks. */
bool output_gone(void);

/*
 * Wait until it takes more, at most so long; as poll()'s timeout. 0, also if it does not;
 * -EPIPE; -EINTR: we are to end (see stop.h).
 */
int output_wait(int timeout_ms);

/* Let so much time go by. 0; -EPIPE and -EINTR end it early. */
int output_pause(int64_t span_ns);

/* Write it all. *ret: how much went out, on error too. 0, -EINTR, or why no more. */
int output_write(const char *data, size_t len, size_t *ret);

/*
 * The last n bytes that were written, these, are the beginning of an item whose rest could not be.
 * In a regular file take them back, if nobody else has written or may write behind them. False: they
 * are still there.
 */
bool output_take_back(const char *data, size_t n);

#endif
