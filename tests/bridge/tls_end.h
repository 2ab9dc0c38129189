/* SPDX-License-Identifier: ISC */
#ifndef TLS_END_H
#define TLS_END_H

#include "loop.h"
#include "tls.h"

/*
 * A connection of loop.h under TLS, as the hub and the leaf join them: what comes is fed where it
 * lies; what goes is enciphered into one of two buffers while the other is on its way.
 */

struct tls_end;
struct tls_end_ops {
	void (*up)(struct tls_end *e);
	void (*plain)(struct tls_end *e, const uint8_t *data, size_t len);
	void (*writable)(struct tls_end *e); /* there may be room again; NULL */
	void (*over)(struct tls_end *e);     /* ended or failed, once; what we owe is still sent */
};

enum {
	TLS_END_RECORDS = 8, /* in each buffer */
	TLS_END_PLAIN = 65536,
};

struct tls_end {
	struct loop *loop;
	struct loop_conn *conn; /* NULL: closed */
	struct tls *tls;
	const struct tls_end_ops *ops;
	void *arg;
	uint8_t *out[2], *plain;
	int filling, connect_error;
	bool was_up, was_over, closing;
};

int tls_end_connect(struct tls_end *e, struct loop *l, const struct sockaddr *addr, socklen_t len,
	struct tls_context *c, const struct tls_end_ops *ops);
int tls_end_start(struct tls_end *e, struct loop *l, struct loop_conn *conn, struct tls_context *c,
	const struct tls_end_ops *ops);
/* How much was taken; send it by tls_end_flush(). */
size_t tls_end_write(struct tls_end *e, const void *data, size_t len);
void tls_end_flush(struct tls_end *e);
/* close_notify, then close when it was sent. */
void tls_end_close(struct tls_end *e);
void tls_end_deinit(struct tls_end *e); /* after the loop has closed it */

#endif
