/* SPDX-License-Identifier: ISC */
#include "serve.h"

#include <bsd/string.h>
#include <bsd/sys/queue.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "metrics.h"

#define BACKLOG   16
#define HEAD_MAX  256
#define SPARE     1024 /* the text may have grown between two calls */
#define TRIES_MAX 4

struct client {
	TAILQ_ENTRY(client) entry;
	struct serve *serve;
	struct loop_conn *lc;
	struct loop_timer timer;
	char request[SERVE_REQUEST_MAX + 1];
	size_t len;
	char *answer;
	bool closed, ended;
};

struct serve {
	struct loop *loop;
	struct loop_listener *listener;
	serve_text_fn text;
	void *ctx;
	TAILQ_HEAD(, client) clients;
	unsigned count;
	bool closing;
	char path[sizeof(((struct sockaddr_un *)NULL)->sun_path)]; /* "": TCP */
};

static void drop(struct client *c)
{
	if (c->closed)
		return;
	c->closed = true;
	loop_timer_stop(c->serve->loop, &c->timer);
	loop_conn_close(c->lc);
}

static void timed_out(void *ctx)
{
	drop(ctx);
}

static void on_closed(void *ctx)
{
	struct client *c = ctx;
	struct serve *s = c->serve;

	if (!c->closed)
		loop_timer_stop(s->loop, &c->timer);
	TAILQ_REMOVE(&s->clients, c, entry);
	s->count--;
	free(c->answer);
	free(c);
	if (s->closing && s->count == 0)
		free(s);
}

/* The text with HTTP's head before it; NULL: no memory. */
static char *compose(struct serve *s, size_t *ret_len)
{
	size_t cap = 0, len = s->text(s->ctx, NULL, 0);

	for (int i = 0; i < TRIES_MAX && len >= cap; i++) {
		char head[HEAD_MAX], *all;
		int n;

		cap = len + SPARE;
		all = malloc(HEAD_MAX + cap);
		if (!all)
			return NULL;
		len = s->text(s->ctx, all + HEAD_MAX, cap);
		if (len >= cap) {
			free(all);
			continue;
		}
		n = snprintf(head, sizeof(head),
			"HTTP/1.0 200 OK\r\nContent-Type: %s\r\nContent-Length: %zu\r\n"
			"Connection: close\r\n\r\n",
			METRICS_CONTENT_TYPE, len);
		memcpy(all, head, (size_t)n);
		memmove(all + n, all + HEAD_MAX, len);
		*ret_len = (size_t)n + len;
		return all;
	}
	return NULL;
}

static void answer(struct client *c)
{
	static const char get[] = "GET /metrics";
	const char *why = NULL;
	size_t len = 0;

	if (strncmp(c->request, "GET ", 4) != 0)
		why = "405 Method Not Allowed";
	else if (strncmp(c->request, get, strlen(get)) != 0 ||
		 !strchr(" ?\r\n", c->request[strlen(get)]))
		why = "404 Not Found";
	else if (!(c->answer = compose(c->serve, &len)))
		why = "503 Service Unavailable";
	if (why) {
		c->answer = malloc(HEAD_MAX);
		if (!c->answer) {
			drop(c);
			return;
		}
		len = (size_t)snprintf(c->answer, HEAD_MAX,
			"HTTP/1.0 %s\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n"
			"The metrics are at /metrics.\n",
			why);
	}
	if (loop_conn_send(c->lc, c->answer, len) < 0)
		drop(c);
}

static size_t on_received(void *ctx, const uint8_t *data, size_t len)
{
	struct client *c = ctx;
	size_t n = sizeof(c->request) - 1 - c->len;

	if (c->closed || c->answer)
		return len; /* what a client still sends is ignored */
	n = len < n ? len : n;
	memcpy(c->request + c->len, data, n);
	c->len += n;
	c->request[c->len] = '\0';
	if (strstr(c->request, "\r\n\r\n") || strstr(c->request, "\n\n"))
		answer(c);
	else if (c->len == sizeof(c->request) - 1)
		drop(c);
	return len;
}

static void on_sent(void *ctx, int error)
{
	struct client *c = ctx;

	/* End our stream; the client closes then, or its time limit does. */
	if (c->closed || (error == 0 && !c->ended && loop_conn_finish(c->lc) == 0))
		return;
	drop(c);
}

static void on_ended(void *ctx, int error)
{
	struct client *c = ctx;

	/* A client that has ended its stream may still read the answer. */
	c->ended = true;
	if (error < 0 || !loop_conn_sending(c->lc))
		drop(c);
}

static const struct loop_conn_ops ops = {
	.received = on_received,
	.ended = on_ended,
	.sent = on_sent,
	.closed = on_closed,
};

static void on_accepted(void *ctx, struct loop_conn *lc, int error)
{
	struct serve *s = ctx;
	struct client *c;

	if (!lc)
		return; /* the loop tries again by itself */
	c = s->count < SERVE_CLIENTS_MAX ? calloc(1, sizeof(*c)) : NULL;
	if (!c) {
		loop_conn_close(lc);
		return;
	}
	c->serve = s;
	c->lc = lc;
	TAILQ_INSERT_TAIL(&s->clients, c, entry);
	s->count++;
	loop_timer_set(s->loop, &c->timer, SERVE_NS, timed_out, c);
	loop_conn_start(lc, &ops, c);
}

static int listen_tcp(struct serve *s, const struct config_address *a)
{
	struct addrinfo hints = {.ai_flags = AI_PASSIVE, .ai_socktype = SOCK_STREAM}, *list;
	char port[8];
	int r;

	(void)snprintf(port, sizeof(port), "%u", a->port);
	if (getaddrinfo(a->host, port, &hints, &list) != 0)
		return -EADDRNOTAVAIL;
	r = loop_listen(
		s->loop, list->ai_addr, list->ai_addrlen, BACKLOG, on_accepted, s, &s->listener);
	freeaddrinfo(list);
	return r;
}

/* Remove a socket that a killed daemon has left: a connection to it is refused. */
static void remove_stale(const struct sockaddr_un *at)
{
	struct stat st;
	int fd;

	if (lstat(at->sun_path, &st) < 0 || !S_ISSOCK(st.st_mode))
		return;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	if (connect(fd, (const struct sockaddr *)at, sizeof(*at)) < 0 && errno == ECONNREFUSED)
		(void)unlink(at->sun_path);
	(void)close(fd);
}

static int listen_unix(struct serve *s, const struct config_address *a)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	int r;

	if (strlcpy(at.sun_path, a->host, sizeof(at.sun_path)) >= sizeof(at.sun_path))
		return -ENAMETOOLONG;
	remove_stale(&at);
	r = loop_listen(
		s->loop, (struct sockaddr *)&at, sizeof(at), BACKLOG, on_accepted, s, &s->listener);
	if (r == 0)
		(void)strlcpy(s->path, at.sun_path, sizeof(s->path)); /* as long */
	return r;
}

int serve_open(struct serve **ret, struct loop *loop, const struct config_address *address,
	serve_text_fn text, void *ctx)
{
	struct serve *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	s->loop = loop;
	s->text = text;
	s->ctx = ctx;
	TAILQ_INIT(&s->clients);
	r = address->socket ? listen_unix(s, address) : listen_tcp(s, address);
	if (r < 0) {
		free(s);
		return r;
	}
	*ret = s;
	return 0;
}

void serve_close(struct serve *s)
{
	struct client *c;

	if (!s)
		return;
	s->closing = true;
	loop_listener_close(s->listener);
	if (*s->path)
		(void)unlink(s->path);
	TAILQ_FOREACH (c, &s->clients, entry)
		drop(c); /* on_closed() follows in a later turn */
	if (s->count == 0)
		free(s);
}

int serve_fd(const struct serve *s)
{
	return loop_listener_fd(s->listener);
}
