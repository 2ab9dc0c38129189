/* SPDX-License-Identifier: ISC */
#ifndef TLS_PAIR_H
#define TLS_PAIR_H

/*
 * What the tests of tls share: two sides joined by memory, where a test may look at each byte, cut,
 * change and repeat; and sides of plain OpenSSL that do what our own never do.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#include <cmocka.h>
#include <openssl/ssl.h>

#include "tls.h"

/* Bytes on their way, or kept. */
struct bytes {
	uint8_t *data;
	size_t len, cap;
};
void bytes_add(struct bytes *b, const void *data, size_t len);
void bytes_drop(struct bytes *b, size_t len);
void bytes_free(struct bytes *b);

struct side {
	struct tls *tls;      /* ours, or */
	SSL *ssl;             /* plain OpenSSL */
	struct bytes to_peer; /* what it has said and the other has not heard */
	struct bytes all;     /* everything that it ever said */
	struct bytes got;     /* plaintext */
	size_t out_cap;       /* how much memory is lent at once */
	bool up, over;        /* ssl: the handshake is done; it failed or ended */
};

struct pair {
	struct side client, server;
};

/* The server's keys: "farm1" has key 1, "farm2" key 2; what a client has depends on the test. */
extern struct tls_context *pair_server_context;
struct tls_context *pair_client_context(const char *identity, unsigned key);
void pair_key(uint8_t key[32], unsigned which);
extern unsigned pair_finds; /* how often a key was looked for */

int pair_begin(void **state);
int pair_end(void **state);
#define TLS_TEST(f) cmocka_unit_test_setup_teardown(f, pair_begin, pair_end)

/* Sides of ours: no bytes have moved. A NULL context: none on that side. */
void pair_init(struct pair *p, struct tls_context *client, struct tls_context *server);
void pair_deinit(struct pair *p);

/* Let a side do what it can with `len` bytes; what it says is added to to_peer and all. */
void side_hear(struct side *s, const uint8_t *data, size_t len);
/* Move bytes, `step` at a time, until neither side says anything more. */
void pair_run(struct pair *p, size_t step);
/* A new pair that is UP. */
void pair_up(struct pair *p);
/* Plaintext: one side writes all of it (it is not sent on). */
void side_write(struct side *s, const void *data, size_t len);

/* Plain OpenSSL on a side; the context is freed with it. psk: -1: none, else a key of the above. */
void side_plain(struct side *s, SSL_CTX *ctx, bool server, int psk);
SSL_CTX *plain_context(bool server, int version_min, int version_max);
/* A certificate of its own, with a comment of so many bytes. */
void plain_certificate(SSL_CTX *ctx, size_t comment);

#endif
