/* SPDX-License-Identifier: ISC */
#ifndef BRIDGE_LOOP_IN_H
#define BRIDGE_LOOP_IN_H

#include <liburing.h>

#include "loop.h"

/*
 * What the loop's own files share. Nobody else includes this, but the loop's tests.
 *
 * A *thing* is whatever the kernel may hold requests of: a connection, a listener, a watch, a poll.
 * Callbacks never touch the ring: they note on the thing what is wanted and queue it. flush(), once
 * a turn and outside of any callback, makes requests of it. So a full submission queue is nobody's
 * failure: what did not fit stays queued.
 *
 *	LIVE --close--> CLOSING: cancelled; inflight falls to 0 --> released, its slot's generation
 *	                                                            goes up, the memory is freed
 *
 * Invariants: inflight is the number of completions still to come for the thing; the memory stays
 * until it is 0. user_data is {generation, slot, op}, never a pointer: what comes for an old
 * generation is counted and dropped.
 */

enum op {
	OP_ACCEPT = 1,
	OP_CONNECT,
	OP_RECEIVE,
	OP_SEND,
	OP_CANCEL,
	OP_FUTEX,
	OP_POLL,
};
#define OP_BITS   8
#define SLOT_BITS 24

struct thing;
struct thing_type {
	/* Make the requests that are wanted. False: the submission queue is full, call again. */
	bool (*flush)(struct loop *l, struct thing *t);
	void (*complete)(struct loop *l, struct thing *t, enum op op, int res, unsigned flags);
	/* Closed, nothing is in flight: let go of everything, free it. May call back. */
	void (*release)(struct loop *l, struct thing *t);
};

struct thing {
	const struct thing_type *type;
	struct loop *loop;
	TAILQ_ENTRY(thing) queue; /* loop.wanting */
	uint32_t slot;
	unsigned inflight;
	bool queued, closing;
};
TAILQ_HEAD(things, thing);

struct slot {
	struct thing *thing; /* NULL: free */
	uint32_t generation;
	uint32_t next_free;
};
#define SLOT_NONE UINT32_MAX

/* A provided-buffer ring and its memory. */
struct buffers {
	struct io_uring_buf_ring *ring;
	uint8_t *memory;
	size_t mapped;
	uint32_t size;
	uint16_t n, group;
	unsigned free; /* in the ring, not yet used by the kernel, as far as we were told */
};

RB_HEAD(timers, loop_timer);
TAILQ_HEAD(starving, loop_conn);
TAILQ_HEAD(listeners, loop_listener);
struct futex_thread;

struct loop {
	struct io_uring ring;
	struct slot *slots;
	uint32_t slots_n, slots_free;
	struct things wanting;
	struct timers timers;
	uint64_t timer_order;
	struct buffers young;
	struct starving starving; /* for a young buffer */
	struct listeners listeners;
	uint64_t *groups; /* a bit for each buffer group */
	unsigned connections, connections_max, watches, send_max;
	struct futex_thread *futex_thread;
	struct loop_signal *signals;
	int64_t now_ns;
	bool stopping, freeing;
	bool called; /* something was called back by flush(): this turn does not wait */
	struct loop_stats stats;
};

/* loop.c */
int64_t loop_clock_ns(void);
int loop_thing_init(struct loop *l, struct thing *t, const struct thing_type *type);
void loop_want(struct thing *t);
void loop_thing_close(struct thing *t);
struct io_uring_sqe *loop_sqe(struct thing *t, enum op op);
bool loop_cancel_fd(struct thing *t, int fd);
void loop_dispatch(struct loop *l, uint64_t user_data, int res, unsigned flags);
uint64_t loop_user_data(const struct thing *t, enum op op);

/* loop_setup.c: 0, or the error and in `why` what to do about it. Fills stats.defer and so on. */
int loop_setup_ring(struct loop *l, const struct loop_config *config, char *why);
void loop_setup_explain(int error, char *why);
void loop_setup_explain_denied(int disabled, char *why); /* kernel.io_uring_disabled, -1: unknown */

/* loop_timer.c */
int64_t loop_timers_wait_ns(struct loop *l); /* -1: there is none */
void loop_timers_run(struct loop *l);
void loop_timers_forget(struct loop *l);

/* loop_buffers.c */
int loop_buffers_init(struct loop *l, struct buffers *b, unsigned n, unsigned size);
void loop_buffers_deinit(struct loop *l, struct buffers *b);
uint8_t *loop_buffers_at(const struct buffers *b, uint16_t id);
void loop_buffers_give(struct buffers *b, uint16_t id);

/* loop_receive.c, loop_listen.c */
void loop_conn_feed_starving(struct loop *l);
void loop_listeners_wake(struct loop *l);

/* loop_futex.c, loop_poll.c */
void loop_futex_thread_free(struct loop *l);
void loop_signals_free(struct loop *l);

#endif
