/* SPDX-License-Identifier: ISC */
#include "queues.h"

#include <string.h>

#include "daemon.h"
#include "log.h"

/*
 * Queues that go away. A user may remove a queue's name by `sqctl rm` while it is open here: then
 * this daemon would go on with memory that no other process can open. So the names are looked at
 * regularly. Called from main.c.
 */

/* A stream that has an end here. */
struct carried {
	const char *queue;
	enum wire_direction direction;
	struct link_end end;
	char local[CONFIG_LOCAL_MAX + SQ_NAME_MAX + 2]; /* as its queue is named now */
};

/*
 * False: nothing is open; or the stream is not carried any more, and its peer's connection is
 * closing.
 */
static bool find(const struct daemon *d, const struct peer *p, unsigned i, struct carried *ret)
{
	const struct config_stream *s;

	link_stream(p->link, i, &ret->direction, &ret->queue, &ret->end);
	s = config_share(d->config, ret->queue, ret->direction);
	if (!s || (!ret->end.sender && !ret->end.receiver))
		return false;
	daemon_local(ret->local, sizeof(ret->local), d, s);
	return true;
}

static bool look_at(struct daemon *d, struct peer *p, unsigned i)
{
	enum end_state state;
	struct carried at;

	if (!find(d, p, i, &at))
		return false;
	state = end_look(&at.end, at.local);
	if (state == END_STANDS)
		return false;
	log_event(LEVEL_WARNING, "queue_gone", LOG_STR("peer", p->identity),
		LOG_STR("queue", at.queue), LOG_STR("direction", wire_direction_name(at.direction)),
		LOG_STR("detail",
			state == END_REMOVED ? "it was removed" : "another one has its name"));
	counts_queue_gone(p, i);
	daemon_unwatch(d, at.queue, at.direction);
	link_forget(p->link, i, loop_now_ns(d->loop));
	return true;
}

static void move(struct daemon *d, struct peer *p, unsigned i)
{
	struct carried at;

	if (!find(d, p, i, &at) || strcmp(at.local, at.end.local) == 0)
		return;
	/* Acknowledge what the old queue has received, if the connection can send that now. */
	if (p->conn)
		(void)conn_pump(p->conn);
	daemon_unwatch(d, at.queue, at.direction);
	log_event(LEVEL_NOTICE, "ledger_moved", LOG_STR("peer", p->identity),
		LOG_STR("queue", at.queue), LOG_STR("direction", wire_direction_name(at.direction)),
		LOG_STR("from", at.end.local), LOG_STR("to", at.local),
		LOG_U64("given_back", link_move(p->link, i, loop_now_ns(d->loop))));
}

void queues_move(struct daemon *d)
{
	struct peer *p;

	TAILQ_FOREACH (p, &d->peers, entry)
		for (unsigned i = 0; i < link_streams(p->link); i++)
			move(d, p, i);
}

void queues_look(struct daemon *d)
{
	bool any = false;
	struct peer *p;

	TAILQ_FOREACH (p, &d->peers, entry)
		for (unsigned i = 0; i < link_streams(p->link); i++)
			any |= look_at(d, p, i);
	if (any)
		daemon_news(d);
}
