/* SPDX-License-Identifier: ISC */
#ifndef SQI_MAP_H
#define SQI_MAP_H

/*
 * An attachment: a handle's own descriptor of a segment's file, and its share of this process's one
 * mapping of the segment. See map.c.
 */

#include <stdbool.h>
#include <stdint.h>

/* One mapping of a segment, shared by all handles of this process on it. */
struct sqi_map;

struct sqi_attachment {
	unsigned char *base;
	int fd;            /* holds the lock that says that the participant lives */
	bool forked;       /* this is a forked child's copy: only sq_close() may be called */
	uint64_t dev, ino; /* of the segment's file; fd may have become another's */
	uint64_t tag;      /* a number of its own among all attachments of this process, ever */
	struct sqi_map *map;
	struct sqi_attachment *next, **prev; /* the list of all attachments of this process */
};

/*
 * sqi_attach_lock(): to be held from before the descriptor is opened until sqi_attach() has
 * returned, so that no fork comes in between. 0; or the error of pthread_atfork(), and nothing is
 * locked.
 */
int sqi_attach_lock(void);
void sqi_attach_unlock(void);

/*
 * sqi_attach(): maps the segment of file->fd, of `len` bytes, or shares the mapping that there is.
 * 0, or -ENOMEM, and the descriptor is closed. The caller holds the lock of sqi_attach_lock().
 */
int sqi_attach(struct sqi_attachment *file, uint64_t dev, uint64_t ino, uint64_t len);

/* sqi_detach(): undoes sqi_attach(), and closes the descriptor. */
void sqi_detach(struct sqi_attachment *file);

/*
 * sqi_has_descriptor(): true if the descriptor is still one of the segment's file. A program that
 * closes all descriptors and opens others may have made it one of another file. Then it must not be
 * closed, and it says nothing about which participants live.
 */
bool sqi_has_descriptor(const struct sqi_attachment *file);

#endif
