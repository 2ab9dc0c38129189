/* SPDX-License-Identifier: ISC */
#include "status.h"

#include <bsd/string.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "daemon.h"
#include "log.h"

#define SOON_NS 200000000

_Static_assert(SQ_NAME_MAX <= STATUS_PREFIX_MAX && CONFIG_NAME_MAX <= STATUS_NAME_MAX &&
		       KEYS_IDENTITY_MAX <= STATUS_PEER_MAX && WIRE_NAME_MAX <= STATUS_QUEUE_MAX &&
		       2 * SQ_NAME_MAX + 1 <= STATUS_LOCAL_MAX &&
		       CONFIG_HOST_MAX + 10 <= STATUS_ADDRESS_MAX,
	"each text has room");
_Static_assert(
	(int)STATUS_PULL == (int)WIRE_PULL && (int)STATUS_PUSH == (int)WIRE_PUSH, "the same");

void status_init(struct daemon *d)
{
	struct status_name of = {0};

	(void)strlcpy(of.prefix, d->prefix, sizeof(of.prefix));
	(void)strlcpy(of.name, d->config->name, sizeof(of.name));
	status_writer_init(&d->status.writer, &of);
}

/* Room for so many more. False: no memory. */
static bool grow(void *array, size_t *room, size_t n, size_t size)
{
	void *old, *more;

	if (n <= *room)
		return true;
	memcpy(&old, array, sizeof(old));
	more = reallocarray(old, n, size);
	if (!more)
		return false;
	memcpy(array, &more, sizeof(more));
	*room = n;
	return true;
}

static void show_link(struct status_link *ret, const struct peer *p)
{
	const uint64_t *value = p->counts.set.value;

	*ret = (struct status_link){.up = value[METRIC_UP] != 0,
		.since_ns = (uint64_t)(loop_now_ns(p->daemon->loop) - p->counts.changed_ns),
		.connects = value[METRIC_CONNECTS],
		.round_trip_ns = value[METRIC_ROUND_TRIP],
		.received_bytes = value[METRIC_BYTES_RECEIVED],
		.sent_bytes = value[METRIC_BYTES_SENT]};
	(void)strlcpy(
		ret->peer, p->identity, sizeof(ret->peer)); /* that each fits was seen above */
}

static void show_stream(struct status_stream *ret, const struct peer *p, unsigned i, uint32_t link)
{
	const uint64_t *value = p->counts.stream[i]->set.value;
	const struct config_stream *s;
	enum wire_direction direction;
	struct link_end end;
	const char *queue;

	link_stream(p->link, i, &direction, &queue, &end);
	s = config_share(p->daemon->config, queue, direction);
	*ret = (struct status_stream){.link = link,
		.direction = (uint32_t)direction,
		.missing = value[METRIC_NO_QUEUE] != 0,
		.sends = (direction == WIRE_PULL) == p->daemon->hub,
		.in_flight = value[METRIC_IN_FLIGHT],
		.owed = value[METRIC_OWED],
		.credit = value[METRIC_CREDIT],
		.credit_bytes = value[METRIC_CREDIT_BYTES],
		.sent = value[METRIC_MESSAGES_SENT],
		.received = value[METRIC_MESSAGES_RECEIVED],
		.settled = value[METRIC_MESSAGES_SETTLED],
		.redelivered = value[METRIC_MESSAGES_REDELIVERED],
		.returned = value[METRIC_MESSAGES_NACKED],
		.oldest_ns = value[METRIC_OLDEST]};
	(void)strlcpy(ret->queue, queue, sizeof(ret->queue));
	if (s)
		daemon_local(ret->local, sizeof(ret->local), p->daemon, s);
}

/* One peer and its streams, as far as there is room. */
static void show_peer(struct status *st, const struct peer *p)
{
	struct status_head *h = &st->page.head;
	uint32_t link = h->links;

	if (h->links + h->streams >= STATUS_RECORDS_MAX ||
		!grow(&st->page.link, &st->links_room, link + 1, sizeof(*st->page.link))) {
		h->left_out += 1 + link_streams(p->link);
		return;
	}
	show_link(&st->page.link[h->links++], p);
	for (unsigned i = 0; i < link_streams(p->link); i++) {
		if (!p->counts.stream[i] || h->links + h->streams >= STATUS_RECORDS_MAX ||
			!grow(&st->page.stream, &st->streams_room, h->streams + 1,
				sizeof(*st->page.stream)))
			h->left_out++;
		else
			show_stream(&st->page.stream[h->streams++], p, i, link);
	}
}

/*
 * The page's mode: users may read it that may read one of the queues carried. So it is the daemon's
 * user alone, unless queues are shared; the page's group is the daemon's own.
 */
static mode_t mode_for(const struct daemon *d)
{
	mode_t mode = 0600;

	for (uint32_t i = 0; i < d->config->streams; i++) {
		char local[STATUS_LOCAL_MAX + 1], path[sizeof("/dev/shm/sq.") + sizeof(local)];
		struct stat st;

		daemon_local(local, sizeof(local), d, &d->config->stream[i]);
		(void)snprintf(path, sizeof(path), "/dev/shm/sq.%s", local);
		if (lstat(path, &st) < 0 || !S_ISREG(st.st_mode))
			continue;
		mode |= st.st_mode & 0004;
		if (st.st_gid == getegid())
			mode |= st.st_mode & 0040;
	}
	return mode;
}

static void publish(struct daemon *d, enum status_state state)
{
	struct status *st = &d->status;
	struct status_head *h = &st->page.head;
	struct timespec now = {0};
	const struct peer *p;
	int r;

	(void)clock_gettime(CLOCK_REALTIME, &now);
	*h = (struct status_head){.role = d->hub ? STATUS_HUB : STATUS_LEAF,
		.state = (uint32_t)state,
		.started_s = d->metrics.daemon.value[METRIC_START_TIME],
		.written_ns = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec};
	if (!d->hub)
		config_address_text(h->address, sizeof(h->address), &d->config->address);
	TAILQ_FOREACH (p, &d->peers, entry)
		show_peer(st, p);
	for (uint32_t i = 0; state == STATUS_STOPPED && i < h->links; i++)
		st->page.link[i].up = 0; /* its connection is closed next */
	r = status_page_write(&st->writer, &st->page, mode_for(d));
	if (r < 0 && !st->failing)
		log_event(LEVEL_WARNING, "status_failed", LOG_ERR(r));
	st->failing = r < 0;
}

void status_write(struct daemon *d)
{
	counts_second(d);
	publish(d, d->draining ? STATUS_DRAINING : STATUS_RUNNING);
}

static void due(void *ctx)
{
	status_write(ctx);
}

void status_soon(struct daemon *d)
{
	/* Not before the first page, which comes anyway, nor after the last one. */
	if (d->status.writer.fd >= 0 && !d->status.timer.armed)
		loop_timer_set(d->loop, &d->status.timer, SOON_NS, due, d);
}

/* Is anything under way that another start would have to find again? */
static bool unsettled(const struct daemon *d)
{
	const struct peer *p;

	TAILQ_FOREACH (p, &d->peers, entry)
		for (unsigned i = 0; i < link_streams(p->link); i++) {
			const struct counts_stream *s = p->counts.stream[i];

			if (s && s->set.value[METRIC_IN_FLIGHT] + s->set.value[METRIC_OWED] > 0)
				return true;
		}
	return false;
}

void status_end(struct daemon *d)
{
	struct status *st = &d->status;
	bool stays;

	loop_timer_stop(d->loop, &st->timer);
	if (st->writer.fd >= 0) {
		counts_second(d);
		stays = unsettled(d);
		if (stays)
			publish(d, STATUS_STOPPED);
		status_writer_deinit(&st->writer, !stays);
	}
	free(st->page.link);
	free(st->page.stream);
	st->page = (struct status_page){0};
	st->links_room = st->streams_room = 0;
}
