/* SPDX-License-Identifier: ISC */
#ifndef BRIDGE_TLS_H
#define BRIDGE_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * TLS 1.3 with an external pre-shared key, by OpenSSL, and without a socket: bytes in, bytes out.
 * Whoever holds a connection (hub, leaf) joins it to loop.h.
 *
 *	        tls_feed(): lent          tls_read(): plaintext
 *	network ------------------> TLS ----------------------> frames
 *	        <------------------     <----------------------
 *	        tls_lend(): written into  tls_write(): plaintext
 *
 * Both directions work on the caller's memory. OpenSSL's record layer copies each record in and
 * out of a buffer of its own, where it is ciphered; nothing here copies besides.
 *
 * One thread for each context and all that was made from it. Errors are negative errno.
 *
 * What is promised: TLS 1.3 only, TLS_AES_128_GCM_SHA256 only, (EC)DHE always, so that a stolen key
 * does not open what was recorded; no certificates, tickets, sessions, early data. UP means that
 * both sides have proved that they hold the key. A peer that does not know it cannot tell whether
 * it was the identity or the key that was wrong.
 */

enum {
	TLS_IDENTITY_MAX = 128, /* bytes, without the zero; a longer one is unknown */
	TLS_KEY_MIN = 16,
	TLS_KEY_MAX = 64,
	TLS_RECORD_MAX = 16384,     /* plaintext bytes of a record */
	TLS_OVERHEAD = 22,          /* what TLS adds to each */
	HANDSHAKE_BYTES_MAX = 8192, /* input before it is UP */

	/*
	 * What tls_lend() is to be given: less is allowed until UP (TLS_OUT_HANDSHAKE holds all that
	 * either side says in a handshake, and an alert). TLS_OUT_ROOM on top of the records: a key
	 * update that is due, an alert, close_notify.
	 */
	TLS_OUT_HANDSHAKE = 2048,
	TLS_OUT_ROOM = 256,
};
#define TLS_OUT_BYTES(records) ((size_t)(records) * (TLS_RECORD_MAX + TLS_OVERHEAD) + TLS_OUT_ROOM)

/* A sending key is replaced after so many records (AES-GCM's limit is 2^24.5) or so much time. */
#define TLS_REKEY_RECORDS ((uint64_t)1 << 24)
#define TLS_REKEY_NS      ((int64_t)4 * 3600 * 1000000000)

struct tls_context;
struct tls;

enum tls_state {
	TLS_HANDSHAKING,
	TLS_UP,
	TLS_CLOSED, /* the peer ended by close_notify: nothing more comes */
	TLS_FAILED, /* what is in the lent memory (an alert) is still to be sent; then close */
};

enum tls_reason {
	TLS_OK,
	TLS_WRONG_KEY,        /* server: the identity is known, the key is another */
	TLS_UNKNOWN_IDENTITY, /* server */
	TLS_NO_KEY,           /* server: the peer offered none: a TLS client with certificates */
	TLS_KEY_REFUSED,      /* client: the server knows not this identity, or another key */
	TLS_KEY_UNUSED,       /* client: the server wanted to go on without the key */
	TLS_NOT_TLS,          /* the first bytes are of something else */
	TLS_VERSION,          /* the peer cannot do TLS 1.3 */
	TLS_NO_CIPHER,        /* no common cipher or group */
	TLS_TOO_LONG,         /* HANDSHAKE_BYTES_MAX */
	TLS_TRUNCATED,        /* the stream ended without close_notify: a cut, or a forger */
	TLS_DAMAGED,          /* a record that is not what was sent: damaged, forged, or replayed */
	TLS_PEER_ALERT,       /* the peer gave up: tls_alert() */
	TLS_PROTOCOL,         /* anything else that is not TLS 1.3 as it should be */
	TLS_BROKEN,           /* OpenSSL failed, or there was no memory */
	TLS_REASONS,
};

/*
 * The key of an identity that a client claims: its length, with the bytes in `key`, or 0: unknown.
 * To be as quick for one as for the other. Called from within tls_read(), at most twice a
 * handshake. Above TLS_KEY_MAX or below TLS_KEY_MIN is as unknown. The bytes are wiped after use.
 */
typedef size_t (*tls_find_fn)(void *ctx, const char *identity, uint8_t key[TLS_KEY_MAX]);

/*
 * tls_context_server(): find and ctx must live as long as the context; keys may change meanwhile.
 * tls_context_client(): identity and key are copied. -EINVAL: too long or too short; -ENOMEM: or
 * OpenSSL lacks what is needed.
 * tls_context_free(): after all that was made from it. Wipes the key. NULL is allowed.
 */
int tls_context_server(struct tls_context **ret, tls_find_fn find, void *ctx);
int tls_context_client(
	struct tls_context **ret, const char *identity, const uint8_t *key, size_t len);
void tls_context_free(struct tls_context *c);

/*
 * tls_new(): a connection; -ENOMEM. Until a whole ClientHello came it takes TLS_YOUNG_BYTES, and
 * what the peer has sent: no object of OpenSSL's is made for a peer that only connects, or sends
 * slowly, or no TLS. That message proves the key or fails. A peer that repeats a ClientHello which
 * it has overheard can make a server hold some 44 KiB more, until the caller's time limit; no other
 * peer without a key can.
 * tls_free(): NULL is allowed.
 */
#define TLS_YOUNG_BYTES 512
int tls_new(struct tls **ret, struct tls_context *c);
void tls_free(struct tls *t);

/*
 * tls_feed(): lend bytes that came from the network, until they are used up or tls_unfeed(). Not
 * while others are lent. tls_unfeed(): how many are left, which are not lent any more: feed
 * them again later, before any others.
 */
void tls_feed(struct tls *t, const uint8_t *data, size_t len);
size_t tls_unfeed(struct tls *t);

/*
 * tls_lend(): memory for what is to be sent, until the next tls_lend(); NULL, 0: none. What has been
 * written there is tls_pending_out(): send it, and lend other memory, or the same when it was sent.
 */
void tls_lend(struct tls *t, uint8_t *buf, size_t cap);
size_t tls_pending_out(const struct tls *t);

/*
 * tls_read(): go on with the handshake, and then plaintext of what was fed: how many bytes, or
 *
 *	0        the peer ended, by close_notify: TLS_CLOSED
 *	-EAGAIN  all that was fed is used up
 *	-ENOBUFS there is no room in the lent memory for what must be answered first: lend, call again
 *	-EPROTO  TLS_FAILED: tls_reason(); there may be an alert to be sent
 *
 * Call it, until it says -EAGAIN, after every tls_feed(), and once at the beginning: a client begins
 * to speak then.
 */
ssize_t tls_read(struct tls *t, uint8_t *buf, size_t cap);

/*
 * tls_write(): how many bytes of plaintext went into the lent memory as records; as much as there is
 * room for. -EAGAIN: room for none; -ENOTCONN: not UP yet; -EPIPE: ended; -EPROTO: failed.
 * A peer that has ended can still be written to.
 */
ssize_t tls_write(struct tls *t, const uint8_t *data, size_t len);

/* What tls_write() would take now. */
size_t tls_room(const struct tls *t);

/* close_notify, to the lent memory; nothing can be written afterwards. -ENOBUFS, -ENOTCONN. */
int tls_end(struct tls *t);

/* The network's stream ended. Without close_notify before it, that is TLS_FAILED, TLS_TRUNCATED. */
void tls_eof(struct tls *t);

enum tls_state tls_state(const struct tls *t);
enum tls_reason tls_reason(const struct tls *t);
const char *tls_reason_text(enum tls_reason reason);
/* More of it, for a log: what OpenSSL calls it, or NULL. Static. */
const char *tls_detail(const struct tls *t);
/* The alert that the peer sent, or -1. */
int tls_alert(const struct tls *t);

/*
 * Who it is. Server: what the client claims, of any bytes but zero, proved when UP; "" before it was
 * heard. Client: its own.
 */
const char *tls_identity(const struct tls *t);

/* For tests, and for shorter intervals between key updates. */
void tls_set_rekey(struct tls *t, uint64_t records, int64_t ns);
uint64_t tls_rekeys(const struct tls *t);

#endif
