/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "handle.h"

/*
 * The mappings of this process: one for each segment, however many handles. And the list of all
 * handles, for the one thing that concerns them all: fork. Called by queue.c from any thread; a
 * mutex guards both lists.
 *
 * A child has neither the mapping (MADV_DONTFORK) nor, as soon as it runs, the descriptors: it must
 * not keep the parent's participants alive, nor act in their name. Its copies of the handles are
 * marked, and good for sq_close() only.
 */

struct sqi_map {
	uint64_t dev, ino, len;
	unsigned char *base;
	unsigned handles;
	struct sqi_map *next;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static int once_result;
static struct sqi_map *maps;
static struct sq *handles;
static uint64_t tags; /* the last one given */

static void before_fork(void)
{
	(void)pthread_mutex_lock(&lock);
}

static void after_fork_parent(void)
{
	(void)pthread_mutex_unlock(&lock);
}

static void after_fork_child(void)
{
	for (struct sq *h = handles; h; h = h->next) {
		h->forked = true;
		if (sqi_has_file(h))
			(void)close(h->fd);
		h->fd = -1;
	}
	handles = NULL;
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
	/* A second line of defence: the handles are marked too. */
	(void)madvise(base, len, MADV_DONTFORK);
	*m = (struct sqi_map){.dev = dev, .ino = ino, .len = len, .base = base, .next = maps};
	maps = m;
	return m;
}

/*
 * Around the opening of a handle's descriptor and sqi_map_handle(): no fork comes in between. 0, or
 * why not.
 */
int sqi_map_lock(void)
{
	(void)pthread_once(&once, init);
	if (once_result == 0)
		(void)pthread_mutex_lock(&lock);
	return once_result;
}

void sqi_map_unlock(void)
{
	(void)pthread_mutex_unlock(&lock);
}

/*
 * Map the segment of h->fd, of h->g.total bytes, or share the mapping there is; and list the
 * handle. -ENOMEM: the descriptor is closed. The caller holds the lock.
 */
int sqi_map_handle(struct sq *h, uint64_t dev, uint64_t ino)
{
	struct sqi_map *m;

	for (m = maps; m; m = m->next)
		if (m->dev == dev && m->ino == ino && m->len == h->g.total)
			break;
	if (!m)
		m = map_new(h->fd, dev, ino, h->g.total);
	if (!m) {
		(void)close(h->fd);
		return -ENOMEM;
	}
	m->handles++;
	h->tag = ++tags;
	h->map = m;
	h->dev = dev;
	h->ino = ino;
	h->base = m->base;
	h->next = handles;
	h->prev = &handles;
	if (handles)
		handles->prev = &h->next;
	handles = h;
	return 0;
}

/* Undo that, and close the descriptor. */
void sqi_unmap_handle(struct sq *h)
{
	struct sqi_map **at;

	(void)pthread_mutex_lock(&lock);
	*h->prev = h->next;
	if (h->next)
		h->next->prev = h->prev;
	if (--h->map->handles == 0) {
		(void)munmap(h->map->base, h->map->len);
		for (at = &maps; *at != h->map; at = &(*at)->next)
			;
		*at = h->map->next;
		free(h->map);
	}
	if (sqi_has_file(h))
		(void)close(h->fd);
	h->fd = -1;
	h->map = NULL;
	h->base = NULL;
	(void)pthread_mutex_unlock(&lock);
}
