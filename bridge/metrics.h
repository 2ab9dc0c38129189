/* SPDX-License-Identifier: ISC */
#ifndef BRIDGE_METRICS_H
#define BRIDGE_METRICS_H

/*
 * Counters and gauges, and their text for Prometheus. Who counts something adds to a place in a set;
 * who serves the text renders it and sends it. Pure: no input or output, no memory taken.
 *
 * A set is the numbers of one thing: of the daemon (one, made by metrics_init()), of a link (labelled
 * with its peer), of a stream (peer, queue, direction). Its owner embeds it, adds it while it lives,
 * and takes it out.
 *
 * Invariant: all samples of a family stand together, under one HELP and one TYPE, as the format
 * asks; names and helps are in one table (metrics.c).
 */

#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

#include "keys.h"
#include "wire.h"

#define METRICS_SETS_MAX 16384 /* that the text is meant for: links and streams */

enum metric {
	/* the daemon */
	METRIC_START_TIME, /* seconds since 1970 */
	METRIC_CONNECTIONS,
	METRIC_UNAUTHENTICATED,
	METRIC_LINKS,
	METRIC_ACCEPTED,
	METRIC_REFUSED_WRONG_KEY, /* in the order of their labels in metrics.c */
	METRIC_REFUSED_NO_KEY,
	METRIC_REFUSED_UNKNOWN,
	METRIC_REFUSED_REVOKED,
	METRIC_REFUSED_NOT_TLS,
	METRIC_REFUSED_TIMEOUT,
	METRIC_REFUSED_CROWDED,
	METRIC_REFUSED_TLS,
	METRIC_REFUSED_PROTOCOL,
	METRIC_REFUSED_DENIED,
	METRIC_REFUSED_VERSION,
	METRIC_RELOADS,
	METRIC_RELOADS_FAILED,
	METRIC_LOG_SUPPRESSED,
	METRIC_LOG_LOST,
	METRIC_WAKE_UPS,
	/* a link */
	METRIC_UP,
	METRIC_CONNECTS, /* the first included */
	METRIC_BYTES_RECEIVED,
	METRIC_BYTES_SENT,
	METRIC_FRAMES_RECEIVED,
	METRIC_FRAMES_SENT,
	METRIC_ROUND_TRIP, /* ns */
	METRIC_KEY_UPDATES,
	/* a stream */
	METRIC_MESSAGES_SENT,
	METRIC_MESSAGES_RECEIVED,
	METRIC_MESSAGES_SETTLED,
	METRIC_MESSAGES_REDELIVERED,
	METRIC_MESSAGES_NACKED,
	METRIC_IN_FLIGHT,
	METRIC_OWED,
	METRIC_CREDIT,
	METRIC_CREDIT_BYTES,
	METRIC_OLDEST, /* ns */
	METRIC_NO_QUEUE,
	METRIC_QUEUE_GONE,
	METRICS_N,
};
#define METRICS_LINK   METRIC_UP
#define METRICS_STREAM METRIC_MESSAGES_SENT

enum metrics_scope { METRICS_OF_DAEMON, METRICS_OF_LINK, METRICS_OF_STREAM };

struct metrics_set {
	enum metrics_scope scope;
	char peer[KEYS_IDENTITY_MAX + 1];
	char queue[WIRE_NAME_MAX + 1];
	enum wire_direction direction;
	TAILQ_ENTRY(metrics_set) entry;
	uint64_t value[METRICS_N]; /* those of its scope are shown */
};

struct metrics {
	struct metrics_set daemon;
	TAILQ_HEAD(, metrics_set) sets;
	const char *role, *version;
};

/* `role` and `version` are borrowed for ever. */
void metrics_init(struct metrics *ret, const char *role, const char *version);

/*
 * metrics_add(): a set of all zeros, shown from now on. queue and direction of a link are not used.
 * The labels are copied, what is too long of them is cut. metrics_remove(): once, before the set's
 * memory goes.
 */
void metrics_add(struct metrics *m, struct metrics_set *set, enum metrics_scope scope,
	const char *peer, const char *queue, enum wire_direction direction);
void metrics_remove(struct metrics *m, struct metrics_set *set);

/*
 * metrics_render(): the text, to buf. Returns how long it is, without the terminating zero, like
 * snprintf(): if that is cap or more, it is not whole, and wants a larger buffer.
 */
size_t metrics_render(const struct metrics *m, char *buf, size_t cap);

/* The Content-Type of the text. */
#define METRICS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

#endif
