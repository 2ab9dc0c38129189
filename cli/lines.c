/* SPDX-License-Identifier: ISC */
#include "lines.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define READ_BYTES ((size_t)256 << 10)

int lines_init(struct lines *l, int fd, char delimiter)
{
	*l = (struct lines){.fd = fd, .delimiter = delimiter, .cap = READ_BYTES};
	l->buf = malloc(l->cap);
	return l->buf ? 0 : -ENOMEM;
}

void lines_deinit(struct lines *l)
{
	free(l->buf);
	l->buf = NULL;
}

/*
 * Room behind `to`: a line of max bytes and its delimiter must fit, and no more than that is ever
 * taken.
 */
static int make_room(struct lines *l, size_t max)
{
	size_t cap = l->cap * 2;
	char *buf;

	if (l->from > 0) {
		memmove(l->buf, l->buf + l->from, l->to - l->from);
		l->to -= l->from;
		l->known -= l->from;
		l->from = 0;
	}
	if (l->to < l->cap)
		return 0;
	if (l->cap > max)
		return -EMSGSIZE;
	if (cap > max + 1)
		cap = max + 1;
	buf = realloc(l->buf, cap);
	if (!buf)
		return -ENOMEM;
	l->buf = buf;
	l->cap = cap;
	return 0;
}

int lines_fill(struct lines *l, size_t max)
{
	ssize_t n;
	int r;

	if (l->ended)
		return 0;
	r = make_room(l, max);
	if (r < 0)
		return r;
	n = read(l->fd, l->buf + l->to, l->cap - l->to);
	if (n < 0 && errno == EAGAIN) {
		/*
		 * The descriptor was made non-blocking by another process, and may be shared: it is
		 * left so.
		 */
		(void)poll(&(struct pollfd){.fd = l->fd, .events = POLLIN}, 1, -1);
		return -EINTR;
	}
	if (n < 0)
		return -errno;
	l->to += (size_t)n;
	l->ended = n == 0;
	return n > 0;
}

bool lines_next(struct lines *l, struct iovec *ret)
{
	char *begin = l->buf + l->from;
	const char *end = memchr(l->buf + l->known, l->delimiter, l->to - l->known);

	if (end) {
		*ret = (struct iovec){.iov_base = begin, .iov_len = (size_t)(end - begin)};
		l->from = (size_t)(end - l->buf) + 1;
		l->known = l->from;
		return true;
	}
	l->known = l->to;
	if (!l->ended || l->from == l->to)
		return false;
	*ret = (struct iovec){.iov_base = begin, .iov_len = l->to - l->from};
	l->from = l->to;
	return true;
}

void lines_return(const struct lines *l, const struct iovec *line)
{
	const char *begin = line ? line->iov_base : l->buf + l->from;

	/* A pipe cannot go back; then the number of the item is told. */
	(void)lseek(l->fd, -(off_t)(l->buf + l->to - begin), SEEK_CUR);
}
