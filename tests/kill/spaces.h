/* SPDX-License-Identifier: ISC */
#ifndef SPACES_H
#define SPACES_H

/*
 * Namespaces for tests: as root, or as anybody by way of a user namespace.
 */

#include <stdbool.h>

/* spaces_enter(): unshare(2) these kinds. Only in a process of one thread. False: not permitted. */
bool spaces_enter(int kinds);

/* spaces_permitted(): may this process have them? Asks a child. */
bool spaces_permitted(int kinds);

/*
 * spaces_mount(): a tmpfs over this directory, for this mount namespace only. False: not permitted.
 */
bool spaces_mount(const char *at, const char *options);

/* What meson takes for "could not be tried here". */
#define SPACES_NONE 77

#endif
