/* SPDX-License-Identifier: ISC */
#include <dirent.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <bsd/stdlib.h>

#include "leftover.h"
#include "log.h"
#include "queues.h"
#include "roles.h"

/*
 * The hub: listens, knows what each key may do, and has a link for each leaf that has ever
 * connected, or is found in its ledgers: what is in flight to a leaf stays so until the leaf comes
 * again, or is given up.
 */

#define BACKLOG     512
#define ADDRESS_MAX 64

/* A connection: not authenticated yet, or of a known peer. */
struct guest {
	TAILQ_ENTRY(guest) entry;
	struct daemon *daemon;
	struct conn *conn;
	struct peer *peer;
	bool dropped; /* closed to make room: it is in no list */
	char address[ADDRESS_MAX];
};

struct hub {
	struct loop_listener *listener;
	TAILQ_HEAD(guests, guest) guests; /* not authenticated, the oldest first */
	TAILQ_HEAD(, guest) known;
	uint64_t unauthenticated, connections;
};

/*
 * Find a client's key. For a known identity with an unknown key id the key is a random one, so that
 * the handshake fails, and is reported, as with a wrong key. The work is the same for every client.
 */
static size_t find_key(void *ctx, const char *identity, uint8_t key[TLS_KEY_MAX])
{
	const struct daemon *d = ctx;
	const struct key *k = keys_find(d->keys, identity, strlen(identity));
	bool known = keys_find(d->keys, identity, strcspn(identity, "#")) != NULL;

	arc4random_buf(key, TLS_KEY_MAX);
	if (!k)
		return known ? TLS_KEY_MAX : 0;
	memcpy(key, k->bytes, k->len);
	return k->len;
}

/* Refuse a stream that this key may not have: the leaf and our own log are told why. */
static int deny(struct peer *p, enum wire_direction direction, const char *queue, const char *why,
	const char **ret_why)
{
	p->daemon->metrics.daemon.value[METRIC_REFUSED_DENIED]++;
	log_event(LEVEL_WARNING, "denied", LOG_STR("peer", p->identity), LOG_STR("queue", queue),
		LOG_STR("direction", wire_direction_name(direction)), LOG_STR("detail", why));
	*ret_why = why;
	return WIRE_E_DENIED;
}

/* Open the stream that a peer has asked for, if the peer may have it. */
int hub_open(void *context, struct link *l, enum wire_direction direction, const char *queue,
	struct link_end *ret, const char **ret_why)
{
	struct peer *p = context;
	struct daemon *d = p->daemon;
	const struct config_stream *share = config_share(d->config, queue, direction);
	int r = 0;

	if (!share)
		return deny(
			p, direction, queue, "this queue is not shared in this direction", ret_why);
	if (!config_allows(d->config, p->identity, queue, direction))
		return deny(
			p, direction, queue, "this key may not do this with this queue", ret_why);
	if (!ret->sender && !ret->receiver)
		r = daemon_end(d, p->identity, share, direction == WIRE_PULL, ret, ret_why);
	if (r == WIRE_E_DENIED)
		r = WIRE_E_NO_QUEUE; /* the queue is denied to this daemon, not to the key */
	if (r == 0)
		log_event(LEVEL_INFO, "stream_open", LOG_STR("peer", link_peer(l)),
			LOG_STR("queue", queue),
			LOG_STR("direction", wire_direction_name(direction)));
	return r;
}

/* The identity without the key's id. */
static void bare(char *ret, size_t cap, const char *identity)
{
	size_t n = strcspn(identity, "#");

	(void)snprintf(ret, cap, "%.*s", (int)n, identity);
}

static void unlist(struct hub *hub, struct guest *g)
{
	if (g->dropped)
		return;
	if (g->peer) {
		TAILQ_REMOVE(&hub->known, g, entry);
	} else {
		TAILQ_REMOVE(&hub->guests, g, entry);
		hub->unauthenticated--;
	}
}

/*
 * Drop all connections of this peer but its present one, which may stay while it is closing. So a
 * peer has two connections at most.
 */
static void drop_former(struct hub *hub, const struct peer *p)
{
	struct guest *g, *next;

	for (g = TAILQ_FIRST(&hub->known); g; g = next) {
		next = TAILQ_NEXT(g, entry);
		if (g->peer == p && g->conn != p->conn)
			conn_drop(g->conn, CONN_REPLACED);
	}
}

static struct link *on_ready(void *context, struct conn *c)
{
	struct guest *g = context;
	struct daemon *d = g->daemon;
	struct hub *hub = d->role;
	char identity[KEYS_IDENTITY_MAX + 1];
	struct peer *p;

	bare(identity, sizeof(identity), tls_identity(conn_tls(c)));
	p = daemon_find(d, identity);
	if (!p && daemon_peer(&p, d, identity, true) < 0) {
		conn_say(c, WIRE_E_INTERNAL, "out of memory", 5000);
		return NULL;
	}
	if (d->draining) {
		conn_say(c, WIRE_E_LEAVING, "the hub is leaving", 1000);
		return NULL;
	}
	drop_former(hub, p);
	if (p->conn && conn_is_closing(p->conn)) {
		conn_dismiss(p->conn, CONN_LEFT); /* it is closing, for another reason */
	} else if (p->conn) {
		/*
		 * Either the older connection is dead and has not been noticed yet, or two leaves
		 * have one key.
		 */
		log_event(LEVEL_NOTICE, "replaced", LOG_STR("peer", identity));
		conn_say(p->conn, WIRE_E_REPLACED, "a newer connection has this key", 5000);
		conn_dismiss(p->conn, CONN_REPLACED);
	}
	unlist(hub, g);
	g->peer = p;
	TAILQ_INSERT_TAIL(&hub->known, g, entry);
	p->conn = c;
	p->unlisted = false;
	log_event(LEVEL_INFO, "link_up", LOG_STR("peer", identity), LOG_STR("from", g->address));
	return p->link;
}

static void log_refused(const struct guest *g, const struct conn *c, enum conn_end end)
{
	const struct tls *tls = conn_tls(c);
	/* With these reasons OpenSSL's own words would mislead, and are left out. */
	bool key = tls_reason(tls) == TLS_WRONG_KEY || tls_reason(tls) == TLS_UNKNOWN_IDENTITY;

	log_event(LEVEL_WARNING, "refused",
		LOG_STR("reason", end == CONN_REFUSED ? tls_reason_text(tls_reason(tls))
						      : conn_end_name(end)),
		LOG_STR("from", g->address),
		LOG_STR("identity", *tls_identity(tls) ? tls_identity(tls) : NULL),
		LOG_STR("detail", end == CONN_REFUSED && !key ? tls_detail(tls) : NULL));
}

static void on_gone(void *context, struct conn *c, struct link *l, enum conn_end end)
{
	struct guest *g = context;
	struct daemon *d = g->daemon;
	struct hub *hub = d->role;

	(void)l;
	counts_refused(d, c, end);
	if (g->peer) {
		counts_ended(g->peer, c);
		log_event(LEVEL_INFO, "link_down", LOG_STR("peer", g->peer->identity),
			LOG_STR("from", g->address), LOG_STR("reason", conn_end_name(end)),
			LOG_STR("error", conn_error(c) ? strerror(-conn_error(c)) : NULL));
		if (g->peer->conn == c)
			g->peer->conn = NULL;
	} else {
		log_refused(g, c, end);
	}
	unlist(hub, g);
	hub->connections--;
	d->metrics.daemon.value[METRIC_UNAUTHENTICATED] = hub->unauthenticated;
	free(g);
	status_soon(d);
	if (d->stopping && hub->connections == 0)
		loop_stop(d->loop);
	else
		daemon_news(d);
}

static void on_news(void *context, struct conn *c, struct link *l)
{
	struct guest *g = context;

	daemon_conn_news(g->daemon, c, l);
}

/* Where it comes from, for the log. */
static void address_of(char ret[static ADDRESS_MAX], int fd)
{
	struct sockaddr_storage from;
	socklen_t len = sizeof(from);
	char host[48], port[8];

	*ret = '\0';
	if (getpeername(fd, (struct sockaddr *)&from, &len) == 0 &&
		getnameinfo((struct sockaddr *)&from, len, host, sizeof(host), port, sizeof(port),
			NI_NUMERICHOST | NI_NUMERICSERV) == 0)
		(void)snprintf(ret, ADDRESS_MAX, from.ss_family == AF_INET6 ? "[%s]:%s" : "%s:%s",
			host, port);
}

/*
 * Drop one unauthenticated connection to make room: the oldest that has not named an identity,
 * because a peer with a key does so at once; if all have named one, any of them. So a crowd of
 * connections without a key cannot keep out a peer that has one.
 */
static void drop_one(struct hub *hub)
{
	uint64_t n = arc4random_uniform((uint32_t)hub->unauthenticated);
	struct guest *g, *any = NULL;

	TAILQ_FOREACH (g, &hub->guests, entry) {
		if (!*tls_identity(conn_tls(g->conn)))
			break;
		if (n-- == 0)
			any = g;
	}
	if (!g)
		g = any;
	if (!g)
		return;
	unlist(hub, g);
	g->dropped = true;
	conn_drop(g->conn, CONN_CROWDED);
}

static void on_accepted(void *ctx, struct loop_conn *lc, int error)
{
	struct daemon *d = ctx;
	struct hub *hub = d->role;
	struct conn_setup setup = {.loop = d->loop,
		.tls = d->tls,
		.handshake_ns = (int64_t)d->config->handshake_timeout_ns,
		.ready = on_ready,
		.news = on_news,
		.gone = on_gone};
	uint64_t *count = d->metrics.daemon.value;
	struct guest *g;

	if (!lc) {
		log_event(LEVEL_WARNING, "accept_failed", LOG_ERR(error));
		return;
	}
	count[METRIC_ACCEPTED]++;
	if (hub->unauthenticated >= d->config->unauthenticated_max)
		drop_one(hub);
	g = hub->connections < d->config->connections_max ? calloc(1, sizeof(*g)) : NULL;
	if (!g) {
		count[METRIC_REFUSED_CROWDED]++;
		log_event(LEVEL_WARNING, "refused", LOG_STR("reason", "crowded"));
		loop_conn_close(lc);
		return;
	}
	g->daemon = d;
	address_of(g->address, loop_conn_fd(lc));
	setup.context = g;
	TAILQ_INSERT_TAIL(&hub->guests, g, entry);
	hub->unauthenticated++;
	hub->connections++;
	if (conn_accept(&g->conn, &setup, lc) < 0) {
		unlist(hub, g);
		hub->connections--;
		free(g);
		loop_conn_close(lc);
		return;
	}
	count[METRIC_UNAUTHENTICATED] = hub->unauthenticated;
}

static bool has_key(const struct daemon *d, const char *identity)
{
	return keys_find(d->keys, identity, strlen(identity)) != NULL;
}

/*
 * The loop's time is that of its last turn, and may be old: this is called at the start, after the
 * daemon may have waited for its address.
 */
static int64_t clock_ns(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail with this clock */
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/*
 * Take up what was in flight when the last daemon of this name ended, however it ended. The time
 * for the leaves to come begins now.
 */
static void adopt(struct daemon *d)
{
	int64_t now_ns = clock_ns();
	const struct dirent *e;
	DIR *dir = opendir("/dev/shm");

	while (dir && (e = readdir(dir))) {
		const struct config_stream *share;
		struct leftover_name of;
		struct link_end end = {0};
		const char *why = "out of memory";
		struct peer *p;

		if (!leftover_name(&of, e->d_name, d) || of.direction != WIRE_PULL)
			continue;
		share = config_share(d->config, of.queue, WIRE_PULL);
		p = daemon_find(d, of.peer);
		if (!share || !has_key(d, of.peer))
			continue; /* leftover_clear() could not remove it, and has said so */
		if ((!p && daemon_peer(&p, d, of.peer, true) < 0) ||
			daemon_end(d, p->identity, share, true, &end, &why) != 0)
			log_event(LEVEL_ERROR, "ledger_left", LOG_STR("file", e->d_name),
				LOG_STR("detail", why));
		else
			(void)link_adopt(p->link, WIRE_PULL, of.queue, &end, now_ns);
	}
	if (dir)
		(void)closedir(dir);
}

static int listen_at(struct daemon *d, const char **ret_why)
{
	const struct config_address *a = &d->config->address;
	struct addrinfo hints = {.ai_flags = AI_PASSIVE, .ai_socktype = SOCK_STREAM}, *list;
	struct sockaddr_storage bound;
	socklen_t len = sizeof(bound);
	struct hub *hub = d->role;
	char port[8], host[NI_MAXHOST], serv[NI_MAXSERV];
	unsigned tries = 0;
	int r;

	(void)snprintf(port, sizeof(port), "%u", a->port);
	*ret_why = "the name of --listen does not resolve";
	if (getaddrinfo(a->host, port, &hints, &list) != 0)
		return -EINVAL;
	*ret_why = "the address cannot be listened at";
	do
		r = loop_listen(d->loop, list->ai_addr, list->ai_addrlen, BACKLOG, on_accepted, d,
			&hub->listener);
	while (daemon_again(r, &tries));
	freeaddrinfo(list);
	if (r < 0)
		return r;
	if (getsockname(loop_listener_fd(hub->listener), (struct sockaddr *)&bound, &len) == 0 &&
		getnameinfo((struct sockaddr *)&bound, len, host, sizeof(host), serv, sizeof(serv),
			NI_NUMERICHOST | NI_NUMERICSERV) == 0)
		log_event(
			LEVEL_NOTICE, "listening", LOG_STR("address", host), LOG_STR("port", serv));
	return 0;
}

int hub_start(struct daemon *d, const char **ret_why, int *ret_exit)
{
	struct hub *hub = calloc(1, sizeof(*hub));
	int r;

	*ret_exit = EXIT_SYSTEM;
	*ret_why = "the hub";
	if (!hub)
		return -ENOMEM;
	TAILQ_INIT(&hub->guests);
	TAILQ_INIT(&hub->known);
	d->role = hub;
	d->leave = hub_stop;
	*ret_why = "TLS cannot be set up";
	r = tls_context_server(&d->tls, find_key, d);
	if (r < 0)
		return r;
	leftover_clear(d);
	r = listen_at(d, ret_why);
	if (r < 0)
		return r;
	adopt(d);
	daemon_news(d);
	return 0;
}

void hub_stop(struct daemon *d)
{
	struct hub *hub = d->role;
	struct guest *g, *next;

	if (hub->listener)
		loop_listener_close(hub->listener);
	hub->listener = NULL;
	for (g = TAILQ_FIRST(&hub->guests); g; g = next) {
		next = TAILQ_NEXT(g, entry);
		conn_drop(g->conn, CONN_DROPPED);
	}
	TAILQ_FOREACH (g, &hub->known, entry) {
		if (g->peer->conn == g->conn)
			link_bye(g->peer->link, 0, "", 0);
		conn_close(g->conn, CONN_LEFT);
	}
	if (hub->connections == 0)
		loop_stop(d->loop);
}

/* Has it a stream that it might not open now? */
static bool may_less(const struct daemon *d, const struct peer *p)
{
	for (unsigned i = 0; i < link_streams(p->link); i++) {
		enum wire_direction direction;
		struct link_end end;
		const char *queue;

		link_stream(p->link, i, &direction, &queue, &end);
		if ((end.sender || end.receiver) &&
			!config_allows(d->config, p->identity, queue, direction))
			return true;
	}
	return false;
}

static void show_out(struct guest *g, const char *why, uint32_t retry_ms)
{
	log_event(LEVEL_NOTICE, "revoked", LOG_STR("peer", g->peer->identity),
		LOG_STR("detail", why));
	link_bye(g->peer->link, WIRE_E_DENIED, why, retry_ms);
	conn_close(g->conn, CONN_REVOKED);
}

/*
 * Is the key that this connection names, and proved or is about to prove, another one now, or none?
 * A bare identity means the first of its keys, so that its name alone would not tell.
 */
static bool revoked(const struct conn *c, const struct keys *before, const struct keys *now)
{
	const char *identity = tls_identity(conn_tls(c));
	const struct key *was = keys_find(before, identity, strlen(identity));
	const struct key *is = keys_find(now, identity, strlen(identity));

	return was && (!is || is->len != was->len || memcmp(is->bytes, was->bytes, is->len) != 0);
}

void hub_reload(struct daemon *d, struct keys *keys)
{
	struct keys *before = d->keys;
	struct hub *hub = d->role;
	struct guest *g, *next;
	struct peer *p;

	d->keys = keys;
	TAILQ_FOREACH (p, &d->peers, entry)
		p->unlisted = !has_key(d, p->identity);
	/* Those who were given the key to be proved, and have not proved it yet. */
	for (g = TAILQ_FIRST(&hub->guests); g; g = next) {
		next = TAILQ_NEXT(g, entry);
		if (revoked(g->conn, before, keys))
			conn_drop(g->conn, CONN_REVOKED);
	}
	for (g = TAILQ_FIRST(&hub->known); g; g = next) {
		next = TAILQ_NEXT(g, entry);
		if (g->peer->conn != g->conn)
			continue; /* it is closing */
		if (revoked(g->conn, before, keys))
			show_out(g, "the key was revoked", 0);
		else if (may_less(d, g->peer))
			show_out(g, "what this key may do was changed", 100);
	}
	queues_move(d);
	keys_free(before);
	daemon_news(d);
}
