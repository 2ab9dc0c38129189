/* SPDX-License-Identifier: ISC */
#ifndef BRIDGE_TLS_IN_H
#define BRIDGE_TLS_IN_H

#include <openssl/bio.h>
#include <openssl/ssl.h>

#include "tls.h"

/* What tls.c, tls_context.c and tls_reason.c share. No other file includes this. */

enum {
	RECORD_HEADER = 5,
};

struct tls_context {
	SSL_CTX *ssl;
	BIO_METHOD *method; /* tls.c's */
	bool server;
	tls_find_fn find; /* server */
	void *find_ctx;
	char identity[TLS_IDENTITY_MAX + 1]; /* client */
	uint8_t key[TLS_KEY_MAX];            /* client: its own; server: of those who are unknown */
	size_t key_len;
};

struct tls {
	struct tls_context *context;
	SSL *ssl; /* NULL: no ClientHello yet */
	enum tls_state state;
	enum tls_reason reason;
	const char *detail;
	int alert;

	/* What was fed, and of a server's first record what came before. */
	const uint8_t *in;
	size_t in_len;
	uint8_t head[RECORD_HEADER];
	uint8_t *first; /* the whole record, once its length is known */
	size_t first_len, first_size, first_used;
	size_t handshake_bytes;

	uint8_t *out;
	size_t out_len, out_cap;

	uint64_t records, rekey_records, rekeys;
	int64_t keyed_ns, rekey_ns;

	bool heard;   /* the peer's first byte was checked */
	bool claimed; /* server: it was asked for an identity's key */
	bool known;   /* and had it */
	bool too_long, ended;
	char identity[TLS_IDENTITY_MAX + 1];
};

/* tls.c: for BIOs. */
BIO_METHOD *tls_bio_method(void);

/* tls_reason.c: why OpenSSL failed, to t->reason, detail and alert. */
void tls_explain(struct tls *t);
/* For SSL_CTX_set_info_callback(): notes the peer's alert. */
void tls_note_alert(const SSL *ssl, int where, int value);

#endif
