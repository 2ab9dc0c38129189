/* SPDX-License-Identifier: ISC */
#ifndef TESTS_NET_TASK_H
#define TESTS_NET_TASK_H

/*
 * What a task and its result are: a number, and as many bytes as the number says, each of which
 * follows from it. So a receiver can tell that a message is whole, and that it is the right one.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum task_kind { TASK, RESULT };

#define TASK_SIZE_MAX (100 * 1024) /* longer than a frame of the bridge takes */

/* Mostly some tens of bytes; one in a hundred more than a kilobyte, one in a thousand up to the most. */
size_t task_size(enum task_kind kind, uint64_t number);

/* To buf, TASK_SIZE_MAX bytes; the size. */
size_t task_write(uint8_t *buf, enum task_kind kind, uint64_t number);

/* Is it one? Its number, to *ret. */
bool task_read(const uint8_t *buf, size_t len, enum task_kind kind, uint64_t *ret);

#endif
