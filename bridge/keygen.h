/* SPDX-License-Identifier: ISC */
#ifndef BRIDGE_KEYGEN_H
#define BRIDGE_KEYGEN_H

/*
 * `sqbridge keygen`: make a key for a peer, add it to the hub's file, and write the file that is to
 * be carried over to the peer. main.c calls it.
 *
 * Invariant: the hub's file is the old or the new one at every instant, never half of it; a key that
 * was written to the peer's file is in the hub's, or the peer's file is removed again. Its comments
 * and other keys stay as they are. Runs at the same time wait for each other.
 */

#include <stdbool.h>

#include "keys.h"

#define KEYGEN_BYTES 32

struct keygen {
	const char *peer; /* its identity */
	const char *keys; /* the hub's file; made if it is missing */
	const char *out;  /* the peer's file, which must not exist */
	bool rotate;      /* the peer has one key, and gets a second */
	bool drop_old;    /* the peer has two keys, and loses the older; makes no key */
};

/*
 * keygen_run(): 0, or the error, with what is wrong and what to do to *why.
 *
 *	-EEXIST  the peer's file is there; or the peer has a key, without rotate; or two
 *	-ENOENT  rotate or drop_old: it has no key to change, or just one
 *	-EINVAL  a bad identity, or the hub's file is wrong
 *	-ELOOP   the hub's file is a symbolic link, which would be replaced by a file
 *	-EACCES  as keys_load()
 *	errors of the file system
 */
int keygen_run(const struct keygen *what, char why[static KEYS_WHY_MAX]);

#endif
