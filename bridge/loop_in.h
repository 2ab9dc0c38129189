/* SPDX-License-Identifier: ISC */
#ifndef BRIDGE_LOOP_IN_H
#define BRIDGE_LOOP_IN_H

#include "loop.h"

/*
 * What the loop's own files share. Nobody else includes this, but the loop's tests.
 *
 * A *thing* is whatever the kernel may hold requests of: a connection, a listener, a watch, a poll.
 * Callbacks never make requests: they note on the thing what is wanted and queue it. flush(), once
 * a turn and outside of any callback, makes requests of it. So a full submission queue is nobody's
 * failure: what did not fit stays queued.
 *
 * A *driver* carries the requests out, and says so by completions: loop_uring.c hands them to the
 * kernel, loop_epoll.c waits until they can be done and does them. All else is the same with both.
 *
 *	LIVE --close--> CLOSING: cancelled; inflight falls to 0 --> released, its slot's generation
 *	                                                            goes up, the memory is freed
 *
 * Invariants: inflight is the number of completions still to come for the thing; the memory stays
 * until it is 0. user_data is {generation, slot, op}, never a pointer: what comes for an old
 * generation is counted and dropped. A completion never comes from within a request.
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

/* With a completion, as io_uring has them: a buffer was used, and which; more is to come. */
#define DONE_BUFFER       1U
#define DONE_MORE         2U
#define DONE_BUFFER_SHIFT 16

struct thing;
struct thing_type {
	/* Make the requests that are wanted. False: the submission queue is full, call again. */
	bool (*flush)(struct loop *l, struct thing *t);
	void (*complete)(struct loop *l, struct thing *t, enum op op, int res, unsigned flags);
	/* Closed, nothing is in flight: let go of everything, free it. May call back. */
	void (*release)(struct loop *l, struct thing *t);
};

/* What the epoll driver knows of a thing: one request to take something in, one to get it out. */
struct request {
	enum op op; /* 0: none */
	bool done;  /* with `res`, not yet completed */
	bool goes_on;
	int res;
	struct buffers *into;
	const void *data;
	size_t len;
};
struct ready {
	int fd;
	uint32_t asked; /* of epoll: EPOLLIN, EPOLLOUT; 0: it has no fd of this thing */
	struct request in, out;
	TAILQ_ENTRY(thing) queue;
	bool queued;
};

struct thing {
	const struct thing_type *type;
	struct loop *loop;
	TAILQ_ENTRY(thing) queue; /* loop.wanting */
	uint32_t slot;
	unsigned inflight;
	bool queued, closing;
	struct ready ready; /* loop_epoll.c's */
};
TAILQ_HEAD(things, thing);

struct slot {
	struct thing *thing; /* NULL: free */
	uint32_t generation;
	uint32_t next_free;
};
#define SLOT_NONE UINT32_MAX

/* Buffers of one size, of which the driver takes one when bytes have come, and not before. */
struct buffers {
	void *head; /* the driver's: which of them are free. NULL: there are no buffers */
	uint8_t *memory;
	size_t mapped;
	uint32_t size;
	uint16_t n, group;
	unsigned free; /* with the driver, not yet used, as far as we were told */
};

RB_HEAD(timers, loop_timer);
TAILQ_HEAD(starving, loop_conn);
TAILQ_HEAD(listeners, loop_listener);
struct futex_thread;

/*
 * A request: made by flush() and nobody else, counted in t->inflight, completed by loop_dispatch()
 * from reap(). False: the submission queue is full. At most one of each kind for a thing.
 */
struct driver {
	int socket_flags;  /* of sockets that it connects and listens with */
	size_t head_bytes; /* of buffers.head, for each buffer */
	int (*open)(struct loop *l, const struct loop_config *config, char *why);
	void (*close)(struct loop *l); /* also what is not open */

	bool (*accept)(struct thing *t, int fd);
	bool (*connect)(struct thing *t, int fd, const struct sockaddr *addr, socklen_t len);
	bool (*receive)(struct thing *t, int fd, struct buffers *b, bool goes_on);
	bool (*send)(struct thing *t, int fd, const void *data, size_t len);
	bool (*poll)(struct thing *t, int fd);
	bool (*futex)(struct thing *t, uint32_t *word, uint32_t value); /* stats.futex only */

	/* All its requests complete soon, if only by -ECANCELED. */
	bool (*cancel_fd)(struct thing *t, int fd);
	bool (*cancel)(struct thing *t, enum op op);
	void (*forget)(struct thing *t); /* before it is released; NULL allowed */

	/* wait(): until reap() will find something; 0 or -errno. ready(): it will, at once. */
	bool (*ready)(struct loop *l);
	int (*wait)(struct loop *l, int64_t timeout_ns);
	void (*reap)(struct loop *l);

	int (*buffers_open)(struct loop *l, struct buffers *b); /* -EINVAL: too old a kernel */
	void (*buffers_close)(struct loop *l, struct buffers *b);
	void (*buffers_give)(struct buffers *b, uint16_t id);
};
extern const struct driver loop_uring_driver, loop_epoll_driver;

struct loop {
	const struct driver *driver;
	struct uring *uring; /* the driver's own: one of them */
	struct epoll *epoll;
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
void loop_dispatch(struct loop *l, uint64_t user_data, int res, unsigned flags);
uint64_t loop_user_data(const struct thing *t, enum op op);
struct thing *loop_thing_of(const struct loop *l, uint64_t user_data); /* NULL: it is gone */

/* loop_choice.c: the driver that may be had, with its young buffers. */
int loop_choose(struct loop *l, const struct loop_config *config, char *why);

/* loop_explain.c: why io_uring cannot be had, and what to do about it. */
void loop_explain(int error, char *why);
void loop_explain_denied(int disabled, char *why); /* kernel.io_uring_disabled, -1: unknown */

/* loop_timer.c */
int64_t loop_timers_wait_ns(struct loop *l); /* -1: there is none */
void loop_timers_run(struct loop *l);
void loop_timers_forget(struct loop *l);

/* loop_buffers.c */
int loop_buffers_init(struct loop *l, struct buffers *b, unsigned n, unsigned size);
void loop_buffers_deinit(struct loop *l, struct buffers *b);
uint8_t *loop_buffers_at(const struct buffers *b, uint16_t id);
void loop_buffers_give(struct loop *l, struct buffers *b, uint16_t id);

/* loop_receive.c, loop_listen.c */
void loop_conn_feed_starving(struct loop *l);
void loop_listeners_wake(struct loop *l);

/* loop_futex.c, loop_poll.c */
void loop_futex_thread_free(struct loop *l);
void loop_signals_free(struct loop *l);

#endif
