/* SPDX-License-Identifier: ISC */
#include "conn.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "link.h"
#include "wire.h"

#define OUT_RECORDS 4
#define IN_MAX      (WIRE_HEADER + WIRE_FRAME_MAX)
#define IN_ROOM     (IN_MAX + TLS_RECORD_MAX) /* a whole frame, and what came behind it */
#define WINDOW      16
#define WINDOW_SIZE (16 << 10)
#define LAST_MAX    (WIRE_HEADER + 64 + WIRE_TEXT_MAX)
#define FLUSH_NS    ((int64_t)2000000000) /* in which the closing frames must be sent */

struct conn {
	struct conn_setup setup;
	struct loop_conn *lc;
	struct tls *tls;
	struct link *link;
	struct loop_timer timer; /* of the handshake; of the closing */
	uint8_t *in;             /* plaintext; from when the key was proved */
	size_t in_len;
	uint8_t *out, *plain; /* out: lent to TLS, or being sent */
	size_t out_cap;
	uint8_t *last; /* the last frame, an error, if there is no link */
	size_t last_len;
	uint64_t bytes_in, bytes_out;
	enum conn_end end;
	int error;
	bool up, closing, finishing, shut, closed;
	uint8_t handshake_out[TLS_OUT_HANDSHAKE];
};

static void finish(struct conn *c, enum conn_end end, int error);
static void flush(struct conn *c);

static void timed_out(void *ctx)
{
	struct conn *c = ctx;

	finish(c, c->closing ? c->end : CONN_TIMEOUT, 0);
}

/* The loop has released it: the last call for this connection. */
static void finish(struct conn *c, enum conn_end end, int error)
{
	if (c->closed)
		return;
	if (!c->closing) {
		c->end = end;
		c->error = error;
	}
	c->closing = c->closed = true;
	loop_timer_stop(c->setup.loop, &c->timer);
	if (c->link)
		link_down(c->link, loop_now_ns(c->setup.loop));
	loop_conn_close(c->lc);
}

static void on_closed(void *ctx)
{
	struct conn *c = ctx;

	if (!c->closed) { /* the loop's own end */
		loop_timer_stop(c->setup.loop, &c->timer);
		if (c->link)
			link_down(c->link, loop_now_ns(c->setup.loop));
	}
	c->setup.gone(c->setup.context, c, c->link, c->end);
	tls_free(c->tls);
	free(c->in);
	free(c->plain);
	free(c->last);
	if (c->out != c->handshake_out)
		free(c->out);
	free(c);
}

/* What TLS has written goes out, if nothing does yet. */
static void send_pending(struct conn *c)
{
	size_t n = tls_pending_out(c->tls);

	if (n == 0 || loop_conn_sending(c->lc) || c->closed)
		return;
	if (loop_conn_send(c->lc, c->out, n) == 0)
		c->bytes_out += n;
}

/* The peer is authenticated: from now on the connection may take memory. */
static int be_up(struct conn *c)
{
	int r;

	c->up = true;
	loop_timer_stop(c->setup.loop, &c->timer);
	r = loop_conn_window(c->lc, WINDOW, WINDOW_SIZE);
	if (r < 0)
		return r;
	c->in = malloc(IN_ROOM);
	c->plain = malloc(TLS_RECORD_MAX);
	if (!c->in || !c->plain)
		return -ENOMEM;
	c->link = c->setup.ready(c->setup.context, c);
	if (c->link)
		link_up(c->link, loop_now_ns(c->setup.loop));
	else
		conn_close(c, CONN_DROPPED);
	return 0;
}

/* The peer has said bye: answer with bye, and send nothing else. */
static void leave(struct conn *c)
{
	if (c->link)
		link_bye(c->link, 0, "", 0);
	conn_close(c, CONN_LEFT);
}

/* Frames of what was deciphered. False: the connection ends. */
static bool use(struct conn *c)
{
	size_t used = 0;
	int r;

	if (!c->link || c->in_len == 0)
		return true;
	r = link_input(c->link, c->in, c->in_len, loop_now_ns(c->setup.loop), &used);
	memmove(c->in, c->in + used, c->in_len - used);
	c->in_len -= used;
	if (r == 0)
		return true;
	if (r == -EPROTO)
		conn_close(c, CONN_PROTOCOL);
	else if (r == -ESHUTDOWN)
		leave(c);
	else
		finish(c, CONN_FAILED, r);
	return false;
}

/* Decipher what was fed to TLS, as far as it goes. */
static void turn(struct conn *c)
{
	uint8_t early[64];

	while (!c->closed) {
		ssize_t n = c->in ? tls_read(c->tls, c->in + c->in_len, IN_ROOM - c->in_len)
				  : tls_read(c->tls, early, 0);

		if (!c->up && !c->closing && tls_state(c->tls) == TLS_UP) {
			int r = be_up(c);

			if (r < 0)
				finish(c, CONN_FAILED, r);
			continue;
		}
		if (n > 0) {
			c->in_len += (size_t)n;
			if (c->closing)
				c->in_len = 0; /* it is closing: what comes is not read */
			else if (!use(c))
				return;
			continue;
		}
		if (n == -EAGAIN)
			return;
		if (n == -ENOBUFS) {
			send_pending(c);
			if (loop_conn_sending(c->lc))
				return; /* goes on when that has been sent */
			finish(c, CONN_FAILED, -ENOBUFS);
			return;
		}
		if (n == 0) {
			leave(c);
			return;
		}
		conn_close(c, CONN_REFUSED);
		return;
	}
}

static size_t on_received(void *ctx, const uint8_t *data, size_t len)
{
	struct conn *c = ctx;
	size_t left;

	if (c->closed || c->finishing)
		return len;
	c->bytes_in += len;
	tls_feed(c->tls, data, len);
	turn(c);
	left = tls_unfeed(c->tls);
	if (c->closed || c->finishing)
		return len;
	c->bytes_in -= left;
	send_pending(c);
	if (c->link && !c->closing)
		c->setup.news(c->setup.context, c, c->link);
	return len - left;
}

static void on_ended(void *ctx, int error)
{
	struct conn *c = ctx;

	if (error == 0 && !c->closing)
		tls_eof(c->tls);
	finish(c, c->up ? CONN_CUT : tls_reason(c->tls) != TLS_OK ? CONN_REFUSED : CONN_CUT, error);
}

/*
 * Called when nothing is being sent. The handshake's small buffer is used until the link has
 * output.
 */
static bool grow(struct conn *c)
{
	if (c->up && c->out == c->handshake_out) {
		uint8_t *out = malloc(TLS_OUT_BYTES(OUT_RECORDS));

		if (!out)
			return false;
		c->out = out;
		c->out_cap = TLS_OUT_BYTES(OUT_RECORDS);
	}
	tls_lend(c->tls, c->out, c->out_cap);
	return true;
}

static void on_sent(void *ctx, int error)
{
	struct conn *c = ctx;

	if (c->closed)
		return;
	if (error < 0) {
		finish(c, CONN_CUT, error);
		return;
	}
	if (!grow(c)) {
		finish(c, CONN_FAILED, -ENOMEM);
		return;
	}
	if (c->closing) {
		flush(c);
		return;
	}
	loop_conn_resume(c->lc); /* if it had no room to answer */
	if (c->link)
		c->setup.news(c->setup.context, c, c->link);
}

static void begin(struct conn *c)
{
	loop_timer_set(c->setup.loop, &c->timer, c->setup.handshake_ns, timed_out, c);
	turn(c);
	send_pending(c);
}

static void on_connected(void *ctx, int error)
{
	struct conn *c = ctx;
	int one = 1;

	if (error < 0) {
		finish(c, CONN_UNREACHED, error);
		return;
	}
	(void)setsockopt(loop_conn_fd(c->lc), IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	begin(c);
}

static const struct loop_conn_ops ops = {
	.connected = on_connected,
	.received = on_received,
	.ended = on_ended,
	.sent = on_sent,
	.closed = on_closed,
};

static int make(struct conn **ret, const struct conn_setup *setup)
{
	struct conn *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return -ENOMEM;
	c->setup = *setup;
	c->out = c->handshake_out;
	c->out_cap = sizeof(c->handshake_out);
	c->end = CONN_DROPPED;
	r = tls_new(&c->tls, setup->tls);
	if (r < 0) {
		free(c);
		return r;
	}
	tls_lend(c->tls, c->out, c->out_cap);
	*ret = c;
	return 0;
}

int conn_accept(struct conn **ret, const struct conn_setup *setup, struct loop_conn *lc)
{
	struct conn *c;
	int one = 1, r = make(&c, setup);

	if (r < 0)
		return r;
	c->lc = lc;
	(void)setsockopt(loop_conn_fd(lc), IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	loop_conn_start(lc, &ops, c);
	*ret = c;
	begin(c);
	return 0;
}

int conn_connect(struct conn **ret, const struct conn_setup *setup, const struct sockaddr *addr,
	socklen_t len, int64_t timeout_ns)
{
	struct conn *c;
	int r = make(&c, setup);

	if (r < 0)
		return r;
	r = loop_connect(setup->loop, addr, len, timeout_ns, &ops, c, &c->lc);
	if (r < 0) {
		tls_free(c->tls);
		free(c);
		return r;
	}
	*ret = c;
	return 0;
}

size_t conn_pump(struct conn *c)
{
	size_t room, said = 0;

	if (!c->link || !c->up || c->closed || c->finishing || loop_conn_sending(c->lc))
		return 0;
	/* The last of the handshake goes first. */
	if (c->out == c->handshake_out && tls_pending_out(c->tls) == 0 && !grow(c)) {
		finish(c, CONN_FAILED, -ENOMEM);
		return 0;
	}
	while (c->out != c->handshake_out && (room = tls_room(c->tls)) >= LINK_OUTPUT_MIN) {
		size_t n = link_output(c->link, c->plain,
			room < TLS_RECORD_MAX ? room : TLS_RECORD_MAX, loop_now_ns(c->setup.loop));
		ssize_t w;

		if (n == 0)
			break;
		said += n;
		w = tls_write(c->tls, c->plain, n);
		if (w != (ssize_t)n) {
			finish(c, CONN_FAILED, w < 0 ? (int)w : -ENOBUFS);
			return said;
		}
	}
	send_pending(c);
	return said;
}

void conn_say(struct conn *c, uint16_t code, const char *text, uint32_t retry_after_ms)
{
	struct wire_frame f = {.type = WIRE_ERROR};
	ssize_t n;

	f.error = (struct wire_error){.code = code,
		.retry_after_ms = retry_after_ms,
		.text = text,
		.text_len = (uint32_t)strlen(text)};
	free(c->last);
	c->last = malloc(LAST_MAX); /* no frame: it is closed without an error frame */
	n = c->last ? wire_encode(c->last, LAST_MAX, &f) : 0;
	c->last_len = n > 0 ? (size_t)n : 0;
}

/*
 * Closing: first the link's last frames are sent, then TLS's, then our end of the stream. The
 * socket is closed when the peer has ended its stream as well, or has not for too long. If it were
 * closed with bytes of the peer's unread, TCP would reset the connection, and our last frames might
 * be lost.
 */
static void flush(struct conn *c)
{
	if (c->closed || loop_conn_sending(c->lc))
		return;
	if (!c->finishing) {
		if (c->link && conn_pump(c) && loop_conn_sending(c->lc))
			return;
		c->finishing = true;
		if (c->last_len > 0) /* it may not be up */
			(void)tls_write(c->tls, c->last, c->last_len);
		(void)tls_end(c->tls); /* not if it is not up */
		send_pending(c);
		if (loop_conn_sending(c->lc))
			return;
	}
	if (c->up && !c->shut && shutdown(loop_conn_fd(c->lc), SHUT_WR) == 0) {
		c->shut = true;
		loop_conn_resume(c->lc); /* what comes is passed over */
	} else if (!c->shut) {
		finish(c, c->end, c->error);
	}
}

void conn_close(struct conn *c, enum conn_end end)
{
	if (c->closing)
		return;
	c->closing = true;
	c->end = end;
	loop_timer_set(c->setup.loop, &c->timer, FLUSH_NS, timed_out, c);
	send_pending(c);
	flush(c);
}

void conn_dismiss(struct conn *c, enum conn_end end)
{
	if (c->link)
		link_down(c->link, loop_now_ns(c->setup.loop));
	c->link = NULL;
	conn_close(c, end);
}

void conn_drop(struct conn *c, enum conn_end end)
{
	finish(c, end, 0);
}

struct link *conn_link(const struct conn *c)
{
	return c->link;
}

struct tls *conn_tls(const struct conn *c)
{
	return c->tls;
}

int conn_error(const struct conn *c)
{
	return c->error;
}

int conn_fd(const struct conn *c)
{
	return loop_conn_fd(c->lc);
}

bool conn_is_closing(const struct conn *c)
{
	return c->closing;
}

bool conn_is_up(const struct conn *c)
{
	return c->up;
}

void *conn_context(const struct conn *c)
{
	return c->setup.context;
}

uint64_t conn_bytes_in(const struct conn *c)
{
	return c->bytes_in;
}

uint64_t conn_bytes_out(const struct conn *c)
{
	return c->bytes_out;
}

const char *conn_end_name(enum conn_end end)
{
	static const char *const names[] = {
		[CONN_LEFT] = "left",
		[CONN_CUT] = "cut",
		[CONN_SILENT] = "silent",
		[CONN_REFUSED] = "refused",
		[CONN_TIMEOUT] = "timeout",
		[CONN_PROTOCOL] = "protocol",
		[CONN_DROPPED] = "dropped",
		[CONN_CROWDED] = "crowded",
		[CONN_REVOKED] = "revoked",
		[CONN_REPLACED] = "replaced",
		[CONN_UNREACHED] = "unreached",
		[CONN_FAILED] = "failed",
	};

	return names[end];
}
