/* SPDX-License-Identifier: ISC */
#ifndef BRIDGE_RESOLVE_H
#define BRIDGE_RESOLVE_H

#include <netdb.h>

#include "loop.h"

/*
 * Names to addresses, without the loop waiting for a name server: getaddrinfo() in a thread that
 * lives as long as the question. The leaf asks, one question at a time.
 */

struct resolve;

/* answer(): EAI_..., or 0 and the addresses, which are the callee's: freeaddrinfo(). */
typedef void (*resolve_fn)(void *ctx, int error, struct addrinfo *addresses);

/*
 * resolve_new(): *ret is the caller's. -errno of eventfd(), -ENOMEM, -ENOSPC.
 * resolve_free(): after loop_free(), which forgets what is asked. Does not wait for the thread.
 * NULL is allowed.
 */
int resolve_new(struct resolve **ret, struct loop *l, resolve_fn answer, void *ctx);
void resolve_free(struct resolve *r);

/*
 * resolve_ask(): answer() is called in a later turn. A question that was not answered yet is
 * forgotten. What is no name is answered without a thread. -EAGAIN, -ENOMEM: no thread.
 */
int resolve_ask(struct resolve *r, const char *host, uint16_t port);

#endif
