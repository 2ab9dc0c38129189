/* SPDX-License-Identifier: ISC */
#include "segment/map.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * The mappings of this process: one for each segment, shared by all handles on it. And the list of
 * all attachments, which is there for fork(). Called by queue.c from any thread of the process; a
 * mutex guards both lists, and is held during a fork.
 *
 * A forked child must not keep the parent's participants alive, nor act in their name. So it has
 * not the mapping (MADV_DONTFORK), its copies of the descriptors are closed before fork() returns,
 * and its copies of the handles are marked: sq_close() is all that may be called on them.
 */

struct sqi_map {
	uint64_t dev, ino, len;
	unsigned char *base;
	unsigned handles; /* the attachments that share it */
	struct sqi_map *next;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static int once_result;
static struct sqi_map *maps;
static struct sqi_attachment *attachments;
static uint64_t tags; /* the last tag given */

static void before_fork(void)
{
	(void)pthread_mutex_lock(&lock);
}

static void after_fork_parent(void)
{
	(void)pthread_mutex_unlock(&lock);
}

/* In the child, before fork() returns: marks the attachments, and empties both lists. */
static void after_fork_child(void)
{
	for (struct sqi_attachment *file = attachments; file; file = file->next) {
		file->forked = true;
		if (sqi_has_descriptor(file))
			(void)close(file->fd);
		file->fd = -1;
	}
	attachments = NULL;
	while (maps) {
		struct sqi_map *m = maps;

		maps = m->next;
		free(m);
	}
	(void)pthread_mutex_unlock(&lock);
}

static void init(void)
{
	once_result = -pthread_atfork(before_fork, after_fork_parent, after_fork_child);
}

/* Maps the segment and adds it to the list; NULL if there is no memory. The lock is held. */
static struct sqi_map *map_new(int fd, uint64_t dev, uint64_t ino, uint64_t len)
{
	struct sqi_map *m = calloc(1, sizeof(*m));
	void *base;

	if (!m)
		return NULL;
	base = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (base == MAP_FAILED) {
		free(m);
		return NULL;
	}
	/* If this fails the child has the mapping, but its handles are marked all the same. */
	(void)madvise(base, len, MADV_DONTFORK);
	*m = (struct sqi_map){.dev = dev, .ino = ino, .len = len, .base = base, .next = maps};
	maps = m;
	return m;
}

int sqi_attach_lock(void)
{
	(void)pthread_once(&once, init);
	if (once_result == 0)
		(void)pthread_mutex_lock(&lock);
	return once_result;
}

void sqi_attach_unlock(void)
{
	(void)pthread_mutex_unlock(&lock);
}

int sqi_attach(struct sqi_attachment *file, uint64_t dev, uint64_t ino, uint64_t len)
{
	struct sqi_map *m;

	for (m = maps; m; m = m->next)
		if (m->dev == dev && m->ino == ino && m->len == len)
			break;
	if (!m)
		m = map_new(file->fd, dev, ino, len);
	if (!m) {
		(void)close(file->fd);
		return -ENOMEM;
	}
	m->handles++;
	file->tag = ++tags;
	file->map = m;
	file->dev = dev;
	file->ino = ino;
	file->base = m->base;
	file->next = attachments;
	file->prev = &attachments;
	if (attachments)
		attachments->prev = &file->next;
	attachments = file;
	return 0;
}

void sqi_detach(struct sqi_attachment *file)
{
	struct sqi_map **at;

	(void)pthread_mutex_lock(&lock);
	*file->prev = file->next;
	if (file->next)
		file->next->prev = file->prev;
	if (--file->map->handles == 0) {
		(void)munmap(file->map->base, file->map->len);
		for (at = &maps; *at != file->map; at = &(*at)->next)
			;
		*at = file->map->next;
		free(file->map);
	}
	if (sqi_has_descriptor(file))
		(void)close(file->fd);
	file->fd = -1;
	file->map = NULL;
	file->base = NULL;
	(void)pthread_mutex_unlock(&lock);
}

bool sqi_has_descriptor(const struct sqi_attachment *file)
{
	struct stat st;

	return fstat(file->fd, &st) == 0 && st.st_dev == file->dev && st.st_ino == file->ino;
}
