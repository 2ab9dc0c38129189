/* SPDX-License-Identifier: ISC */
#include "counts.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "daemon.h"
#include "log.h"
#include "recv.h"
#include "send.h"

void counts_init(struct daemon *d)
{
	metrics_init(&d->metrics, d->hub ? "hub" : "leaf", sq_version());
	d->metrics.daemon.value[METRIC_START_TIME] = (uint64_t)time(NULL);
}

void counts_peer_add(struct peer *p)
{
	metrics_add(&p->daemon->metrics, &p->counts.set, METRICS_OF_LINK, p->identity, "", 0);
	p->counts.changed_ns = loop_now_ns(p->daemon->loop);
}

void counts_peer_free(struct peer *p)
{
	for (unsigned i = 0; i < WIRE_STREAMS_MAX; i++) {
		if (!p->counts.stream[i])
			continue;
		metrics_remove(&p->daemon->metrics, &p->counts.stream[i]->set);
		free(p->counts.stream[i]);
	}
	metrics_remove(&p->daemon->metrics, &p->counts.set);
}

void counts_ended(struct peer *p, const struct conn *c)
{
	p->counts.bytes_in += conn_bytes_in(c);
	p->counts.bytes_out += conn_bytes_out(c);
	p->counts.key_updates += tls_rekeys(conn_tls(c));
}

static enum metric of_tls(enum tls_reason reason)
{
	switch (reason) {
	case TLS_WRONG_KEY:
		return METRIC_REFUSED_WRONG_KEY;
	case TLS_UNKNOWN_IDENTITY:
		return METRIC_REFUSED_UNKNOWN;
	case TLS_NO_KEY:
		return METRIC_REFUSED_NO_KEY;
	case TLS_NOT_TLS:
		return METRIC_REFUSED_NOT_TLS;
	default:
		return METRIC_REFUSED_TLS;
	}
}

void counts_refused(struct daemon *d, const struct conn *c, enum conn_end end)
{
	uint64_t *value = d->metrics.daemon.value;

	switch (end) {
	case CONN_REFUSED:
		value[of_tls(tls_reason(conn_tls(c)))]++;
		break;
	case CONN_TIMEOUT:
		value[METRIC_REFUSED_TIMEOUT]++;
		break;
	case CONN_CROWDED:
		value[METRIC_REFUSED_CROWDED]++;
		break;
	case CONN_PROTOCOL:
		value[METRIC_REFUSED_PROTOCOL]++;
		break;
	case CONN_REVOKED:
		value[METRIC_REFUSED_REVOKED]++;
		break;
	default:
		break;
	}
}

/* The stream's numbers, which are made when it is first seen. NULL: no memory. */
static struct counts_stream *stream_of(
	struct peer *p, unsigned i, const char *queue, enum wire_direction direction)
{
	struct counts_stream *s = p->counts.stream[i];

	/* Its place may have belonged to another stream, which was refused. */
	if (s && (s->set.direction != direction || strcmp(s->set.queue, queue) != 0)) {
		metrics_remove(&p->daemon->metrics, &s->set);
		free(s);
		s = p->counts.stream[i] = NULL;
	}
	if (!s) {
		s = calloc(1, sizeof(*s));
		if (!s)
			return NULL;
		p->counts.stream[i] = s;
		metrics_add(&p->daemon->metrics, &s->set, METRICS_OF_STREAM, p->identity, queue,
			direction);
	}
	return s;
}

/* The lowest sequence that is not settled, and how many such there are. */
static void note_oldest(
	struct counts_stream *s, uint64_t lowest, uint32_t unsettled, int64_t now_ns)
{
	if (lowest != s->lowest || unsettled == 0) {
		s->lowest = lowest;
		s->since_ns = now_ns;
	}
	s->set.value[METRIC_OLDEST] = (uint64_t)(now_ns - s->since_ns);
}

static void fill_stream(struct counts_stream *s, const struct link_end *end, int64_t now_ns)
{
	uint64_t *value = s->set.value;

	value[METRIC_NO_QUEUE] = !end->sender && !end->receiver;
	if (value[METRIC_NO_QUEUE])
		value[METRIC_IN_FLIGHT] = value[METRIC_OWED] = value[METRIC_OLDEST] =
			value[METRIC_CREDIT] = value[METRIC_CREDIT_BYTES] = 0;
	if (end->sender) {
		const struct sender_counts *c = sender_counts(end->sender);
		uint32_t in_flight = sender_in_flight(end->sender);

		value[METRIC_MESSAGES_SENT] = c->sent;
		value[METRIC_MESSAGES_SETTLED] = c->settled;
		value[METRIC_MESSAGES_REDELIVERED] = c->given_back;
		value[METRIC_IN_FLIGHT] = in_flight;
		sender_credit_left(end->sender, &value[METRIC_CREDIT], &value[METRIC_CREDIT_BYTES]);
		note_oldest(s, sender_lowest(end->sender), in_flight, now_ns);
	}
	if (end->receiver) {
		const struct receiver_counts *c = receiver_counts(end->receiver);

		value[METRIC_MESSAGES_RECEIVED] = c->put;
		value[METRIC_MESSAGES_SETTLED] = c->settled;
		value[METRIC_MESSAGES_NACKED] = c->returned;
		value[METRIC_OWED] = receiver_owed_count(end->receiver);
		receiver_credit_left(
			end->receiver, &value[METRIC_CREDIT], &value[METRIC_CREDIT_BYTES]);
		note_oldest(s, receiver_lowest(end->receiver), receiver_owed_count(end->receiver),
			now_ns);
	}
}

void counts_queue_gone(struct peer *p, unsigned i)
{
	if (p->counts.stream[i])
		p->counts.stream[i]->set.value[METRIC_QUEUE_GONE]++;
}

static void fill_link(struct peer *p, int64_t now_ns)
{
	const struct link_counts *c = link_counts(p->link);
	uint64_t *value = p->counts.set.value, up = p->conn && link_is_up(p->link);

	/* It may have gone and come again since the last look. */
	if (up != value[METRIC_UP] || c->reconnects != value[METRIC_CONNECTS])
		p->counts.changed_ns = now_ns;
	value[METRIC_UP] = up;
	value[METRIC_CONNECTS] = c->reconnects;
	value[METRIC_BYTES_RECEIVED] = p->counts.bytes_in + (p->conn ? conn_bytes_in(p->conn) : 0);
	value[METRIC_BYTES_SENT] = p->counts.bytes_out + (p->conn ? conn_bytes_out(p->conn) : 0);
	value[METRIC_FRAMES_RECEIVED] = c->frames_in;
	value[METRIC_FRAMES_SENT] = c->frames_out;
	value[METRIC_ROUND_TRIP] = (uint64_t)c->rtt_ns;
	value[METRIC_KEY_UPDATES] = p->counts.key_updates +
				    (p->conn ? tls_rekeys(conn_tls(p->conn)) : 0);
}

void counts_second(struct daemon *d)
{
	int64_t now_ns = loop_now_ns(d->loop);
	struct peer *p;

	TAILQ_FOREACH (p, &d->peers, entry) {
		fill_link(p, now_ns);
		for (unsigned i = 0; i < link_streams(p->link); i++) {
			enum wire_direction direction;
			struct counts_stream *s;
			struct link_end end;
			const char *queue;

			link_stream(p->link, i, &direction, &queue, &end);
			s = stream_of(p, i, queue, direction);
			if (s)
				fill_stream(s, &end, now_ns);
		}
	}
}

size_t counts_text(void *ctx, char *buf, size_t cap)
{
	struct daemon *d = ctx;
	uint64_t *value = d->metrics.daemon.value;
	struct loop_stats loop = {0};
	struct peer *p;

	loop_stats(d->loop, &loop);
	counts_second(d);
	value[METRIC_CONNECTIONS] = loop.connections;
	value[METRIC_LINKS] = 0;
	TAILQ_FOREACH (p, &d->peers, entry)
		value[METRIC_LINKS]++;
	value[METRIC_LOG_SUPPRESSED] = log_suppressed();
	value[METRIC_LOG_LOST] = log_lost();
	value[METRIC_WAKE_UPS] = loop.turns;
	return metrics_render(&d->metrics, buf, cap);
}
