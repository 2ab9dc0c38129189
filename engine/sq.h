/* SPDX-License-Identifier: ISC */
#ifndef SQ_H
#define SQ_H

/*
 * sq: message queues in shared memory, between any number of processes of one host.
 *
 * This file is the manual. First what holds for all functions: Overview, Terms, Results, Time,
 * Threads, Progress, What becomes of what you hold, Messages of unknown size, Caveats. Then, with
 * each declaration, what the function does, its parameters, what it returns, every error with
 * what to do about it, and what is true if a process is killed or stopped inside. docs/examples
 * has a whole worker and a whole producer.
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
 *	sq_get()    a process that is killed inside the call may take one message with it, which
 *	            is lost, as it would be if it were killed an instruction later
 *	sq_lease()  a lease that ends without an ack (the holder died, gave the message back, or
 *	            overstayed the lease time) is followed by another delivery, with attempts > 1,
 *	            but for sq_return(); and a late ack of the first gets -ESTALE: what was done
 *	            with it may be done twice
 *
 * A program that cannot accept that loss leases. A put that is interrupted by death happened or
 * did not; sq_count_bind() tells which.
 *
 *	struct sq *q;
 *	sq_create("pq", NULL);
 *	sq_open(&q, "pq");
 *	sq_put(q, "7", 1, SQ_FOREVER);
 *	n = sq_get(q, buf, sizeof(buf), SQ_FOREVER);
 *	sq_close(q);
 *	sq_unlink("pq");
 *
 * Terms
 *
 *	queue          a bounded sequence of messages: first in, first out, but for what comes
 *	               back
 *	message        a sequence of bytes, of any length from 0 to the queue's max_message. Its
 *	               bytes mean nothing to sq
 *	id             a number that a message keeps as long as it is in its queue, in every
 *	               delivery; unique in the queue for more than 2^40 messages
 *	segment        the shared memory of one queue: a file in /dev/shm. All of it is reserved
 *	               when the queue is made
 *	ring, cell     the part of the segment that holds the messages in order, and the place of
 *	               one of them. There are as many cells as the queue has capacity
 *	small message  one that fits in its cell: of at most small_message bytes
 *	block          memory outside the ring for one message that is not small. Blocks come in
 *	               classes of different sizes; a message takes one of the smallest class that
 *	               is large enough and has one left
 *	handle         a `struct sq`: what sq_open() makes, and what nearly every function works
 *	               on
 *	participant    what a handle is to the others: it has a place in the segment, and it lives
 *	               until the handle is closed or its process ends. A process may be several
 *	producer, consumer  a participant while it puts, and while it takes; it may be both
 *	lease          the right of one participant, its holder, to a message that stays in the
 *	               queue meanwhile and is given to nobody else
 *	ack            "done": the lease's message is removed
 *	nack           "not done": the lease ends, and the message is delivered again
 *	return         "not tried": the same, but the lease counts as no attempt
 *	settle         to ack, nack or return
 *	lease time     of a queue: how long a lease lasts, unless its holder asks for more by
 *	               sq_touch()
 *	attempt        a lease of a message that counts: every one but those that were returned
 *	               (in a queue without max_attempts, every one)
 *	redelivery     a delivery after the first. A message that comes back leaves the order of
 *	               the ring: those that came back are delivered longest waiting first, by
 *	               turns with the others
 *	dead letter    a message that was leased max_attempts times and never acked. It is moved
 *	               to another queue, the dead-letter queue; undelivered, if that does not take
 *	               it
 *	drain          to take what is left in a queue that takes no more puts
 *	shut down      said of a queue after sq_shutdown(): nothing more is put, by anybody, for
 *	               ever
 *	removed        said of a queue whose name is gone: only those who have it open still have
 *	               it
 *	key            a number, not 0, that a program chooses, to be known by after its death
 *	count          how many messages were put under a key: part of the queue, and exact
 *	               whatever died; see sq_count_bind()
 *	durable participant  one with a key, whose leases outlive handle and process for a while:
 *	               its grace. See sq_open_durable()
 *	recovery       to find the dead, and to give back what they held: see sq_recover()
 *
 * Results
 *
 * Every function returns 0 or a count, or a negative errno value; `errno` itself is never used
 * and its value after a call means nothing. sq_strerror() has a sentence for each. Output
 * parameters (`ret...`) are written on success only, unless the function says otherwise.
 *
 * These two any function that takes a handle may return; they are not repeated below:
 *
 *	-EINVAL   a null pointer, a negative number of elements, or a timeout below SQ_FOREVER: a
 *	          mistake in the program
 *	-EBADF    the handle came through fork(): close it, which only frees memory, and open one
 *
 * What the others have in common. Each function lists those that it can return:
 *
 *	-EAGAIN, -ETIMEDOUT  not now. The first if the timeout was SQ_NOWAIT, the second if a span
 *	          ran out. Nothing was changed: try again, or do something else first
 *	-EPIPE    the queue is shut down, and there is nothing left of what the call wanted. It
 *	          stays so: close the handle
 *	-EIDRM    the same of a queue that was removed: close the handle, and open the name again
 *	          if another queue may have been made under it. A queue that was shut down, too,
 *	          says -EPIPE
 *	-EMSGSIZE too long: for the queue (a put), or for the buffer (a get)
 *	-ESTALE   the lease had ended; what was done for it may be done twice
 *	-EBADMSG  the segment's memory has been damaged by somebody; see Caveats. From a call that
 *	          takes messages it may be one message, which is dropped: go on. From sq_put(), or
 *	          again and again, it is the ring: save what can be got, sq_unlink() the queue,
 *	          and make another
 *	-EMFILE, -ENFILE, -ENOMEM  the process's or the system's descriptors, or memory, are used
 *	          up: free some, or try again later. Nothing was changed, unless it says otherwise
 *
 * Functions that take the name of a queue look up the default prefix if the name has none (see
 * sq_prefix()); its errors are theirs, too.
 *
 * Time
 *
 * Timeouts are nanoseconds: SQ_FOREVER, SQ_NOWAIT, or a span from now. Blocked calls sleep in the
 * kernel. Signals do not end a blocked call: use a span and look in between, or sq_shutdown(),
 * where it must end. A call without a parameter `timeout` never waits for another participant.
 *
 * Threads
 *
 * A handle belongs to one thread at a time: no two calls on one handle may overlap, and a lease
 * is part of its handle. A thread may pass a handle on to another, with whatever makes one happen
 * after the other. Open one handle for each thread; they are cheap (a descriptor and a place, the
 * mapping is shared). Different handles need no coordination of any kind, in one process or in
 * many. Functions without a handle may be called by any thread at any time (those with a name
 * read the environment: nobody may be changing it). No function may be called from a signal
 * handler.
 *
 * Progress
 *
 * put, get, lease, ack, nack, return, touch, reserve, commit and abort are non-blocking
 * algorithms: a participant stopped or killed anywhere never keeps the others from going on. What
 * a stopped participant holds (one cell, one block, its leases) stays with it until it goes on or
 * dies. In sq_put_many() and sq_get_many() that is up to 32 cells instead of one, but no more than
 * an eighth of the queue's capacity, or two. While nobody has to sleep they make no system call,
 * except to look for dead participants: a handle does so at most twice a second, and in a queue
 * with a lease time, where it also looks for leases whose time is up, at most a hundred times. The
 * handles of a queue share this work: together they do it at most forty times a second. (And a
 * handle that finds the first dead letter opens their queue.)
 *
 * The order of messages is that in which their places in the ring were taken: one participant's
 * messages stay in the order of its puts, and a put that returned before another began comes
 * first. What came back is delivered out of order, as told above.
 *
 * What becomes of what you hold
 *
 * Of a handle; of its leases and their `data`; and of memory from sq_reserve():
 *
 *	sq_unlink()  by anybody, or the file removed: all of it stays good, for the mapping stays.
 *	    Leases are settled as ever; a nack gives the message to those who still have the queue
 *	    open. Reserved memory can be written to, but sq_commit() says -EIDRM: sq_abort() it.
 *	sq_shutdown()  by anybody: the same, with -EPIPE. While a queue drains, what is given back
 *	    is delivered again. After an immediate shutdown it is not: it stays in the queue, for
 *	    nobody.
 *	sq_close()  the leases end and their messages are delivered again (but those of a durable
 *	    participant, which wait for its key); the reservation is dropped. `data`, reserved
 *	    memory and the words of sq_arm() must not be touched any more: most of it is unmapped
 *	    with the process's last handle on the queue.
 *	fork()  all of it stays the parent's, and the child cannot keep it or spoil it. In the
 *	    child every call says -EBADF, and the queue's memory is not there: touching `data` or
 *	    reserved memory there is a SIGSEGV (or, where it was a copy in the handle's memory, of
 *	    a lease of a queue with a lease time or a small reservation, reads the child's own
 *	    copy of that). The child may sq_close() the handle, which frees memory, and open its
 *	    own. It may exit() or exec as it likes: its copy of the descriptor is closed already,
 *	    or will be by exec.
 *	exec  by the process itself: a death. Descriptors are closed on exec, the memory is gone.
 *	    Nothing can be handed to the new program but the key of a durable participant.
 *	exit(), kill -9  without sq_close(): a death. Its leases are delivered again once somebody
 *	    has found it dead (a durable participant's when its grace is over), its reservation
 *	    and what it was in the middle of are given back.
 *	SIGSTOP  not a death: all of it stays. In a queue with a lease time the leases end by
 *	    that, and calls with them say -ESTALE afterwards; `data` is a copy there and stays
 *	    readable until then.
 *	the lease's end  by the lease time: `data` stays readable until a call with this lease
 *	    returns -ESTALE, for it is a copy. sq_touch() in time prevents it.
 *
 * Messages of unknown size
 *
 * A lease needs no buffer and tells the length. So where sizes vary, lease, copy and ack; nothing
 * is given back, and the order is kept:
 *
 *	r = sq_lease(q, &m, SQ_FOREVER);
 *	if (r == 0) {
 *		buf = malloc(m.len ? m.len : 1);
 *		if (buf) {
 *			memcpy(buf, m.data, m.len);
 *			len = m.len;
 *			r = sq_ack(q, &m);      // -ESTALE: another has it
 *		} else {
 *			r = sq_return(q, &m);   // for somebody with more memory
 *		}
 *	}
 *
 * The same after an sq_get() that said -EMSGSIZE: it left the message where it was, so the lease
 * gets it (or, if another consumer was faster, the one behind it). To learn the size only, settle
 * by sq_return(): the message is delivered again, but counts as redelivered, is out of its order,
 * and in a queue without max_attempts its `attempts` is one more. A buffer of sq_stat.max_message
 * bytes is always large enough.
 *
 * Caveats
 *
 * - fork: handles do not survive into the child (-EBADF there). A child made by a raw clone()
 *   that shares no memory is not noticed and keeps its parent "alive".
 * - Descriptors: a handle has one, and the lock on it is what says that the participant lives
 *   (one more, and a place there, is for the dead-letter queue, once the handle has moved a dead
 *   letter). A program that closes descriptors it did not open (closefrom() in a daemon's start)
 *   must do so before it opens handles. A handle whose descriptor was closed under it is taken
 *   for dead while it goes on: its leases are delivered again, and what it was in the middle of
 *   is taken back and its place given to another, so calls on it can spoil another participant's
 *   message or counts. Do not use it again, not even for sq_close(), if its descriptor's number
 *   may be another file's.
 * - kill -9: a process killed inside sq_get() may take that one message with it, as it would an
 *   instruction later; one killed inside sq_get_many() those that the call had already taken. A
 *   message longer than small_message that such a process had begun to copy comes back instead:
 *   it counts as leased once more (attempts, max_attempts), and is delivered out of its order. A
 *   program that must lose nothing leases: what the dead had leased is delivered again, with
 *   attempts > 1.
 * - SIGSTOP is not death: leases of a stopped process last until it dies, or until the queue's
 *   lease time.
 * - /dev/shm is memory: a reboot empties it. All of it is reserved by sq_create().
 * - Trust: whoever may write the segment may damage it. Damage is reported (-EBADMSG), never
 *   followed, but messages can be lost by it; a message that was damaged itself is reported once
 *   and dropped. Nothing helps if the object's file is cut short: the kernel answers with SIGBUS.
 * - Versions: a segment made by a library of another layout is refused by sq_open() with -EPROTO.
 * - Clock: lease times and graces use CLOCK_MONOTONIC; participants in different time namespaces
 *   must not share a queue that has a lease time, or a durable participant with a grace.
 * - The dead are looked for by those who wait, and now and then by those who use the queue. Of
 *   all that wait one does it, every 10 to 50 ms; if that one has got what it waited for, or was
 *   stopped or killed, another does so within a second, or within four if there were many
 *   participants. With many hundreds of participants finding a dead one takes seconds, for asking
 *   after each has a price. No call does more than about a millisecond of this beyond its own
 *   work: with millions of messages a dead one's leases come back some tenths of a second after
 *   it was found, or some seconds. Only sq_recover(), sq_gc(), an sq_open() that finds no free
 *   place, and a call that comes with the key of a dead participant, do all of it.
 * - An overdue lease ends when somebody next looks at the clock: within some 50 ms (later on very
 *   large rings), if anybody waits on the queue or uses it. Never before its time.
 *
 * Sources
 *
 * The ring descends from D. Vyukov's bounded MPMC queue, sleeping and waking from his eventcount;
 * leases, touch and dead letters from beanstalkd and Amazon SQS; sq_join() and sq_shutdown() from
 * Python's queue.Queue. That a lock tells who lives: open file description locks, fcntl(2).
 * docs/MEMORY_MODEL.md argues why it holds.
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

/* Timeouts. */
#define SQ_FOREVER (-1)
#define SQ_NOWAIT  0

/* Limits. Names are counted without the terminating zero. */
#define SQ_NAME_MAX         64         /* bytes in a queue's name, and in a prefix */
#define SQ_CAPACITY_MAX     (1u << 30) /* messages in a queue */
#define SQ_MESSAGE_MAX      (1u << 30) /* bytes in a message */
#define SQ_SMALL_MAX        4096       /* bytes of a message that a cell itself can hold */
#define SQ_PARTICIPANTS_MAX 4094       /* handles open on one queue at one time */
#define SQ_ATTEMPTS_MAX     127        /* max_attempts */
#define SQ_CLASSES_MAX      12         /* classes of blocks */

/*
 * What a queue is made of: for sq_create() and sq_size(). A zero field means its default.
 * `reserved` must be zero.
 */
struct sq_config {
	uint64_t capacity;       /* messages, to SQ_CAPACITY_MAX; rounded up to a power of two, and
				    to 2 at least; default 1024 */
	uint64_t max_message;    /* bytes, to SQ_MESSAGE_MAX; default 1 MiB */
	uint32_t small_message;  /* messages to this size are kept in the ring itself, to
				    SQ_SMALL_MAX; rounded up to 16, to 48, or to whole 64; default
				    48, which with what belongs to it is one cache line */
	uint32_t participants;   /* handles at one time, to SQ_PARTICIPANTS_MAX; default 1024. And
				    keys, ever */
	uint32_t mode;           /* permission bits of the object, whatever the umask; default 0600.
				    To take part one must be allowed to read and to write */
	uint32_t max_attempts;   /* leases of a message before it is a dead letter, however they
				    ended, but for those that were returned; to SQ_ATTEMPTS_MAX;
				    0: no limit */
	int64_t lease_time;      /* nanoseconds, to 2^60; 0: until its holder acks, nacks or dies */
	const char *dead_letter; /* takes dead letters; to be set with max_attempts, and only then.
				    A name without a prefix is of this queue's prefix. That queue
				    may be made later */
	uint64_t
		block_memory; /* bytes for each size class of messages above small_message, but room
				 for eight messages at least; to 2^40. Default 2 MiB; if max_message
				 is left to its default, too: 256 KiB, but room for one at least */
	uint32_t flags;       /* SQ_EPHEMERAL */
	uint32_t reserved[9];
};

/*
 * sq_gc() removes the queue when it has no live participant, and has had one or is older than a
 * minute. A durable participant in its grace counts as live.
 */
#define SQ_EPHEMERAL 1u

struct sq; /* a handle: one participant in one queue */

/*
 * A lease on a message: filled by sq_lease(), sq_lease_id() and sq_held(), handed back to
 * sq_ack(), sq_nack(), sq_return(), sq_touch(). It is plain memory of the caller's: it may be
 * copied and moved, and forgotten when settled; but a lease that is forgotten before that lasts
 * until the handle is closed, or the queue's lease time is over.
 *
 * `data` is valid until ack, nack or return, or until any call with this lease returned -ESTALE,
 * or the handle is closed; not in a forked child. It is aligned to 8 bytes. Do not write there.
 *
 * In a queue without a lease time it points into the queue's memory: nothing is copied. In one
 * with a lease time it is a copy, made by sq_lease() in memory of the handle, so that nothing
 * changes under a reader whose time is over; the copy of a large message takes its time, and
 * every lease must be settled, also one that has ended: else its copy stays until the handle is
 * closed.
 */
struct sq_lease {
	const void *data;
	size_t len;        /* bytes */
	uint64_t id;       /* the message's: the same in every delivery of it */
	uint32_t attempts; /* 1: first delivery. Exact to 127, then somewhere from 128 to 255. In a
			      queue with max_attempts leases that were returned do not count */
	uint32_t copy;     /* these two are the library's: whose lease it is */
	uint64_t handle;
};

/* Of a queue: sq_stat.closed. It only ever goes up. */
#define SQ_OPEN     0 /* takes puts */
#define SQ_DRAINING 1 /* shut down: no puts any more, and what is there can be taken */
#define SQ_SHUT     2 /* shut down at once: what is there stays there */

/*
 * Totals since creation and the state now: of sq_stat() and sq_look(). Counters of participants
 * that are gone are included.
 *
 * depth, leased, back and undelivered are counted by a walk over the ring: they are exact if no
 * call on the queue is under way. put is exact then, too, once sq_recover() (or anybody who
 * waits) has looked after the dead: until then it may lack the last put of a participant that was
 * killed inside sq_put(). took is put - depth - leased - undelivered, and as exact as these. The
 * others may lack the last step of each participant that was killed.
 */
struct sq_stat {
	uint64_t capacity, max_message, small_message, participants_max;
	uint64_t bytes;     /* size of the segment */
	int64_t lease_time; /* nanoseconds */
	uint32_t max_attempts;
	uint32_t flags;
	uint32_t closed;       /* SQ_OPEN, SQ_DRAINING, SQ_SHUT */
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
	/* Blocks, by class: a message that does not fit into one of a class takes the next. */
	struct {
		uint64_t size, count, free;
#ifdef __cplusplus
	} class_[SQ_CLASSES_MAX]; /* the other is a keyword there */
#else
	} class[SQ_CLASSES_MAX];
#endif
	/*
	 * Durable participants that are away: dead or closed, and not given up. And when the next
	 * of them is, in nanoseconds: SQ_FOREVER, if none is, or it is not known yet.
	 */
	uint64_t away;
	int64_t grace_left;
	uint64_t returned; /* leases ended by sq_return(), as their callers counted them */
	uint64_t reserved[5];
};

/*
 * Names. A queue `pq` is the object `/sq.PREFIX.pq`; PREFIX is the environment's SQ_PREFIX, else
 * the user's login name. Where a name is asked for, `other.pq` says the prefix in the same
 * breath. Letters, digits, `-` and `_`, up to SQ_NAME_MAX bytes each. Names are borrowed for the
 * call.
 *
 * Anybody may make files in /dev/shm. So a name without a prefix is refused (-EPERM) if the queue
 * is neither of the caller's own user nor of root, unless SQ_PREFIX is set: somebody else may
 * have been there first. A program that means that queue says its prefix, in the name or in
 * SQ_PREFIX.
 *
 * A login name's other characters become `_` in the prefix, so `a.b` and `a_b` have one prefix:
 * the queues of the first of them to make one are refused to the other (-EPERM), who sets
 * SQ_PREFIX.
 */

/*
 * sq_create(): make a queue. It appears whole or not at all, and all its memory is reserved.
 *
 *	name    of the new queue
 *	config  what it is made of; borrowed for the call. NULL for all defaults
 *
 * Does not wait for anybody; takes time in proportion to the queue's size. Of several that make
 * the same name one succeeds. Killed inside: there is the queue, or there is none, and perhaps a
 * file sq.tmp-... with its memory, for sq_sweep(). The caller has no handle by it: sq_open()
 * follows, and it may be another queue of that name by then.
 *
 * Returns 0: it is there.
 *
 *	-EEXIST   there is a queue, or another file, of that name: open it, or sq_unlink() it
 *	          first
 *	-EINVAL   a bad name; or a value outside its limits, a field of `reserved` that is not 0,
 *	          an unknown flag; or one of max_attempts and dead_letter without the other, or
 *	          the dead-letter queue is the queue itself
 *	-EMSGSIZE the dead-letter queue is there, and does not take the longest message: make that
 *	          one with a max_message as large as this one's
 *	-ENOSPC   not enough room in /dev/shm: sq_size() tells how much is wanted. Or no inode is
 *	          left
 *	-EFBIG    the process's limit for files (RLIMIT_FSIZE) is lower; unless SIGXFSZ ended it
 *	-EAGAIN   sq_sweep() calls came in between, eight times in a row: try again
 *	-EACCES, -EROFS, -ENOENT  /dev/shm may not be written to, or is not there
 *	-EMFILE, -ENFILE, -ENOMEM; and what else getrandom(2), open(2), fallocate(2), fcntl(2),
 *	          link(2) may say in a sandbox: nothing is left behind
 */
int sq_create(const char *name, const struct sq_config *config);

/*
 * sq_size(): bytes of shared memory that a queue of this configuration takes.
 *
 *	config  borrowed for the call. NULL for all defaults
 *	ret     the bytes
 *
 * Pure: looks at nothing outside.
 *
 * Returns 0.
 *
 *	-EINVAL  ret is NULL; or a value in config that sq_create() refuses
 */
int sq_size(const struct sq_config *config, uint64_t *ret);

/*
 * sq_unlink(): remove the queue's name. For those who have it open puts that begin from now on
 * fail with -EIDRM; what is in it can still be taken, and then gets fail with -EIDRM, too. A put
 * that is under way may still go in. Messages that nobody takes are lost when the last handle is
 * closed, which frees the memory. As shm_unlink(3), but that they are told.
 *
 * The same happens if the file is removed by other means, once a participant has noticed that: up
 * to half a second later if the queue is in use, and puts succeed until then. So it does if the
 * caller may not write the queue, or has no descriptor left.
 *
 * Never blocks. Killed inside: it is removed or it is not; if it is, it may be that the others
 * have to notice by themselves. Another queue may be made under that name at once; the two have
 * nothing in common.
 *
 * Returns 0: the name is free.
 *
 *	-ENOENT  there is no such queue
 *	-EPERM   another user's: see Names
 *	-EACCES  /dev/shm does not let the caller remove it: only its owner and root may
 *	-EPROTO  it is a directory
 *	-EINVAL  a bad name
 *	-EROFS, -ENOMEM  as from unlink(2)
 */
int sq_unlink(const char *name);

/*
 * sq_open(): become a participant.
 *
 *	ret   the handle. It is the caller's, to be given to sq_close()
 *	name  of the queue
 *
 * Does not wait for anybody. If all places are taken it looks through all of them for dead ones,
 * and gives back what those held. Killed inside: a dead participant, which others clear away.
 * Threads may open and fork at the same time.
 *
 * Returns 0.
 *
 *	-ENOENT  no such queue, or it is being removed as abandoned just now: wait for somebody to
 *	         make it, or make it
 *	-EACCES  not allowed to read and write it: its owner decides (sq_config.mode, chmod,
 *	         groups)
 *	-EPERM   another user's: see Names
 *	-EROFS   mounted read-only: sq_look() works
 *	-EPROTO  not a queue, damaged, truncated, or of another version: sq_check() says which.
 *	         Nothing can be had from it by this library: sq_unlink() it when nobody needs it
 *	-EUSERS  as many participants as the queue has room for are alive, or away in their grace:
 *	         try later, or make a queue with more
 *	-EBADMSG damaged, where only joining finds it: as -EPROTO
 *	-EINVAL  ret is NULL, or a bad name
 *	-ENOLCK  the kernel has no room for another lock: try later
 *	-EMFILE, -ENFILE, -ENOMEM  the last also if there is no address space for all of it
 */
int sq_open(struct sq **ret, const char *name);

/*
 * sq_check(): why sq_open() would say -EPROTO, in words. The text is static. NULL if it would
 * not, which is not to say that it would succeed.
 */
const char *sq_check(const char *name);

/*
 * sq_close(): leave, and free the handle; it must not be used any more, nor any memory that came
 * by it. Leases still held are given back at once (but those of a durable participant: they wait
 * for its key), a reservation is dropped. NULL is allowed. In a forked child: frees the child's
 * copy only.
 *
 * Never blocks; with something in hand it takes time in proportion to the queue's capacity.
 * Killed inside: a dead participant, others do the rest.
 */
void sq_close(struct sq *);

/*
 * sq_put(): append a message.
 *
 *	data     borrowed for the call: it is copied before that returns. May be NULL if len is 0,
 *	         and may be the `data` of a lease, also of the same queue
 *	len      bytes, to the queue's max_message
 *	timeout  how long to wait for room: a cell and, for a message that is not small, a block
 *	         that is large enough
 *
 * Killed inside: the message is in the queue, whole, or it is not; the count of sq_count_bind()
 * tells. Stopped inside: nobody waits for it. Consumers and other producers that have to go past
 * its cell do so, and then it finds another when it goes on.
 *
 * Returns 0: the message is in the queue. On any error it is not.
 *
 *	-EAGAIN, -ETIMEDOUT  full: no room in time
 *	-EMSGSIZE  len is above the queue's max_message: no such message ever fits
 *	-EPIPE     shut down: nothing will be put any more
 *	-EIDRM     removed: open the name again, if another queue is expected there
 *	-EBADMSG   the ring is damaged
 *	-EINVAL    also: data is NULL and len is not 0
 */
int sq_put(struct sq *, const void *data, size_t len, int64_t timeout);

/*
 * sq_get(): remove the first message and copy it to buf. When it has returned the caller has the
 * message, and nobody else does.
 *
 *	buf      the caller's; may be NULL if cap is 0. Bytes of it up to cap may have been
 *	         written, whatever is returned: behind the message, and also if there is an error
 *	cap      its size
 *	timeout  how long to wait for a message
 *
 * Killed inside: the message may be gone with the process (see Caveats): lease, if that must not
 * be. Stopped inside: nobody waits for it.
 *
 * Returns the message's length, which may be 0: an empty message, not an end.
 *
 *	-EAGAIN, -ETIMEDOUT  empty: no message in time
 *	-EMSGSIZE  the message is longer than cap; it stays where it is: see Messages of unknown
 *	           size
 *	-EPIPE     shut down at once, or shut down and drained: there will be none. Also if all
 *	           that is left is leased, some of it by this handle: see sq_lease()
 *	-EIDRM     the same of a queue that was removed
 *	-EBADMSG   a message was damaged, and is dropped: go on. Or the ring is
 *	-EINVAL    also: buf is NULL and cap is not 0
 */
ssize_t sq_get(struct sq *, void *buf, size_t cap, int64_t timeout);

/*
 * sq_put_many(): append n messages in order; not atomically, others' messages may come between.
 *
 *	iov      the messages; array and messages are borrowed for the call
 *	n        how many; 0 does nothing
 *	timeout  how long to wait for room for all of them, together
 *
 * Killed inside: the first so many are in the queue; the count of sq_count_bind() tells how many.
 *
 * Returns how many went in, from the first on. It is less than n only if the timeout or an error
 * came first: go on with the next one, and the call returns that error if it is still so. An
 * error is returned only if none went in; the errors are those of sq_put().
 */
int sq_put_many(struct sq *, const struct iovec *iov, int n, int64_t timeout);

/*
 * sq_get_many(): remove up to n messages, packed one behind the other in buf. Waits for the first
 * only, and then takes what is there and fits.
 *
 *	buf, cap  as of sq_get(); the messages begin at any byte
 *	ret       n elements: where in buf each message begins, and its length. Those behind the
 *	          last message are left as they were
 *	n         how many; 0 does nothing
 *	timeout   how long to wait for the first
 *
 * Not atomic: a process killed inside the call takes those with it that were taken by then.
 *
 * Returns how many. Errors are those of sq_get(), of the first message; of a later one -EBADMSG
 * is kept, and returned by the next sq_get() or sq_get_many() of this handle.
 */
int sq_get_many(struct sq *, void *buf, size_t cap, struct iovec *ret, int n, int64_t timeout);

/*
 * sq_reserve(): memory for a message, to be filled in place; zero-copy if that is not small. One
 * reservation a handle at a time.
 *
 *	len  bytes, to the queue's max_message
 *	ret  the memory: at least len bytes, aligned as by malloc(), of any content. It is private
 *	     to the caller until sq_commit() returns 0 or sq_abort(), and belongs to the queue
 *	     again then
 *
 * Never blocks. Nobody waits for it meanwhile, but a block is away from all others: those who
 * wait for one of its size wait longer. Killed or closed before the commit: nothing was put, and
 * the block is given back, by others if need be. Stopped: the block stays with it.
 *
 * Returns 0.
 *
 *	-EAGAIN    no block of that size is free now: try later (sq_arm() with SQ_NEWS_BLOCK tells
 *	           when), or sq_put(), which waits
 *	-EBUSY     there is a reservation already: commit or abort it
 *	-EMSGSIZE  len is above the queue's max_message
 *	-EPIPE     shut down
 *	-EIDRM     removed
 *	-ENOMEM    for a small one
 */
int sq_reserve(struct sq *, size_t len, void **ret);

/*
 * sq_commit(): append the first bytes of the reservation as a message.
 *
 *	len      how many; to what was reserved
 *	timeout  how long to wait for a cell
 *
 * Killed or stopped inside: as sq_put().
 *
 * Returns 0: it is in the queue, and the memory not the caller's any more. On error the message
 * is not in the queue and the reservation still there: commit it later, or sq_abort() it.
 *
 *	-EAGAIN, -ETIMEDOUT  full
 *	-EMSGSIZE  len is above what was reserved
 *	-EPIPE     shut down
 *	-EIDRM     removed
 *	-EBADMSG   the ring is damaged
 *	-EINVAL    also: there is no reservation
 */
int sq_commit(struct sq *, size_t len, int64_t timeout);

/* sq_abort(): drop the reservation, if there is one. NULL is allowed. Never blocks, cannot fail. */
void sq_abort(struct sq *);

/*
 * sq_lease(): take the first message, until sq_ack() removes it or sq_nack() gives it back. If
 * the holder dies, closes the handle, or overstays the queue's lease time, the message is
 * delivered again. A handle may hold any number of leases.
 *
 *	ret      the lease: see struct sq_lease for what it points to, and for how long
 *	timeout  how long to wait for a message
 *
 * With max_attempts, a message that was leased that often is moved to the dead-letter queue
 * instead. It arrives there at least once: if the participant that moves it is killed in the
 * middle, it is in both queues until it is moved again, and then twice in the dead-letter queue;
 * the same if it is stopped there for longer than the lease time. If that queue is full, shut
 * down or gone, the message stays here and is delivered to nobody until there is room for it: see
 * sq_stat.undelivered. (The calls that move it are those that look for a message: sq_lease(),
 * sq_get() and sq_get_many().)
 *
 * Killed inside, or before it is settled: the message is delivered again, and counts as leased.
 * Stopped: see Caveats.
 *
 * Returns 0: the message is the caller's until it is settled.
 *
 *	-EAGAIN, -ETIMEDOUT  empty: no message in time
 *	-EPIPE     shut down at once, or shut down and drained: there will be none. Also if it is
 *	           shut down and all that is left is leased, some of it by this handle: settle that,
 *	           and what it gives back can be taken. (While all that is left is leased by others,
 *	           the call waits: it may come back)
 *	-EIDRM     the same of a queue that was removed
 *	-ENOMEM    for the copy, in a queue with a lease time. The message stays in the queue, as
 *	           if it had been returned (sq_return())
 *	-EBADMSG   a message was damaged, and is dropped: go on. Or the ring is
 */
int sq_lease(struct sq *, struct sq_lease *ret, int64_t timeout);

/*
 * sq_ack(): done, remove the message.
 *
 * sq_nack(): not done, deliver it again, to anybody, this handle included; at once, but others
 * that came back before it come first.
 *
 * sq_return(): not tried, deliver it again, and this lease does not count, neither in `attempts`
 * of the next nor for max_attempts (in a queue without that it is the same as sq_nack()).
 *
 * sq_touch(): the lease time begins anew (nothing to do in a queue without one). The lease goes
 * on.
 *
 *	lease  one that this handle holds; borrowed for the call. After ack, nack or return it is
 *	       void, and so is its `data`
 *
 * They never block, and work in queues that are shut down or removed, too. Killed inside: it is
 * settled or it is not; if it is not, the message is delivered again. Stopped inside: nobody
 * waits.
 *
 * Returns 0.
 *
 *	-ESTALE  the lease had ended and the message was given to another, or back to the queue,
 *	         or this lease was settled already. What was done for it may be done twice; `data`
 *	         is no longer valid, and there is nothing left to settle. (Of a lease that ends
 *	         during sq_return(), or whose holder dies there, it is open whether it counts.) To
 *	         have it seldom: sq_touch() in time, or a longer lease time
 *	-EINVAL  also: a lease of another handle, or of another queue. It is as it was
 */
int sq_ack(struct sq *, const struct sq_lease *lease);
int sq_nack(struct sq *, const struct sq_lease *lease);
int sq_return(struct sq *, const struct sq_lease *lease);
int sq_touch(struct sq *, const struct sq_lease *lease);

/*
 * sq_shutdown(): end the queue, for all who use it. Puts that begin from now on fail with -EPIPE;
 * one that is under way may still go in, and is then delivered like the others. Gets and leases
 * drain what is there, and then fail with -EPIPE. Waiting calls are woken.
 *
 *	immediate  gets and leases fail at once, too, and what is there stays there. (Those who
 *	           know its id can still lease it: sq_lease_id())
 *
 * For ever: there is no way back, but an immediate one may follow the other. Acks, nacks, returns
 * and touches go on working. Never blocks. Killed inside: it is shut down or it is not; if those
 * who wait were not woken, they see it within four seconds.
 *
 * Returns 0, also if it was shut down before.
 */
int sq_shutdown(struct sq *, bool immediate);

/*
 * sq_join(): wait until everything that was put before the call has been got or acked. Messages
 * that can never be are not waited for: dead letters, which count as gone, and those of the
 * errors below. The caller's own leases are waited for, too: settle them first. It looks again
 * and again, with naps of up to 10 ms, so it is not for latency.
 *
 *	timeout  how long to wait
 *
 * Returns 0: all of it has gone.
 *
 *	-EAGAIN, -ETIMEDOUT  not yet
 *	-EPIPE    some of it is left in a queue that was shut down at once, or shut down and
 *	          removed
 *	-EIDRM    some of it is left in a queue that was removed
 *	-EBADMSG  the ring is damaged
 */
int sq_join(struct sq *, int64_t timeout);

/*
 * sq_stat(): what is in the queue, and what went through it.
 *
 *	ret  filled
 *
 * Walks the ring: takes time in proportion to its capacity. Never blocks, and changes nothing.
 *
 * Returns 0.
 */
int sq_stat(struct sq *, struct sq_stat *ret);

/*
 * sq_look(): the same without taking part: no participant's place is taken, nothing is written,
 * and to read the object is enough. So it works while all places are taken, and of memory that is
 * mounted read-only; and it cannot be hurt by a file that is cut short.
 *
 *	name  of the queue
 *	ret   filled
 *
 * Returns 0.
 *
 *	-ENOENT  no such queue
 *	-EACCES  not allowed to read it
 *	-EPERM   another user's: see Names
 *	-EPROTO  not a queue, damaged, truncated (perhaps just now), or of another version
 *	-EINVAL  ret is NULL, or a bad name
 *	-EIO     as from read(2)
 *	-EMFILE, -ENFILE, -ENOMEM
 */
int sq_look(const char *name, struct sq_stat *ret);

/*
 * sq_recover(): give back what dead participants held, and end the leases that are overdue, all
 * of it, now. Calls that wait do so by themselves now and then; so this is for a supervisor that
 * has just seen a process die, or for exact numbers before sq_stat().
 *
 * Takes time in proportion to the capacity and the number of participants. Never blocks. Anybody
 * may call it at any time, several at once; killed or stopped inside: the next one does the rest.
 *
 * Returns how many dead participants were found.
 */
int sq_recover(struct sq *);

/*
 * sq_count_bind(): count this handle's puts, from now on, under a key, durably: the count outlives
 * the handle and its process, and is exact even if that dies inside sq_put(). A producer that
 * takes over the work of a dead one calls it with the same key, and knows how many of its
 * messages went in. (As the sequence numbers of an idempotent producer in Kafka, kept by the
 * queue.) docs/examples has one.
 *
 *	key  not 0. A handle has one at most, and a key has one live handle at most. As many
 *	     different keys as sq_stat.participants_max can be used in a queue, ever: choose a
 *	     small set, such as the numbers of the workers, and use them again
 *	ret  the count so far
 *
 * Never waits for anybody; if the key's last holder is dead it does all of that one's recovery.
 * Killed inside: the key is free again, the count as it was.
 *
 * Returns 0.
 *
 *	-EBUSY   a live handle has the key: by this call, or as durable participant (also if it is
 *	         this very handle). Or this handle has called it before. If it is a predecessor
 *	         that is about to die, wait for that
 *	-ENOSPC  so many other keys have been used already
 *	-EINVAL  also: key is 0
 */
int sq_count_bind(struct sq *, uint64_t key, uint64_t *ret);

/*
 * sq_count_read(): how many messages were put under a key, by whichever handles.
 *
 *	key  not 0
 *	ret  the count: exact once the key's last holder has closed or died; else that of a moment
 *	     ago
 *
 * Never waits for anybody; recovers as sq_count_bind() does.
 *
 * Returns 0. (The count of a key that only sq_open_durable() has used is 0.)
 *
 *	-ENOENT  the key was never used in this queue
 *	-EINVAL  also: key is 0
 */
int sq_count_read(struct sq *, uint64_t key, uint64_t *ret);

/*
 * sq_last_put(): the id of this handle's last put; right after sq_count_bind(), that of the last
 * under the key, whoever made it and wherever it died. So a producer that records the ids of what
 * it put can complete its record after a death: the count of sq_count_bind() tells whether one is
 * missing, and this call which.
 *
 *	ret  the id
 *
 * Never blocks.
 *
 * Returns 0.
 *
 *	-ENOENT  there was none
 */
int sq_last_put(struct sq *, uint64_t *ret);

/*
 * sq_open_durable(): open the queue as the durable participant of a key. Its leases outlive
 * handle and process for its grace: if the queue is opened under that key again before that is
 * over, they are the new handle's, which finds them by sq_held(), and its own grace counts from
 * then on. Else they come back like those of any dead participant, and its place is free; what is
 * counted under the key stays. For programs that keep books of their own about what they hold,
 * such as a forwarder.
 *
 *	ret    the handle, to be given to sq_close(), which keeps the leases for the grace, too
 *	name   of the queue
 *	key    not 0. The keys are those of sq_count_bind(): the handle holds its key until it is
 *	       closed, so what it puts is counted under another one, if at all
 *	grace  nanoseconds, or SQ_FOREVER. It begins when the handle is closed, or when somebody
 *	       has found its holder dead: so it may be longer, never shorter; and somebody has to
 *	       look for it to end (see Caveats)
 *
 * While it is away it takes a participant's place. In a queue with a lease time leases end by
 * that, like all others. Does not wait for anybody; if the key's last holder is dead it does all
 * of that one's recovery. Killed inside: the leases wait for the next, for the grace of the one
 * before.
 *
 * Returns 0.
 *
 *	-EBUSY   the participant of this key lives, or another handle has it by sq_count_bind():
 *	         there shall be one. Wait for its end, or use another key
 *	-ENOSPC  as of sq_count_bind(): so many other keys have been used already
 *	-EINVAL  also: key is 0, or a grace below SQ_FOREVER
 *	all errors of sq_open()
 */
int sq_open_durable(struct sq **ret, const char *name, uint64_t key, int64_t grace);

/*
 * sq_held(): the leases that this handle holds, in no order: all of them, also those that came
 * with its key. A lease that is reported twice is the same one, to be settled once.
 *
 *	ret  the first n of them; may be NULL if n is 0. In a queue with a lease time `data` is a
 *	     copy, made now if there is none
 *	n    elements of ret
 *
 * Never blocks; takes time in proportion to the capacity.
 *
 * Returns how many there are in all, which may be more than n.
 *
 *	-EBADMSG  one of them was damaged and dropped: call again
 *	-ENOMEM   for a copy, in a queue with a lease time: free some and call again
 *	(After either some of ret may have been written. The leases are still held.)
 */
int sq_held(struct sq *, struct sq_lease *ret, int n);

/*
 * sq_retire(): make the handle an ordinary participant, whose leases come back when it closes or
 * dies. Nothing to do for one that is. The key is free again when the handle is closed.
 *
 * Never blocks. Returns 0.
 */
int sq_retire(struct sq *);

/*
 * sq_durable_run(): a number for this run of the durable participant: the same for all that took
 * over the leases of the one before; another if the grace had run out by then, or the one before
 * had retired, or the queue was made anew. A program that keeps it beside its books knows at its
 * next start, wherever it was killed, whether what it held has been given to others.
 *
 *	ret  the number; it means nothing but equal or not
 *
 * Never blocks.
 *
 * Returns 0.
 *
 *	-ENOENT  not a durable participant, or retired
 */
int sq_durable_run(struct sq *, uint64_t *ret);

/*
 * sq_find(): where the message of this id is.
 *
 *	id  as of a lease, or of sq_last_put()
 *
 * Never blocks, and looks at a few cells only. The answer is that of a moment ago.
 *
 * Returns SQ_GONE (got, acked, a dead letter that was moved, or never here), SQ_WAITING (also a
 * dead letter that stays here) or SQ_LEASED.
 */
#define SQ_GONE    0
#define SQ_WAITING 1
#define SQ_LEASED  2
int sq_find(struct sq *, uint64_t id);

/*
 * sq_lease_id(): lease the message of this id, wherever in the queue it waits; also in a queue
 * that was shut down at once, and also a dead letter that its queue does not take.
 *
 *	id   as of sq_find()
 *	ret  the lease, as of sq_lease()
 *
 * Never blocks. Killed inside, or before it is settled: as sq_lease().
 *
 * Returns 0.
 *
 *	-ENOENT   gone
 *	-EBUSY    leased, by anybody: its holder settles it, or it comes back
 *	-EBADMSG  it was damaged, and is dropped
 *	-ENOMEM   as of sq_lease()
 */
int sq_lease_id(struct sq *, uint64_t id, struct sq_lease *ret);

/*
 * sq_mark(): where the queue ends now. sq_passed(): whether everything that was put before that
 * has been got or acked. As sq_join(), in two calls that never block. (Dead letters count as
 * gone.)
 *
 *	ret   the mark: good for this queue only, and for any handle on it
 *	mark  of sq_mark()
 *
 * sq_passed() takes time in proportion to the capacity.
 *
 * sq_mark() returns 0.
 *
 *	-EBADMSG  the ring is damaged
 *
 * sq_passed() returns 1 if all of it has gone, else 0.
 */
int sq_mark(struct sq *, uint64_t *ret);
int sq_passed(struct sq *, uint64_t mark);

/*
 * sq_arm(): for those who wait for several things at once, in a loop of their own: ask to be
 * woken at the next news of this kind. Then look for the news once more (by SQ_NOWAIT calls);
 * then wait on the futex, shared, not private, while it has that value (futex(2), FUTEX_WAIT), no
 * longer than some ten milliseconds at a time: a waker may have been killed. Then look again, soon:
 * until a call of that kind has succeeded, or this is called again, it may be ten milliseconds before
 * anybody else is woken, because you are taken to be on your way.
 *
 *	news  what for
 *	ret   the word to wait on, and the value
 *
 * Never blocks.
 *
 * Returns 0.
 *
 *	-EINVAL  also: no such news
 */
enum sq_news {
	SQ_NEWS_MESSAGE = 1, /* messages */
	SQ_NEWS_ROOM,        /* messages left: room, or something settled */
	SQ_NEWS_BLOCK,       /* memory for larger messages */
};
struct sq_watch {
	uint32_t *word; /* in the queue's memory: valid until the handle is closed. Only read it */
	uint32_t value;
};
int sq_arm(struct sq *, enum sq_news news, struct sq_watch *ret);

/*
 * sq_wanted(): does anybody want messages? For those that can bring some from elsewhere. Never
 * blocks.
 *
 * Returns 1 if, since it was last called on any handle of the queue, somebody has found no
 * message, or gone to sleep for one; else 0.
 */
int sq_wanted(struct sq *);

/*
 * sq_list(): call a function for each queue.
 *
 *	prefix  of that prefix; NULL: the default one; "*": all. Borrowed for the call
 *	f       is given `prefix.queue`, which is borrowed for its call, and data. It may call any
 *	        function of this library. If it returns something else than 0, the list ends there
 *	data    the caller's, passed on
 *
 * Goes by names: what it finds may be no queue (sq_check()), or gone when f opens it. Never
 * blocks.
 *
 * Returns what f returned last (let that be positive, to tell it from an error), or 0.
 *
 *	-EINVAL  f is NULL
 *	-EACCES, -ENOENT, -EMFILE, -ENFILE, -ENOMEM  /dev/shm cannot be read, or is not there
 *	errors of sq_prefix(), if prefix is NULL
 */
int sq_list(const char *prefix, int (*f)(const char *name, void *data), void *data);

/*
 * sq_gc(): give back what the dead held in the queue; remove the queue if it is ephemeral and
 * abandoned (SQ_EPHEMERAL). It is not removed if somebody opens it at that moment.
 *
 *	name  of the queue
 *
 * Takes part for a moment. Time as of sq_recover(). Never blocks. Killed inside: it is removed or
 * it is not, and the next who opens it finishes that.
 *
 * Returns 1 if the queue was removed, else 0 (also if all places are taken, by the living; or if it
 * is another user's, whose file the caller may not remove).
 *
 *	-EROFS   also: it is abandoned, and cannot be opened any more, but its file cannot be
 *	         removed just now. Until it is sq_create() says -EEXIST
 *	errors of sq_open(), but -EUSERS
 */
int sq_gc(const char *name);

/*
 * sq_sweep(): remove what killed sq_create() calls left, of all prefixes. Those that are under
 * way are left alone, and so are those of users whose files the caller may not write or remove.
 * Never blocks.
 *
 * Returns how many were removed.
 *
 *	-EACCES, -ENOENT, -EMFILE, -ENFILE, -ENOMEM  /dev/shm cannot be read, or is not there
 */
int sq_sweep(void);

/*
 * sq_prefix(): the default prefix: the environment's SQ_PREFIX, or the login name of the
 * effective user; of a user without one (or with one of more than SQ_NAME_MAX bytes) `uid` and
 * the number.
 *
 *	buf  the prefix, and a terminating zero
 *	cap  its size: at least SQ_NAME_MAX + 1
 *
 * Returns 0.
 *
 *	-EINVAL  buf is NULL or too small; or SQ_PREFIX is no valid prefix: set it right, or unset
 *	         it
 *	-EINTR, -EIO, -EMFILE, -ENFILE, -ENOMEM, -ERANGE  the users cannot be looked up
 *	         (getpwuid_r(3)): set SQ_PREFIX, or use names with a prefix
 */
int sq_prefix(char *buf, size_t cap);

/*
 * sq_strerror(): a sentence for a result of these functions, with or without its sign. The text
 * is static. Of 0 and of numbers that are no error it says so.
 */
const char *sq_strerror(int error);

/* sq_version(): of the library that is used, as SQ_VERSION is of the header. The text is static. */
const char *sq_version(void);

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif

#endif
