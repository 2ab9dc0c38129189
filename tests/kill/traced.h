/* SPDX-License-Identifier: ISC */
#ifndef TRACED_H
#define TRACED_H

/*
 * A child of ours that stops at each of its futex calls, at the entry and at the exit. Everything
 * else it does goes by unseen. Used by tests about sleeping and waking; only the tracer calls these.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct traced_stop {
	bool entry;   /* else the exit of the same call */
	int op;       /* FUTEX_WAKE, FUTEX_WAIT_BITSET; at the entry */
	uint64_t at;  /* the futex's address in the child; at the entry */
	int64_t rval; /* at the exit */
};

/* traced_me(): in the child, as soon as it is ready: from here on it runs under the tracer. */
void traced_me(void);

/* traced_begin(): the child called traced_me(). It goes on. */
void traced_begin(pid_t pid);

/*
 * traced_next(): the next stop at a futex call. False if there is none for span_ns, or the child has
 * ended.
 */
bool traced_next(pid_t pid, struct traced_stop *ret, int64_t span_ns);

/* traced_go(): on from a stop, to the next. */
void traced_go(pid_t pid);

/* traced_end(): from a stop, untraced from now on. */
void traced_end(pid_t pid);

#endif
