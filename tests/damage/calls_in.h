/* SPDX-License-Identifier: ISC */
#ifndef CALLS_IN_H
#define CALLS_IN_H

/* What the files of calls offer each other: how a call begins and ends, and what it may return. */

#include "calls.h"

/* The beginning of a call, to be compared with its end. */
struct start {
	const char *name;
	int64_t timeout, at_ns;
	uint64_t sleeps;
};

/* The errors that a call may return, ended by 0; -EBADMSG is allowed to all. */
#define OR(...) ((const int[]){__VA_ARGS__, 0})
#define NONE    ((const int[]){0})

struct start call_begin(const char *name, int64_t timeout);
long call_end(const struct player *p, const struct start *s, long r, const int *errors);

/* call_place(): does this lie where messages lie, and end there? */
void call_place(const struct player *p, const void *data, size_t len, const char *call);
void call_place_lease(const struct player *p, const struct sq_lease *lease, const char *call);

/* call_read(): read all of it, as a worker would. */
void call_read(const void *data, size_t len);

/* calls_durable.c */
long call_tell(struct player *p, enum call which);
long call_held(struct player *p, struct chance *c);
long call_find(struct player *p, struct chance *c);
long call_lease_id(struct player *p, struct chance *c);
long call_arm(struct player *p, struct chance *c);
long call_ask(struct player *p, enum call which, struct chance *c);

#endif
