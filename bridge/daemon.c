/* SPDX-License-Identifier: ISC */
#include "daemon.h"

#include <bsd/string.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "ledger.h"
#include "leftover.h"
#include "log.h"
#include "recv.h"
#include "roles.h"
#include "send.h"

/*
 * Under load there are pauses between turns: messages that come during a pause are sent together,
 * and producers need not make a system call for each to wake the daemon. Without load the next
 * message is sent at once.
 */
#define AGAIN_NS   50000
#define MUCH_BYTES 4096 /* said in a turn */

#define LISTEN_PAUSE_NS 20000000 /* 150 times that is three seconds */
#define LISTEN_TRIES    150
#define NAP_NS          ((int64_t)1000000) /* at least, when there is nothing */

/*
 * One eventcount of a queue, watched for all streams that wait for that news. All streams of one
 * name and direction are of one queue here, though each has a handle of its own.
 */
struct watch {
	TAILQ_ENTRY(watch) entry;
	struct daemon *daemon;
	char queue[WIRE_NAME_MAX + 1];
	enum wire_direction direction;
	enum sq_news news;
	struct loop_watch *watch;
	uint64_t arming; /* the last */
};

/* Is the file still the one of that name? Another may have removed it before we had the lock. */
static bool stands(int fd, const char *path)
{
	struct stat ours, theirs;

	return fstat(fd, &ours) == 0 && lstat(path, &theirs) == 0 && ours.st_ino == theirs.st_ino &&
	       ours.st_dev == theirs.st_dev;
}

static int open_instance(struct daemon *d, const char *path, const char **ret_why)
{
	struct flock all = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	struct stat st;

	d->instance_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	*ret_why = "its object in /dev/shm cannot be opened";
	if (d->instance_fd < 0 && errno != EACCES)
		return -errno;
	/* In /dev/shm any user may make a file of this name: one of another user is not used. */
	*ret_why = "sqb.PREFIX.NAME in /dev/shm belongs to another user: take another --name or "
		   "SQ_PREFIX, or have it removed, if no daemon of that user's runs";
	if (d->instance_fd < 0)
		return -EPERM;
	if (fstat(d->instance_fd, &st) < 0)
		return -errno;
	if (st.st_uid != geteuid())
		return -EPERM;
	if (fcntl(d->instance_fd, F_OFD_SETLK, &all) < 0) {
		*ret_why =
			"another daemon of this name runs: stop it, or give this one another --name";
		return -EBUSY;
	}
	return 0;
}

/* The instance: random bytes in shared memory, which live as long as the queues do. */
static int take_instance(struct daemon *d, const char **ret_why)
{
	char path[sizeof("/dev/shm/sqb..") + SQ_NAME_MAX + CONFIG_NAME_MAX];
	ssize_t n;
	int r;

	daemon_instance(path, sizeof(path), d);
	while ((r = open_instance(d, path, ret_why)) == 0 && !stands(d->instance_fd, path))
		(void)close(d->instance_fd);
	if (r < 0)
		return r;
	n = pread(d->instance_fd, d->instance, sizeof(d->instance), 0);
	if (n == (ssize_t)sizeof(d->instance))
		return 0;
	/* New; or a daemon was killed before it was whole. No peer has been told this instance. */
	d->made = true;
	if (getrandom(d->instance, sizeof(d->instance), 0) != (ssize_t)sizeof(d->instance))
		return -EIO;
	n = pwrite(d->instance_fd, d->instance, sizeof(d->instance), 0);
	*ret_why = "its object in /dev/shm cannot be written";
	if (n < 0)
		return -errno;
	return n == (ssize_t)sizeof(d->instance) ? 0 : -ENOSPC;
}

void daemon_instance(char *ret, size_t cap, const struct daemon *d)
{
	(void)snprintf(ret, cap, "/dev/shm/sqb.%s.%s", d->prefix, d->config->name);
}

static void turn(void *ctx);

int daemon_init(struct daemon *d, struct loop *loop, struct config *config, const char **ret_why)
{
	int r;

	memset(d, 0, sizeof(*d));
	d->loop = loop;
	d->config = config;
	d->hub = config->role == CONFIG_HUB;
	d->instance_fd = -1;
	TAILQ_INIT(&d->peers);
	TAILQ_INIT(&d->watches);
	counts_init(d);
	d->status.writer.fd = -1;
	*ret_why = DAEMON_PREFIX_WHY;
	r = sq_prefix(d->prefix, sizeof(d->prefix));
	if (r == 0)
		r = take_instance(d, ret_why);
	if (r == 0)
		status_init(d);
	return r;
}

static void forget_watch(struct daemon *d, struct watch *w)
{
	TAILQ_REMOVE(&d->watches, w, entry);
	loop_watch_close(w->watch);
	free(w);
}

static void forget_watches(struct daemon *d)
{
	struct watch *w;

	while ((w = TAILQ_FIRST(&d->watches)))
		forget_watch(d, w);
}

void daemon_unwatch(struct daemon *d, const char *queue, enum wire_direction direction)
{
	struct watch *w = TAILQ_FIRST(&d->watches), *next;

	for (; w; w = next) {
		next = TAILQ_NEXT(w, entry);
		if (w->direction == direction && strcmp(w->queue, queue) == 0)
			forget_watch(d, w);
	}
}

void daemon_still(struct daemon *d)
{
	if (!d->loop)
		return;
	status_end(d);
	d->draining = d->stopping = true;
	d->leave = NULL;
	loop_timer_stop(d->loop, &d->turn);
	loop_timer_stop(d->loop, &d->drain);
	forget_watches(d);
}

void daemon_deinit(struct daemon *d)
{
	struct peer *p;

	if (!d->loop)
		return;
	while ((p = TAILQ_FIRST(&d->peers))) {
		TAILQ_REMOVE(&d->peers, p, entry);
		counts_peer_free(p);
		link_free(p->link);
		free(p);
	}
	if (d->role_free)
		d->role_free(d->role);
	else
		free(d->role);
	tls_context_free(d->tls);
	if (d->refused && d->made)
		leftover_undo(d);
	keys_free(d->keys);
	if (d->instance_fd >= 0)
		(void)close(d->instance_fd);
}

struct peer *daemon_find(struct daemon *d, const char *identity)
{
	struct peer *p;

	TAILQ_FOREACH (p, &d->peers, entry)
		if (strcmp(p->identity, identity) == 0)
			return p;
	return NULL;
}

static uint64_t random64(void *context)
{
	uint64_t v = 0;

	(void)context;
	while (getrandom(&v, sizeof(v), 0) != (ssize_t)sizeof(v) || v == 0 || v > WIRE_EPOCH_MAX)
		;
	return v;
}

/* Events of links that need an operator's attention. What the hub denies it logs itself. */
static enum log_level level_of(const struct daemon *d, const char *event)
{
	if (strcmp(event, "greeted") == 0)
		return LEVEL_DEBUG;
	if (strcmp(event, "stream_refused") == 0 ||
		(strcmp(event, "stream_closed") == 0 && !d->hub))
		return LEVEL_WARNING;
	return LEVEL_INFO;
}

static void on_event(
	void *context, struct link *l, const char *event, const char *queue, const char *detail)
{
	struct peer *p = context;

	if (strcmp(event, "version") == 0)
		p->daemon->metrics.daemon.value[METRIC_REFUSED_VERSION]++;
	log_event(level_of(p->daemon, event), event, LOG_STR("peer", link_peer(l)),
		LOG_STR("queue", queue), LOG_STR("detail", detail));
	status_soon(p->daemon);
}

int daemon_peer(struct peer **ret, struct daemon *d, const char *identity, bool hub)
{
	struct peer *p = calloc(1, sizeof(*p));
	struct link_setup setup = {.hub = hub,
		.heartbeat_ms = (uint32_t)(d->config->heartbeat_ns / 1000000),
		.redeliver_after_ms = (uint32_t)(d->config->redeliver_after_ns / 1000000),
		.open = hub_open,
		.opened = leaf_opened,
		.absent = leaf_absent,
		.event = on_event,
		.random = random64};
	int r;

	if (!p)
		return -ENOMEM;
	p->daemon = d;
	(void)strlcpy(p->identity, identity, sizeof(p->identity));
	setup.peer = p->identity;
	setup.context = p;
	memcpy(setup.instance, d->instance, sizeof(setup.instance));
	r = link_new(&p->link, &setup);
	if (r < 0) {
		free(p);
		return r;
	}
	counts_peer_add(p);
	TAILQ_INSERT_TAIL(&d->peers, p, entry);
	*ret = p;
	return 0;
}

void daemon_local(char *ret, size_t cap, const struct daemon *d, const struct config_stream *s)
{
	if (strchr(s->local, '.'))
		(void)strlcpy(ret, s->local, cap);
	else
		(void)snprintf(ret, cap, "%s.%s", d->prefix, s->local);
}

static int code_of(int error, const char **ret_why)
{
	switch (error) {
	case -ENOENT:
		*ret_why = "there is no such queue";
		return WIRE_E_NO_QUEUE;
	case -EBUSY:
		*ret_why = "another bridge carries this queue for this peer";
		return WIRE_E_REPLACED;
	case -EPROTO:
		*ret_why = "the queue or its ledger in /dev/shm is of another version: remove it";
		return WIRE_E_INTERNAL;
	case -ENOBUFS:
		*ret_why =
			"no room in /dev/shm for its books, 16 bytes for each message of --window";
		return WIRE_E_LIMIT;
	case -ENOSPC:
	case -EUSERS:
		*ret_why = "the queue has no place for another participant";
		return WIRE_E_INTERNAL;
	case -EUCLEAN:
		*ret_why = "its ledger in /dev/shm belongs to another user: have it removed";
		return WIRE_E_INTERNAL;
	case -EACCES:
		*ret_why = "the queue may not be opened by this user";
		return WIRE_E_DENIED;
	default:
		*ret_why = sq_strerror(error);
		return WIRE_E_INTERNAL;
	}
}

int daemon_end(struct daemon *d, const char *peer, const struct config_stream *stream, bool sending,
	struct link_end *ret, const char **ret_why)
{
	char local[CONFIG_LOCAL_MAX + SQ_NAME_MAX + 2];
	struct end_setup setup = {.prefix = d->prefix,
		.name = d->config->name,
		.peer = peer,
		.queue = stream->queue,
		.local = local,
		.direction = stream->direction,
		.window = (uint32_t)d->config->window,
		.window_bytes = d->config->window_bytes,
		/*
		 * A hub's participant has a grace: if the hub does not come back, its tasks are
		 * delivered to others. A leaf's has none that ends: what it pushes may have
		 * arrived, and must not be delivered again before that is known.
		 */
		.grace = stream->direction == WIRE_PULL ? (int64_t)d->config->redeliver_after_ns
							: SQ_FOREVER};
	int r;

	daemon_local(local, sizeof(local), d, stream);
	r = sending ? end_sender(ret, &setup) : end_receiver(ret, &setup);
	if (r == -EOPNOTSUPP) {
		*ret_why = sending ? "the queue has --lease-time, by which results might arrive "
				     "twice: make it without"
				   : "the queue has --max-attempts, by which tasks that nobody did "
				     "would count as done: make it without; the hub's may have it";
		return WIRE_E_INTERNAL;
	}
	return r < 0 ? code_of(r, ret_why) : 0;
}

static void woken(void *ctx)
{
	struct watch *w = ctx;

	daemon_news(w->daemon);
}

static struct watch *watch_new(struct daemon *d, uint32_t *word, const char *queue,
	enum wire_direction direction, enum sq_news news)
{
	struct watch *w = calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	w->daemon = d;
	(void)strlcpy(w->queue, queue, sizeof(w->queue)); /* as long */
	w->direction = direction;
	w->news = news;
	if (loop_watch_new(d->loop, word, woken, w, &w->watch) < 0) {
		free(w);
		return NULL;
	}
	TAILQ_INSERT_TAIL(&d->watches, w, entry);
	return w;
}

/* Watch this word. If that fails, the tick finds the news later. */
static void arm(struct daemon *d, struct sq *q, const char *queue, enum wire_direction direction,
	enum sq_news news)
{
	struct sq_watch word;
	struct watch *w;

	TAILQ_FOREACH (w, &d->watches, entry)
		if (w->news == news && w->direction == direction && strcmp(w->queue, queue) == 0)
			break;
	if ((w && w->arming == d->armings) || sq_arm(q, news, &word) < 0)
		return;
	if (!w)
		w = watch_new(d, word.word, queue, direction, news);
	if (!w)
		return;
	w->arming = d->armings;
	loop_watch_arm(w->watch, word.value);
}

static void arm_stream(struct daemon *d, const struct link *l, unsigned i)
{
	enum wire_direction direction;
	struct link_end end;
	const char *queue;

	link_stream(l, i, &direction, &queue, &end);
	if (end.sender && sender_wants(end.sender))
		arm(d, sender_queue(end.sender), queue, direction, SQ_NEWS_MESSAGE);
	if (!end.receiver)
		return;
	if (receiver_owed_count(end.receiver) > 0)
		arm(d, receiver_queue(end.receiver), queue, direction, SQ_NEWS_ROOM);
	if (receiver_counts(end.receiver)->held_bytes > 0) {
		arm(d, receiver_queue(end.receiver), queue, direction, SQ_NEWS_ROOM);
		arm(d, receiver_queue(end.receiver), queue, direction, SQ_NEWS_BLOCK);
	}
}

static void arm_all(struct daemon *d)
{
	struct peer *p;

	d->armings++;
	TAILQ_FOREACH (p, &d->peers, entry)
		for (unsigned i = 0; p->conn && i < link_streams(p->link); i++)
			arm_stream(d, p->link, i);
	d->armed = true;
}

static void end_if_idle(struct daemon *d)
{
	struct peer *p;

	if (!d->draining || d->stopping)
		return;
	/*
	 * When draining, a hub does not wait for a leaf that is away, for it may never come; a leaf
	 * waits for its hub.
	 */
	TAILQ_FOREACH (p, &d->peers, entry)
		if ((p->conn || !d->hub) && !link_idle(p->link))
			return;
	d->stopping = true;
	d->leave(d);
}

static void turn(void *ctx)
{
	struct daemon *d = ctx;
	int64_t now = loop_now_ns(d->loop), next = now + (int64_t)d->config->heartbeat_ns;
	struct peer *p, *following;
	size_t said = 0;

	for (p = TAILQ_FIRST(&d->peers); p; p = following) {
		bool dead;
		int64_t at = link_tick(p->link, now, &dead);

		following = TAILQ_NEXT(p, entry);
		if (dead && p->conn)
			conn_drop(p->conn, CONN_SILENT);
		else if (p->conn)
			said += conn_pump(p->conn);
		if (d->hub)
			(void)link_give_up(p->link, p->unlisted ? INT64_MAX : now);
		next = at < next ? at : next;
	}
	end_if_idle(d);
	if (d->turn.armed)
		return; /* news came meanwhile */
	/*
	 * If the network does not take what is to be said, do not try again at once: that could go
	 * on for ever.
	 */
	if (next < now + NAP_NS)
		next = now + NAP_NS;
	if (said >= MUCH_BYTES) {
		d->armed = false;
		loop_timer_set(d->loop, &d->turn, AGAIN_NS, turn, d);
	} else if (said > 0 || !d->armed) {
		arm_all(d);
		loop_timer_set(d->loop, &d->turn, 0, turn, d);
	} else {
		d->armed = false; /* after any wake-up they must be armed again */
		loop_timer_set(d->loop, &d->turn, next - now, turn, d);
	}
}

void daemon_news(struct daemon *d)
{
	if (d->stopping && !d->leave)
		return;
	d->armed = false;
	loop_timer_set(d->loop, &d->turn, 0, turn, d);
}

bool daemon_again(int error, unsigned *tries)
{
	const struct timespec pause = {.tv_nsec = LISTEN_PAUSE_NS};

	if (error != -EADDRINUSE || *tries == LISTEN_TRIES)
		return false;
	++*tries;
	(void)nanosleep(&pause, NULL); /* waking too early is harmless */
	return true;
}

void daemon_conn_news(void *context, struct conn *c, struct link *l)
{
	struct daemon *d = context;

	(void)c;
	(void)l;
	daemon_news(d);
}

static void drain_over(void *ctx)
{
	struct daemon *d = ctx;

	if (d->stopping)
		return;
	log_event(LEVEL_WARNING, "drain_timeout",
		LOG_STR("detail", "what is under way stays durable"));
	d->stopping = true;
	d->leave(d);
}

void daemon_drain(struct daemon *d)
{
	uint64_t connected = 0;
	struct peer *p;

	if (d->draining) {
		drain_over(d);
		return;
	}
	d->draining = true;
	TAILQ_FOREACH (p, &d->peers, entry) {
		link_drain(p->link);
		connected += p->conn != NULL;
	}
	log_event(LEVEL_NOTICE, "draining", LOG_U64("connected", connected));
	status_soon(d);
	loop_timer_set(d->loop, &d->drain, (int64_t)d->config->drain_timeout_ns, drain_over, d);
	daemon_news(d);
}
