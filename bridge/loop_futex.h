/* SPDX-License-Identifier: ISC */
#ifndef BRIDGE_LOOP_FUTEX_H
#define BRIDGE_LOOP_FUTEX_H

#include "loop_in.h"

/* A watched word, as loop_futex.c and loop_thread.c see it. No other file includes this. */

struct loop_watch {
	struct thing thing; /* first */
	uint32_t *word;
	uint32_t value;
	void (*woken)(void *ctx);
	void *ctx;
	bool wanted;   /* armed by the user, not yet anywhere */
	bool armed;    /* with the kernel */
	bool threaded; /* with the thread */
	bool cancelled;
};

/*
 * loop_thread.c: the stand-in for IORING_OP_FUTEX_WAIT. The thread is made at the first call; it
 * knows a watch from loop_thread_add() until the watch is handed to loop_thread_fired() or
 * loop_thread_remove() returns, and never touches its word outside of that.
 * -EAGAIN, -ENOMEM, ...: no thread could be made.
 */
int loop_thread_add(struct loop *l, struct loop_watch *w);
void loop_thread_remove(struct loop *l, struct loop_watch *w);

/* loop_futex.c: the thread has done with this watch. */
void loop_thread_fired(struct loop_watch *w);

#endif
