/* SPDX-License-Identifier: ISC */
#ifndef BRIDGE_KEYS_H
#define BRIDGE_KEYS_H

/*
 * Key files: who may speak, and with which key. main.c and the hub's reload load them, tls.c looks
 * keys up, keygen.c edits them.
 *
 * A file has one key a line, `identity:hex`, the form of psktool and mosquitto; empty lines, and
 * lines that begin with `#`, are passed over. An identity is 1 to 64 letters, digits, `.`, `_`, `-`
 * and `@`; a key is 16 to 64 bytes, 32 as keygen makes them. One identity may have two keys while
 * they are being changed; the newer one stands further down. A client uses the first of its file, a
 * server takes any.
 *
 * On the wire. Which key a client uses it says in the TLS identity: `identity#id`, where id is 8
 * hexadecimal digits: the first 4 bytes of HMAC-SHA256(key, "sqbridge key id"). `#` is in no
 * identity, so none can be taken for another. The id tells nothing about the key that the
 * handshake's binder does not. A bare `identity`, as other programs send, is its first key.
 *
 * Who may read it. The key is worth what the file's mode is: it must be a regular file, belong to us
 * or to root, and be closed to group and others. A symbolic link is followed, for what it leads to
 * is looked at. One exception: systemd gives a service that is not root its credentials as files of
 * root with an access list for that user, whose mask shows as 0440; so it is allowed for files of
 * root directly in $CREDENTIALS_DIRECTORY.
 *
 * Invariant: the bytes of a key are in memory of their own only, kept out of core dumps and, if the
 * limits allow it, out of swap; cleared before it is freed; never part of a text that is returned.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KEYS_IDENTITY_MAX 64        /* bytes, without the terminating zero */
#define KEYS_BYTES_MIN    16        /* of a key */
#define KEYS_BYTES_MAX    64        /* of a key */
#define KEYS_ID           8         /* digits of a key's id */
#define KEYS_MAX          4096      /* in a file */
#define KEYS_FILE_MAX     (1 << 20) /* bytes of a file */
#define KEYS_PER_IDENTITY 2
#define KEYS_WIRE_MAX     (KEYS_IDENTITY_MAX + 1 + KEYS_ID) /* bytes of `identity#id` */
#define KEYS_WHY_MAX      512                               /* bytes of a reason, with its zero */

struct key {
	char identity[KEYS_IDENTITY_MAX + 1]; /* zeros behind it */
	char id[KEYS_ID + 1];
	uint8_t len;
	uint32_t line;
	uint8_t bytes[KEYS_BYTES_MAX];
};

struct keys;

/*
 * keys_load(): read a file. On an error *why says which file and line, what is wrong, and what to
 * do.
 *
 *	-EACCES  others can read it, or it is not ours: to be told to the user, exit 77
 *	-EINVAL  what is in it is wrong
 *	-EFBIG   above KEYS_FILE_MAX or KEYS_MAX
 *	errors of open() and read(), -ENOMEM
 */
int keys_load(struct keys **ret, const char *path, char why[static KEYS_WHY_MAX]);

/* keys_parse(): the same from memory; `name` is used in the reasons. -EINVAL, -EFBIG, -ENOMEM. */
int keys_parse(struct keys **ret, const char *text, size_t len, const char *name,
	char why[static KEYS_WHY_MAX]);

/* Clears and frees. NULL is allowed. */
void keys_free(struct keys *keys);

size_t keys_count(const struct keys *keys);
const struct key *keys_at(const struct keys *keys, size_t i);

/*
 * keys_find(): the key that a peer named, `identity#id` or `identity`; NULL if there is none. Takes
 * the same time whichever it is. Borrowed until keys_free().
 */
const struct key *keys_find(const struct keys *keys, const char *name, size_t len);

/* What a client with this key says that it is: `identity#id`. */
void keys_wire_name(char ret[static KEYS_WIRE_MAX + 1], const struct key *key);

bool keys_identity_ok(const char *identity, size_t len);

/*
 * For keygen.c: a file's text in memory as for keys, to be given to keys_secret_free(); and the
 * rules for who may read it. Errors as keys_load().
 */
int keys_read(char **ret, size_t *ret_len, const char *path, char why[static KEYS_WHY_MAX]);
void *keys_secret_new(size_t size);
void keys_secret_free(void *p, size_t size);
int keys_say(char why[static KEYS_WHY_MAX], int error, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif
