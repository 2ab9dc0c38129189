/* SPDX-License-Identifier: ISC */
#ifndef SQI_JOIN_H
#define SQI_JOIN_H

/* Becoming a participant, and leaving; being the holder of a key. See join.c. */

#include "member/member.h"

/* Becomes the one living holder of a key. */
int sqi_count_hold(struct sqi_member *m, uint64_t key, uint64_t *ret_index);
/* Becomes a participant; with a key, a durable one. */
int sqi_join(struct sqi_member *m, uint64_t key, int64_t grace);
/* Gives back what it holds, and its slot. */
void sqi_leave(struct sqi_member *m);

#endif
