/* SPDX-License-Identifier: ISC */
#include "tls_end.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#define OUT_BYTES TLS_OUT_BYTES(TLS_END_RECORDS)

void tls_end_flush(struct tls_end *e)
{
	size_t n = tls_pending_out(e->tls);

	if (!e->conn || loop_conn_sending(e->conn))
		return;
	if (n > 0 && loop_conn_send(e->conn, e->out[e->filling], n) == 0) {
		e->filling = !e->filling;
		tls_lend(e->tls, e->out[e->filling], OUT_BYTES);
	} else if (e->closing) {
		loop_conn_close(e->conn);
	}
}

static void over(struct tls_end *e)
{
	if (e->was_over)
		return;
	e->was_over = true;
	e->ops->over(e);
}

static void connected(void *ctx, int error)
{
	struct tls_end *e = ctx;

	e->connect_error = error;
	if (error < 0) {
		loop_conn_close(e->conn);
		over(e);
		return;
	}
	(void)tls_read(e->tls, NULL, 0); /* a client begins */
	tls_end_flush(e);
}

static size_t received(void *ctx, const uint8_t *data, size_t len)
{
	struct tls_end *e = ctx;
	size_t left;
	ssize_t n;

	tls_feed(e->tls, data, len);
	for (;;) {
		n = tls_read(e->tls, e->plain, TLS_END_PLAIN);
		if (tls_state(e->tls) == TLS_UP && !e->was_up) {
			e->was_up = true;
			(void)loop_conn_window(e->conn, 8, 65536);
			e->ops->up(e);
		}
		if (n <= 0)
			break;
		e->ops->plain(e, e->plain, (size_t)n);
	}
	left = tls_unfeed(e->tls);
	if (n == 0 || n == -EPROTO) {
		left = 0;
		over(e);
	}
	tls_end_flush(e);
	return len - left;
}

static void ended(void *ctx, int error)
{
	struct tls_end *e = ctx;

	tls_eof(e->tls);
	over(e);
	loop_conn_close(e->conn);
}

static void sent(void *ctx, int error)
{
	struct tls_end *e = ctx;

	if (error < 0)
		return; /* ended() will be called */
	loop_conn_resume(e->conn);
	if (e->was_up && e->ops->writable && !e->closing)
		e->ops->writable(e);
	tls_end_flush(e);
}

static void closed(void *ctx)
{
	struct tls_end *e = ctx;

	e->conn = NULL;
}

static const struct loop_conn_ops conn_ops = {connected, received, ended, sent, closed};

static int init(
	struct tls_end *e, struct loop *l, struct tls_context *c, const struct tls_end_ops *ops)
{
	void *arg = e->arg;

	*e = (struct tls_end){.loop = l, .ops = ops, .arg = arg};
	e->plain = malloc(TLS_END_PLAIN);
	for (int i = 0; i < 2; i++)
		e->out[i] = malloc(OUT_BYTES);
	assert(e->plain && e->out[0] && e->out[1]);
	if (tls_new(&e->tls, c) < 0)
		return -ENOMEM;
	tls_lend(e->tls, e->out[0], OUT_BYTES);
	return 0;
}

int tls_end_connect(struct tls_end *e, struct loop *l, const struct sockaddr *addr, socklen_t len,
	struct tls_context *c, const struct tls_end_ops *ops)
{
	int r = init(e, l, c, ops);

	if (r == 0)
		r = loop_connect(l, addr, len, 5000000000, &conn_ops, e, &e->conn);
	return r;
}

int tls_end_start(struct tls_end *e, struct loop *l, struct loop_conn *conn, struct tls_context *c,
	const struct tls_end_ops *ops)
{
	int r = init(e, l, c, ops);

	e->conn = conn;
	if (r == 0)
		loop_conn_start(conn, &conn_ops, e);
	return r;
}

size_t tls_end_write(struct tls_end *e, const void *data, size_t len)
{
	ssize_t n = tls_write(e->tls, data, len);

	return n > 0 ? (size_t)n : 0;
}

void tls_end_close(struct tls_end *e)
{
	e->closing = true;
	(void)tls_end(e->tls);
	tls_end_flush(e);
}

void tls_end_deinit(struct tls_end *e)
{
	tls_free(e->tls);
	free(e->plain);
	free(e->out[0]);
	free(e->out[1]);
}
