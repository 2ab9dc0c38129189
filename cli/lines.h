/* SPDX-License-Identifier: ISC */
#ifndef CLI_LINES_H
#define CLI_LINES_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <sys/uio.h>

/*
 * A file read in large pieces and taken apart into lines, without copying them: a line points into
 * the buffer and is valid until the next lines_fill(). The buffer grows for a long line only.
 */

struct lines {
	int fd;
	char delimiter;
	bool ended; /* the file has */
	char *buf;
	size_t cap;
	size_t from;  /* the first byte not yet given out */
	size_t known; /* no delimiter between from and here */
	size_t to;    /* the end of what was read */
};

/* 0 or -ENOMEM. The descriptor is borrowed. */
int lines_init(struct lines *l, int fd, char delimiter);
void lines_deinit(struct lines *l);

/*
 * Read once, whatever there is. 1, or 0: the end. -EMSGSIZE: a line is longer than max bytes and
 * there is no room for more of it; -EINTR: a signal; else -errno.
 */
int lines_fill(struct lines *l, size_t max);

/*
 * The next whole line that was read, without its delimiter; after the end also the last one that
 * has none.
 */
bool lines_next(struct lines *l, struct iovec *ret);

/*
 * Put back all from this line on (NULL: all that was not given out), if the file can go back, so
 * that whoever reads it next finds it.
 */
void lines_return(const struct lines *l, const struct iovec *line);

#endif
