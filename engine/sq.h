/* SPDX-License-Identifier: ISC */
#ifndef SQ_H
#define SQ_H

/*
 * sq: message queues in shared memory, between any number of processes of one host.
 *
 * Overview
 *
 * A queue is a bounded ring in a POSIX shared-memory object. Any process that may open the object
 * may put messages in and take messages out; there is no server. Any of them may be stopped or
 * killed at any instruction, and nobody else waits for it.
 *
 * A message whose sq_put() returned 0 is delivered, and once, as long as the queue's memory lasts
 * and nobody damages it; with two exceptions, one for each way to take it:
 *
 *	sq_get()    a process that is killed inside the call may take one message with it, which is
 *	            lost, as it would be if it were killed an instruction later
 *	sq_lease()  a lease that ends without an ack (the holder died, gave the message back, or
 *	            overstayed the lease time) is followed by another delivery, with attempts > 1, but
 *	            for sq_return(); and a late ack of the first gets -ESTALE: what was done with it may
 *	            be done twice
 *
 * Who cannot accept that loss leases. A put that is interrupted by death happened or did not;
 * sq_bind() tells which.
 *
 *	struct sq *q;
 *	sq_create("pq", NULL);
 *	sq_open(&q, "pq");
 *	sq_put(q, "7", 1, SQ_FOREVER);
 *	n = sq_get(q, buf, sizeof(buf), SQ_FOREVER);
 *	sq_close(q);
 *	sq_unlink("pq");
 *
 * Results
 *
 * Every function returns 0 or a count, or a negative errno value; `errno` itself is never used and
 * its value after a call means nothing. Output parameters (`ret...`) are written on success only.
 * Errors that any call on a handle may return, besides those listed with it:
 *
 *	-EINVAL   a null pointer, a negative count, or a timeout below SQ_FOREVER
 *	-EBADF    the handle came through fork(): the child must open its own
 *	-EBADMSG  the segment's memory has been damaged by somebody; see Caveats
 *
 * Timeouts are nanoseconds: SQ_FOREVER, SQ_NOWAIT, or a span from now. A span that ran out is
 * -ETIMEDOUT; full or empty with SQ_NOWAIT is -EAGAIN. Blocked calls sleep in the kernel. Signals
 * do not end a blocked call: use a span, or sq_shutdown(), where it must end.
 *
 * Threads
 *
 * A handle belongs to one thread at a time: no two calls on one handle may overlap. Open one handle
 * for each thread; they are cheap (a descriptor and a slot, the mapping is shared). Different
 * handles need no coordination of any kind, in one process or in many.
 *
 * Progress
 *
 * put, get, lease, ack, nack, return, touch, reserve, commit and abort are non-blocking algorithms: a
 * participant stopped or killed anywhere never keeps the others from going on. What a stopped
 * participant holds (one cell, one block, its leases) stays with it until it goes on or dies. While
 * nobody has to sleep they make no system call, except to look for dead participants: a handle does
 * so at most twice a second, and in a queue with a lease time, where it also looks for leases whose
 * time is up, at most a hundred times. The handles of a queue share this work: together they do it
 * at most forty times a second.
 *
 * Caveats
 *
 * - fork: handles do not survive into the child (-EBADF there); sq_close() in the child only frees
 *   memory. A child made by a raw clone() that shares no memory is not noticed and keeps its parent
 *   "alive".
 * - Descriptors: a handle has one, and the lock on it is what says that the participant lives. A
 *   program that closes descriptors it did not open (closefrom() in a daemon's start) must do so
 *   before it opens handles. A handle whose descriptor was closed under it is taken for dead while
 *   it goes on: its leases are delivered again, and what it was in the middle of is taken back and
 *   its place given to another, so calls on it can spoil another participant's message or counts.
 *   Do not use it again, not even for sq_close(), if its descriptor's number may be another file's.
 * - kill -9: a process killed inside sq_get() may take that one message with it, as it would an
 *   instruction later; one killed inside sq_get_many() those that the call had already taken. A
 *   message longer than small_message that such a process had begun to copy comes back instead: it
 *   counts as leased once more (attempts, max_attempts), and is delivered out of its order. Who
 *   must lose nothing leases: what the dead had leased is delivered again, with attempts > 1.
 * - SIGSTOP is not death: leases of a stopped process last until it dies, or until the queue's
 *   lease time.
 * - /dev/shm is memory: a reboot empties it. All of it is reserved by sq_create().
 * - Trust: whoever may write the segment may damage it. Damage is reported (-EBADMSG), never
 *   followed, but messages can be lost by it; a message that was damaged itself is reported once
 *   and dropped. Nothing helps if the object's file is cut short: the kernel answers with SIGBUS.
 * - Versions: a segment made by a library of another layout is refused by sq_open() with -EPROTO.
 * - Clock: lease times and graces use CLOCK_MONOTONIC; participants in different time namespaces must
 *   not share a queue that has a lease time, or a durable participant with a grace.
 * - The dead are looked for by those who wait, and now and then by those who use the queue. Of all
 *   that wait one does it, every 10 to 50 ms; if that one has got what it waited for, or was stopped
 *   or killed, another does so within a second, or within four if there were many participants. With
 *   many hundreds of participants finding a dead one takes seconds, for asking after each has a price.
 *   No call does more than about a millisecond of this beyond its own work: with millions of messages
 *   a dead one's leases come back some tenths of a second after it was found, or some seconds. Only
 *   sq_recover(), sq_gc(), an sq_open() that finds no free place, and whoever comes with the key of
 *   a dead participant, do all of it.
 * - An overdue lease ends when somebody next looks at the clock: within some 50 ms (later on very
 *   large rings), if anybody waits on the queue or uses it. Never before its time.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#ifdef __cplusplus
extern "C" {
#endif

#pragma GCC visibility push(default)

/*
 * The version of this header; sq_version() tells the library's. These three numbers are the only
 * place where it is written: the build reads them.
 */
#define SQ_VERSION_MAJOR 0
#define SQ_VERSION_MINOR 1
#define SQ_VERSION_PATCH 0

/* In one number, to be compared in #if: 1002003 for 1.2.3. */
#define SQ_VERSION_NUMBER (SQ_VERSION_MAJOR * 1000000 + SQ_VERSION_MINOR * 1000 + SQ_VERSION_PATCH)

/* As text: "1.2.3". */
#define SQ_VERSION_JOIN_(major, minor, patch) #major "." #minor "." #patch
#define SQ_VERSION_JOIN(major, minor, patch)  SQ_VERSION_JOIN_(major, minor, patch)

#define SQ_VERSION SQ_VERSION_JOIN(SQ_VERSION_MAJOR, SQ_VERSION_MINOR, SQ_VERSION_PATCH)

#define SQ_FOREVER (-1)
#define SQ_NOWAIT  0

/* Limits. Names are counted without the terminating zero. */
#define SQ_NAME_MAX         64         /* bytes in a queue's name, and in a prefix */
#define SQ_CAPACITY_MAX     (1u << 30) /* messages in a queue */
#define SQ_MESSAGE_MAX      (1u << 30) /* bytes in a message */
#define SQ_SMALL_MAX        4096       /* bytes of a message that a cell itself can hold */
#define SQ_PARTICIPANTS_MAX 4094       /* handles open on one queue at one time */
#define SQ_ATTEMPTS_MAX     127        /* max_attempts */
#define SQ_CLASSES_MAX      12         /* sizes that longer messages have room in */

/*
 * What a queue is made of. A zero field means its default. `reserved` must be zero.
 */
struct sq_config {
	uint64_t capacity;       /* messages; rounded up to a power of two; default 1024 */
	uint64_t max_message;    /* bytes; default 1 MiB */
	uint32_t small_message;  /* messages to this size are kept in the ring itself; default 48 */
	uint32_t participants;   /* handles at one time; default 1024 */
	uint32_t mode;           /* permission bits of the object; default 0600 */
	uint32_t max_attempts;   /* leases of a message before it is a dead letter, however they
				    ended, but for those that were returned; 0: no limit */
	int64_t lease_time;      /* nanoseconds; 0: until its holder acks, nacks or dies */
	const char *dead_letter; /* takes dead letters; must be set with max_attempts */
	uint64_t
		block_memory; /* bytes for each size class of messages above small_message, but room
				 for eight messages at least. Default 2 MiB; if max_message is
				 left to its default, too: 256 KiB, but room for one at least */
	uint32_t flags;       /* SQ_EPHEMERAL */
	uint32_t reserved[9];
};

/*
 * sq_gc() removes the queue when it has no live participant, and has had one or is older than a
 * minute.
 */
#define SQ_EPHEMERAL 1u

struct sq; /* a handle: one participant in one queue */

/*
 * A lease on a message: filled by sq_lease(), handed back to sq_ack(), sq_nack(), sq_return(),
 * sq_touch(). `data` is valid until ack, nack or return, or until any call with this lease returned
 * -ESTALE, or the handle is closed; not in a forked child. It is aligned to 8 bytes. Do not write
 * there.
 *
 * In a queue without a lease time it points into the queue's memory: nothing is copied. In one with
 * a lease time it is a copy, made by sq_lease() in memory of the handle, so that nothing changes
 * under a reader whose time is over; the copy of a large message takes its time, and every lease
 * must be settled, also one that has ended: else its copy stays until the handle is closed.
 */
struct sq_lease {
	const void *data;
	size_t len;
	uint64_t id;       /* the message's: the same in every delivery of it */
	uint32_t attempts; /* 1: first delivery. Exact to 127, then somewhere from 128 to 255. In a
			      queue with max_attempts leases that were returned do not count */
	uint32_t copy;     /* these two are the library's: whose lease it is */
	uint64_t handle;
};

/*
 * Totals since creation and the state now. Counters of participants that are gone are included.
 *
 * depth, leased, back and undelivered are counted by a walk over the ring: they are exact if no call
 * on the queue is under way. put is exact then, too, once sq_recover() (or anybody who waits) has
 * looked after the dead: until then it may lack the last put of a participant that was killed inside
 * sq_put(). took is put - depth - leased - undelivered, and as exact as these. The others may lack
 * the last step of each participant that was killed.
 */
struct sq_stat {
	uint64_t capacity, max_message, small_message, participants_max;
	uint64_t bytes;     /* size of the segment */
	int64_t lease_time; /* nanoseconds */
	uint32_t max_attempts;
	uint32_t flags;
	uint32_t closed;       /* 0 open, 1 shut down and draining, 2 shut down at once */
	uint32_t participants; /* live handles, this one included */
	uint64_t depth;  /* messages ready to be taken, those waiting for redelivery included */
	uint64_t leased; /* messages in the hands of a lease */
	uint64_t back;   /* of depth: waiting for redelivery */
	uint64_t put;    /* messages put */
	uint64_t took;   /* messages that left for good */
	uint64_t got;    /* by sq_get(), as their callers counted them */
	uint64_t acked, nacked; /* as their callers counted them */
	uint64_t redelivered;   /* leases and gets of a message that had been leased before */
	uint64_t overdue;       /* leases ended because their time was up */
	uint64_t reclaimed;     /* leases ended because their holder died */
	uint64_t revoked;       /* late writers that lost their place */
	uint64_t dead_letters;  /* messages moved to the dead-letter queue */
	uint64_t damaged;       /* messages dropped because their memory had been damaged */
	uint64_t undelivered;   /* dead letters that their queue does not take: they stay here, and
				nobody gets them */
	uint64_t blocks, blocks_free;
	char dead_letter[SQ_NAME_MAX * 2 + 2];
	uint32_t removed; /* 1: it has no name any more, so nobody can come to it */
	uint32_t classes;
	/* Room for messages longer than small_message, by size: one that does not fit takes the next. */
	struct {
		uint64_t size, count, free;
#ifdef __cplusplus
	} class_[SQ_CLASSES_MAX]; /* the other is a keyword there */
#else
	} class[SQ_CLASSES_MAX];
#endif
	/*
	 * Durable participants that are away: dead or closed, and not given up. And when the next of
	 * them is, in nanoseconds: SQ_FOREVER, if none is, or it is not known yet.
	 */
	uint64_t away;
	int64_t grace_left;
	uint64_t returned; /* leases ended by sq_return(), as their callers counted them */
	uint64_t reserved[5];
};

/*
 * Names. A queue `pq` is the object `/sq.PREFIX.pq`; PREFIX is the environment's SQ_PREFIX, else
 * the user's login name. Where a name is asked for, `other.pq` says the prefix in the same breath.
 * Letters, digits, `-` and `_`, up to SQ_NAME_MAX bytes each.
 *
 * Anybody may make files in /dev/shm. So a name without a prefix is refused (-EPERM) if the queue is
 * neither of the caller's own user nor of root, unless SQ_PREFIX is set: somebody else may have been
 * there first. Who means that queue says its prefix, in the name or in SQ_PREFIX.
 *
 * A login name's other characters become `_` in the prefix, so `a.b` and `a_b` have one prefix: the
 * queues of the first of them to make one are refused to the other (-EPERM), who sets SQ_PREFIX.
 */

/*
 * sq_create(): make a queue. It appears whole or not at all, and all its memory is reserved.
 *
 * config   borrowed; NULL for all defaults. Does not block on others; takes time in proportion to
 * the queue's size.
 *
 *	-EEXIST  there is a queue of that name
 *	-EINVAL  a bad name, or a value outside its limits
 *	-ENOSPC  not enough room in /dev/shm (sq_size() tells how much is wanted)
 *	-EMSGSIZE the dead-letter queue is there, and does not take the longest message
 *	-EACCES, -EMFILE, -ENFILE, -ENOMEM, -EROFS  as from the kernel
 */
int sq_create(const char *name, const struct sq_config *config);

/* sq_size(): bytes of shared memory that a queue of this configuration takes, to *ret. -EINVAL. */
int sq_size(const struct sq_config *config, uint64_t *ret);

/*
 * sq_unlink(): remove the queue. For those who have it open puts that begin from now on fail with
 * -EIDRM; what is in it can still be taken, and then gets fail with -EIDRM, too. A put that is under
 * way may still go in. Messages that nobody takes are lost when the last handle is closed, which
 * frees the memory. The same happens if the file is removed by other means, once a participant has
 * noticed that: up to half a second later if the queue is in use, and puts succeed until then.
 *
 *	-ENOENT, -EACCES, -EINVAL
 *	-EPERM   another user's: see Names
 *	-EPROTO  it is a directory
 */
int sq_unlink(const char *name);

/*
 * sq_open(): become a participant. The handle is the caller's, to be given to sq_close().
 *
 *	-ENOENT  no such queue
 *	-EACCES  not allowed
 *	-EPERM   another user's: see Names
 *	-EROFS   mounted read-only
 *	-EPROTO  not a queue, damaged, truncated, or of another version (sq_check() says which)
 *	-EUSERS  as many participants as the queue has room for are alive
 *	-EBADMSG damaged, where only joining finds it
 *	-EINVAL, -EMFILE, -ENFILE, -ENOMEM
 */
int sq_open(struct sq **ret, const char *name);

/*
 * sq_check(): why sq_open() would say -EPROTO, in words, to a static string; NULL if it would not.
 */
const char *sq_check(const char *name);

/*
 * sq_close(): leave. Leases still held are given back at once, a reservation is dropped. NULL is
 * allowed.
 */
void sq_close(struct sq *);

/*
 * sq_put(): append a message. `data` is copied before the call returns; it may be NULL if len is 0.
 *
 *	-EAGAIN, -ETIMEDOUT  full
 *	-EMSGSIZE            larger than the queue's max_message
 *	-EPIPE               shut down
 *	-EIDRM               removed
 *
 * On any error the message is not in the queue. The algorithm descends from D. Vyukov's bounded
 * MPMC queue, with ownership in the sequence word.
 */
int sq_put(struct sq *, const void *data, size_t len, int64_t timeout);

/*
 * sq_get(): remove the first message and copy it to buf. Returns its length: then the caller has it,
 * and nobody else does. A process killed inside the call may take the message with it (see Caveats).
 *
 *	-EAGAIN, -ETIMEDOUT  empty
 *	-EMSGSIZE            it is longer than cap; it stays where it is
 *	-EPIPE               shut down and drained
 *	-EIDRM               removed and drained
 */
ssize_t sq_get(struct sq *, void *buf, size_t cap, int64_t timeout);

/*
 * sq_put_many(): append n messages in order; not atomically, others' messages may come between.
 * Waits for room for all of them. Returns how many went in, which is less than n only if the
 * timeout or an error came first; an error is returned only if none went in. Errors as sq_put().
 */
int sq_put_many(struct sq *, const struct iovec *, int n, int64_t timeout);

/*
 * sq_get_many(): remove up to n messages, packed one behind the other in buf, described by ret[].
 * Waits for the first only, and then takes what is there and fits. Returns how many. Not atomically:
 * a process killed inside the call takes those with it that were taken by then. Errors as sq_get().
 */
int sq_get_many(struct sq *, void *buf, size_t cap, struct iovec *ret, int n, int64_t timeout);

/*
 * sq_reserve(): memory for a message of up to len bytes, to be filled in place; zero-copy if it is
 * larger than small_message. One reservation a handle at a time. The memory is private to the
 * caller until sq_commit() and belongs to the queue again after sq_commit() returned 0, or
 * sq_abort(). Nobody waits for it meanwhile.
 *
 *	-EAGAIN    no memory of that size is free in the queue now
 *	-EBUSY     there is a reservation already
 *	-EMSGSIZE, -EPIPE
 */
int sq_reserve(struct sq *, size_t len, void **ret);

/*
 * sq_commit(): append the reservation's first len bytes. On error the reservation is still there.
 * Errors as sq_put(); -EINVAL if there is none, -EMSGSIZE if len is above what was reserved.
 */
int sq_commit(struct sq *, size_t len, int64_t timeout);

/* sq_abort(): drop the reservation, if any. */
void sq_abort(struct sq *);

/*
 * sq_lease(): take the first message, until sq_ack() removes it or sq_nack() gives it back. If the
 * holder dies, closes the handle, or overstays the queue's lease time, the message is delivered again.
 * A handle may hold any number of leases.
 *
 * With max_attempts, a message that was leased that often is moved to the dead-letter queue instead.
 * It arrives there at least once: if the participant that moves it is killed in the middle, it is in
 * both queues until it is moved again, and then twice in the dead-letter queue; the same if it is
 * stopped there for longer than the lease time. If that queue is full, shut down or gone, the message
 * stays here and is delivered to nobody until there is room for it: see sq_stat.undelivered.
 *
 *	-EAGAIN, -ETIMEDOUT  empty
 *	-EPIPE               shut down and drained; or shut down, and all that is left is leased, some
 *	                     of it by this handle. (While all that is left is leased by others, the
 *	                     call waits: it may come back)
 *	-EIDRM               the same of a queue that was removed
 *	-ENOMEM              for the copy, in a queue with a lease time
 */
int sq_lease(struct sq *, struct sq_lease *ret, int64_t timeout);

/*
 * sq_ack(): done, remove the message. sq_nack(): not done, deliver it again. sq_return(): not tried,
 * deliver it again, and this lease does not count, neither in `attempts` of the next nor for
 * max_attempts (in a queue without that it is the same as sq_nack()). sq_touch(): the lease time
 * begins anew (nothing to do in a queue without one). They never block. The lease is borrowed; after
 * ack, nack or return it is void.
 *
 *	-ESTALE  the lease had ended and the message was given to another, or back to the queue, or
 *	         this lease was settled already. What was done for it may be done twice; `data` is no
 *	         longer valid. (Of a lease that ends during sq_return(), or whose holder dies there, it
 *	         is open whether it counts.)
 *	-EINVAL  a lease of another handle, or of another queue
 */
int sq_ack(struct sq *, const struct sq_lease *);
int sq_nack(struct sq *, const struct sq_lease *);
int sq_return(struct sq *, const struct sq_lease *);
int sq_touch(struct sq *, const struct sq_lease *);

/*
 * sq_shutdown(): puts that begin from now on fail with -EPIPE; one that is under way may still go
 * in, and is then delivered like the others. Gets and leases drain what is there, then
 * -EPIPE; with `immediate` they fail at once and what is there stays. For ever: there is no way
 * back. Acks go on working.
 */
int sq_shutdown(struct sq *, bool immediate);

/*
 * sq_join(): wait until everything that was put before the call has been got or acked. Messages that
 * can never be are not waited for: dead letters, which count as gone, and those below.
 *
 *	-EAGAIN, -ETIMEDOUT  not yet
 *	-EPIPE               some of it is left in a queue that was shut down at once
 *	-EIDRM               some of it is left in a queue that was removed
 */
int sq_join(struct sq *, int64_t timeout);

/* sq_stat(): fill *ret. Walks the ring: takes time in proportion to its capacity. Never blocks. */
int sq_stat(struct sq *, struct sq_stat *ret);

/*
 * sq_look(): the same without taking part: no participant's place is taken, nothing is written, and
 * to read the object is enough. So it works while all places are taken, and of memory that is
 * mounted read-only. Errors as sq_open(), but -EUSERS.
 */
int sq_look(const char *name, struct sq_stat *ret);

/*
 * sq_recover(): give back what dead participants held, now. Waiting calls do so by themselves now
 * and then. Returns how many dead participants were found. Anyone may call it at any time, and may
 * be killed inside it.
 */
int sq_recover(struct sq *);

/*
 * sq_bind(): count this handle's puts, from now on, under `key` (not 0), durably: the count
 * outlives the handle and its process, and is exact even if that dies inside sq_put(). To *ret the
 * count so far. Whoever takes over the work of a dead producer binds the same key and knows which
 * of its messages went in. One key a handle.
 *
 *	-EBUSY   a live handle is bound to the key, or this handle to another
 *	-ENOSPC  as many keys as the queue has participants
 */
int sq_bind(struct sq *, uint64_t key, uint64_t *ret);

/*
 * sq_bound(): the count of `key`, to *ret. -ENOENT: never bound. Exact once its last holder is
 * gone.
 */
int sq_bound(struct sq *, uint64_t key, uint64_t *ret);

/*
 * sq_last_put(): the id of this handle's last put, to *ret; right after sq_bind(), that of the last
 * under the key, whoever made it and wherever it died. So a producer that records the ids of what it
 * put can complete its record after a death: the count of sq_bind() tells whether one is missing,
 * and this call which. -ENOENT: there was none.
 */
int sq_last_put(struct sq *, uint64_t *ret);

/*
 * Durable participants: sq_open_durable() opens the queue as the one of this `key` (not 0; the keys
 * are those of sq_bind()). Its leases outlive handle and process, for `grace` nanoseconds, or
 * SQ_FOREVER: if the queue is opened under that key again before that, they are the new handle's, and
 * its grace counts from then on. Else they come back like those of any dead participant, and its
 * place is free; what is counted under the key stays. The grace begins when the handle is closed, or
 * when somebody has found its holder dead: so it may be longer, never shorter; and somebody has to
 * look for it to end (see Caveats). (In a queue with a lease time leases end by that, like all
 * others.)
 *
 * sq_held() fills ret[] with up to n of the leases that this handle holds, in no order, and returns
 * how many there are in all; -EBADMSG: one of them was damaged and dropped, and the call may be
 * repeated. sq_retire() makes the handle an ordinary participant, whose leases come back when it
 * closes or dies.
 *
 *	-EBUSY   the participant of this key lives
 *	-EINVAL  also a grace below SQ_FOREVER
 *	-ENOSPC  as many keys as the queue has participants
 *	errors of sq_open()
 */
int sq_open_durable(struct sq **ret, const char *name, uint64_t key, int64_t grace);
int sq_held(struct sq *, struct sq_lease *ret, int n);
int sq_retire(struct sq *);

/*
 * sq_durable_run(): a number for this run of the durable participant, to *ret: the same for all who
 * took over the leases of the one before; another if the grace had run out by then, or the one before
 * had retired, or the queue was made anew. Who keeps it beside his books knows at his next start,
 * wherever he was killed, whether what he held has been given to others. -ENOENT: not a durable
 * participant, or retired.
 */
int sq_durable_run(struct sq *, uint64_t *ret);

/*
 * sq_find(): where the message of this id (as of a lease, or sq_last_put()) is: SQ_GONE (got,
 * acked, or never here), SQ_WAITING or SQ_LEASED. sq_lease_id(): lease that message, wherever in
 * the queue it waits. -ENOENT: gone; -EBUSY: leased. Never block.
 */
#define SQ_GONE    0
#define SQ_WAITING 1
#define SQ_LEASED  2
int sq_find(struct sq *, uint64_t id);
int sq_lease_id(struct sq *, uint64_t id, struct sq_lease *ret);

/*
 * sq_mark(): where the queue ends now, to *ret. sq_passed(): 1 if everything that was put before
 * that mark has been got or acked, else 0. Takes time in proportion to the capacity. Never block.
 */
int sq_mark(struct sq *, uint64_t *ret);
int sq_passed(struct sq *, uint64_t mark);

/*
 * For those who wait for several things at once, in a loop of their own: sq_arm() asks to be woken
 * at the next news of this kind and fills *ret; then look for the news once more; then wait on the
 * futex (shared, not private) while it has that value, no longer than some ten milliseconds at a
 * time: a waker may have been killed. sq_wanted(): 1 if, since it was last called on any handle of
 * the queue, somebody has found no message, or gone to sleep for one; else 0.
 */
enum sq_news {
	SQ_CAME = 1, /* messages */
	SQ_WENT,     /* messages left: room, or something settled */
	SQ_FREED,    /* memory for larger messages */
};
struct sq_watch {
	uint32_t *word; /* in the queue's memory: valid until the handle is closed */
	uint32_t value;
};
int sq_arm(struct sq *, enum sq_news, struct sq_watch *ret);
int sq_wanted(struct sq *);

/*
 * sq_list(): call f(name, data) for each queue of `prefix` (NULL: the default one; "*": all). name
 * is `prefix.queue` and lives during the call. Stops at the first value that is not 0 and returns
 * it, else 0. -EACCES, -ENOMEM.
 */
int sq_list(const char *prefix, int (*f)(const char *name, void *data), void *data);

/*
 * sq_gc(): recover the queue `name`; remove it if it is ephemeral and abandoned. Returns 1 if the
 * queue was removed, else 0. Errors as sq_open().
 */
int sq_gc(const char *name);

/*
 * sq_sweep(): remove the debris of killed sq_create() calls, of all prefixes. Returns how many were
 * removed.
 */
int sq_sweep(void);

/*
 * sq_prefix(): the default prefix, to buf (at least SQ_NAME_MAX + 1 bytes). -EINVAL if SQ_PREFIX is
 * no valid one.
 */
int sq_prefix(char *buf, size_t cap);

/* sq_strerror(): a sentence for a result of these functions. Static; any thread. */
const char *sq_strerror(int error);

/* sq_version(): of the library, as SQ_VERSION. */
const char *sq_version(void);

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif

#endif
