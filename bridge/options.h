/* SPDX-License-Identifier: ISC */
#ifndef BRIDGE_OPTIONS_H
#define BRIDGE_OPTIONS_H

/*
 * The table of options: each limit and default of the daemon, once. Only config.c, which walks it,
 * and main.c, when it reloads, include this.
 */

#include "config.h"

enum option_kind {
	OPTION_COUNT,
	OPTION_SIZE,
	OPTION_SPAN,
	OPTION_LISTEN,
	OPTION_CONNECT,
	OPTION_METRICS,
	OPTION_NAME,
	OPTION_PATH,
	OPTION_IDENTITY,
	OPTION_LEVEL,
	OPTION_FORMAT,
	OPTION_MODE,
	OPTION_FLAG,
	OPTION_SHARE, /* these may be given many times */
	OPTION_ALLOW,
	OPTION_PULL,
	OPTION_PUSH,
};

enum option_flags {
	OPTION_COMMAND_ONLY = 1, /* neither in a file nor in the environment */
	OPTION_LIVE = 2,         /* a reload changes it; others wait for the next start */
};

struct option_row {
	const char *name;
	const char *arg; /* as the help names it */
	enum option_kind kind;
	unsigned roles;         /* of enum config_role */
	unsigned flags;         /* of enum option_flags */
	size_t offset;          /* in struct config */
	uint64_t min, max;      /* of counts, sizes and spans (ns) */
	const char *by_default; /* NULL: none */
	const char *help;
};

extern const struct option_row options[];
extern const unsigned options_n;

#define OPTIONS_MAX 40 /* room for as many rows */

/* The row of this name for any of these roles; `-` and `_` are one. NULL if there is none. */
const struct option_row *option_find(const char *name, size_t len, unsigned roles);

/* Sets it in *c, from text. NULL, or what is allowed, to be printed behind "must be". */
const char *option_set(struct config *c, const struct option_row *row, const char *text);

/* Do both say the same of it? */
bool option_same(const struct config *a, const struct config *b, const struct option_row *row);

/* Takes over whatever a reload changes; *from is of no use then. */
void option_reload(struct config *to, struct config *from);

bool option_is_list(const struct option_row *row);

#endif
