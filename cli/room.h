/* SPDX-License-Identifier: ISC */
#ifndef CLI_ROOM_H
#define CLI_ROOM_H

#include <stdint.h>

/* Whether queues can be made, and why not. All of a queue's memory is taken when it is made. */

/* Is there room for n queues of this size? EXIT_DONE, or the exit code after having said no. */
int room_check(const char *queue, uint64_t n, uint64_t size);

/* They were made: say how much memory that took, if it is much, or most of what there was. */
void room_report_large(const char *queue, uint64_t n, uint64_t size);

/*
 * sq_create() of a queue of this size failed with this error: say why and what to do. The exit
 * code.
 */
int room_report(const char *queue, int error, uint64_t size);

#endif
