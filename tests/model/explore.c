/* SPDX-License-Identifier: ISC */
#include "explore.h"

#include <errno.h>
#include <linux/futex.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>

#include "kernel.h"

#define STACK_BYTES (64 << 10)
#define CHOICES_MAX 65536
#define TICK_SLACK  1000
#define TICKS_MAX   30 /* in vain, with nobody left who could make news */

struct explorer explorer;

struct choice {
	unsigned char taken, of;
};

static struct choice path[CHOICES_MAX];
static size_t depth, known;
static uint64_t random_state;

static jmp_buf env[CO_MAX], scheduler;
static ucontext_t context[CO_MAX], back;
static char *stack[CO_MAX];
static bool started[CO_MAX];
static int self = -1, wanted;
static bool calm; /* no more surprises */
static unsigned long moment;
static unsigned ticks[CO_MAX];
static struct {
	const void *address;
	int64_t until_ns;
	bool woken;
} bed[CO_MAX];

int explore_self(void)
{
	return self;
}

unsigned long explore_moment(void)
{
	return ++moment;
}

void explore_fail(const char *what)
{
	if (!explorer.failure)
		explorer.failure = what;
}

static uint64_t next_random(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

unsigned explore_choose(unsigned n)
{
	if (n < 2)
		return 0;
	if (depth == CHOICES_MAX) {
		explore_fail("too many choices: a loop");
		return 0;
	}
	if (depth == known) {
		/* Random schedules mostly go straight on, as depth first does at first. */
		unsigned first = 0;

		if (random_state && next_random() % 8 == 0)
			first = (unsigned)(next_random() % n);
		path[known++] = (struct choice){
			.taken = (unsigned char)first, .of = (unsigned char)n};
	}
	return path[depth++].taken;
}

bool explore_next(void)
{
	if (random_state) {
		known = 0;
		return true;
	}
	while (known > 0) {
		struct choice *c = &path[known - 1];

		if (++c->taken < c->of)
			return true;
		known--;
	}
	return false;
}

void explore_reset(uint64_t seed)
{
	known = 0;
	random_state = seed;
}

void explore_print(void)
{
	size_t end = depth;

	while (end > 0 && path[end - 1].taken == 0)
		end--;
	printf("schedule ");
	for (size_t i = 0, zeros = 0; i < end; i++) {
		if (path[i].taken == 0) {
			zeros++;
			continue;
		}
		printf("%zu:%u,", zeros, path[i].taken);
		zeros = 0;
	}
	printf("end\n");
}

void explore_replay(const char *text)
{
	unsigned zeros, taken;
	int used;

	known = 0;
	random_state = 0;
	while (sscanf(text, "%u:%u,%n", &zeros, &taken, &used) == 2) {
		while (zeros-- > 0)
			path[known++] = (struct choice){.of = 255};
		path[known++] = (struct choice){.taken = (unsigned char)taken, .of = 255};
		text += used;
	}
}

/* From a coroutine to the scheduler, which comes back here when it is its turn. */
static void yield_to_scheduler(void)
{
	if (_setjmp(env[self]) == 0)
		_longjmp(scheduler, 1);
}

static unsigned others_ready(int except, unsigned char list[CO_MAX])
{
	unsigned n = 0;

	for (unsigned i = 0; i < explorer.count; i++)
		if ((int)i != except && explorer.state[i] == CO_READY)
			list[n++] = (unsigned char)i;
	return n;
}

void model_step(void)
{
	unsigned char other[CO_MAX];
	unsigned n = 0, options = 1, preempt, kill, stop, c;

	if (self < 0)
		return;
	if (++explorer.steps[self] > STEPS_MAX) {
		explore_fail("a participant does not come to an end of its own steps");
		explorer.state[self] = CO_KILLED;
		yield_to_scheduler();
	}
	if (calm)
		return;
	if (explorer.preemptions < explorer.bounds.preemptions)
		n = others_ready(self, other);
	preempt = options;
	options += n;
	kill = options;
	options += explorer.kills < explorer.bounds.kills;
	stop = options;
	options += explorer.stops < explorer.bounds.stops;
	c = explore_choose(options);
	if (c == 0)
		return;
	if (c < kill) {
		explorer.preemptions++;
		wanted = other[c - preempt];
	} else if (c < stop) {
		explorer.kills++;
		explorer.state[self] = CO_KILLED;
		explorer.killed((unsigned)self);
	} else {
		explorer.stops++;
		explorer.state[self] = CO_STOPPED;
	}
	yield_to_scheduler();
}

static void enter(void)
{
	unsigned me = (unsigned)self;

	explorer.body[me](me);
	explorer.state[me] = CO_DONE;
	_longjmp(scheduler, 1);
}

static void switch_to(int to)
{
	self = to;
	if (_setjmp(scheduler) == 0) {
		if (started[to])
			_longjmp(env[to], 1);
		started[to] = true;
		(void)getcontext(&context[to]);
		context[to].uc_stack.ss_sp = stack[to];
		context[to].uc_stack.ss_size = STACK_BYTES;
		context[to].uc_link = &back;
		makecontext(&context[to], enter, 0);
		(void)setcontext(&context[to]);
	}
	self = -1;
}

/*
 * Nobody can go on by himself: time passes, until the first sleeper's. False: nobody sleeps either.
 */
static bool pass_time(void)
{
	int first = -1;

	for (unsigned i = 0; i < explorer.count; i++)
		if (explorer.state[i] == CO_ASLEEP &&
			(first < 0 || bed[i].until_ns < bed[first].until_ns))
			first = (int)i;
	if (first < 0)
		return false;
	if (++ticks[first] > TICKS_MAX) {
		explorer.state[first] = CO_STARVED;
		return true;
	}
	if (explorer.now_ns < bed[first].until_ns)
		explorer.now_ns = bed[first].until_ns;
	explorer.now_ns += TICK_SLACK;
	explorer.timed_out[first] = true;
	bed[first].woken = false;
	explorer.state[first] = CO_READY;
	return true;
}

static void schedule(void)
{
	unsigned char list[CO_MAX];

	wanted = -1;
	for (;;) {
		unsigned n;
		int to = wanted;

		wanted = -1;
		if (explorer.failure)
			return;
		if (to < 0) {
			n = others_ready(-1, list);
			if (n == 0) {
				if (!pass_time())
					return;
				continue;
			}
			to = list[calm ? 0 : explore_choose(n)];
		}
		switch_to(to);
	}
}

void explore_run(void)
{
	for (unsigned i = 0; i < explorer.count; i++) {
		if (!stack[i]) {
			stack[i] = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE,
				MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
			if (stack[i] == MAP_FAILED)
				abort();
		}
		started[i] = false;
		explorer.state[i] = CO_READY;
		explorer.steps[i] = 0;
		explorer.timed_out[i] = false;
		ticks[i] = 0;
	}
	explorer.kills = explorer.stops = explorer.preemptions = 0;
	depth = 0;
	calm = false;
	schedule();
}

void explore_resume(void)
{
	calm = true;
	for (unsigned i = 0; i < explorer.count; i++)
		if (explorer.state[i] == CO_STOPPED)
			explorer.state[i] = CO_READY;
	schedule();
}

/* The kernel, as far as the engine needs it. */

int model_clock_gettime(clockid_t clock, struct timespec *ret)
{
	(void)clock;
	*ret = (struct timespec){
		.tv_sec = explorer.now_ns / 1000000000, .tv_nsec = explorer.now_ns % 1000000000};
	return 0;
}

int model_clock_nanosleep(
	clockid_t clock, int flags, const struct timespec *span, struct timespec *rest)
{
	(void)clock;
	(void)flags;
	(void)rest;
	explorer.now_ns += (int64_t)span->tv_sec * 1000000000 + span->tv_nsec;
	model_step();
	return 0;
}

static long futex_wait(const uint32_t *address, uint32_t value, const struct timespec *until)
{
	if (__atomic_load_n(address, __ATOMIC_SEQ_CST) != value) {
		errno = EAGAIN;
		return -1;
	}
	if (self < 0)
		abort(); /* the auditor never waits */
	bed[self].address = address;
	bed[self].until_ns = (int64_t)until->tv_sec * 1000000000 + until->tv_nsec;
	bed[self].woken = false;
	explorer.timed_out[self] = false;
	explorer.state[self] = CO_ASLEEP;
	yield_to_scheduler();
	if (bed[self].woken)
		return 0;
	errno = ETIMEDOUT;
	return -1;
}

/* Whom the kernel wakes first is nothing to rely on: it is a choice. */
static long futex_wake(const uint32_t *address, int most)
{
	unsigned char list[CO_MAX];
	long n = 0;

	for (; n < most; n++) {
		unsigned count = 0, who;

		for (unsigned i = 0; i < explorer.count; i++)
			if (explorer.state[i] == CO_ASLEEP && bed[i].address == address)
				list[count++] = (unsigned char)i;
		if (count == 0)
			break;
		who = list[calm || self < 0 ? 0 : explore_choose(count)];
		bed[who].woken = true;
		explorer.state[who] = CO_READY;
	}
	return n;
}

long model_syscall(long number, ...)
{
	va_list args;
	uint32_t *address;
	const struct timespec *until;
	int op;
	uint32_t value;

	va_start(args, number);
	address = va_arg(args, uint32_t *);
	op = va_arg(args, int);
	value = va_arg(args, uint32_t);
	until = va_arg(args, const struct timespec *);
	va_end(args);
	if (number != SYS_futex)
		abort();
	model_step();
	return op == FUTEX_WAKE ? futex_wake(address, (int)value)
				: futex_wait(address, value, until);
}
