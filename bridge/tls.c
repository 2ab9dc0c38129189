/* SPDX-License-Identifier: ISC */
#include "tls.h"

#include <assert.h>
#include <bsd/string.h>
#include <errno.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tls_in.h"

/*
 * A connection.
 *
 *	HANDSHAKING --both have the key--> UP --close_notify--> CLOSED
 *	     any of them --anything else--> FAILED: OpenSSL is not called again
 *
 * A server makes no SSL object before a whole first record came that holds a whole ClientHello. Then
 * OpenSSL decides at once, for that message proves the key: so a peer without a key can make us keep
 * an SSL object only by repeating a ClientHello that it has overheard, and that will time out.
 */

static_assert(sizeof(struct tls) <= TLS_YOUNG_BYTES, "what a connection takes at first");

enum {
	HANDSHAKE_RECORD = 22,
	CLIENT_HELLO = 1,
	HANDSHAKE_HEADER = 4,
	KEY_UPDATE_RECORD = RECORD_HEADER + HANDSHAKE_HEADER + 1 + 1 + 16,
	ALERT_RECORD = RECORD_HEADER + 2 + 1 + 16,
};
static_assert(TLS_OUT_ROOM >= 2 * KEY_UPDATE_RECORD + 2 * ALERT_RECORD, "TLS_OUT_ROOM");

static int64_t clock_ns(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC_COARSE, &ts); /* cannot fail with this clock */
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static int fail(struct tls *t, enum tls_reason reason)
{
	t->state = TLS_FAILED;
	t->reason = reason;
	return -EPROTO;
}

static int fail_openssl(struct tls *t)
{
	tls_explain(t);
	t->state = TLS_FAILED;
	return -EPROTO;
}

/* OpenSSL's side of the caller's memory. */

static size_t take(struct tls *t, void *buf, size_t cap)
{
	size_t n = t->first_size - t->first_used;

	if (n > 0) {
		n = n < cap ? n : cap;
		memcpy(buf, t->first + t->first_used, n);
		t->first_used += n;
		if (t->first_used == t->first_size) {
			free(t->first);
			t->first = NULL;
			t->first_size = t->first_used = 0;
		}
		return n;
	}
	n = t->in_len < cap ? t->in_len : cap;
	if (n == 0)
		return 0;
	memcpy(buf, t->in, n);
	t->in += n;
	t->in_len -= n;
	return n;
}

static int bio_read(BIO *bio, char *buf, size_t cap, size_t *ret)
{
	struct tls *t = BIO_get_data(bio);

	BIO_clear_retry_flags(bio);
	*ret = 0;
	if (t->state == TLS_HANDSHAKING) {
		size_t left = HANDSHAKE_BYTES_MAX - t->handshake_bytes;

		t->too_long = left == 0;
		if (t->too_long)
			return 0;
		cap = cap < left ? cap : left;
	}
	*ret = take(t, buf, cap);
	if (*ret == 0) {
		BIO_set_retry_read(bio);
		return 0;
	}
	if (t->state == TLS_HANDSHAKING)
		t->handshake_bytes += *ret;
	return 1;
}

static int bio_write(BIO *bio, const char *data, size_t len, size_t *ret)
{
	struct tls *t = BIO_get_data(bio);
	size_t room = t->out_cap - t->out_len;

	BIO_clear_retry_flags(bio);
	*ret = len < room ? len : room;
	if (*ret == 0) {
		BIO_set_retry_write(bio);
		return 0;
	}
	memcpy(t->out + t->out_len, data, *ret);
	t->out_len += *ret;
	return 1;
}

static long bio_ctrl(BIO *bio, int command, long value, void *pointer)
{
	return command == BIO_CTRL_FLUSH; /* done: nothing is kept back. The rest is not for us. */
}

BIO_METHOD *tls_bio_method(void)
{
	BIO_METHOD *m = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "lent memory");

	if (m && BIO_meth_set_read_ex(m, bio_read) && BIO_meth_set_write_ex(m, bio_write) &&
		BIO_meth_set_ctrl(m, bio_ctrl))
		return m;
	BIO_meth_free(m);
	return NULL;
}

/* Beginning. */

int tls_new(struct tls **ret, struct tls_context *c)
{
	struct tls *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	t->context = c;
	t->alert = -1;
	t->rekey_records = TLS_REKEY_RECORDS;
	t->rekey_ns = TLS_REKEY_NS;
	if (!c->server)
		(void)strlcpy(t->identity, c->identity, sizeof(t->identity));
	*ret = t;
	return 0;
}

void tls_free(struct tls *t)
{
	if (!t)
		return;
	SSL_free(t->ssl);
	free(t->first);
	free(t);
}

/* Does this record hold a whole ClientHello? */
static int look_at_first(struct tls *t, const uint8_t *record, size_t size)
{
	size_t len;

	if (size < RECORD_HEADER + HANDSHAKE_HEADER || record[RECORD_HEADER] != CLIENT_HELLO)
		return fail(t, TLS_PROTOCOL);
	len = (size_t)record[6] << 16 | (size_t)record[7] << 8 | record[8];
	if (RECORD_HEADER + HANDSHAKE_HEADER + len > size)
		return fail(t, TLS_PROTOCOL);
	return 0;
}

/* A server's first record, until it is whole. -EAGAIN: it is not. */
static int gather_first(struct tls *t)
{
	size_t size, n;

	if (t->first_len < RECORD_HEADER) {
		n = RECORD_HEADER - t->first_len;
		n = n < t->in_len ? n : t->in_len;
		if (n > 0)
			memcpy(t->head + t->first_len, t->in, n);
		t->first_len += n;
		t->in += n;
		t->in_len -= n;
		if ((t->first_len > 0 && t->head[0] != HANDSHAKE_RECORD) ||
			(t->first_len > 1 && t->head[1] != 3))
			return fail(t, TLS_NOT_TLS);
		if (t->first_len < RECORD_HEADER)
			return -EAGAIN;
	}
	size = RECORD_HEADER + ((size_t)t->head[3] << 8 | t->head[4]);
	if (size > HANDSHAKE_BYTES_MAX)
		return fail(t, TLS_TOO_LONG);
	if (!t->first) {
		t->first = malloc(size);
		if (!t->first)
			return fail(t, TLS_BROKEN);
		memcpy(t->first, t->head, RECORD_HEADER);
	}
	n = size - t->first_len;
	n = n < t->in_len ? n : t->in_len;
	if (n > 0)
		memcpy(t->first + t->first_len, t->in, n);
	t->first_len += n;
	t->in += n;
	t->in_len -= n;
	if (t->first_len < size)
		return -EAGAIN;
	n = t->first_len;
	t->first_size = size;
	return look_at_first(t, t->first, n);
}

static int begin(struct tls *t)
{
	BIO *bio;
	int r;

	if (t->context->server) {
		r = gather_first(t);
		if (r < 0)
			return r;
	}
	t->ssl = SSL_new(t->context->ssl);
	bio = BIO_new(t->context->method);
	if (!t->ssl || !bio || !SSL_set_app_data(t->ssl, t)) {
		BIO_free(bio);
		ERR_clear_error();
		return fail(t, TLS_BROKEN);
	}
	BIO_set_data(bio, t);
	BIO_set_init(bio, 1);
	SSL_set_bio(t->ssl, bio, bio); /* it is freed with it */
	if (t->context->server)
		SSL_set_accept_state(t->ssl);
	else
		SSL_set_connect_state(t->ssl);
	return 0;
}

/* OpenSSL has said that the handshake is done: is it what we wanted? */
static int check_up(struct tls *t)
{
	const SSL_CIPHER *cipher = SSL_get_current_cipher(t->ssl);

	if (!SSL_session_reused(t->ssl) || (t->context->server && !t->known))
		return fail(t, t->context->server ? TLS_NO_KEY : TLS_KEY_UNUSED);
	if (SSL_version(t->ssl) != TLS1_3_VERSION || !cipher ||
		SSL_CIPHER_get_protocol_id(cipher) != 0x1301)
		return fail(t, TLS_NO_CIPHER);
	t->state = TLS_UP;
	t->keyed_ns = clock_ns();
	/* From here on there are always records, so their memory is kept. */
	(void)SSL_clear_mode(t->ssl, SSL_MODE_RELEASE_BUFFERS);
	return 0;
}

/* What a call of OpenSSL's that did not succeed means. 0: the peer ended. */
static int outcome(struct tls *t, int r)
{
	switch (SSL_get_error(t->ssl, r)) {
	case SSL_ERROR_WANT_READ:
		return -EAGAIN;
	case SSL_ERROR_WANT_WRITE:
		return -ENOBUFS;
	case SSL_ERROR_ZERO_RETURN:
		if (t->state != TLS_UP)
			return fail_openssl(t);
		t->state = TLS_CLOSED;
		return 0;
	default:
		return fail_openssl(t);
	}
}

static int handshake(struct tls *t)
{
	int r;

	/* A client hears whether it is TLS at all; OpenSSL would call it a wrong version. */
	if (!t->context->server && !t->heard && t->in_len > 0) {
		t->heard = true;
		if (t->in[0] < 20 || t->in[0] > HANDSHAKE_RECORD)
			return fail(t, TLS_NOT_TLS);
	}
	if (!t->ssl) {
		r = begin(t);
		if (r < 0)
			return r;
	}
	ERR_clear_error();
	r = SSL_do_handshake(t->ssl);
	return r == 1 ? check_up(t) : outcome(t, r);
}

/* Going on. */

void tls_feed(struct tls *t, const uint8_t *data, size_t len)
{
	assert(t->in_len == 0);
	t->in = data;
	t->in_len = len;
}

size_t tls_unfeed(struct tls *t)
{
	size_t left = t->in_len;

	t->in = NULL;
	t->in_len = 0;
	return left;
}

void tls_lend(struct tls *t, uint8_t *buf, size_t cap)
{
	t->out = buf;
	t->out_cap = cap;
	t->out_len = 0;
}

size_t tls_pending_out(const struct tls *t)
{
	return t->out_len;
}

ssize_t tls_read(struct tls *t, uint8_t *buf, size_t cap)
{
	size_t sum = 0, n = 0;
	int r;

	if (t->state == TLS_HANDSHAKING) {
		r = handshake(t);
		if (r < 0)
			return r;
	}
	if (t->state == TLS_FAILED)
		return -EPROTO;
	if (t->state == TLS_CLOSED)
		return 0;
	if (cap == 0)
		return -EAGAIN;
	ERR_clear_error();
	while (sum < cap) {
		r = SSL_read_ex(t->ssl, buf + sum, cap - sum, &n);
		if (r != 1) {
			r = outcome(t, r); /* if this is the end, the next call returns it again */
			return sum > 0 ? (ssize_t)sum : r;
		}
		sum += n;
	}
	return (ssize_t)sum;
}

static int rekey(struct tls *t, size_t records)
{
	int64_t now;

	t->records += records;
	now = clock_ns();
	if (t->records < t->rekey_records && now - t->keyed_ns < t->rekey_ns)
		return 0;
	/* The next write begins with it, and the peer's answer renews the peer's key. */
	if (!SSL_key_update(t->ssl, SSL_KEY_UPDATE_REQUESTED))
		return fail_openssl(t);
	t->records = 0;
	t->keyed_ns = now;
	t->rekeys++;
	return 0;
}

size_t tls_room(const struct tls *t)
{
	size_t room = t->out_cap - t->out_len, records, rest;

	if (room <= TLS_OUT_ROOM)
		return 0;
	room -= TLS_OUT_ROOM;
	records = room / (TLS_RECORD_MAX + TLS_OVERHEAD);
	rest = room % (TLS_RECORD_MAX + TLS_OVERHEAD);
	return records * TLS_RECORD_MAX + (rest > TLS_OVERHEAD ? rest - TLS_OVERHEAD : 0);
}

ssize_t tls_write(struct tls *t, const uint8_t *data, size_t len)
{
	size_t room = tls_room(t), n = 0;
	int r;

	if (t->state == TLS_FAILED)
		return -EPROTO;
	if (t->state == TLS_HANDSHAKING)
		return -ENOTCONN;
	if (t->ended)
		return -EPIPE;
	if (len > room)
		len = room;
	if (len == 0)
		return -EAGAIN;
	ERR_clear_error();
	r = rekey(t, (len + TLS_RECORD_MAX - 1) / TLS_RECORD_MAX);
	if (r < 0)
		return r;
	r = SSL_write_ex(t->ssl, data, len, &n);
	if (r != 1) {
		/* There was room for the whole record, so OpenSSL cannot want more. */
		(void)outcome(t, r);
		return t->state == TLS_FAILED ? -EPROTO : fail(t, TLS_BROKEN);
	}
	return (ssize_t)n;
}

int tls_end(struct tls *t)
{
	if (t->state != TLS_UP && t->state != TLS_CLOSED)
		return -ENOTCONN;
	if (t->ended)
		return 0;
	if (t->out_cap - t->out_len < 2 * ALERT_RECORD)
		return -ENOBUFS;
	ERR_clear_error();
	if (SSL_shutdown(t->ssl) < 0)
		return fail_openssl(t);
	t->ended = true;
	return 0;
}

void tls_eof(struct tls *t)
{
	if (t->state == TLS_HANDSHAKING || t->state == TLS_UP)
		(void)fail(t, TLS_TRUNCATED);
}

enum tls_state tls_state(const struct tls *t)
{
	return t->state;
}

enum tls_reason tls_reason(const struct tls *t)
{
	return t->reason;
}

const char *tls_detail(const struct tls *t)
{
	return t->detail;
}

int tls_alert(const struct tls *t)
{
	return t->alert;
}

const char *tls_identity(const struct tls *t)
{
	return t->identity;
}

void tls_set_rekey(struct tls *t, uint64_t records, int64_t ns)
{
	t->rekey_records = records;
	t->rekey_ns = ns;
}

uint64_t tls_rekeys(const struct tls *t)
{
	return t->rekeys;
}
