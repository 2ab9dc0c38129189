/* SPDX-License-Identifier: ISC */
#include "options.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

#include "value.h"

#define MS 1000000ull
#define S  (1000 * MS)
#define M  (60 * S)
#define H  (60 * M)
#define D  (24 * H)

#define AT(member) offsetof(struct config, member)
#define BOTH       (CONFIG_HUB | CONFIG_LEAF)

/* clang-format off */
const struct option_row options[] = {
	{"listen", "ADDRESS:PORT", OPTION_LISTEN, CONFIG_HUB, 0, AT(address), 0, 0, NULL,
		"where leaves connect to; must be given. Port 0: any, the log says which"},
	{"connect", "HOST:PORT", OPTION_CONNECT, CONFIG_LEAF, 0, AT(address), 0, 0, NULL,
		"the hub; the same as the argument without a flag"},
	{"keys", "FILE", OPTION_PATH, CONFIG_HUB | CONFIG_KEYGEN, OPTION_LIVE, AT(keys), 0, 0, NULL,
		"identity:hex of each leaf; for a hub else the credential sqbridge.keys"},
	{"key", "FILE", OPTION_PATH, CONFIG_LEAF, OPTION_LIVE, AT(keys), 0, 0, NULL,
		"our identity:hex; else the credential sqbridge.key"},
	{"share", "QUEUE:pull|push", OPTION_SHARE, CONFIG_HUB, OPTION_LIVE, 0, 0, 0, NULL,
		"leaves may take from the queue, or put into it; QUEUE=LOCAL:pull for another name here"},
	{"allow", "IDENTITY:QUEUE:pull|push", OPTION_ALLOW, CONFIG_HUB, OPTION_LIVE, 0, 0, 0, NULL,
		"with any of these, only what they say is allowed; * is every identity"},
	{"pull", "QUEUE[=LOCAL]", OPTION_PULL, CONFIG_LEAF, 0, 0, 0, 0, NULL,
		"bring the hub's messages to the local queue"},
	{"push", "QUEUE[=LOCAL]", OPTION_PUSH, CONFIG_LEAF, 0, 0, 0, 0, NULL,
		"carry the local queue's messages to the hub"},
	{"mode", "OCTAL", OPTION_MODE, CONFIG_LEAF, OPTION_LIVE, AT(mode), 0, 0, "0600",
		"of local queues that it makes: who may use them"},
	{"name", "NAME", OPTION_NAME, BOTH, 0, AT(name), 0, 0, NULL,
		"of this daemon, when a host has several; default: hub or leaf"},
	{"redeliver-after", "SPAN", OPTION_SPAN, BOTH, 0, AT(redeliver_after_ns),
		100 * MS, 30 * D, "2m",
		"a hub's: when a leaf was away for so long, others get what it had. A leaf takes it, and "
		"does nothing with it"},
	{"heartbeat", "SPAN", OPTION_SPAN, BOTH, 0, AT(heartbeat_ns), 100 * MS, H, "5s",
		"a peer that was silent for three of these is gone"},
	{"handshake-timeout", "SPAN", OPTION_SPAN, BOTH, OPTION_LIVE, AT(handshake_timeout_ns),
		100 * MS, M, "5s", "for a new connection to prove its key"},
	{"retry-max", "SPAN", OPTION_SPAN, CONFIG_LEAF, OPTION_LIVE, AT(retry_max_ns), 100 * MS, H, "10s",
		"the longest pause between two tries to connect"},
	{"drain-timeout", "SPAN", OPTION_SPAN, BOTH, OPTION_LIVE, AT(drain_timeout_ns), 0, H, "30s",
		"for what is under way when told to stop; 0: stop at once"},
	{"window", "COUNT", OPTION_COUNT, BOTH, 0, AT(window), 1, WIRE_WINDOW_MAX, "65536",
		"messages of a queue under way, at most"},
	{"window-bytes", "SIZE", OPTION_SIZE, BOTH, 0, AT(window_bytes), 64 << 10, 1 << 30, "16M",
		"bytes of a queue under way, at most; one message may be larger"},
	{"connections-max", "COUNT", OPTION_COUNT, CONFIG_HUB, 0, AT(connections_max),
		1, 65536, "1024", "connections at one time"},
	{"unauthenticated-max", "COUNT", OPTION_COUNT, CONFIG_HUB, OPTION_LIVE, AT(unauthenticated_max),
		1, 4096, "64", "connections that have proved no key yet; the oldest makes room"},
	{"metrics", "ADDRESS:PORT|PATH", OPTION_METRICS, BOTH, 0, AT(metrics), 0, 0, NULL,
		"serve Prometheus text there; no key is asked for"},
	{"log-level", "LEVEL", OPTION_LEVEL, BOTH, OPTION_LIVE, AT(log_level), 0, 0, "info",
		"error, warning, notice, info or debug"},
	{"log-format", "FORMAT", OPTION_FORMAT, BOTH, OPTION_LIVE, AT(log_format), 0, 0, "auto",
		"plain, journal, or auto: as standard error is"},
	{"config", "FILE", OPTION_PATH, BOTH, OPTION_COMMAND_ONLY, AT(file), 0, 0, NULL,
		"read these options from a file; also $SQBRIDGE_CONFIG"},
	{"check-config", NULL, OPTION_FLAG, BOTH, OPTION_COMMAND_ONLY, AT(check), 0, 0, NULL,
		"say whether all this is right, and do nothing"},
	{"peer", "IDENTITY", OPTION_IDENTITY, CONFIG_KEYGEN, OPTION_COMMAND_ONLY, AT(peer), 0, 0, NULL,
		"whom the key is for; must be given"},
	{"out", "FILE", OPTION_PATH, CONFIG_KEYGEN, OPTION_COMMAND_ONLY, AT(out), 0, 0, NULL,
		"the file to carry over to the peer; default: IDENTITY.key"},
	{"rotate", NULL, OPTION_FLAG, CONFIG_KEYGEN, OPTION_COMMAND_ONLY, AT(rotate), 0, 0, NULL,
		"give the peer a second key, to change over to"},
	{"drop-old", NULL, OPTION_FLAG, CONFIG_KEYGEN, OPTION_COMMAND_ONLY, AT(drop_old), 0, 0, NULL,
		"drop the older of its two keys; makes none"},
};
/* clang-format on */

const unsigned options_n = sizeof(options) / sizeof(options[0]);
static_assert(sizeof(options) / sizeof(options[0]) <= OPTIONS_MAX, "rows");

static bool same_name(const char *name, const char *text, size_t len)
{
	if (strlen(name) != len)
		return false;
	for (size_t i = 0; i < len; i++)
		if (name[i] != (text[i] == '_' ? '-' : text[i]))
			return false;
	return true;
}

const struct option_row *option_find(const char *name, size_t len, unsigned roles)
{
	for (unsigned i = 0; i < options_n; i++)
		if ((options[i].roles & roles) && same_name(options[i].name, name, len))
			return &options[i];
	return NULL;
}

bool option_is_list(const struct option_row *row)
{
	return row->kind == OPTION_SHARE || row->kind == OPTION_ALLOW || row->kind == OPTION_PULL ||
	       row->kind == OPTION_PUSH;
}

static const char *add_stream(struct config *c, enum option_kind kind, const char *text)
{
	struct config_stream s = {.direction = kind == OPTION_PUSH ? WIRE_PUSH : WIRE_PULL};
	const char *wrong = kind == OPTION_SHARE ? value_share(&s, text) : value_stream(&s, text);

	if (wrong)
		return wrong;
	if (c->streams == CONFIG_STREAMS_MAX)
		return "one of at most 64";
	c->stream[c->streams++] = s;
	return NULL;
}

static const char *add_allow(struct config *c, const char *text)
{
	struct config_allow a;
	const char *wrong = value_allow(&a, text);

	if (wrong)
		return wrong;
	if (c->allows == CONFIG_ALLOWS_MAX)
		return "one of at most 1024";
	c->allow[c->allows++] = a;
	return NULL;
}

const char *option_set(struct config *c, const struct option_row *row, const char *text)
{
	void *at = (char *)c + row->offset;

	switch (row->kind) {
	case OPTION_COUNT:
		return value_count(at, text, row->min, row->max);
	case OPTION_SIZE:
		return value_size(at, text, row->min, row->max);
	case OPTION_SPAN:
		return value_span(at, text, row->min, row->max);
	case OPTION_LISTEN:
		return value_address(at, text, true);
	case OPTION_CONNECT:
		return value_address(at, text, false);
	case OPTION_METRICS:
		return value_metrics(at, text);
	case OPTION_NAME:
		return value_name(at, text);
	case OPTION_PATH:
		return value_path(at, text);
	case OPTION_IDENTITY:
		return value_identity(at, text);
	case OPTION_LEVEL:
		return value_level(at, text);
	case OPTION_FORMAT:
		return value_format(at, text);
	case OPTION_MODE:
		return value_mode(at, text);
	case OPTION_FLAG:
		*(bool *)at = true;
		return NULL;
	case OPTION_SHARE:
	case OPTION_PULL:
	case OPTION_PUSH:
		return add_stream(c, row->kind, text);
	case OPTION_ALLOW:
		return add_allow(c, text);
	}
	return "something else";
}

static bool same_streams(
	const struct config *a, const struct config *b, enum wire_direction direction)
{
	uint32_t i = 0, k = 0;

	/* Those of that direction, in the order given; 0: of both. */
	for (;; i++, k++) {
		while (i < a->streams && direction && a->stream[i].direction != direction)
			i++;
		while (k < b->streams && direction && b->stream[k].direction != direction)
			k++;
		if (i == a->streams || k == b->streams)
			return i == a->streams && k == b->streams;
		if (a->stream[i].direction != b->stream[k].direction ||
			strcmp(a->stream[i].queue, b->stream[k].queue) != 0 ||
			strcmp(a->stream[i].local, b->stream[k].local) != 0)
			return false;
	}
}

static bool same_allows(const struct config *a, const struct config *b)
{
	bool same = a->allows == b->allows;

	for (uint32_t i = 0; same && i < a->allows; i++)
		same = a->allow[i].direction == b->allow[i].direction &&
		       strcmp(a->allow[i].identity, b->allow[i].identity) == 0 &&
		       strcmp(a->allow[i].queue, b->allow[i].queue) == 0;
	return same;
}

static bool same_address(const struct config_address *a, const struct config_address *b)
{
	return strcmp(a->host, b->host) == 0 && a->port == b->port && a->socket == b->socket;
}

bool option_same(const struct config *a, const struct config *b, const struct option_row *row)
{
	const char *x = (const char *)a + row->offset, *y = (const char *)b + row->offset;

	switch (row->kind) {
	case OPTION_COUNT:
	case OPTION_SIZE:
	case OPTION_SPAN:
		return memcmp(x, y, sizeof(uint64_t)) == 0;
	case OPTION_LISTEN:
	case OPTION_CONNECT:
	case OPTION_METRICS:
		return same_address((const void *)x, (const void *)y);
	case OPTION_NAME:
	case OPTION_PATH:
	case OPTION_IDENTITY:
		return strcmp(x, y) == 0;
	case OPTION_LEVEL:
		return a->log_level == b->log_level;
	case OPTION_FORMAT:
		return a->log_format == b->log_format;
	case OPTION_MODE:
		return a->mode == b->mode;
	case OPTION_FLAG:
		return *x == *y;
	case OPTION_SHARE:
		return same_streams(a, b, 0);
	case OPTION_PULL:
		return same_streams(a, b, WIRE_PULL);
	case OPTION_PUSH:
		return same_streams(a, b, WIRE_PUSH);
	case OPTION_ALLOW:
		return same_allows(a, b);
	}
	return false;
}

/* A changed local queue waits for the next start: what is in flight is in the present one. */
static void keep_local(struct config_stream *s, const struct config *before)
{
	const struct config_stream *was = config_share(before, s->queue, s->direction);

	if (was)
		memcpy(s->local, was->local, sizeof(s->local));
}

void option_reload(struct config *to, struct config *from)
{
	to->handshake_timeout_ns = from->handshake_timeout_ns;
	to->retry_max_ns = from->retry_max_ns;
	to->drain_timeout_ns = from->drain_timeout_ns;
	to->unauthenticated_max = from->unauthenticated_max;
	to->mode = from->mode;
	to->log_level = from->log_level;
	to->log_format = from->log_format;
	memcpy(to->keys, from->keys, sizeof(to->keys));
	if (to->role != CONFIG_HUB)
		return; /* a leaf's streams are made at the start */
	for (uint32_t i = 0; i < from->streams; i++)
		keep_local(&from->stream[i], to);
	memcpy(to->stream, from->stream, sizeof(to->stream));
	to->streams = from->streams;
	memcpy(to->allow, from->allow, sizeof(to->allow));
	to->allows = from->allows;
}
