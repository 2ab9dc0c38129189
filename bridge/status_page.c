/* SPDX-License-Identifier: ISC */
#include "status_page.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define DIRECTORY "/dev/shm/"
#define BEGIN     "sqb."
#define END       ".status"
#define MAGIC     "sqstatus"
#define WORD      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"
#define TRIES_MAX 16
#define BYTES_MAX (sizeof(struct status_head) + STATUS_RECORDS_MAX * sizeof(struct status_stream))

_Static_assert(sizeof(struct status_head) == 320 && sizeof(struct status_link) == 120 &&
		       sizeof(struct status_stream) == 304,
	"layout");
_Static_assert(sizeof(struct status_link) <= sizeof(struct status_stream), "BYTES_MAX");

/* A word of these letters, that ends with `end` and is not too long: its length, else 0. */
static size_t word(const char *s, char end, size_t max)
{
	size_t n = strspn(s, WORD);

	return n <= max && s[n] == end ? n : 0;
}

bool status_page_name(struct status_name *ret, const char *file)
{
	const char *prefix = file + strlen(BEGIN), *name;
	size_t p, n;

	if (strncmp(file, BEGIN, strlen(BEGIN)) != 0)
		return false;
	/*
	 * Neither prefix nor name has a dot in it. So no ledger's name is a page's, whatever its
	 * peer and queue are called.
	 */
	p = word(prefix, '.', STATUS_PREFIX_MAX);
	name = prefix + p + 1;
	n = p ? word(name, '.', STATUS_NAME_MAX) : 0;
	if (!n || strcmp(name + n, END) != 0)
		return false;
	*ret = (struct status_name){0};
	memcpy(ret->prefix, prefix, p);
	memcpy(ret->name, name, n);
	return true;
}

static int is_page(const struct dirent *e)
{
	struct status_name of;

	return status_page_name(&of, e->d_name);
}

int status_page_list(struct status_name **ret, size_t *ret_n)
{
	struct status_name *names;
	struct dirent **list;
	int n = scandir(DIRECTORY, &list, is_page, alphasort);

	if (n < 0)
		return -errno;
	names = calloc((size_t)n + 1, sizeof(*names));
	for (int i = 0; i < n; i++) {
		if (names)
			(void)status_page_name(&names[i], list[i]->d_name); /* it was one */
		free(list[i]);
	}
	free(list);
	if (!names)
		return -ENOMEM;
	*ret = names;
	*ret_n = (size_t)n;
	return 0;
}

static void path_of(char ret[static STATUS_PATH_MAX], const struct status_name *of, const char *end)
{
	_Static_assert(sizeof(DIRECTORY BEGIN END ".new.") + STATUS_PREFIX_MAX + STATUS_NAME_MAX <=
			       STATUS_PATH_MAX,
		"a path");

	(void)snprintf(
		ret, STATUS_PATH_MAX, DIRECTORY BEGIN "%s.%s" END "%s", of->prefix, of->name, end);
}

/* FNV-1a: a change of any one byte changes the sum. */
static uint64_t add(uint64_t sum, const void *bytes, size_t len)
{
	const unsigned char *b = bytes;

	for (size_t i = 0; i < len; i++)
		sum = (sum ^ b[i]) * 0x100000001b3u;
	return sum;
}

static uint64_t sum_of(const struct status_page *p)
{
	const size_t from = offsetof(struct status_head, sum) + sizeof(p->head.sum);
	uint64_t sum = 0xcbf29ce484222325u;

	sum = add(sum, &p->head.left_out, sizeof(p->head.left_out));
	sum = add(sum, (const char *)&p->head + from, sizeof(p->head) - from);
	sum = add(sum, p->link, p->head.links * sizeof(*p->link));
	return add(sum, p->stream, p->head.streams * sizeof(*p->stream));
}

/* Ends within its field, and has no letters but these; `empty`: or is "". */
static bool text_ok(const char *text, size_t max, const char *letters, bool empty)
{
	size_t n = strnlen(text, max + 1);

	return n <= max && strspn(text, letters) == n && (n > 0 || empty);
}

static bool head_ok(const struct status_head *h)
{
	if (h->role < STATUS_HUB || h->role > STATUS_LEAF || h->state < STATUS_RUNNING ||
		h->state > STATUS_STOPPED)
		return false;
	/* As of names and numbers of hosts, and the brackets round the latter. */
	return text_ok(h->address, STATUS_ADDRESS_MAX, WORD ".:%[]", true);
}

static bool link_ok(const struct status_link *l)
{
	return l->up <= 1 && text_ok(l->peer, STATUS_PEER_MAX, WORD ".@", false);
}

static bool stream_ok(const struct status_stream *s, uint32_t links)
{
	return s->link < links && s->direction >= STATUS_PULL && s->direction <= STATUS_PUSH &&
	       s->missing <= 1 && s->sends <= 1 &&
	       text_ok(s->queue, STATUS_QUEUE_MAX, WORD, false) &&
	       text_ok(s->local, STATUS_LOCAL_MAX, WORD ".", true);
}

int status_page_check(struct status_page *ret, void *bytes, size_t len)
{
	struct status_page p = {0};
	size_t records;

	if (len < sizeof(p.head))
		return -EPROTO;
	memcpy(&p.head, bytes, sizeof(p.head));
	if (memcmp(p.head.magic, MAGIC, sizeof(p.head.magic)) != 0 ||
		p.head.version != STATUS_VERSION)
		return -EPROTO;
	records = (size_t)p.head.links + p.head.streams;
	if (records > STATUS_RECORDS_MAX || len != sizeof(p.head) + p.head.links * sizeof(*p.link) +
							    p.head.streams * sizeof(*p.stream))
		return -EBADMSG;
	p.link = (void *)((char *)bytes + sizeof(p.head));
	p.stream = (void *)(p.link + p.head.links);
	if (sum_of(&p) != p.head.sum || !head_ok(&p.head))
		return -EBADMSG;
	for (uint32_t i = 0; i < p.head.links; i++)
		if (!link_ok(&p.link[i]))
			return -EBADMSG;
	for (uint32_t i = 0; i < p.head.streams; i++)
		if (!stream_ok(&p.stream[i], p.head.links))
			return -EBADMSG;
	*ret = p;
	return 0;
}

/* All of the file, to memory. */
static int load(void **ret, size_t *ret_len, int fd)
{
	size_t len = 0, size;
	struct stat st;
	char *bytes;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_size < (off_t)sizeof(struct status_head))
		return -EPROTO;
	if (st.st_size > (off_t)BYTES_MAX)
		return -EBADMSG;
	size = (size_t)st.st_size;
	bytes = malloc(size);
	if (!bytes)
		return -ENOMEM;
	while (len < size) {
		ssize_t n = pread(fd, bytes + len, size - len, (off_t)len);

		if (n <= 0)
			break; /* the file was cut meanwhile: then it is too short */
		len += (size_t)n;
	}
	*ret = bytes;
	*ret_len = len;
	return 0;
}

/* Is the file locked? */
static int locked(int fd)
{
	struct flock all = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

	if (fcntl(fd, F_OFD_GETLK, &all) < 0)
		return -errno;
	return all.l_type != F_UNLCK;
}

/* Does this file bear the name still? While it is open, no other has its number. */
static bool stands(int fd, const char *path)
{
	struct stat ours, theirs;

	return fstat(fd, &ours) == 0 && lstat(path, &theirs) == 0 && ours.st_ino == theirs.st_ino &&
	       ours.st_dev == theirs.st_dev;
}

/*
 * One try. -EAGAIN: the page was replaced meanwhile. At the last try that is no error: the daemon
 * that replaced it is alive.
 */
static int read_once(struct status_page *ret, const char *path, bool last)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK), r, runs;
	struct status_page page;
	void *bytes = NULL;
	size_t len = 0;

	if (fd < 0)
		return errno == ELOOP || errno == ENXIO ? -EPROTO : -errno;
	r = load(&bytes, &len, fd);
	if (r == 0)
		r = status_page_check(&page, bytes, len);
	runs = locked(fd);
	if (r == 0 && runs < 0)
		r = runs;
	/* Without a lock, and no longer of this name: it was replaced. */
	if (r == 0 && !runs && !stands(fd, path)) {
		r = last ? 0 : -EAGAIN;
		runs = last;
	}
	(void)close(fd);
	if (r < 0) {
		free(bytes);
		return r;
	}
	page.runs = runs;
	*ret = page;
	return 0;
}

int status_page_read(struct status_page *ret, const struct status_name *of)
{
	char path[STATUS_PATH_MAX];
	int r = -EAGAIN;

	path_of(path, of, "");
	for (int i = 1; r == -EAGAIN && i <= TRIES_MAX; i++)
		r = read_once(ret, path, i == TRIES_MAX);
	return r;
}

void status_page_free(struct status_page *page)
{
	/* All of it is one piece, of which the head was copied. */
	if (page->link)
		free((char *)page->link - sizeof(page->head));
	*page = (struct status_page){0};
}

void status_writer_init(struct status_writer *w, const struct status_name *of)
{
	path_of(w->path, of, "");
	path_of(w->temporary, of, ".new");
	w->fd = -1;
}

static int write_all(int fd, const struct status_page *p)
{
	struct iovec parts[] = {
		{.iov_base = (void *)&p->head, .iov_len = sizeof(p->head)},
		{.iov_base = p->link, .iov_len = p->head.links * sizeof(*p->link)},
		{.iov_base = p->stream, .iov_len = p->head.streams * sizeof(*p->stream)},
	};
	size_t len = parts[0].iov_len + parts[1].iov_len + parts[2].iov_len;
	ssize_t n = writev(fd, parts, 3);

	if (n < 0)
		return -errno;
	return (size_t)n == len ? 0 : -ENOSPC; /* /dev/shm is full */
}

int status_page_write(struct status_writer *w, struct status_page *p, mode_t mode)
{
	struct flock all = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	int fd, r = 0;

	memcpy(p->head.magic, MAGIC, sizeof(p->head.magic));
	p->head.version = STATUS_VERSION;
	p->head.sum = sum_of(p);
	/* A daemon that was killed during a write has left one. */
	(void)unlink(w->temporary);
	fd = open(w->temporary, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	if (fcntl(fd, F_OFD_SETLK, &all) < 0)
		r = -errno;
	if (r == 0)
		r = write_all(fd, p);
	/* Last: until then no other user can open it, and lock it first. */
	if (r == 0 && fchmod(fd, 0600 | (mode & 0044)) < 0)
		r = -errno;
	if (r == 0 && rename(w->temporary, w->path) < 0)
		r = -errno;
	if (r < 0) {
		(void)unlink(w->temporary);
		(void)close(fd);
		return r;
	}
	if (w->fd >= 0)
		(void)close(w->fd);
	w->fd = fd;
	return 0;
}

void status_writer_deinit(struct status_writer *w, bool remove)
{
	if (w->fd < 0)
		return;
	if (remove)
		(void)unlink(w->path); /* the page stays, without a lock: no daemon runs */
	(void)close(w->fd);
	w->fd = -1;
}
