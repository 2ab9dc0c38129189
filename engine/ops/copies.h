/* SPDX-License-Identifier: ISC */
#ifndef SQI_COPIES_H
#define SQI_COPIES_H

/*
 * The messages that a handle has leased in a queue with a lease time. Each is a copy in memory of
 * the handle, which stays valid until the lease is settled, however long ago it has ended. Private
 * to the handle's thread.
 *
 * A copy has a number. A lease holds it beside the message's id and the lease's own number. These
 * three distinguish the lease from any other of this handle until it is settled.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sqi_copy {
	uint64_t id;
	uint32_t lease; /* number of the lease; 0: the copy is free */
	uint32_t next;  /* number of the next free copy */
	void *data;
	size_t cap;
};

struct sqi_copies {
	struct sqi_copy *list; /* the copy of number n is list[n - 1] */
	uint32_t count, free;
};

/*
 * sqi_copy_new(): make room for a message of len bytes. *ret is the copy's number and *ret_data its
 * memory, aligned to 16. The copy is not yet that of a lease. Returns 0 or -ENOMEM.
 */
int sqi_copy_new(struct sqi_copies *copies, size_t len, uint32_t *ret, void **ret_data);

/* sqi_copy_name(): from now on the copy is that of this lease. */
void sqi_copy_name(struct sqi_copies *copies, uint32_t number, uint64_t id, unsigned lease);

/* sqi_copy_is(): returns true if this number is that of the copy of this lease. */
bool sqi_copy_is(const struct sqi_copies *copies, uint32_t number, uint64_t id, unsigned lease);

/* sqi_copy_find(): returns the number of the copy of this lease, with its memory, or 0. */
uint32_t sqi_copy_find(
	const struct sqi_copies *copies, uint64_t id, unsigned lease, const void **ret_data);

/* sqi_copy_drop(): free the number. Its memory may be kept for the next copy. */
void sqi_copy_drop(struct sqi_copies *copies, uint32_t number);

/* sqi_copies_deinit(): free all copies. */
void sqi_copies_deinit(struct sqi_copies *copies);

#endif
