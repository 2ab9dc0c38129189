/* SPDX-License-Identifier: ISC */
#ifndef BRIDGE_SERVE_H
#define BRIDGE_SERVE_H

#include <stddef.h>

#include "config.h"
#include "loop.h"

/*
 * The metrics' text over HTTP: GET /metrics, one request a connection, to a TCP port or a UNIX
 * socket. The daemon makes one. There is no authentication: listen only where every client may read
 * the metrics.
 *
 * Invariant: SERVE_CLIENTS_MAX clients at most, each with SERVE_REQUEST_MAX bytes of request, one
 * text, and SERVE_NS of time; one more is closed without an answer.
 */

#define SERVE_CLIENTS_MAX 16
#define SERVE_REQUEST_MAX 4096
#define SERVE_NS          ((int64_t)5000000000)

struct serve;

/* Like snprintf(): how long the text is, without its zero; if that is cap or more, call it again. */
typedef size_t (*serve_text_fn)(void *ctx, char *buf, size_t cap);

/*
 * serve_open(): 0, and *ret; errors of socket(), bind(), listen(); -EADDRNOTAVAIL. A UNIX socket that
 * nobody listens at is replaced. serve_close(): and its clients; NULL is allowed. The clients' memory
 * is freed by the loop's next turns, or by loop_free().
 */
int serve_open(struct serve **ret, struct loop *loop, const struct config_address *address,
	serve_text_fn text, void *ctx);
void serve_close(struct serve *s);

/* The descriptor that listens, for its address. */
int serve_fd(const struct serve *s);

#endif
