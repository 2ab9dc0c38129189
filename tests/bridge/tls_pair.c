/* SPDX-License-Identifier: ISC */
#include "tls_pair.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509v3.h>

enum {
	CONTEXTS_MAX = 64,
	OUT_CAP = 4096,
};

struct tls_context *pair_server_context;
unsigned pair_finds;
static struct tls_context *contexts[CONTEXTS_MAX];
static size_t contexts_n;
static struct tls_context *farm1; /* pair_up()'s client */

void bytes_add(struct bytes *b, const void *data, size_t len)
{
	if (len == 0)
		return;
	if (b->len + len > b->cap) {
		b->cap = (b->len + len) * 2;
		b->data = realloc(b->data, b->cap);
		assert_non_null(b->data);
	}
	memcpy(b->data + b->len, data, len);
	b->len += len;
}

void bytes_drop(struct bytes *b, size_t len)
{
	assert_true(len <= b->len);
	if (len > 0)
		memmove(b->data, b->data + len, b->len - len);
	b->len -= len;
}

void bytes_free(struct bytes *b)
{
	free(b->data);
	*b = (struct bytes){0};
}

void pair_key(uint8_t key[32], unsigned which)
{
	for (unsigned i = 0; i < 32; i++)
		key[i] = (uint8_t)(which * 37 + i * 11 + 1);
}

static size_t find(void *ctx, const char *identity, uint8_t key[TLS_KEY_MAX])
{
	(void)ctx;
	pair_finds++;
	if (strcmp(identity, "farm1") == 0)
		pair_key(key, 1);
	else if (strcmp(identity, "farm2") == 0)
		pair_key(key, 2);
	else if (strcmp(identity, "short") == 0)
		return 3; /* of zeros */
	else
		return 0;
	return 32;
}

int pair_begin(void **state)
{
	(void)state;
	pair_finds = 0;
	contexts_n = 0;
	farm1 = NULL;
	return tls_context_server(&pair_server_context, find, NULL);
}

int pair_end(void **state)
{
	(void)state;
	tls_context_free(pair_server_context);
	pair_server_context = NULL;
	while (contexts_n > 0)
		tls_context_free(contexts[--contexts_n]);
	return ERR_peek_error() == 0 ? 0 : -1; /* OpenSSL's errors are nobody else's */
}

struct tls_context *pair_client_context(const char *identity, unsigned which)
{
	struct tls_context *c = NULL;
	uint8_t key[32];

	pair_key(key, which);
	assert_int_equal(0, tls_context_client(&c, identity, key, sizeof(key)));
	assert_true(contexts_n < CONTEXTS_MAX);
	contexts[contexts_n++] = c;
	return c;
}

static void side_init(struct side *s, struct tls_context *c)
{
	*s = (struct side){.out_cap = OUT_CAP};
	if (c)
		assert_int_equal(0, tls_new(&s->tls, c));
}

static void side_deinit(struct side *s)
{
	tls_free(s->tls);
	SSL_free(s->ssl);
	bytes_free(&s->to_peer);
	bytes_free(&s->all);
	bytes_free(&s->got);
}

void pair_init(struct pair *p, struct tls_context *client, struct tls_context *server)
{
	side_init(&p->client, client);
	side_init(&p->server, server);
}

void pair_deinit(struct pair *p)
{
	side_deinit(&p->client);
	side_deinit(&p->server);
}

static void said(struct side *s, const uint8_t *data, size_t len)
{
	bytes_add(&s->to_peer, data, len);
	bytes_add(&s->all, data, len);
}

static void ours_hear(struct side *s, const uint8_t *data, size_t len)
{
	/* Memory of just that size, so that a look beyond it is seen. */
	uint8_t *in = malloc(len ? len : 1), *out = malloc(s->out_cap), plain[20000];
	ssize_t n;

	assert_non_null(in);
	assert_non_null(out);
	memcpy(in, data ? data : plain, len);
	tls_lend(s->tls, out, s->out_cap);
	tls_feed(s->tls, in, len);
	for (;;) {
		n = tls_read(s->tls, plain, sizeof(plain));
		said(s, out, tls_pending_out(s->tls));
		tls_lend(s->tls, out, s->out_cap);
		if (n > 0)
			bytes_add(&s->got, plain, (size_t)n);
		else if (n != -ENOBUFS)
			break;
	}
	if (n == -EAGAIN)
		assert_int_equal(0, tls_unfeed(s->tls));
	else
		(void)tls_unfeed(s->tls);
	tls_lend(s->tls, NULL, 0);
	free(in);
	free(out);
}

static void plain_hear(struct side *s, const uint8_t *data, size_t len)
{
	uint8_t buf[20000];
	size_t n = 0;
	int r;

	if (len > 0)
		assert_int_equal(len, BIO_write(SSL_get_rbio(s->ssl), data, (int)len));
	ERR_clear_error();
	if (!s->up && !s->over) {
		r = SSL_do_handshake(s->ssl);
		s->up = r == 1;
		s->over = r != 1 && SSL_get_error(s->ssl, r) != SSL_ERROR_WANT_READ;
	}
	while (s->up && !s->over) {
		r = SSL_read_ex(s->ssl, buf, sizeof(buf), &n);
		if (r == 1) {
			bytes_add(&s->got, buf, n);
			continue;
		}
		s->over = SSL_get_error(s->ssl, r) != SSL_ERROR_WANT_READ;
		break;
	}
	ERR_clear_error();
	while ((r = BIO_read(SSL_get_wbio(s->ssl), buf, sizeof(buf))) > 0)
		said(s, buf, (size_t)r);
}

void side_hear(struct side *s, const uint8_t *data, size_t len)
{
	if (s->tls)
		ours_hear(s, data, len);
	else if (s->ssl)
		plain_hear(s, data, len);
}

void pair_run(struct pair *p, size_t step)
{
	side_hear(&p->client, NULL, 0);
	while (p->client.to_peer.len > 0 || p->server.to_peer.len > 0) {
		struct side *from = p->client.to_peer.len > 0 ? &p->client : &p->server;
		struct side *to = from == &p->client ? &p->server : &p->client;
		size_t n = from->to_peer.len < step ? from->to_peer.len : step;
		uint8_t *data = malloc(n);

		assert_non_null(data);
		memcpy(data, from->to_peer.data, n);
		bytes_drop(&from->to_peer, n);
		side_hear(to, data, n);
		free(data);
	}
}

void pair_up(struct pair *p)
{
	if (!farm1)
		farm1 = pair_client_context("farm1", 1);
	pair_init(p, farm1, pair_server_context);
	pair_run(p, SIZE_MAX);
	assert_int_equal(TLS_UP, tls_state(p->client.tls));
	assert_int_equal(TLS_UP, tls_state(p->server.tls));
}

void side_write(struct side *s, const void *data, size_t len)
{
	size_t done = 0, cap = TLS_OUT_BYTES(2);
	uint8_t *out = malloc(cap);
	ssize_t n;

	assert_non_null(out);
	while (done < len) {
		tls_lend(s->tls, out, cap);
		n = tls_write(s->tls, (const uint8_t *)data + done, len - done);
		assert_true(n > 0);
		done += (size_t)n;
		said(s, out, tls_pending_out(s->tls));
	}
	tls_lend(s->tls, NULL, 0);
	free(out);
}

/* Plain OpenSSL. */

static int plain_which;

static SSL_SESSION *plain_session(SSL *ssl)
{
	static const unsigned char id[] = {0x13, 0x01};
	SSL_SESSION *s = SSL_SESSION_new();
	uint8_t key[32];

	pair_key(key, (unsigned)plain_which);
	assert_true(SSL_SESSION_set1_master_key(s, key, sizeof(key)));
	assert_true(SSL_SESSION_set_cipher(s, SSL_CIPHER_find(ssl, id)));
	assert_true(SSL_SESSION_set_protocol_version(s, TLS1_3_VERSION));
	(void)SSL_SESSION_set_max_early_data(s, 16384);
	return s;
}

static int plain_use(
	SSL *ssl, const EVP_MD *md, const unsigned char **id, size_t *len, SSL_SESSION **ret)
{
	(void)md;
	*id = (const unsigned char *)"farm1";
	*len = 5;
	*ret = plain_session(ssl);
	return 1;
}

static int plain_find(SSL *ssl, const unsigned char *id, size_t len, SSL_SESSION **ret)
{
	(void)id;
	(void)len;
	*ret = plain_session(ssl);
	return 1;
}

SSL_CTX *plain_context(bool server, int version_min, int version_max)
{
	SSL_CTX *ctx = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());

	assert_non_null(ctx);
	SSL_CTX_set_security_level(ctx, 0);
	assert_true(SSL_CTX_set_min_proto_version(ctx, version_min));
	assert_true(SSL_CTX_set_max_proto_version(ctx, version_max));
	return ctx;
}

void side_plain(struct side *s, SSL_CTX *ctx, bool server, int psk)
{
	plain_which = psk;
	if (psk >= 0 && server)
		SSL_CTX_set_psk_find_session_callback(ctx, plain_find);
	else if (psk >= 0)
		SSL_CTX_set_psk_use_session_callback(ctx, plain_use);
	s->ssl = SSL_new(ctx);
	assert_non_null(s->ssl);
	SSL_CTX_free(ctx);
	SSL_set_bio(s->ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
	if (server)
		SSL_set_accept_state(s->ssl);
	else
		SSL_set_connect_state(s->ssl);
}

void plain_certificate(SSL_CTX *ctx, size_t comment)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *x = X509_new();
	X509_NAME *name = X509_get_subject_name(x);

	assert_non_null(key);
	(void)X509_set_version(x, 2);
	(void)ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
	(void)X509_gmtime_adj(X509_getm_notBefore(x), -60);
	(void)X509_gmtime_adj(X509_getm_notAfter(x), 3600);
	(void)X509_NAME_add_entry_by_txt(
		name, "CN", MBSTRING_ASC, (const unsigned char *)"nobody", -1, -1, 0);
	(void)X509_set_issuer_name(x, name);
	(void)X509_set_pubkey(x, key);
	if (comment > 0) {
		char *text = malloc(comment + 1);
		X509_EXTENSION *e;

		assert_non_null(text);
		memset(text, 'x', comment);
		text[comment] = 0;
		e = X509V3_EXT_conf_nid(NULL, NULL, NID_netscape_comment, text);
		assert_non_null(e);
		(void)X509_add_ext(x, e, -1);
		X509_EXTENSION_free(e);
		free(text);
	}
	assert_true(X509_sign(x, key, EVP_sha256()) > 0);
	assert_int_equal(1, SSL_CTX_use_certificate(ctx, x));
	assert_int_equal(1, SSL_CTX_use_PrivateKey(ctx, key));
	X509_free(x);
	EVP_PKEY_free(key);
}
