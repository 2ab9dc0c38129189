/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lives.h"
#include "sim.h"

/*
 * Deaths: of bridges and of workers, at any access to shared memory.
 *
 * One that is killed leaves its private memory behind, as a process does; its descriptors' locks are
 * dropped, and what it had in shared memory stays as it was at that access.
 */

#define LOCKS_MAX 4096

static struct {
	const void *owner; /* NULL: one who is never killed */
	ino_t file;
	off_t start;
	int fd;
} locked[LOCKS_MAX];
static unsigned locks;

/* Whose code is run. */
static struct {
	const void *who;
	struct bridge *bridge; /* if it is one */
	struct arm *arm;
	enum op op;
	const char *ledger; /* the function of the last access to a ledger */
	unsigned long steps;
	bool starting, closing;
	jmp_buf death;
} life;

static void step(void)
{
	sim_count(T_STEPS);
	if (!life.who)
		return;
	life.steps++;
	if (life.arm->left > 0 && (life.arm->op == OP_ANY || life.arm->op == life.op) &&
		--life.arm->left == 0)
		longjmp(life.death, 1);
}

void sim_step(void)
{
	step();
}

void sim_ledger_step(const char *where)
{
	enum op was = life_op(OP_LEDGER);

	life.ledger = where;
	step();
	(void)life_op(was);
}

enum op life_op(enum op op)
{
	enum op was = life.op;

	life.op = op;
	return was;
}

struct bridge *life_bridge(void)
{
	return life.bridge;
}

/*
 * Is this byte locked by another? All that could lock it are in this process, and asking the kernel
 * is expensive.
 */
static bool look_up(int fd, struct flock *lock)
{
	for (unsigned i = 0; i < locks; i++) {
		if (locked[i].fd != fd)
			continue;
		for (unsigned k = 0; k < locks; k++)
			if (locked[k].file == locked[i].file && locked[k].start == lock->l_start &&
				locked[k].fd != fd)
				return true;
		lock->l_type = F_UNLCK;
		return true;
	}
	return false;
}

static void note(int fd, const struct flock *lock)
{
	struct stat st;

	for (unsigned i = 0; lock->l_type == F_UNLCK && i < locks; i++)
		if (locked[i].fd == fd)
			locked[i--] = locked[--locks];
	if (lock->l_type == F_UNLCK)
		return;
	if (locks == LOCKS_MAX || fstat(fd, &st) < 0)
		abort();
	locked[locks].owner = life.who;
	locked[locks].file = st.st_ino;
	locked[locks].start = lock->l_start;
	locked[locks++].fd = fd;
}

/* The kernel's own, but we know whose lock it is. */
int sim_fcntl(int fd, int cmd, ...)
{
	va_list args;
	void *arg;
	int r;

	va_start(args, cmd);
	arg = va_arg(args, void *);
	va_end(args);
	if (cmd == F_OFD_GETLK && look_up(fd, arg))
		return 0;
	r = fcntl(fd, cmd, arg);
	if (r == 0 && cmd == F_OFD_SETLK)
		note(fd, arg);
	return r;
}

int sim_close(int fd)
{
	for (unsigned i = 0; i < locks; i++)
		if (locked[i].fd == fd)
			locked[i--] = locked[--locks];
	return close(fd);
}

/*
 * The engine's clock goes slower: it decides when to look for the dead, and a look is expensive
 * here.
 */
int sim_clock_gettime(clockid_t clock, struct timespec *ret)
{
	(void)clock;
	ret->tv_sec = sim.now_ns / 10 / (1000 * MS);
	ret->tv_nsec = sim.now_ns / 10 % (1000 * MS);
	return 0;
}

void life_forget(const void *who)
{
	struct flock all = {.l_type = F_UNLCK, .l_whence = SEEK_SET};

	for (unsigned i = 0; i < locks; i++)
		if (locked[i].owner == who) {
			(void)fcntl(locked[i].fd, F_OFD_SETLK, &all);
			locked[i--] = locked[--locks];
		}
}

static bool run_as(const void *who, struct bridge *b, struct arm *arm, void (*f)(void *), void *arg)
{
	bool lives;

	life.who = who;
	life.bridge = b;
	life.arm = arm;
	life.op = OP_ANY;
	life.steps = 0;
	lives = setjmp(life.death) == 0;
	if (lives)
		f(arg);
	life.who = NULL;
	life.bridge = NULL;
	return lives;
}

bool worker_run(struct worker *w, void (*f)(void *), void *arg)
{
	return run_as(w, NULL, &w->arm, f, arg);
}

static void count_death(const struct bridge *b)
{
	static const enum tally of_op[OPS] = {[OP_OPEN] = T_KILL_OPEN,
		[OP_LEASE] = T_KILL_LEASE,
		[OP_PUT] = T_KILL_PUT,
		[OP_ACK] = T_KILL_ACK,
		[OP_NACK] = T_KILL_NACK,
		[OP_TAKE] = T_KILL_TAKE,
		[OP_LOOK] = T_KILL_LOOK};
	static const struct {
		const char *function;
		enum tally tally;
	} of_ledger[] = {{"ledger_add", T_KILL_ADD}, {"ledger_clear", T_KILL_CLEAR},
		{"ledger_set_epoch", T_KILL_EPOCH}, {"ledger_set_entered", T_KILL_ENTERED},
		{"ledger_set_instance", T_KILL_INSTANCE}};

	if (of_op[life.op])
		sim_count(of_op[life.op]);
	for (unsigned i = 0; life.op == OP_LEDGER && i < sizeof(of_ledger) / sizeof(*of_ledger);
		i++)
		if (strcmp(life.ledger, of_ledger[i].function) == 0)
			sim_count(of_ledger[i].tally);
	sim_count(life.starting ? T_KILLED_IN_START : T_KILLED_IN_TURN);
	if (life.starting && b->taking_up)
		sim_count(T_KILLED_IN_RECOVERY);
	if (life.closing)
		sim_count(T_KILLED_IN_CLOSE);
	if (b->host == HUB)
		sim_count(T_KILLED_HUB_AT);
}

/* Nothing of it is left but what is in shared memory. */
void life_over(struct bridge *b)
{
	life_forget(b);
	calls_forget(b);
	memset(b->link, 0, sizeof(b->link));
	b->alive = b->draining = b->taking_up = b->late = false;
	b->heap = 0;
	b->arm.left = 0;
	b->restart_ns = sim.now_ns + (int64_t)sim_below(50) * MS;
}

/* It does not run on, and nothing is cleaned up. */
void bridge_kill(struct bridge *b)
{
	if (b->draining)
		sim_count(T_KILLED_IN_DRAIN);
	life_over(b);
	for (unsigned i = 0; i < sim.leaves; i++)
		if (b->host == HUB || b->host == i)
			net_died(i, b->host == HUB);
	sim_say("bridge of host %u is killed", b->host);
}

bool bridge_run(struct bridge *b, void (*f)(void *), void *arg)
{
	if (run_as(b, b, &b->arm, f, arg)) {
		if (life.steps > 0)
			b->steps = life.steps;
		return true;
	}
	count_death(b);
	sim_say("  (op %d, %s)", (int)life.op, life.op == OP_LEDGER ? life.ledger : "");
	bridge_kill(b);
	return false;
}

void life_closing(bool closing)
{
	life.closing = closing;
}

void life_starting(bool starting)
{
	life.starting = starting;
}
