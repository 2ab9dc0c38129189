/* SPDX-License-Identifier: ISC */
#include "output.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "stop.h"

#define COMPARE_BYTES ((size_t)64 << 10)

enum kind {
	KIND_UNKNOWN,
	KIND_TERMINAL,
	KIND_LOCAL_STREAM, /* a stream socket of this host */
	KIND_SOCKET,
	KIND_OTHER
};

/* Asked at the start: once the terminal is gone, isatty() says no. */
static enum kind kind_of_output(void)
{
	static enum kind kind;
	int domain, type;
	socklen_t len = sizeof(int);

	if (kind != KIND_UNKNOWN)
		return kind;
	kind = KIND_OTHER;
	if (isatty(STDOUT_FILENO))
		kind = KIND_TERMINAL;
	else if (getsockopt(STDOUT_FILENO, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 &&
		 getsockopt(STDOUT_FILENO, SOL_SOCKET, SO_TYPE, &type, &len) == 0)
		kind = domain == AF_UNIX && type == SOCK_STREAM ? KIND_LOCAL_STREAM : KIND_SOCKET;
	return kind;
}

/*
 * A peer that has closed a TCP connection cannot be told from one that only sends no more, until
 * what was written to it is lost: so it counts as gone. One on this host can.
 */
static short events_of_output(void)
{
	return kind_of_output() == KIND_SOCKET ? POLLOUT | POLLRDHUP : POLLOUT;
}

/* A peer that has only shut down its reading is told by no event. Nothing is sent by this. */
static bool shut_down(void)
{
	return kind_of_output() == KIND_LOCAL_STREAM &&
	       send(STDOUT_FILENO, "", 0, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 && errno == EPIPE;
}

/* What poll() gave, of which POLLOUT is no bad news. */
static bool tells_gone(short revents)
{
	return (revents & (POLLERR | POLLHUP | POLLNVAL | POLLRDHUP)) != 0 || shut_down();
}

bool output_gone(void)
{
	struct pollfd out = {.fd = STDOUT_FILENO, .events = events_of_output()};

	return poll(&out, 1, 0) >= 0 && tells_gone(out.revents);
}

int output_wait(int timeout_ms)
{
	struct pollfd out = {.fd = STDOUT_FILENO, .events = events_of_output()};

	while (!stop_wanted()) {
		if (poll(&out, 1, timeout_ms) < 0 && errno == EINTR)
			continue;
		return tells_gone(out.revents) ? -EPIPE : 0;
	}
	return -EINTR;
}

int output_pause(int64_t span_ns)
{
	struct pollfd out = {.fd = STDOUT_FILENO, .events = (short)(events_of_output() & ~POLLOUT)};
	struct timespec span = {.tv_sec = span_ns / 1000000000, .tv_nsec = span_ns % 1000000000};

	if (ppoll(&out, 1, &span, NULL) >= 0 && tells_gone(out.revents))
		return -EPIPE;
	return stop_wanted() ? -EINTR : 0;
}

static int error_of_write(int error)
{
	switch (error) {
	case ECONNRESET:
	case ECONNREFUSED:
	case ENOTCONN:
		return -EPIPE;
	case EIO:
		return kind_of_output() == KIND_TERMINAL ? -EPIPE : -EIO;
	default:
		return -error;
	}
}

int output_write(const char *data, size_t len, size_t *ret)
{
	int r = 0;

	(void)kind_of_output();
	*ret = 0;
	while (r == 0 && *ret < len) {
		ssize_t n = write(STDOUT_FILENO, data + *ret, len - *ret);

		if (n >= 0)
			*ret += (size_t)n;
		else if (errno == EAGAIN || errno == EINTR)
			r = output_wait(-1);
		else
			r = error_of_write(errno);
	}
	return r;
}

/* Is this, or as much of it as is compared, what stands before that place? */
static bool ends_with(off_t end, const char *data, size_t n)
{
	/* Our own descriptor may be for writing only. */
	int fd = open("/proc/self/fd/1", O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	char there[4096];
	bool same = fd >= 0;

	if (n > COMPARE_BYTES) {
		data += n - COMPARE_BYTES;
		n = COMPARE_BYTES;
	}
	while (same && n > 0) {
		size_t part = n < sizeof(there) ? n : sizeof(there);

		same = pread(fd, there, part, end - (off_t)n) == (ssize_t)part &&
		       memcmp(there, data, part) == 0;
		data += part;
		n -= part;
	}
	if (fd >= 0)
		(void)close(fd);
	return same;
}

/*
 * The kernel grants this lease only if no other process has the file open, and makes an open() by
 * another wait meanwhile. It tells us by SIGIO.
 */
static bool hold_off_others(bool on)
{
	(void)signal(SIGIO, SIG_IGN);
	return fcntl(STDOUT_FILENO, F_SETLEASE, on ? F_WRLCK : F_UNLCK) == 0;
}

bool output_take_back(const char *data, size_t n)
{
	int flags = fcntl(STDOUT_FILENO, F_GETFL);
	off_t end = lseek(STDOUT_FILENO, 0, SEEK_CUR);
	struct stat st;
	bool done;

	/* Our place is behind what we wrote: it must be the end of the file, and that ours. */
	if (flags < 0 || end < 0 || (uintmax_t)end < n || fstat(STDOUT_FILENO, &st) < 0 ||
		!S_ISREG(st.st_mode) || st.st_size != end || !ends_with(end, data, n))
		return false;
	/* Another process that has it open may append at any moment, as we do. */
	if ((flags & O_APPEND) && !hold_off_others(true))
		return false;
	done = fstat(STDOUT_FILENO, &st) == 0 && st.st_size == end &&
	       ftruncate(STDOUT_FILENO, end - (off_t)n) == 0;
	if (flags & O_APPEND)
		(void)hold_off_others(false);
	/* A process that shares our file offset must not leave a hole when it writes on. */
	if (done)
		(void)lseek(STDOUT_FILENO, end - (off_t)n, SEEK_SET);
	return done;
}
