/* SPDX-License-Identifier: ISC */
#ifndef BRIDGE_CONFIG_H
#define BRIDGE_CONFIG_H

/*
 * What the daemon is to do, from its flags, the environment and a file. main.c asks for it at the
 * start and at each reload; hub and leaf read the structure.
 *
 * One table (config.c) names each option with its default, its limits and its help. An option
 * `redeliver-after` is the flag --redeliver-after SPAN, the line `redeliver_after = SPAN` of a file
 * (either spelling), and the variable SQBRIDGE_REDELIVER_AFTER. A flag wins over a variable, that
 * over the file, that over the default; lists (share, allow, pull, push) add up instead.
 *
 * The file is in the ini format, one option a line, `#` and `;` begin comments. Lines in a section
 * [hub] or [leaf] are for that role only, though they are checked in both; those before any section
 * are for both, and a role that does not know an option of the other's passes over it there. Lists
 * are several lines. Nothing may be set twice.
 *
 * Keys: --keys (hub) or --key (leaf); if neither flag, variable nor file names one, the systemd
 * credential `sqbridge.keys` or `sqbridge.key`.
 *
 * Invariant: a structure that config_parse() returned is within all limits and fits together
 * (config_check()); nothing in it needs to be freed.
 */

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "keys.h"
#include "log.h"
#include "wire.h"

/* Limits of what is no number in the table. */
#define CONFIG_FILE_MAX    (256 * 1024) /* bytes of a file */
#define CONFIG_HOST_MAX    253          /* bytes of a host's name */
#define CONFIG_NAME_MAX    32           /* so that a ledger's file name fits */
#define CONFIG_SOCKET_MAX  107          /* bytes of a unix socket's path */
#define CONFIG_STREAMS_MAX WIRE_STREAMS_MAX
#define CONFIG_ALLOWS_MAX  1024
#define CONFIG_LOCAL_MAX   (2 * WIRE_NAME_MAX + 1) /* bytes of `prefix.queue` */
#define CONFIG_WHY_MAX     512                     /* bytes of a reason, with its zero */

enum config_role {
	CONFIG_HUB = 1,
	CONFIG_LEAF = 2,
	CONFIG_KEYGEN = 4,
	CONFIG_HELP = 8,
	CONFIG_VERSION = 16,
};

struct config_address {
	char host[CONFIG_HOST_MAX + 1]; /* a name or a number, without brackets; or a path */
	uint16_t port;
	bool v6;     /* it stood in brackets */
	bool socket; /* host is the path of a unix socket */
};

/* A queue that is shared, pulled or pushed: its name on the wire, and here. */
struct config_stream {
	char queue[WIRE_NAME_MAX + 1];
	char local[CONFIG_LOCAL_MAX + 1];
	enum wire_direction direction;
};

struct config_allow {
	char identity[KEYS_IDENTITY_MAX + 1]; /* or "*" */
	char queue[WIRE_NAME_MAX + 1];
	enum wire_direction direction;
};

struct config {
	enum config_role role, help_for; /* help_for: 0 or the role that help was asked for */
	bool check;                      /* --check-config: report whether it is right, and exit */
	char file[PATH_MAX];             /* "" if there is none */

	struct config_address address; /* hub: listen; leaf: connect */
	struct config_address metrics; /* host "": none */
	char name[CONFIG_NAME_MAX + 1];
	char keys[PATH_MAX]; /* hub and keygen: the hub's; leaf: its own */

	/* hub: shares; leaf: pulls and pushes, in the order given, which numbers the streams */
	struct config_stream stream[CONFIG_STREAMS_MAX];
	uint32_t streams;
	struct config_allow allow[CONFIG_ALLOWS_MAX];
	uint32_t allows;

	uint64_t redeliver_after_ns, heartbeat_ns, handshake_timeout_ns, drain_timeout_ns;
	uint64_t retry_max_ns; /* the longest pause between two tries to connect */
	uint64_t window, window_bytes;
	uint32_t mode; /* leaf: of queues that it makes */
	uint64_t connections_max, unauthenticated_max;
	enum log_level log_level;
	enum log_format log_format;

	/* keygen */
	char peer[KEYS_IDENTITY_MAX + 1];
	char out[PATH_MAX];
	bool rotate, drop_old;
};

/*
 * config_parse(): argv as main() has it; nothing of it is kept. 0, or -EINVAL, -ENOENT, -EACCES, -ENOKEY,
 * -EFBIG, -EIO with *why: where (flag, variable, file and line), what was wrong, what is allowed.
 * With the role CONFIG_HELP or CONFIG_VERSION nothing else is filled but help_for.
 */
int config_parse(struct config *ret, int argc, char *const argv[], char why[static CONFIG_WHY_MAX]);

/* config_check(): do the parts fit together? Part of config_parse(). 0, -EINVAL, or -ENOKEY. */
int config_check(const struct config *c, char why[static CONFIG_WHY_MAX]);

/*
 * config_allows(): may this identity do this? It must be shared; and if there is any `allow`, one of
 * them must say so, for this identity or for `*`. Returns the share, or NULL.
 */
const struct config_stream *config_allows(const struct config *c, const char *identity,
	const char *queue, enum wire_direction direction);

/* The share of that name and direction, whoever asks; NULL: none. To tell `denied` from `no queue`. */
const struct config_stream *config_share(
	const struct config *c, const char *queue, enum wire_direction direction);

/* The options of a role with their defaults and limits; 0: how the program is used. */
void config_help(FILE *to, enum config_role role);

/* An address as people write it, to buf (at least CONFIG_HOST_MAX + 10 bytes). */
void config_address_text(char *buf, size_t cap, const struct config_address *address);

#endif
