/* SPDX-License-Identifier: ISC */
#include "metrics.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <bsd/string.h>

enum unit { COUNT, NANOSECONDS };

/* Rows of the same name follow each other and are one family, told apart by their label. */
static const struct family {
	const char *name;
	bool gauge;
	enum unit unit;
	const char *help;
	const char *label;
} families[METRICS_N] = {
	[METRIC_START_TIME] = {"start_time_seconds", true, COUNT,
		"When the daemon started, in seconds since 1970.", NULL},
	[METRIC_CONNECTIONS] = {"connections", true, COUNT, "Connections open now.", NULL},
	[METRIC_UNAUTHENTICATED] = {"connections_unauthenticated", true, COUNT,
		"Connections that have not proved a key yet.", NULL},
	[METRIC_LINKS] = {"links", true, COUNT, "Peers known, whether connected or not.", NULL},
	[METRIC_ACCEPTED] = {"connections_accepted_total", false, COUNT, "Connections accepted.",
		NULL},
#define REFUSED "connections_refused_total", false, COUNT, "Connections closed for a reason."
	[METRIC_REFUSED_WRONG_KEY] = {REFUSED, "reason=\"wrong_key\""},
	[METRIC_REFUSED_NO_KEY] = {REFUSED, "reason=\"no_key\""},
	[METRIC_REFUSED_UNKNOWN] = {REFUSED, "reason=\"unknown_identity\""},
	[METRIC_REFUSED_REVOKED] = {REFUSED, "reason=\"revoked\""},
	[METRIC_REFUSED_NOT_TLS] = {REFUSED, "reason=\"not_tls\""},
	[METRIC_REFUSED_TIMEOUT] = {REFUSED, "reason=\"timeout\""},
	[METRIC_REFUSED_CROWDED] = {REFUSED, "reason=\"crowded\""},
	[METRIC_REFUSED_TLS] = {REFUSED, "reason=\"tls\""},
	[METRIC_REFUSED_PROTOCOL] = {REFUSED, "reason=\"protocol\""},
	[METRIC_REFUSED_DENIED] = {REFUSED, "reason=\"denied\""},
	[METRIC_REFUSED_VERSION] = {REFUSED, "reason=\"version\""},
#define RELOADS "reloads_total", false, COUNT, "Reloads of configuration and keys."
	[METRIC_RELOADS] = {RELOADS, "result=\"done\""},
	[METRIC_RELOADS_FAILED] = {RELOADS, "result=\"failed\""},
	[METRIC_LOG_SUPPRESSED] = {"log_lines_suppressed_total", false, COUNT,
		"Log lines held back for being too many of a kind.", NULL},
	[METRIC_LOG_LOST] = {"log_lines_lost_total", false, COUNT,
		"Log lines that standard error did not take.", NULL},
	[METRIC_WAKE_UPS] = {"wake_ups_total", false, COUNT, "Rounds of the loop.", NULL},
	[METRIC_UP] = {"link_up", true, COUNT, "1 while the peer is connected.", NULL},
	[METRIC_CONNECTS] = {"link_connects_total", false, COUNT,
		"Connections to the peer that came up, the first included.", NULL},
	[METRIC_BYTES_RECEIVED] = {"link_received_bytes_total", false, COUNT,
		"Bytes received from the network.", NULL},
	[METRIC_BYTES_SENT] = {"link_sent_bytes_total", false, COUNT, "Bytes sent to the network.",
		NULL},
	[METRIC_FRAMES_RECEIVED] = {"link_received_frames_total", false, COUNT, "Frames received.",
		NULL},
	[METRIC_FRAMES_SENT] = {"link_sent_frames_total", false, COUNT, "Frames sent.", NULL},
	[METRIC_ROUND_TRIP] = {"link_round_trip_seconds", true, NANOSECONDS,
		"The last ping's time there and back.", NULL},
	[METRIC_KEY_UPDATES] = {"link_key_updates_total", false, COUNT,
		"Times the connection's keys were changed.", NULL},
	[METRIC_MESSAGES_SENT] = {"messages_sent_total", false, COUNT,
		"Messages sent; what is sent again after a cut counts again.", NULL},
	[METRIC_MESSAGES_RECEIVED] = {"messages_received_total", false, COUNT,
		"Messages received and put into the queue.", NULL},
	[METRIC_MESSAGES_SETTLED] = {"messages_settled_total", false, COUNT,
		"Messages settled: done, and their results arrived.", NULL},
	[METRIC_MESSAGES_REDELIVERED] = {"messages_redelivered_total", false, COUNT,
		"Messages given back to the queue: their peer was away too long, or asked for it.",
		NULL},
	[METRIC_MESSAGES_NACKED] = {"messages_returned_total", false, COUNT,
		"Messages received that were given back to where they came from.", NULL},
	[METRIC_IN_FLIGHT] = {"in_flight", true, COUNT,
		"Messages sent and not acknowledged, or not settled.", NULL},
	[METRIC_OWED] = {"owed", true, COUNT, "Messages received and not settled.", NULL},
	[METRIC_CREDIT] = {"credit_messages", true, COUNT,
		"Messages that may follow before the receiver grants more.", NULL},
	[METRIC_CREDIT_BYTES] = {"credit_bytes", true, COUNT,
		"Bytes that may follow before the receiver grants more.", NULL},
	[METRIC_OLDEST] = {"oldest_unsettled_seconds", true, NANOSECONDS,
		"For how long the oldest message in flight, or owed, has been the oldest.", NULL},
	[METRIC_NO_QUEUE] = {"queue_missing", true, COUNT,
		"1 while there is no local queue for it, or it cannot be opened.", NULL},
	[METRIC_QUEUE_GONE] = {"queue_gone_total", false, COUNT,
		"Times that the local queue was removed, or made anew, under the daemon.", NULL},
};

void metrics_init(struct metrics *ret, const char *role, const char *version)
{
	*ret = (struct metrics){.role = role, .version = version};
	TAILQ_INIT(&ret->sets);
}

void metrics_add(struct metrics *m, struct metrics_set *set, enum metrics_scope scope,
	const char *peer, const char *queue, enum wire_direction direction)
{
	assert(scope != METRICS_OF_DAEMON);
	memset(set, 0, sizeof(*set));
	set->scope = scope;
	(void)strlcpy(set->peer, peer, sizeof(set->peer)); /* cut, as promised */
	if (scope == METRICS_OF_STREAM) {
		(void)strlcpy(set->queue, queue, sizeof(set->queue));
		set->direction = direction;
	}
	TAILQ_INSERT_TAIL(&m->sets, set, entry);
}

void metrics_remove(struct metrics *m, struct metrics_set *set)
{
	TAILQ_REMOVE(&m->sets, set, entry);
}

struct out {
	char *buf;
	size_t cap, len;
};

__attribute__((format(printf, 2, 3))) static void say(struct out *o, const char *format, ...)
{
	size_t room = o->len < o->cap ? o->cap - o->len : 0;
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(room ? o->buf + o->len : NULL, room, format, args);
	va_end(args);
	if (n > 0)
		o->len += (size_t)n;
}

/* As the format asks: backslash, double quote and new line. */
static void say_label(struct out *o, const char *name, const char *value)
{
	say(o, "%s=\"", name);
	for (; *value; value++)
		switch (*value) {
		case '\\':
			say(o, "\\\\");
			break;
		case '"':
			say(o, "\\\"");
			break;
		case '\n':
			say(o, "\\n");
			break;
		default:
			say(o, "%c", *value);
		}
	say(o, "\"");
}

static void say_sample(
	struct out *o, const struct family *f, const struct metrics_set *set, uint64_t value)
{
	say(o, "sqbridge_%s", f->name);
	if (set->scope != METRICS_OF_DAEMON) {
		say(o, "{");
		say_label(o, "peer", set->peer);
		if (set->scope == METRICS_OF_STREAM) {
			say(o, ",");
			say_label(o, "queue", set->queue);
			say(o, ",");
			say_label(o, "direction", wire_direction_name(set->direction));
		}
		say(o, "}");
	} else if (f->label) {
		say(o, "{%s}", f->label);
	}
	if (f->unit == NANOSECONDS)
		say(o, " %" PRIu64 ".%09" PRIu64 "\n", value / 1000000000, value % 1000000000);
	else
		say(o, " %" PRIu64 "\n", value);
}

static enum metrics_scope scope_of(unsigned metric)
{
	return metric < METRICS_LINK     ? METRICS_OF_DAEMON
	       : metric < METRICS_STREAM ? METRICS_OF_LINK
					 : METRICS_OF_STREAM;
}

size_t metrics_render(const struct metrics *m, char *buf, size_t cap)
{
	struct out o = {.buf = buf, .cap = cap};
	const char *last = "";

	say(&o, "# HELP sqbridge_info What is running.\n# TYPE sqbridge_info gauge\nsqbridge_info{");
	say_label(&o, "role", m->role);
	say(&o, ",");
	say_label(&o, "version", m->version);
	say(&o, "} 1\n");
	for (unsigned i = 0; i < METRICS_N; i++) {
		const struct family *f = &families[i];
		const struct metrics_set *set;

		if (strcmp(f->name, last) != 0)
			say(&o, "# HELP sqbridge_%s %s\n# TYPE sqbridge_%s %s\n", f->name, f->help,
				f->name, f->gauge ? "gauge" : "counter");
		last = f->name;
		if (scope_of(i) == METRICS_OF_DAEMON)
			say_sample(&o, f, &m->daemon, m->daemon.value[i]);
		else
			TAILQ_FOREACH (set, &m->sets, entry)
				if (set->scope == scope_of(i))
					say_sample(&o, f, set, set->value[i]);
	}
	return o.len;
}
