/* SPDX-License-Identifier: ISC */
#include "threads_step.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "crew.h"
#include "ops/handle.h"
#include "rng.h"

/*
 * A thread dies as a participant when the lock that says that it lives goes with its descriptor,
 * and it never again runs the engine's code with that handle. What a killed process leaves in
 * shared memory is the same: whatever it had written by then.
 *
 * The kernel lets go of a dead process's lock after its last write: docs/MEMORY_MODEL.md calls that
 * edge D1. ThreadSanitizer does not see into the kernel, so it is told: a death is a release, and
 * who learns from the kernel that a lock is gone acquires it. It is told no other edge.
 */

void threads_step(void);
int threads_fcntl(int fd, int cmd, ...);

static _Atomic uint64_t deaths;

static _Thread_local struct {
	struct sq *handle;
	jmp_buf *where;
	uint64_t steps; /* to live */
	bool spared;
	int fd; /* that was the handle's when it died */
	uint64_t random;
	unsigned one_of;
} mine;

void threads_unrest(uint64_t seed, unsigned one_of)
{
	mine.random = seed;
	mine.one_of = one_of;
}

void threads_doom(struct sq *handle, uint64_t steps, jmp_buf *where)
{
	mine.handle = handle;
	mine.steps = steps;
	mine.where = where;
	mine.spared = false;
}

void threads_spare(bool spare)
{
	mine.spared = spare;
}

/* Another open file takes the descriptor's place: the lock is gone, the number is not free. */
static void die(void)
{
	int other = open("/dev/null", O_RDONLY | O_CLOEXEC);

	if (other < 0)
		crew_die("/dev/null cannot be opened");
	mine.fd = mine.handle->file.fd;
	atomic_fetch_add_explicit(&deaths, 1, memory_order_acq_rel);
	if (dup3(other, mine.fd, O_CLOEXEC) < 0)
		crew_die("dup3 failed");
	(void)close(other);
}

void threads_bury(struct sq *handle)
{
	threads_spare(true);
	sq_close(handle);
	(void)close(mine.fd);
}

uint64_t threads_deaths(void)
{
	return atomic_load(&deaths);
}

void threads_step(void)
{
	if (mine.one_of && rng_next(&mine.random) >> 32 < UINT32_MAX / mine.one_of)
		(void)sched_yield();
	if (mine.steps == 0 || mine.spared || --mine.steps > 0)
		return;
	die();
	longjmp(*mine.where, 1);
}

int threads_fcntl(int fd, int cmd, ...)
{
	struct flock *lock;
	va_list args;
	int r;

	va_start(args, cmd);
	if (cmd == F_DUPFD_CLOEXEC) {
		r = fcntl(fd, cmd, va_arg(args, int));
	} else {
		lock = va_arg(args, struct flock *);
		r = fcntl(fd, cmd, lock);
		if (r == 0 && cmd == F_OFD_GETLK && lock->l_type == F_UNLCK)
			(void)atomic_load_explicit(&deaths, memory_order_acquire);
	}
	va_end(args);
	return r;
}
