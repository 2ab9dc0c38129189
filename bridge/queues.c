/* SPDX-License-Identifier: ISC */
#include "queues.h"

#include <string.h>

#include "daemon.h"
#include "log.h"

/*
 * A queue's name is the user's: `sqctl rm` takes it away under whoever has the queue open, and they
 * go on with memory that nobody else will ever see. So somebody has to look. Called from main.c.
 */

/* To *ret how it is now. False: nothing is open, or nothing is known. */
static bool look(const struct daemon *d, const char *queue, enum wire_direction direction,
	const struct link_end *end, enum end_state *ret)
{
	const struct config_stream *s = config_share(d->config, queue, direction);
	char local[CONFIG_LOCAL_MAX + SQ_NAME_MAX + 2];

	/* Not carried any more: whoever had it is on its way out. */
	if (!s || (!end->sender && !end->receiver))
		return false;
	daemon_local(local, sizeof(local), d, s);
	*ret = end_look(end, local);
	return true;
}

static bool look_at(struct daemon *d, struct peer *p, unsigned i)
{
	enum wire_direction direction;
	enum end_state state;
	struct link_end end;
	const char *queue;

	link_stream(p->link, i, &direction, &queue, &end);
	if (!look(d, queue, direction, &end, &state) || state == END_STANDS)
		return false;
	log_event(LEVEL_WARNING, "queue_gone", LOG_STR("peer", p->identity),
		LOG_STR("queue", queue), LOG_STR("direction", wire_direction_name(direction)),
		LOG_STR("detail",
			state == END_REMOVED ? "it was removed" : "another one has its name"));
	counts_queue_gone(p, i);
	daemon_unwatch(d, queue, direction);
	link_forget(p->link, i, loop_now_ns(d->loop));
	return true;
}

void queues_move(struct daemon *d)
{
	char local[CONFIG_LOCAL_MAX + SQ_NAME_MAX + 2];
	struct peer *p;

	TAILQ_FOREACH (p, &d->peers, entry)
		for (unsigned i = 0; i < link_streams(p->link); i++) {
			enum wire_direction direction;
			const struct config_stream *s;
			struct link_end end;
			const char *queue;

			link_stream(p->link, i, &direction, &queue, &end);
			s = config_share(d->config, queue, direction);
			if (!s || (!end.sender && !end.receiver))
				continue;
			daemon_local(local, sizeof(local), d, s);
			if (strcmp(local, end.local) == 0)
				continue;
			/* What the old one has got is acknowledged, if the connection takes it just now. */
			if (p->conn)
				(void)conn_pump(p->conn);
			daemon_unwatch(d, queue, direction);
			log_event(LEVEL_NOTICE, "ledger_moved", LOG_STR("peer", p->identity),
				LOG_STR("queue", queue),
				LOG_STR("direction", wire_direction_name(direction)),
				LOG_STR("from", end.local), LOG_STR("to", local),
				LOG_U64("given_back", link_move(p->link, i, loop_now_ns(d->loop))));
		}
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
