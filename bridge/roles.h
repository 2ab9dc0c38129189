/* SPDX-License-Identifier: ISC */
#ifndef BRIDGE_ROLES_H
#define BRIDGE_ROLES_H

#include "daemon.h"

/*
 * The two roles. start: 0, or a negative errno and *ret_why, static, and *ret_exit, the exit code.
 * stop: everything is closed; the loop may end. reload: a new configuration and new keys are in
 * force; the keys are theirs from now on. A leaf's are one at least, at the start too.
 */
enum {
	EXIT_USAGE = 64,
	EXIT_SYSTEM = 69,
	EXIT_BUSY = 75, /* another has it: later, perhaps */
	EXIT_DENIED = 77,
};

int hub_start(struct daemon *d, const char **ret_why, int *ret_exit);
void hub_stop(struct daemon *d);
void hub_reload(struct daemon *d, struct keys *keys);

int leaf_start(struct daemon *d, const char **ret_why, int *ret_exit);
void leaf_stop(struct daemon *d);
void leaf_reload(struct daemon *d, struct keys *keys);

/* What link_setup asks of them; the context is a struct peer. */
int hub_open(void *context, struct link *l, enum wire_direction direction, const char *queue,
	struct link_end *ret, const char **ret_why);
bool leaf_absent(void *context, const char *queue);
int leaf_opened(void *context, struct link *l, enum wire_direction direction, const char *queue,
	const struct wire_opened *opened, struct link_end *ret, const char **ret_why);

#endif
