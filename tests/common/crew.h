/* SPDX-License-Identifier: ISC */
#ifndef CREW_H
#define CREW_H

/*
 * What the stress and kill tests share: a prefix of their own in /dev/shm that is left clean,
 * children that do not outlive their parent, memory shared between them, messages that prove
 * themselves, and the checks that every queue at rest must pass.
 *
 * Only the process that called crew_init() cleans up and reports. A child ends by crew_die(),
 * exit() or a signal.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdnoreturn.h>
#include <sys/types.h>

#include "sq.h"

#define CREW_HEAD   24 /* bytes of a message before its content */
#define CREW_MS     1000000
#define CREW_SECOND 1000000000

/*
 * crew_init(): the test's name, the seed to replay (of no account where --seed is no option of it), and after
 * how many seconds it is hung.
 */
void crew_init(const char *name, uint64_t seed, unsigned alarm_s);

/*
 * crew_die(): say why and how to replay, and end this process with 1. In a child the parent is told
 * as well.
 */
noreturn void crew_die(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* crew_failed(): has any process of this test called crew_die()? */
bool crew_failed(void);

/* must(): dies unless the call returned what it must; must_succeed(): unless that is no error. */
void must(const char *call, ssize_t r, ssize_t expected);
void must_succeed(const char *call, ssize_t r);

/*
 * crew_finish(): print the closing line, clean up, check that nothing is left behind. The exit
 * code.
 */
int crew_finish(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* crew_fork(): a child that dies with us. 0 in the child. Never fails. */
pid_t crew_fork(void);

/* crew_adopt(): somebody else's child is to end with us, too. */
void crew_adopt(pid_t pid);

/* crew_wait(): until this child has ended; its status as of waitpid(). Dies if any has failed. */
int crew_wait(pid_t pid);

/* crew_kill(): SIGKILL, whether stopped or not, and wait. */
void crew_kill(pid_t pid);

/* crew_stop(): SIGSTOP; returns once the child has stopped. */
void crew_stop(pid_t pid);

/* crew_share(): zeroed memory that all later children share. */
void *crew_share(size_t size);

/* crew_sort(): the smallest first. */
void crew_sort(int64_t *v, size_t n);

/*
 * crew_write(): the message of this value, of `size` bytes or CREW_HEAD if that is more, to buf.
 * Its length.
 */
size_t crew_write(void *buf, uint64_t value, size_t size);

/* crew_read(): dies unless these are all bytes of a message that crew_write() made; its value. */
uint64_t crew_read(const void *buf, size_t len);

/* crew_whole(): is there such a message at buf, whole? Its value and length. */
bool crew_whole(const void *buf, size_t cap, uint64_t *ret_value, size_t *ret_len);

/* crew_open(): dies if it cannot. */
struct sq *crew_open(const char *name);

/* crew_queue(): a new queue for this test, in place of any of that name. */
void crew_queue(const char *name, const struct sq_config *config);

/*
 * crew_check_rest(): nobody moves and all is drained. Dies unless every cell is free, every block
 * is free, and `put` messages had been put (~0: any number). Then proves that the ring goes round
 * with its whole capacity: laps of small messages and of large ones, in order, through this handle.
 */
void crew_check_rest(struct sq *h, uint64_t put);

#endif
