/* SPDX-License-Identifier: ISC */
#include "ledger.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef LEDGER_STEP /* a step of the simulator: a bridge can be killed here */
#define LEDGER_STEP() ((void)0)
#endif

#define DIRECTORY "/dev/shm/"
#define MAGIC     "sqledger"
#define VERSION   1
#define TAG_SHIFT 8
#define PATH_MAX_ (sizeof(DIRECTORY) + LEDGER_NAME_MAX + 24)
#define TRIES_MAX 8

struct head {
	char magic[8];
	uint32_t version;
	uint32_t entries;
	_Atomic uint64_t epoch;
	_Atomic uint64_t entered;
	uint8_t instance[LEDGER_INSTANCE];
	_Atomic uint64_t run;
	uint8_t unused[8];
};

/* tag: sequence << 8 | attempts; 0: free */
struct place {
	_Atomic uint64_t id;
	_Atomic uint64_t tag;
};

_Static_assert(sizeof(struct head) == 64 && sizeof(struct place) == 16, "layout");

struct ledger {
	struct head *head;
	struct place *places;
	uint32_t *unused; /* places that are free, as a stack */
	uint32_t free;
	uint32_t entries;
	size_t bytes;
	int fd;
	char path[PATH_MAX_];
};

static size_t bytes_for(uint32_t entries)
{
	return sizeof(struct head) + (size_t)entries * sizeof(struct place);
}

static int lock(int fd)
{
	struct flock all = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

	if (fcntl(fd, F_OFD_SETLK, &all) == 0)
		return 0;
	return errno == EAGAIN || errno == EACCES ? -EBUSY : -errno;
}

/* Made under another name and linked to its own: there whole or not at all. */
static int make(const char *path, uint32_t entries)
{
	struct head head = {.magic = MAGIC, .version = VERSION, .entries = entries};
	char temporary[PATH_MAX_ + 24];
	uint64_t nonce;
	int fd, r;

	if (getrandom(&nonce, sizeof(nonce), 0) != (ssize_t)sizeof(nonce))
		return -errno;
	(void)snprintf(temporary, sizeof(temporary), "%s.%016llx", path, (unsigned long long)nonce);
	fd = open(temporary, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	r = -posix_fallocate(fd, 0, (off_t)bytes_for(entries));
	r = r == -ENOSPC ? -ENOBUFS : r;
	if (r == 0 && pwrite(fd, &head, sizeof(head), 0) != (ssize_t)sizeof(head))
		r = -EIO;
	if (r == 0 && link(temporary, path) < 0 && errno != EEXIST)
		r = -errno;
	(void)unlink(temporary);
	(void)close(fd);
	return r;
}

/* Is this a ledger of ours? */
static int check(int fd, uint32_t *ret_entries)
{
	struct head head;
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	/*
	 * In /dev/shm any user may make a file of this name, and write to it later: it must be our
	 * own.
	 */
	if (st.st_uid != geteuid())
		return -EUCLEAN;
	/*
	 * It may be larger than it says, if a daemon was killed while it changed that; never
	 * smaller.
	 */
	if (!S_ISREG(st.st_mode) || pread(fd, &head, sizeof(head), 0) != (ssize_t)sizeof(head) ||
		memcmp(head.magic, MAGIC, sizeof(head.magic)) != 0 || head.version != VERSION ||
		head.entries == 0 || (uint64_t)st.st_size < bytes_for(head.entries))
		return -EPROTO;
	*ret_entries = head.entries;
	return 0;
}

/* Is the file still the one of that name? Another may have removed it before we had the lock. */
static bool stands(int fd, const char *path)
{
	struct stat ours, theirs;

	return fstat(fd, &ours) == 0 && lstat(path, &theirs) == 0 && ours.st_ino == theirs.st_ino &&
	       ours.st_dev == theirs.st_dev;
}

static int get_file(int *ret_fd, const char *path, uint32_t entries, uint32_t *ret_entries)
{
	for (int i = 0; i < TRIES_MAX; i++) {
		int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK), r;

		if (fd < 0 && errno != ENOENT)
			return errno == ELOOP || errno == EISDIR || errno == ENXIO ? -EPROTO
										   : -errno;
		if (fd < 0) {
			r = make(path, entries);
			if (r < 0)
				return r;
			continue;
		}
		r = check(fd, ret_entries);
		if (r == 0)
			r = lock(fd);
		if (r == 0 && stands(fd, path)) {
			*ret_fd = fd;
			return 0;
		}
		(void)close(fd);
		if (r < 0)
			return r;
	}
	return -EBUSY;
}

/* How many places there must be so that none that is in use is lost. */
static int used(int fd, uint32_t entries, uint32_t *ret)
{
	struct place place;

	for (*ret = entries; *ret > 0; --*ret) {
		off_t at = (off_t)(bytes_for(*ret) - sizeof(place));

		if (pread(fd, &place, sizeof(place), at) != (ssize_t)sizeof(place))
			return -EIO;
		if (atomic_load(&place.tag) != 0)
			break;
	}
	return 0;
}

/*
 * To as many places as are wanted now, or as few as are in use. At each instant the file has at least
 * those that its head says. No room for more: then it stays as it is.
 */
static int resize(int fd, uint32_t wanted, uint32_t *entries)
{
	uint32_t least;
	int r;

	if (wanted == *entries)
		return 0;
	r = used(fd, *entries, &least);
	if (r < 0)
		return r;
	if (wanted < least)
		wanted = least;
	if (wanted > *entries && posix_fallocate(fd, 0, (off_t)bytes_for(wanted)) != 0)
		return 0;
	if (pwrite(fd, &wanted, sizeof(wanted), offsetof(struct head, entries)) !=
		(ssize_t)sizeof(wanted))
		return -EIO;
	*entries = wanted;
	(void)ftruncate(fd, (off_t)bytes_for(wanted)); /* else it is only larger than it need be */
	return 0;
}

int ledger_open(struct ledger **ret, const char *name, uint32_t entries)
{
	struct ledger *l;
	void *base;
	int r;

	if (!name[0] || strlen(name) > LEDGER_NAME_MAX || strchr(name, '/') || entries == 0)
		return -EINVAL;
	l = calloc(1, sizeof(*l));
	if (!l)
		return -ENOMEM;
	(void)snprintf(l->path, sizeof(l->path), DIRECTORY "%s", name);
	r = get_file(&l->fd, l->path, entries, &l->entries);
	if (r < 0)
		goto free_ledger;
	r = resize(l->fd, entries, &l->entries);
	if (r < 0)
		goto close_file;
	l->bytes = bytes_for(l->entries);
	l->unused = calloc(l->entries, sizeof(*l->unused));
	r = -ENOMEM;
	if (!l->unused)
		goto close_file;
	base = mmap(NULL, l->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, l->fd, 0);
	if (base == MAP_FAILED)
		goto free_unused;
	l->head = base;
	l->places = (struct place *)(l->head + 1);
	for (uint32_t i = l->entries; i-- > 0;)
		if (atomic_load(&l->places[i].tag) == 0)
			l->unused[l->free++] = i;
	*ret = l;
	return 0;

free_unused:
	free(l->unused);
close_file:
	(void)close(l->fd);
free_ledger:
	free(l);
	return r;
}

void ledger_close(struct ledger *l)
{
	if (!l)
		return;
	(void)munmap(l->head, l->bytes);
	(void)close(l->fd);
	free(l->unused);
	free(l);
}

void ledger_remove(struct ledger *l)
{
	if (l)
		(void)unlink(l->path); /* best effort: what is left holds nothing */
	ledger_close(l);
}

uint32_t ledger_room(const struct ledger *l)
{
	return l->entries;
}

uint32_t ledger_count(const struct ledger *l)
{
	return l->entries - l->free;
}

int ledger_add(struct ledger *l, const struct ledger_entry *entry, uint32_t *ret_place)
{
	uint32_t i;

	if (l->free == 0)
		return -ENOSPC;
	i = l->unused[--l->free];
	LEDGER_STEP();
	atomic_store_explicit(&l->places[i].id, entry->id, memory_order_relaxed);
	LEDGER_STEP();
	/* Release: whoever finds the tag after our death finds the id. */
	atomic_store_explicit(&l->places[i].tag,
		entry->sequence << TAG_SHIFT | (entry->attempts & 0xff), memory_order_release);
	*ret_place = i;
	return 0;
}

void ledger_clear(struct ledger *l, uint32_t place)
{
	LEDGER_STEP();
	atomic_store_explicit(&l->places[place].tag, 0, memory_order_release);
	l->unused[l->free++] = place;
}

int ledger_next(const struct ledger *l, uint32_t *place, struct ledger_entry *ret)
{
	for (uint32_t i = *place; i < l->entries; i++) {
		uint64_t tag = atomic_load(&l->places[i].tag);

		if (tag == 0)
			continue;
		*ret = (struct ledger_entry){
			.id = atomic_load(&l->places[i].id),
			.sequence = tag >> TAG_SHIFT,
			.attempts = tag & 0xff,
		};
		*place = i;
		return 0;
	}
	return -ENOENT;
}

uint64_t ledger_epoch(const struct ledger *l)
{
	return atomic_load(&l->head->epoch);
}

void ledger_set_epoch(struct ledger *l, uint64_t epoch)
{
	LEDGER_STEP();
	atomic_store(&l->head->epoch, epoch);
}

uint64_t ledger_entered(const struct ledger *l)
{
	return atomic_load(&l->head->entered);
}

void ledger_set_entered(struct ledger *l, uint64_t sequence)
{
	LEDGER_STEP();
	atomic_store(&l->head->entered, sequence);
}

uint64_t ledger_run(const struct ledger *l)
{
	return atomic_load(&l->head->run);
}

void ledger_set_run(struct ledger *l, uint64_t run)
{
	LEDGER_STEP();
	atomic_store(&l->head->run, run);
}

void ledger_instance(const struct ledger *l, uint8_t ret[LEDGER_INSTANCE])
{
	memcpy(ret, l->head->instance, LEDGER_INSTANCE);
}

void ledger_set_instance(struct ledger *l, const uint8_t instance[LEDGER_INSTANCE])
{
	LEDGER_STEP();
	memcpy(l->head->instance, instance, LEDGER_INSTANCE);
}
