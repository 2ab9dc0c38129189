/* SPDX-License-Identifier: ISC */
#include "tcp.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "crew.h"
#include "now.h"
#include "payload.h"
#include "say.h"

#define SIZE_MAX_TRIP 65536
#define WARM          200

struct job {
	int listener, port;
	size_t size;
	uint32_t *ns;
	unsigned trips;
};

static struct sockaddr_in address(int port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return a;
}

void tcp_at_once(int fd)
{
	int on = 1;

	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

int tcp_listen(int *ret_port)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), r;
	struct sockaddr_in a = address(0);
	socklen_t len = sizeof(a);

	if (fd < 0)
		return -errno;
	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(fd, 16) < 0 ||
		getsockname(fd, (struct sockaddr *)&a, &len) < 0) {
		r = -errno;
		(void)close(fd);
		return r;
	}
	*ret_port = ntohs(a.sin_port);
	return fd;
}

int tcp_connect(int port)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), r;
	struct sockaddr_in a = address(port);

	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0) {
		r = -errno;
		(void)close(fd);
		return r;
	}
	tcp_at_once(fd);
	return fd;
}

/* All of it. */
static int send_all(int fd, const char *data, size_t size)
{
	while (size > 0) {
		ssize_t n = send(fd, data, size, MSG_NOSIGNAL);

		if (n <= 0)
			return say(EXIT_BROKEN, "tcp: send: %s", strerror(errno));
		data += n;
		size -= (size_t)n;
	}
	return EXIT_DONE;
}

static int receive_all(int fd, char *data, size_t size)
{
	ssize_t n = recv(fd, data, size, MSG_WAITALL);

	return n == (ssize_t)size
		       ? EXIT_DONE
		       : say(EXIT_BROKEN, "tcp: receive: %s", n < 0 ? strerror(errno) : "it ended");
}

static int ask(void *arg)
{
	const struct job *job = arg;
	int fd = tcp_connect(job->port), code = EXIT_DONE;
	char buf[SIZE_MAX_TRIP];

	if (fd < 0)
		return say(EXIT_UNAVAILABLE, "tcp: %s", strerror(-fd));
	for (unsigned i = 0; i < WARM + job->trips && code == EXIT_DONE; i++) {
		int64_t began = now_ns();
		uint64_t value;

		payload_write(buf, job->size, i + 1);
		code = send_all(fd, buf, job->size);
		if (code == EXIT_DONE)
			code = receive_all(fd, buf, job->size);
		(void)payload_read(buf, job->size, &value);
		if (code == EXIT_DONE && value != i + 1)
			code = say(EXIT_BROKEN, "tcp: other bytes came back");
		if (i >= WARM)
			job->ns[i - WARM] = (uint32_t)(now_ns() - began);
	}
	return code;
}

static int answer(void *arg)
{
	const struct job *job = arg;
	int fd = accept4(job->listener, NULL, NULL, SOCK_CLOEXEC), code = EXIT_DONE;
	char buf[SIZE_MAX_TRIP];

	if (fd < 0)
		return say(EXIT_UNAVAILABLE, "tcp: %s", strerror(errno));
	tcp_at_once(fd);
	for (unsigned i = 0; i < WARM + job->trips && code == EXIT_DONE; i++) {
		code = receive_all(fd, buf, job->size);
		if (code == EXIT_DONE)
			code = send_all(fd, buf, job->size);
	}
	return code;
}

int tcp_trips(const int cpus[2], size_t size, uint32_t *ret_ns, unsigned trips)
{
	struct job job = {.size = size, .trips = trips};
	struct crew crew = {0};
	int code;

	if (size > SIZE_MAX_TRIP)
		return say(EXIT_USAGE, "too long for a round trip: %zu bytes", size);
	job.ns = crew_memory(trips * sizeof(*job.ns));
	job.listener = tcp_listen(&job.port);
	if (!job.ns || job.listener < 0)
		return say(EXIT_UNAVAILABLE, "tcp: no socket or no memory");
	code = crew_add(&crew, "asking process", cpus[0], ask, &job);
	if (code == EXIT_DONE)
		code = crew_add(&crew, "answering process", cpus[1], answer, &job);
	if (code == EXIT_DONE)
		code = crew_wait(&crew);
	crew_kill(&crew);
	memcpy(ret_ns, job.ns, trips * sizeof(*job.ns));
	(void)munmap(job.ns, trips * sizeof(*job.ns));
	(void)close(job.listener);
	return code;
}
