/* SPDX-License-Identifier: ISC */
#ifndef SQI_MAP_H
#define SQI_MAP_H

/*
 * A handle's own descriptor of a segment, and its share of this process's one mapping of it. See
 * map.c.
 */

#include <stdbool.h>
#include <stdint.h>

/* One mapping of a segment, shared by all handles of this process on it. */
struct sqi_map;

struct sqi_attachment {
	unsigned char *base;
	int fd;            /* holds the lock that says that the participant lives */
	bool forked;       /* in the child: refuse everything */
	uint64_t dev, ino; /* of the object's file, which fd should be of */
	uint64_t tag;      /* of this process's attachments ever */
	struct sqi_map *map;
	struct sqi_attachment *next, **prev; /* all of the process */
};

/*
 * sqi_attach_lock(): around the opening of the descriptor and sqi_attach(), so that no fork comes
 * in between. 0, or why not.
 */
int sqi_attach_lock(void);
void sqi_attach_unlock(void);

/*
 * sqi_attach(): map the segment of file->fd, of `len` bytes, or share the mapping there is.
 * -ENOMEM: the descriptor is closed. The caller holds the lock.
 */
int sqi_attach(struct sqi_attachment *file, uint64_t dev, uint64_t ino, uint64_t len);

/* sqi_detach(): undo that, and close the descriptor. */
void sqi_detach(struct sqi_attachment *file);

/*
 * sqi_has_descriptor(): is the descriptor still that of the object? A program that closes all
 * descriptors, and opens others, has made it something else: then we can tell nothing about
 * anybody, and must not close it.
 */
bool sqi_has_descriptor(const struct sqi_attachment *file);

#endif
