/* SPDX-License-Identifier: ISC */
#ifndef BRIDGE_DAEMON_H
#define BRIDGE_DAEMON_H

#include <stdbool.h>
#include <stdint.h>
#include <bsd/sys/queue.h>

#include "config.h"
#include "conn.h"
#include "counts.h"
#include "end.h"
#include "keys.h"
#include "link.h"
#include "loop.h"
#include "sq.h"
#include "status.h"

/*
 * What hub and leaf share: the peers and their links, the turns that links are given, the words that
 * queues wake us by, and who we are.
 *
 * Turns. A link is given a turn after bytes came, after a queue's news, and when its time has come.
 * While there is something to send, the next turn follows after a moment, and nobody is asked to
 * wake us; when there was nothing, the queues' eventcounts are armed, all is looked at once more,
 * and then we sleep. An armed eventcount costs the others a system call for each message, so it is
 * not armed while we are awake anyway.
 */

#define DAEMON_PREFIX_WHY "SQ_PREFIX must be letters, digits, '-' and '_', at most 64"

struct watch;

struct peer {
	TAILQ_ENTRY(peer) entry;
	struct daemon *daemon;
	char identity[KEYS_IDENTITY_MAX + 1];
	struct link *link;
	struct conn *conn; /* NULL: not connected */
	bool unlisted;     /* it has no key any more: nothing is kept for it */
	struct counts_peer counts;
};

struct daemon {
	struct loop *loop;
	struct config *config;
	struct keys *keys;
	struct tls_context *tls;
	char prefix[SQ_NAME_MAX + 1];
	uint8_t instance[WIRE_INSTANCE];
	int instance_fd; /* its lock says that this name is taken */
	bool made;       /* this process has made it: no daemon of this name was there before */
	bool refused;    /* this start was refused: what it has made is removed again */
	bool hub, draining, stopping;
	int exit_code;
	TAILQ_HEAD(, peer) peers;
	struct loop_timer turn, drain;
	TAILQ_HEAD(, watch) watches;
	bool armed;
	uint64_t armings;
	struct metrics metrics;
	struct status status;
	/* The role's own. */
	void *role;
	void (*role_free)(void *role); /* NULL: free() */
	void (*leave)(
		struct daemon *); /* all that is to be closed is closed: loop_stop() follows */
};

/*
 * daemon_init(): the prefix, and the instance, which is made if this host has none of that name.
 * -EBUSY: another daemon of this name runs. *ret_why: what is wrong, static.
 */
int daemon_init(struct daemon *d, struct loop *loop, struct config *config, const char **ret_why);

/*
 * daemon_still(): it does nothing more; before loop_free(). daemon_deinit(): after it, when no
 * connection is left that holds a link.
 */
void daemon_still(struct daemon *d);
void daemon_deinit(struct daemon *d);

/* A peer and its link, which has no streams yet. */
int daemon_peer(struct peer **ret, struct daemon *d, const char *identity, bool hub);
struct peer *daemon_find(struct daemon *d, const char *identity);

/* daemon_end(): the end of a stream on this host. 0, or a wire code and *ret_why, static. */
int daemon_end(struct daemon *d, const char *peer, const struct config_stream *stream, bool sending,
	struct link_end *ret, const char **ret_why);

/* Nothing of this queue is watched any more, until a link has a turn again. */
void daemon_unwatch(struct daemon *d, const char *queue, enum wire_direction direction);

/* All links have a turn soon. */
void daemon_news(struct daemon *d);

/* Take nothing new; when nothing is under way, or after the time for it, leave. Twice: at once. */
void daemon_drain(struct daemon *d);

/* The path of its instance. */
void daemon_instance(char *ret, size_t cap, const struct daemon *d);

/* `prefix.queue` of a stream's local name. */
void daemon_local(char *ret, size_t cap, const struct daemon *d, const struct config_stream *s);

/*
 * daemon_again(): at the start: was this address in use, and shall it be tried once more? Then a
 * moment has passed. The kernel lets go of the sockets of a daemon that was killed some time after
 * the process is gone, for io_uring holds them. *tries: 0 first.
 */
bool daemon_again(int error, unsigned *tries);

/* What conn_setup wants of both roles. */
void daemon_conn_news(void *context, struct conn *c, struct link *l);

#endif
