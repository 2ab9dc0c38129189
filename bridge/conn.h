/* SPDX-License-Identifier: ISC */
#ifndef BRIDGE_CONN_H
#define BRIDGE_CONN_H

#include <stdbool.h>
#include <stdint.h>

#include "loop.h"
#include "tls.h"

/*
 * A connection: the loop's bytes through TLS to a link's frames, and back. Hub and leaf make
 * connections, and say which peer a connection belongs to.
 *
 * Life: made -> handshake -> ready() gives it a link -> frames -> closing -> gone(). A connection
 * without a link holds what tls_new() says and a small buffer, no longer than the handshake's time
 * limit.
 */

struct conn;
struct link;

enum conn_end {
	CONN_LEFT,      /* bye was said, by either side */
	CONN_CUT,       /* the network's end, or the peer's process */
	CONN_SILENT,    /* nothing was heard for too long */
	CONN_REFUSED,   /* TLS: conn_reason() says why */
	CONN_TIMEOUT,   /* the handshake took too long */
	CONN_PROTOCOL,  /* the peer broke the protocol */
	CONN_DROPPED,   /* by us: we are leaving */
	CONN_CROWDED,   /* by us: its place was needed for another connection */
	CONN_REVOKED,   /* by us: its key is not valid any more, or may do less */
	CONN_REPLACED,  /* by us: a newer one of the same peer is there */
	CONN_UNREACHED, /* the connection was never made: conn_error() */
	CONN_FAILED,    /* memory, and the like: conn_error() */
};

struct conn_setup {
	struct loop *loop;
	struct tls_context *tls;
	int64_t handshake_ns;
	void *context;
	/*
	 * The peer is authenticated. Returns its link, which is not up; or NULL: close the
	 * connection, after the error that conn_say() was given. The peer's name:
	 * tls_identity(conn_tls()).
	 */
	struct link *(*ready)(void *context, struct conn *);
	/* Frames came, or were sent: the link wants a turn. */
	void (*news)(void *context, struct conn *, struct link *);
	/*
	 * The last call, once. The link, if there was one, is down. The connection is freed after
	 * this returns.
	 */
	void (*gone)(void *context, struct conn *, struct link *, enum conn_end end);
};

/* conn_accept(): one that a listener had. conn_connect(): one to be made. *ret stays its own. */
int conn_accept(struct conn **ret, const struct conn_setup *setup, struct loop_conn *lc);
int conn_connect(struct conn **ret, const struct conn_setup *setup, const struct sockaddr *addr,
	socklen_t len, int64_t timeout_ns);

/* conn_pump(): send what the link has to say. How many bytes that was. */
size_t conn_pump(struct conn *);

/*
 * conn_say(): an error frame to be sent last, if it has no link then. `text`: at most
 * WIRE_TEXT_MAX.
 */
void conn_say(struct conn *, uint16_t code, const char *text, uint32_t retry_after_ms);

/* conn_close(): after what is to be said was sent. conn_drop(): at once. gone() follows later. */
void conn_close(struct conn *, enum conn_end end);
void conn_drop(struct conn *, enum conn_end end);

/* conn_dismiss(): the link is another connection's now, or nobody's; after conn_say() it is closed. */
void conn_dismiss(struct conn *, enum conn_end end);

struct link *conn_link(const struct conn *);
struct tls *conn_tls(const struct conn *);
int conn_error(const struct conn *);
int conn_fd(const struct conn *);
bool conn_is_up(const struct conn *);      /* the key was proved */
bool conn_is_closing(const struct conn *); /* sends its last frames, or waits for the peer's end */
void *conn_context(const struct conn *);

/* Bytes of the network. */
uint64_t conn_bytes_in(const struct conn *);
uint64_t conn_bytes_out(const struct conn *);

const char *conn_end_name(enum conn_end end);

#endif
