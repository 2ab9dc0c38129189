/* SPDX-License-Identifier: ISC */
#include <bsd/stdlib.h>
#include <bsd/string.h>
#include <errno.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>

#include "tls_in.h"

/*
 * What all connections of a side have in common: what is allowed, and the keys.
 *
 * Invariant: a server answers an unknown identity by a key that nobody has, so that the handshake
 * does the same work and fails by the same alert as with a wrong key. It never goes on without one:
 * it has no certificate, and tls.c looks whether a key was used.
 */

static const unsigned char aes_128_gcm_sha256[] = {0x13, 0x01};

/* The session that OpenSSL wants a pre-shared key to be dressed as. NULL: no memory. */
static SSL_SESSION *session_of(SSL *ssl, const uint8_t *key, size_t len)
{
	const SSL_CIPHER *cipher = SSL_CIPHER_find(ssl, aes_128_gcm_sha256);
	SSL_SESSION *s = SSL_SESSION_new();

	if (s && cipher && SSL_SESSION_set1_master_key(s, key, len) &&
		SSL_SESSION_set_cipher(s, cipher) &&
		SSL_SESSION_set_protocol_version(s, TLS1_3_VERSION))
		return s;
	SSL_SESSION_free(s);
	return NULL;
}

static int find_session(
	SSL *ssl, const unsigned char *identity, size_t identity_len, SSL_SESSION **ret)
{
	struct tls *t = SSL_get_app_data(ssl);
	const struct tls_context *c = t->context;
	uint8_t key[TLS_KEY_MAX] = {0};
	size_t len = 0;

	t->claimed = true;
	if (identity_len <= TLS_IDENTITY_MAX && !memchr(identity, 0, identity_len)) {
		memcpy(t->identity, identity, identity_len);
		t->identity[identity_len] = 0;
		len = c->find(c->find_ctx, t->identity, key);
	}
	t->known = len >= TLS_KEY_MIN && len <= TLS_KEY_MAX;
	*ret = session_of(ssl, t->known ? key : c->key, t->known ? len : c->key_len);
	explicit_bzero(key, sizeof(key));
	return *ret != NULL;
}

static int use_session(SSL *ssl, const EVP_MD *md, const unsigned char **ret_identity,
	size_t *ret_len, SSL_SESSION **ret)
{
	const struct tls *t = SSL_get_app_data(ssl);
	const struct tls_context *c = t->context;

	*ret = NULL;
	if (md && !EVP_MD_is_a(md, "SHA256"))
		return 1; /* called again, for another cipher: no key, so it fails */
	*ret = session_of(ssl, c->key, c->key_len);
	*ret_identity = (const unsigned char *)c->identity;
	*ret_len = strlen(c->identity);
	return *ret != NULL;
}

static int restrict_to_what_we_want(SSL_CTX *ssl)
{
	/* DHE always: SSL_OP_ALLOW_NO_DHE_KEX is not among these. */
	(void)SSL_CTX_clear_options(ssl, SSL_OP_ALLOW_NO_DHE_KEX);
	(void)SSL_CTX_set_options(ssl, SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION |
					       SSL_OP_NO_RENEGOTIATION |
					       SSL_OP_CIPHER_SERVER_PREFERENCE);
	/* Memory for records only while there are any; tls.c changes this when UP. */
	(void)SSL_CTX_set_mode(ssl, SSL_MODE_RELEASE_BUFFERS);
	(void)SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_info_callback(ssl, tls_note_alert);
	return SSL_CTX_set_min_proto_version(ssl, TLS1_3_VERSION) &&
	       SSL_CTX_set_max_proto_version(ssl, TLS1_3_VERSION) &&
	       SSL_CTX_set_ciphersuites(ssl, "TLS_AES_128_GCM_SHA256") &&
	       SSL_CTX_set1_groups_list(ssl, "X25519:P-256") && SSL_CTX_set_num_tickets(ssl, 0) &&
	       SSL_CTX_set_max_early_data(ssl, 0) && SSL_CTX_set_recv_max_early_data(ssl, 0);
}

static struct tls_context *context_new(const SSL_METHOD *method)
{
	struct tls_context *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->ssl = SSL_CTX_new(method);
	c->method = tls_bio_method();
	if (c->ssl && c->method && restrict_to_what_we_want(c->ssl))
		return c;
	ERR_clear_error();
	tls_context_free(c);
	return NULL;
}

int tls_context_server(struct tls_context **ret, tls_find_fn find, void *ctx)
{
	struct tls_context *c = context_new(TLS_server_method());

	if (!c)
		return -ENOMEM;
	c->server = true;
	c->find = find;
	c->find_ctx = ctx;
	c->key_len = 32;
	arc4random_buf(c->key, c->key_len);
	SSL_CTX_set_psk_find_session_callback(c->ssl, find_session);
	*ret = c;
	return 0;
}

int tls_context_client(
	struct tls_context **ret, const char *identity, const uint8_t *key, size_t len)
{
	struct tls_context *c;

	if (strlen(identity) > TLS_IDENTITY_MAX || !*identity || len < TLS_KEY_MIN ||
		len > TLS_KEY_MAX)
		return -EINVAL;
	c = context_new(TLS_client_method());
	if (!c)
		return -ENOMEM;
	(void)strlcpy(c->identity, identity, sizeof(c->identity));
	memcpy(c->key, key, len);
	c->key_len = len;
	SSL_CTX_set_psk_use_session_callback(c->ssl, use_session);
	SSL_CTX_set_verify(c->ssl, SSL_VERIFY_PEER, NULL); /* and no certificate is trusted */
	*ret = c;
	return 0;
}

void tls_context_free(struct tls_context *c)
{
	if (!c)
		return;
	SSL_CTX_free(c->ssl);
	BIO_meth_free(c->method);
	explicit_bzero(c->key, sizeof(c->key));
	free(c);
}
