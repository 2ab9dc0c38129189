/* SPDX-License-Identifier: ISC */
#include "relay.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include "crew.h"
#include "now.h"
#include "say.h"
#include "tcp.h"

#define CHUNK     65536
#define HELD_MAX  (256u << 20) /* bytes under way in one direction */
#define LINKS_MAX 8

struct chunk {
	STAILQ_ENTRY(chunk) entry;
	int64_t due_ns;
	size_t begin, end;
	char data[CHUNK];
};

/* One direction of one connection. */
struct flow {
	int from, to;
	bool ended; /* nothing more will come */
	size_t held;
	STAILQ_HEAD(, chunk) chunks;
};

struct link {
	bool open;
	struct flow flow[2];
};

static void link_close(struct link *l)
{
	for (int i = 0; i < 2; i++)
		while (!STAILQ_EMPTY(&l->flow[i].chunks)) {
			struct chunk *c = STAILQ_FIRST(&l->flow[i].chunks);

			STAILQ_REMOVE_HEAD(&l->flow[i].chunks, entry);
			free(c);
		}
	(void)close(l->flow[0].from);
	(void)close(l->flow[0].to);
	l->open = false;
}

/* False: the connection is at its end. */
static bool take_in(struct flow *f, int64_t delay_ns)
{
	struct chunk *c = malloc(sizeof(*c));
	ssize_t n;

	if (!c)
		return false;
	n = recv(f->from, c->data, sizeof(c->data), MSG_DONTWAIT);
	if (n <= 0) {
		free(c);
		if (n < 0)
			return errno == EAGAIN || errno == EINTR;
		f->ended = true;
		return true;
	}
	c->due_ns = now_ns() + delay_ns;
	c->begin = 0;
	c->end = (size_t)n;
	f->held += (size_t)n;
	STAILQ_INSERT_TAIL(&f->chunks, c, entry);
	return true;
}

static bool hand_on(struct flow *f)
{
	struct chunk *c;

	while ((c = STAILQ_FIRST(&f->chunks)) && c->due_ns <= now_ns()) {
		ssize_t n = send(
			f->to, c->data + c->begin, c->end - c->begin, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0)
			return errno == EAGAIN || errno == EINTR;
		c->begin += (size_t)n;
		f->held -= (size_t)n;
		if (c->begin < c->end)
			return true;
		STAILQ_REMOVE_HEAD(&f->chunks, entry);
		free(c);
	}
	return !f->ended || c != NULL;
}

static void link_accept(struct link *links, int listener, int port)
{
	int near = accept4(listener, NULL, NULL, SOCK_CLOEXEC), far;

	if (near < 0)
		return;
	far = tcp_connect(port);
	for (int i = 0; far >= 0 && i < LINKS_MAX; i++) {
		struct link *l = &links[i];

		if (l->open)
			continue;
		tcp_at_once(near);
		l->open = true;
		for (int k = 0; k < 2; k++) {
			l->flow[k] = (struct flow){.from = k ? far : near, .to = k ? near : far};
			STAILQ_INIT(&l->flow[k].chunks);
		}
		return;
	}
	(void)close(near);
	if (far >= 0)
		(void)close(far);
}

/* What to wait for in this direction, and how long at most. */
static void wish(struct flow *f, struct pollfd *in, struct pollfd *out, int64_t *until_ns)
{
	const struct chunk *c = STAILQ_FIRST(&f->chunks);

	*in = (struct pollfd){
		.fd = f->ended || f->held > HELD_MAX ? -1 : f->from, .events = POLLIN};
	*out = (struct pollfd){.fd = -1, .events = POLLOUT};
	if (!c)
		return;
	if (c->due_ns <= now_ns())
		out->fd = f->to;
	else if (c->due_ns < *until_ns)
		*until_ns = c->due_ns;
}

static void serve(int listener, int port, int64_t delay_ns)
{
	static struct link links[LINKS_MAX];

	for (;;) {
		struct pollfd fds[1 + 4 * LINKS_MAX];
		int64_t until_ns = now_ns() + 1000000000, left;
		struct timespec timeout;

		fds[0] = (struct pollfd){.fd = listener, .events = POLLIN};
		for (int i = 0; i < 2 * LINKS_MAX; i++) {
			struct pollfd *pair = &fds[1 + 2 * i];

			pair[0].fd = pair[1].fd = -1;
			if (links[i / 2].open)
				wish(&links[i / 2].flow[i % 2], &pair[0], &pair[1], &until_ns);
		}
		left = until_ns - now_ns();
		left = left > 0 ? left : 0;
		timeout = (struct timespec){left / 1000000000, left % 1000000000};
		if (ppoll(fds, 1 + 4 * LINKS_MAX, &timeout, NULL) < 0)
			continue;
		for (int i = 0; i < 2 * LINKS_MAX; i++) {
			struct link *l = &links[i / 2];
			struct flow *f = &l->flow[i % 2];
			bool goes_on = true;

			if (!l->open)
				continue;
			if (fds[1 + 2 * i].fd >= 0 && fds[1 + 2 * i].revents)
				goes_on = take_in(f, delay_ns);
			if (!goes_on || !hand_on(f))
				link_close(l);
		}
		if (fds[0].revents)
			link_accept(links, listener, port);
	}
}

int relay_start(pid_t *ret_pid, int *port, int64_t delay_ns)
{
	int listener, here, to = *port;
	pid_t pid;

	listener = tcp_listen(&here);
	if (listener < 0)
		return say(EXIT_UNAVAILABLE, "relay: %s", strerror(-listener));
	pid = crew_fork();
	if (pid == 0) {
		serve(listener, to, delay_ns / 2);
		_exit(EXIT_DONE);
	}
	(void)close(listener);
	if (pid < 0)
		return say(EXIT_UNAVAILABLE, "cannot fork: %s", strerror(errno));
	*ret_pid = pid;
	*port = here;
	return EXIT_DONE;
}
