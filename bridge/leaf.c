/* SPDX-License-Identifier: ISC */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <bsd/stdlib.h>

#include "leftover.h"
#include "log.h"
#include "resolve.h"
#include "roles.h"

/* The leaf: one link to its hub, and connections to the hub, one after the other. */

#define RETRY_MIN_NS     ((int64_t)100000000)
#define RETRY_REFUSED_NS ((int64_t)30000000000)
#define SETTLED_NS       ((int64_t)1000000000) /* connected for so long: pauses begin anew */
#define CONNECT_NS       ((int64_t)10000000000)
#define PATIENCE_PART    4 /* pauses are at most 1/4 of the hub's patience */

struct leaf {
	struct peer *peer;
	struct loop_timer retry;
	int64_t pause_ns, up_ns;
	struct resolve *resolve;
	struct addrinfo *addresses, *address; /* the hub's, and which is tried; NULL: ask anew */
	bool ever_up, new_key, asking, own;
};

/*
 * The limit of a hub's queue that was made with the default. Then ours is made with the default,
 * too, with memory for a few long messages. With any other limit ours has memory for eight at
 * least.
 */
#define MESSAGE_DEFAULT ((uint64_t)1 << 20)

static void try(void *ctx);

bool leaf_absent(void *context, const char *queue)
{
	const struct daemon *d = ((struct peer *)context)->daemon;
	const struct config_stream *s = config_share(d->config, queue, WIRE_PUSH);
	char local[CONFIG_LOCAL_MAX + SQ_NAME_MAX + 2];
	struct link_end none = {0};

	if (!s)
		return false;
	daemon_local(local, sizeof(local), d, s);
	return end_look(&none, local) == END_REMOVED;
}

/*
 * Is the hub a daemon of this host and prefix, as its instance says? Then its queue and ours are the
 * same, if their names are.
 */
static bool is_own(const struct daemon *d, const struct link *l, const struct config_stream *s)
{
	char begin[SQ_NAME_MAX + 8], path[sizeof("/dev/shm/") + NAME_MAX];
	uint8_t instance[WIRE_INSTANCE];
	const struct dirent *e;
	bool own = false;
	DIR *dir;

	if (strcmp(s->queue, s->local) != 0)
		return false;
	(void)snprintf(begin, sizeof(begin), "sqb.%s.", d->prefix);
	dir = opendir("/dev/shm");
	while (dir && !own && (e = readdir(dir))) {
		int fd;

		if (strncmp(e->d_name, begin, strlen(begin)) != 0)
			continue;
		(void)snprintf(path, sizeof(path), "/dev/shm/%s", e->d_name);
		fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
		own = fd >= 0 &&
		      read(fd, instance, sizeof(instance)) == (ssize_t)sizeof(instance) &&
		      memcmp(instance, link_peer_instance(l), sizeof(instance)) == 0;
		if (fd >= 0)
			(void)close(fd);
	}
	if (dir)
		(void)closedir(dir);
	return own;
}

/* The hub's queue is known: ours, if there is none, is made like it. */
int leaf_opened(void *context, struct link *l, enum wire_direction direction, const char *queue,
	const struct wire_opened *opened, struct link_end *ret, const char **ret_why)
{
	struct peer *p = context;
	struct daemon *d = p->daemon;
	const struct config_stream *s = config_share(d->config, queue, direction);
	struct sq_config config = {.capacity = opened->capacity,
		.max_message = opened->max_message == MESSAGE_DEFAULT ? 0 : opened->max_message,
		.small_message = opened->small,
		.mode = d->config->mode};
	char local[CONFIG_LOCAL_MAX + SQ_NAME_MAX + 2];
	int r;

	daemon_local(local, sizeof(local), d, s);
	if (is_own(d, l, s)) {
		*ret_why = "it is the hub's own queue";
		((struct leaf *)d->role)->own = true;
		return WIRE_E_INTERNAL;
	}
	if (ret->sender || ret->receiver)
		return 0;
	r = sq_create(local, &config);
	if (r < 0 && r != -EEXIST) {
		*ret_why = "the local queue cannot be made";
		log_event(LEVEL_ERROR, "queue_not_made", LOG_STR("queue", local), LOG_ERR(r));
		return WIRE_E_INTERNAL;
	}
	if (r == 0)
		log_event(LEVEL_INFO, "queue_made", LOG_STR("queue", local),
			LOG_U64("capacity", opened->capacity));
	return daemon_end(d, d->config->name, s, direction == WIRE_PUSH, ret, ret_why);
}

/* A pause must be short enough that the hub does not give up on this leaf because of it. */
static int64_t in_time(const struct leaf *leaf, int64_t pause)
{
	int64_t patience = link_patience_ms(leaf->peer->link) * (int64_t)1000000 / PATIENCE_PART;

	return patience > 0 && patience < pause ? patience : pause;
}

/*
 * A random moment in the second half of the pause, so that not all leaves come at once when a hub
 * comes back.
 */
static void later(struct daemon *d, bool refused)
{
	struct leaf *leaf = d->role;
	int64_t max = in_time(leaf, (int64_t)d->config->retry_max_ns), pause, asked;
	int64_t refused_ns = in_time(leaf, RETRY_REFUSED_NS);

	if (max < RETRY_MIN_NS)
		max = RETRY_MIN_NS;
	leaf->pause_ns = leaf->pause_ns ? leaf->pause_ns * 2 : RETRY_MIN_NS;
	if (leaf->pause_ns > max)
		leaf->pause_ns = max;
	pause = leaf->pause_ns / 2 +
		(int64_t)arc4random_uniform((uint32_t)(leaf->pause_ns / 2000000 + 1)) * 1000000;
	asked = link_retry_after_ms(leaf->peer->link) * (int64_t)1000000;
	if (pause < asked)
		pause = asked < max ? asked : max;
	/* A key that was accepted before may be accepted again. */
	if (refused && pause < refused_ns)
		pause = refused_ns;
	loop_timer_set(d->loop, &leaf->retry, pause, try, d);
}

static struct link *on_ready(void *context, struct conn *c)
{
	struct daemon *d = context;
	struct leaf *leaf = d->role;

	(void)c;
	leaf->ever_up = true;
	leaf->up_ns = loop_now_ns(d->loop);
	log_event(LEVEL_INFO, "link_up", LOG_STR("peer", leaf->peer->identity));
	return leaf->peer->link;
}

static void give_up(struct daemon *d, int code)
{
	d->exit_code = code;
	d->refused = d->stopping = true;
	leaf_stop(d);
}

/*
 * Give up if the hub opens nothing to this key (it is treated as a wrong key), or if the hub's
 * queues are this leaf's own: then each message would be carried from a queue into that same queue,
 * for ever.
 */
static void on_news(void *context, struct conn *c, struct link *l)
{
	struct daemon *d = context;
	struct leaf *leaf = d->role;

	daemon_conn_news(context, c, l);
	if (d->stopping || d->draining)
		return;
	if (leaf->own) {
		log_event(LEVEL_ERROR, "own_queues", LOG_STR("peer", link_peer(l)),
			LOG_STR("detail",
				"the hub is on this host, under this SQ_PREFIX: its queues are "
				"ours; one of the two wants another SQ_PREFIX, or other names here "
				"(--pull NAME=LOCAL)"));
		give_up(d, EXIT_USAGE);
	} else if (link_denied(l)) {
		log_event(LEVEL_ERROR, "all_denied", LOG_STR("peer", link_peer(l)),
			LOG_STR("detail", "the hub opens none of these queues to this key"));
		give_up(d, EXIT_DENIED);
	}
}

static void on_gone(void *context, struct conn *c, struct link *l, enum conn_end end)
{
	struct daemon *d = context;
	struct leaf *leaf = d->role;
	struct tls *tls = conn_tls(c);
	bool refused = end == CONN_REFUSED && tls_reason(tls) == TLS_KEY_REFUSED;

	leaf->peer->conn = NULL;
	counts_refused(d, c, end);
	counts_ended(leaf->peer, c);
	status_soon(d);
	if (l) {
		log_event(LEVEL_INFO, "link_down", LOG_STR("peer", leaf->peer->identity),
			LOG_STR("reason", conn_end_name(end)),
			LOG_STR("error", conn_error(c) ? strerror(-conn_error(c)) : NULL));
		if (loop_now_ns(d->loop) - leaf->up_ns >= SETTLED_NS)
			leaf->pause_ns = 0;
		leaf->address = NULL; /* its address may have changed */
	} else if (!d->stopping || refused) {
		log_event(refused ? LEVEL_ERROR : LEVEL_WARNING, "not_connected",
			LOG_STR("reason", end == CONN_REFUSED ? tls_reason_text(tls_reason(tls))
							      : conn_end_name(end)),
			LOG_STR("detail",
				refused ? "the hub knows no such peer, or another key: its log says which"
				: conn_error(c) ? strerror(-conn_error(c))
						: tls_detail(tls)));
		leaf->address = leaf->address ? leaf->address->ai_next : NULL;
	}
	if (refused && !leaf->ever_up && !d->stopping) {
		d->exit_code = EXIT_DENIED;
		d->refused = d->stopping = true;
	}
	if (d->draining && link_idle(leaf->peer->link))
		d->stopping = true;
	if (d->stopping)
		loop_stop(d->loop);
	else if (!l && !refused && leaf->address)
		loop_timer_set(d->loop, &leaf->retry, 0, try, d); /* the hub's next address */
	else
		later(d, refused);
}

/* Nothing of the old context is left: there is no connection. */
static int take_key(struct daemon *d)
{
	struct leaf *leaf = d->role;
	const struct key *key = keys_at(d->keys, 0);
	char identity[KEYS_WIRE_MAX + 1];
	struct tls_context *tls;
	int r;

	keys_wire_name(identity, key);
	r = tls_context_client(&tls, identity, key->bytes, key->len);
	if (r < 0)
		return r;
	tls_context_free(d->tls);
	d->tls = tls;
	leaf->new_key = false;
	return 0;
}

static void connect_to(struct daemon *d, const struct addrinfo *to)
{
	struct leaf *leaf = d->role;
	struct conn_setup setup = {.loop = d->loop,
		.handshake_ns = (int64_t)d->config->handshake_timeout_ns,
		.context = d,
		.ready = on_ready,
		.news = on_news,
		.gone = on_gone};
	int r = leaf->new_key ? take_key(d) : 0;

	setup.tls = d->tls;
	if (r == 0)
		r = conn_connect(
			&leaf->peer->conn, &setup, to->ai_addr, to->ai_addrlen, CONNECT_NS);
	if (r < 0) {
		log_event(LEVEL_WARNING, "not_connected", LOG_ERR(r));
		leaf->address = NULL;
		later(d, false);
	}
}

static void on_addresses(void *ctx, int error, struct addrinfo *addresses)
{
	struct daemon *d = ctx;
	struct leaf *leaf = d->role;

	leaf->asking = false;
	if (leaf->addresses)
		freeaddrinfo(leaf->addresses);
	leaf->addresses = leaf->address = addresses;
	if (d->stopping)
		return;
	if (error == 0) {
		connect_to(d, leaf->address);
		return;
	}
	log_event(LEVEL_WARNING, "not_connected", LOG_STR("reason", "name"),
		LOG_STR("detail", gai_strerror(error)));
	later(d, false);
}

/* The hub's addresses are asked for anew when all have been tried, and when a connection ended. */
static void try(void *ctx)
{
	struct daemon *d = ctx;
	struct leaf *leaf = d->role;
	int r;

	/* An answer may have come before a reload's turn to ask. */
	if (leaf->asking || leaf->peer->conn)
		return;
	if (leaf->address) {
		connect_to(d, leaf->address);
		return;
	}
	r = resolve_ask(leaf->resolve, d->config->address.host, d->config->address.port);
	leaf->asking = r == 0;
	if (r < 0) {
		log_event(LEVEL_WARNING, "not_connected", LOG_STR("reason", "name"), LOG_ERR(r));
		later(d, false);
	}
}

/* Queues that are there already, with what was left in the books. */
static int add_streams(struct daemon *d, struct peer *p)
{
	for (uint32_t i = 0; i < d->config->streams; i++) {
		const struct config_stream *s = &d->config->stream[i];
		struct link_end end = {0};
		const char *why = "";
		int r = daemon_end(d, d->config->name, s, s->direction == WIRE_PUSH, &end, &why);

		if (r != 0 && r != WIRE_E_NO_QUEUE)
			log_event(LEVEL_ERROR, "queue_unusable", LOG_STR("queue", s->local),
				LOG_STR("detail", why));
		/*
		 * A queue that does not exist is made later; one for which there was no room may
		 * fit later.
		 */
		if (r != 0 && r != WIRE_E_NO_QUEUE && r != WIRE_E_LIMIT)
			return r == WIRE_E_DENIED ? -EACCES : r == WIRE_E_REPLACED ? -EBUSY : -EIO;
		r = link_add(p->link, s->direction, s->queue, &end);
		if (r < 0)
			return r;
	}
	return 0;
}

static void leaf_free(void *role)
{
	struct leaf *leaf = role;

	resolve_free(leaf->resolve);
	if (leaf->addresses)
		freeaddrinfo(leaf->addresses);
	free(leaf);
}

int leaf_start(struct daemon *d, const char **ret_why, int *ret_exit)
{
	struct leaf *leaf = calloc(1, sizeof(*leaf));
	const struct key *key = keys_at(d->keys, 0);
	int r;

	*ret_exit = EXIT_SYSTEM;
	*ret_why = "the leaf";
	if (!leaf)
		return -ENOMEM;
	d->role = leaf;
	d->role_free = leaf_free;
	d->leave = leaf_stop;
	r = resolve_new(&leaf->resolve, d->loop, on_addresses, d);
	if (r < 0)
		return r;
	*ret_why = "TLS cannot be set up";
	r = take_key(d);
	if (r == 0)
		leftover_clear(d);
	if (r == 0)
		r = daemon_peer(&leaf->peer, d, key->identity, false);
	*ret_why = "a local queue cannot be used";
	if (r == 0)
		r = add_streams(d, leaf->peer);
	if (r < 0) {
		*ret_exit = r == -EBUSY ? EXIT_BUSY : r == -EACCES ? EXIT_DENIED : EXIT_SYSTEM;
		return r;
	}
	try(d);
	daemon_news(d);
	return 0;
}

void leaf_stop(struct daemon *d)
{
	struct leaf *leaf = d->role;

	loop_timer_stop(d->loop, &leaf->retry);
	if (!leaf->peer->conn) {
		loop_stop(d->loop);
		return;
	}
	link_bye(leaf->peer->link, 0, "", 0);
	conn_close(leaf->peer->conn, CONN_LEFT);
}

/* The connection goes on; the next one is made with the new key, and at once if there is none. */
void leaf_reload(struct daemon *d, struct keys *keys)
{
	struct leaf *leaf = d->role;

	keys_free(d->keys);
	d->keys = keys;
	leaf->new_key = true;
	if (leaf->peer->conn)
		return;
	leaf->pause_ns = 0;
	loop_timer_set(d->loop, &leaf->retry, 0, try, d);
}
