/* SPDX-License-Identifier: ISC */
#ifndef FIXTURE_H
#define FIXTURE_H

/*
 * What the unit tests share. Queues are made under a prefix of this process; at the end of each
 * test all handles are closed, all queues removed, and nothing of ours may be left in /dev/shm.
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/event.h"
#include "member/count.h"
#include "member/grace.h"
#include "member/join.h"
#include "member/recovery.h"
#include "member/reclaim.h"
#include "member/removal.h"
#include "member/upkeep.h"
#include "ops/get.h"
#include "ops/handle.h"
#include "ops/take.h"
#include "ops/put.h"
#include "ops/select.h"
#include "ops/wait.h"
#include "ring/attempts.h"
#include "ring/block.h"
#include "ring/message.h"
#include "ring/claim.h"
#include "ring/ending.h"
#include "ring/front.h"
#include "ring/lease_time.h"
#include "ring/payload.h"
#include "ring/position.h"
#include "ring/redelivery.h"
#include "ring/revoke.h"
#include "ring/transition.h"
#include "segment/closed.h"
#include "segment/file.h"
#include "segment/map.h"
#include "segment/name.h"

#define MS ((int64_t)1000000)

/* Who has not ended by then hangs, on whatever machine; and what is to come has come. */
#define FX_HANG_S 250
#define FX_SOON   (60000 * MS)

/* A test whose queues and handles are cleared away afterwards. */
#define TEST(f) cmocka_unit_test_teardown(f, fx_end)

/* The main program: no test may hang, and none may see another run's queues. */
#define FX_MAIN(tests)                                                                             \
	int main(void)                                                                             \
	{                                                                                          \
		fx_begin();                                                                        \
		return cmocka_run_group_tests(tests, NULL, NULL);                                  \
	}

/* In a child, where cmocka's jump back would run the parent's tests a second time. */
#define CHILD_CHECK(x)                                                                             \
	do {                                                                                       \
		if (!(x))                                                                          \
			fx_child_failed(#x, __FILE__, __LINE__);                                   \
	} while (0)

void fx_begin(void);
int fx_end(void **state);
_Noreturn void fx_child_failed(const char *what, const char *file, int line);
/* Wait for a child that is killed by SIGKILL (true), or else ends with 0 (false). */
bool fx_was_killed(pid_t pid);

/* Make and open a queue; open another handle on it; close one before the end of the test. */
struct sq *fx_make(const char *name, const struct sq_config *config);
struct sq *fx_open(const char *name);
void fx_close(struct sq *h);
void fx_close_all(void);

/* The participant dies: its lock is dropped, and all that it held stays where it is. */
void fx_die(struct sq *h);

/*
 * fx_kill(): a child opens the queue, calls f, and is killed by SIGKILL. fx_child(): it sleeps
 * after f instead, until fx_end_child().
 */
void fx_kill(const char *name, void (*f)(struct sq *h, void *arg), void *arg);
pid_t fx_child(const char *name, void (*f)(struct sq *h, void *arg), void *arg);
void fx_end_child(pid_t pid);

/* Messages of 8 bytes. */
void fx_put(struct sq *h, uint64_t v);
void fx_get(struct sq *h, uint64_t v);
void fx_empty(struct sq *h);
struct sq_lease fx_lease(struct sq *h, uint64_t v);

/* Larger ones, whose every byte depends on the seed. */
void fx_fill(void *buf, size_t len, unsigned seed);
void fx_check(const void *buf, size_t len, unsigned seed);
void fx_put_large(struct sq *h, size_t len, unsigned seed);
void fx_get_large(struct sq *h, size_t len, unsigned seed);

/* A cell's word. */
uint64_t fx_word(const struct sq *h, uint64_t pos);
void fx_set(const struct sq *h, uint64_t pos, uint64_t w);
enum sqi_state fx_state(const struct sq *h, uint64_t pos);

/*
 * Half of a call, by the engine's own steps: h claims the next cell, or begins to let go of the block of a message that it
 * has leased, and is stopped there. Returns the position.
 */
uint64_t fx_claim(struct sq *h);
void fx_begin_release(struct sq *h, uint64_t pos);

/* A fresh queue goes on as if it had come to this position, and this handle knew. */
void fx_start_at(struct sq *h, uint64_t position);

/* The time of the lease in this cell is up, and nobody has noticed yet. */
void fx_overdue(const struct sq *h, uint64_t pos);

struct sq_stat fx_stat(struct sq *h);

/* Try again every millisecond until it is true or so much time is gone. Tells which. */
bool fx_soon(bool (*f)(void *arg), void *arg, int64_t ns);
void fx_nap(int64_t ns);

#endif
