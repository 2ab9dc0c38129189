/* SPDX-License-Identifier: ISC */
#ifndef BRIDGE_LOOP_H
#define BRIDGE_LOOP_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <bsd/sys/tree.h>

/*
 * One thread that waits for everything: connections, timers, futex words, signals, descriptors; by
 * io_uring, or by epoll where that is denied. The loop*.c files are the only ones that know which.
 * Whoever holds a connection (hub, leaf, metrics) calls this.
 *
 * Everything here belongs to the thread that called loop_new(), and nothing may be called from
 * another one, nor from a child after fork().
 *
 * Callbacks
 *	run from loop_run() and loop_turn() only, never from within another function of this
 *	header: so none is ever called from inside another. A callback may call anything here
 *	except loop_run(), loop_turn() and loop_free(); it may close its own object and any other.
 *	After loop_X_close() the object's callbacks are not called any more, but for a connection's
 *	closed(), and its pointer must not be used any more, but by closed().
 *
 * Errors are negative errno.
 */

enum {
	LOOP_SUBMISSIONS = 512,  /* requests handed to the kernel at once */
	LOOP_COMPLETIONS = 4096, /* at least 4 times as many: more overflow, slower, none lost */
	LOOP_CONNECTIONS_MAX = 16384, /* default: more wait in the listeners' backlog */
	LOOP_OBJECTS_MAX = 1 << 20,   /* connections, listeners, watches, polls together */
	LOOP_YOUNG_BUFFERS = 64,      /* shared by all connections that have no window */
	LOOP_YOUNG_BYTES = 4096,      /* each of them */
	LOOP_WINDOW_BUFFERS_MAX = 256,
	LOOP_WINDOW_BYTES_MAX = 1 << 20,
	LOOP_WATCHES_MAX = 127, /* futex_waitv's 128, less one to talk to the thread */
	LOOP_WHY_MAX = 512,
};
#define LOOP_ACCEPT_PAUSE_NS 100000000 /* after an accept for which there was no descriptor */

struct loop;
struct loop_listener;
struct loop_conn;
struct loop_watch;
struct loop_poll;

/* What the kernel is treated as if it had not: for tests, and to work round a broken kernel. */
enum loop_mask {
	LOOP_NO_DEFER = 1,     /* IORING_SETUP_DEFER_TASKRUN */
	LOOP_NO_SINGLE = 2,    /* IORING_SETUP_SINGLE_ISSUER, and therefore the former */
	LOOP_NO_FUTEX = 4,     /* IORING_OP_FUTEX_WAIT (kernel 6.7): a thread in futex_waitv() */
	LOOP_NO_MULTISHOT = 8, /* receive: a request for each buffer */
	LOOP_NO_SUBMIT_ALL = 16,
};

struct loop_config { /* a zero field means its default */
	unsigned connections_max;
	unsigned submissions, completions;
	unsigned young_buffers;
	unsigned send_max; /* bytes of one request to send */
	unsigned mask;     /* enum loop_mask */
};

/* loop_wish_ok(): does SQ_LOOP say something that loop_new() knows? What is wrong, if not. */
#define LOOP_WISH_WHY "SQ_LOOP is poll or uring, or not set"
bool loop_wish_ok(void);

/*
 * loop_new(): 0, and the loop to *ret; config may be NULL. `why` (LOOP_WHY_MAX bytes) is then empty;
 * or it is a loop over epoll, and `why` holds one line: the reason and the remedy. That is chosen
 * where io_uring is denied or missing (EPERM, EACCES, ENOSYS) or the kernel is older than 6.1; by
 * SQ_LOOP=poll in the environment always, by SQ_LOOP=uring never.
 * Else -errno, and `why` holds the line: -ENOMEM: also for RLIMIT_MEMLOCK; -EINVAL: SQ_LOOP is
 * neither; with SQ_LOOP=uring also -EPERM, -ENOSYS, ..., -ENOTSUP: older than 6.1.
 *
 * loop_free() closes all that is open, with the callbacks that belong to it, waits for the kernel to
 * let go of everything, and frees. NULL is allowed. Timers are forgotten, not called.
 */
int loop_new(struct loop **ret, const struct loop_config *config, char why[LOOP_WHY_MAX]);
void loop_free(struct loop *l);

/*
 * loop_run(): turn until loop_stop(). 0, or the error that makes it impossible to go on.
 * loop_turn(): wait for at most timeout_ns (-1: for ever; 0: not at all), then call back for all
 * that is there; it does not wait when something was called back already. 0 or an error.
 * loop_stop(): loop_run() returns at the end of this turn, or at once when it is called.
 * loop_now_ns(): CLOCK_MONOTONIC, read once a turn.
 */
int loop_run(struct loop *l);
int loop_turn(struct loop *l, int64_t timeout_ns);
void loop_stop(struct loop *l);
int64_t loop_now_ns(const struct loop *l);

/*
 * Timers. The memory is the caller's and must stay until the timer has fired or was stopped; a
 * zeroed struct is a stopped timer. One-shot: the timer is stopped when its callback runs, which may
 * set it again. Those due are called in the order of their time, then of their setting. A timer set
 * by a callback fires in a later turn, even if it is due at once. O(log n), no allocation.
 */
struct loop_timer {
	RB_ENTRY(loop_timer) node;
	int64_t due_ns;
	uint64_t order;
	bool armed;
	void (*fired)(void *ctx);
	void *ctx;
};
void loop_timer_set(struct loop *l, struct loop_timer *t, int64_t after_ns,
	void (*fired)(void *ctx), void *ctx);
void loop_timer_stop(struct loop *l, struct loop_timer *t);

/*
 * Listen on an address: TCP or a UNIX socket. accepted() gets each new connection, which is the
 * callee's from then on: it must loop_conn_start() or loop_conn_close() it before it returns, or it
 * is closed. When a connection could not be had (-EMFILE, -ENFILE, -ENOBUFS, -ENOMEM) it is called
 * with NULL and the error, and accepting goes on after LOOP_ACCEPT_PAUSE_NS.
 *
 * loop_listen() returns 0 or -errno of socket(), bind() and listen(); -ENOMEM. `addr` is read during
 * the call. loop_listener_fd(): for getsockname(); stays the loop's.
 */
typedef void (*loop_accepted_fn)(void *ctx, struct loop_conn *conn, int error);
int loop_listen(struct loop *l, const struct sockaddr *addr, socklen_t len, int backlog,
	loop_accepted_fn accepted, void *ctx, struct loop_listener **ret);
int loop_listener_fd(const struct loop_listener *li);
void loop_listener_close(struct loop_listener *li);

/* What a connection calls. connected() may be NULL for one that was accepted. */
struct loop_conn_ops {
	/* 0: it is there, and receives from now on. Else -ETIMEDOUT, -ECONNREFUSED, ...: close it. */
	void (*connected)(void *ctx, int error);

	/*
	 * Bytes came. The memory is the loop's, readable during the call. Returns how many were
	 * taken: if fewer than len, the rest stays where it is, nothing more is given, and the
	 * window fills until the peer is held up, until loop_conn_resume().
	 */
	size_t (*received)(void *ctx, const uint8_t *data, size_t len);

	/*
	 * Nothing more comes, after all that came was taken: 0: the peer ended its stream; or
	 * -ECONNRESET, ... Called once. Sending may still be possible. Close it some time.
	 */
	void (*ended)(void *ctx, int error);

	/* All of the buffer was sent (0), or never will be. The buffer is the caller's again. */
	void (*sent)(void *ctx, int error);

	/*
	 * The last call, always, in a later turn than loop_conn_close(): the kernel holds nothing of
	 * this connection any more, a buffer that was being sent is the caller's again, and the
	 * connection's memory is freed after this returns.
	 */
	void (*closed)(void *ctx);
};

/*
 * loop_connect(): 0, and a connection whose connected() will be called in a later turn, after
 * timeout_ns at the latest. -errno of socket(), -ENOMEM, -ENOSPC: LOOP_OBJECTS_MAX. `addr` is copied.
 * loop_conn_start(): take an accepted connection; it receives from now on.
 */
int loop_connect(struct loop *l, const struct sockaddr *addr, socklen_t len, int64_t timeout_ns,
	const struct loop_conn_ops *ops, void *ctx, struct loop_conn **ret);
void loop_conn_start(struct loop_conn *c, const struct loop_conn_ops *ops, void *ctx);

/*
 * A connection begins *young*: it receives through a few small buffers that all the young ones
 * share, and holds one of them at most; ten thousand that never speak hold none. Once its peer is
 * authenticated, this gives it a window of its own: `buffers` (a power of two, to
 * LOOP_WINDOW_BUFFERS_MAX) of `size` bytes. What the peer sends can never take more memory here than
 * that, and no other connection waits when it is full. -EINVAL, -ENOMEM, -EALREADY; the connection
 * stays as it was.
 */
int loop_conn_window(struct loop_conn *c, unsigned buffers, unsigned size);

/* After received() took less than all: give the rest again, in a later turn. Else no effect. */
void loop_conn_resume(struct loop_conn *c);

/* Bytes that came and were not taken yet. */
size_t loop_conn_held(const struct loop_conn *c);

/*
 * Send all of it; sent() tells when. The buffer is the loop's until sent() or closed(). One at a
 * time: -EBUSY; after loop_conn_finish() -EPIPE.
 */
int loop_conn_send(struct loop_conn *c, const void *data, size_t len);
bool loop_conn_sending(const struct loop_conn *c);

/* End our stream: the peer sees an end after what was sent. Not while one is being sent: -EBUSY. */
int loop_conn_finish(struct loop_conn *c);

/*
 * shutdown, cancel by descriptor, reap every completion, close. What was sent() is still delivered,
 * if the peer has not sent what we did not take (TCP answers that by a reset).
 */
void loop_conn_close(struct loop_conn *c);

int loop_conn_fd(const struct loop_conn *c); /* for getpeername(), setsockopt(); stays the loop's */

/*
 * A word of memory, shared by processes. loop_watch_new() makes the watch: -ENOMEM, -ENOSPC:
 * LOOP_WATCHES_MAX. loop_watch_arm() waits once: woken() is called in a later turn when the word is
 * not `value`, or somebody calls futex wake, or at times for no reason: so look again. Armed already:
 * no effect. A wake-up that was meant for one waiter is used up by it.
 *
 * The word must stay mapped until loop_watch_close() returns. Not private: any process may wake.
 */
int loop_watch_new(struct loop *l, uint32_t *word, void (*woken)(void *ctx), void *ctx,
	struct loop_watch **ret);
void loop_watch_arm(struct loop_watch *w, uint32_t value);
void loop_watch_close(struct loop_watch *w);

/*
 * A descriptor, to be read by the callee when it can be: an eventfd, the end of a pipe. Level:
 * called again as long as there is something. The descriptor is borrowed until the end of the turn
 * after loop_poll_close(), and by one loop_poll at a time. -ENOMEM, -ENOSPC.
 */
int loop_poll_new(
	struct loop *l, int fd, void (*readable)(void *ctx), void *ctx, struct loop_poll **ret);
void loop_poll_close(struct loop_poll *p);

/*
 * Block these signals in this thread and hand them to caught(). Call it once, before any other
 * thread is made. -errno of signalfd(), -ENOMEM, -EALREADY. loop_free() unblocks them.
 */
int loop_signals(struct loop *l, const sigset_t *set, void (*caught)(void *ctx, int signal_number),
	void *ctx);

struct loop_stats {
	uint64_t turns, completions;
	uint64_t stale; /* completions for something that is gone: not handed to its successor */
	uint64_t overflows;  /* turns at which the completion queue was too small */
	uint64_t no_buffers; /* receives that found none and were armed again later */
	uint64_t rearms;     /* receives armed */
	uint64_t accepts_paused;
	unsigned objects, connections;
	bool uring, defer, single, futex, multishot; /* what of the kernel is used; !uring: epoll */
};
void loop_stats(const struct loop *l, struct loop_stats *ret);

#endif
