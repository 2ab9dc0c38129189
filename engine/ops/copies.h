/* SPDX-License-Identifier: ISC */
#ifndef SQI_COPIES_H
#define SQI_COPIES_H

/*
 * The messages that a handle has leased in a queue with a lease time: copies in memory of its own,
 * which nobody takes away, however long ago the lease has ended. Private to the handle's thread.
 *
 * A copy has a number, which a lease bears beside the message's id and its own number: the three
 * tell it from any other lease that this handle has had, as long as it has not been settled.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sqi_copy {
	uint64_t id;
	uint32_t lease; /* its number; 0: this one is free */
	uint32_t next;  /* of the free ones, the next number */
	void *data;
	size_t cap;
};

struct sqi_copies {
	struct sqi_copy *list; /* numbers begin at 1 */
	uint32_t count, free;
};

/*
 * sqi_copy_new(): room for a message of len bytes, aligned to 16, to *ret_data, and its number to
 * *ret. -ENOMEM.
 */
int sqi_copy_new(struct sqi_copies *copies, size_t len, uint32_t *ret, void **ret_data);

/* sqi_copy_name(): it is now the copy of this lease. */
void sqi_copy_name(struct sqi_copies *copies, uint32_t number, uint64_t id, unsigned lease);

/* sqi_copy_is(): is this number a copy of that lease? */
bool sqi_copy_is(const struct sqi_copies *copies, uint32_t number, uint64_t id, unsigned lease);

/* sqi_copy_find(): the number of the copy of this lease and its data, or 0. */
uint32_t sqi_copy_find(
	const struct sqi_copies *copies, uint64_t id, unsigned lease, const void **ret_data);

/* sqi_copy_drop(): the number is free. Its memory may be kept for the next. */
void sqi_copy_drop(struct sqi_copies *copies, uint32_t number);

/* sqi_copies_deinit(): all of them. */
void sqi_copies_deinit(struct sqi_copies *copies);

#endif
