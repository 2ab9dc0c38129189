/* SPDX-License-Identifier: ISC */
#ifndef TESTS_MODEL_EXPLORE_H
#define TESTS_MODEL_EXPLORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Participants as coroutines in one thread, and every order in which their steps can happen, up to
 * a number of preemptions; with a kill, or a stop for ever, at any step.
 *
 * A run is a sequence of choices. It is made again from the start each time, with the last choice
 * that has an alternative changed: depth first, without keeping any state but that sequence. The
 * sequence is the schedule that a failure prints, and that replays it.
 */

#define CO_MAX 4

enum co_state {
	CO_READY,
	CO_ASLEEP,  /* in a futex */
	CO_STOPPED, /* for now: others go on without it */
	CO_KILLED,
	CO_STARVED, /* slept for ever, and rightly or not */
	CO_DONE,
};

struct bounds {
	int preemptions, kills, stops;
};

/* One run. The coroutines call model_step() between any two accesses. */
struct explorer {
	/* What a scenario sets. */
	unsigned count;
	void (*body[CO_MAX])(unsigned self);
	void (*killed)(unsigned self); /* called at once */
	struct bounds bounds;

	/* What a run leaves. */
	enum co_state state[CO_MAX];
	bool timed_out
		[CO_MAX]; /* its last sleep ended by its time, and nobody else was there to end it */
	unsigned long steps[CO_MAX];
	int kills, stops, preemptions;
	const char *failure; /* the first thing found wrong, or NULL */
	int64_t now_ns;
};

extern struct explorer explorer;

/* How many steps one coroutine may take in all: more is a loop. */
#define STEPS_MAX 4000

/* Run the scenario once, along the choices made so far. */
void explore_run(void);

/* Let those that were stopped go on to their ends, without any more surprises. */
void explore_resume(void);

/* One of n: a choice of the schedule. */
unsigned explore_choose(unsigned n);

/* Go to the next schedule. False: there are no more. */
bool explore_next(void);

/* Begin with the first schedule; with seed > 0: random ones instead, without end. */
void explore_reset(uint64_t seed);

/* Print the schedule of this run, to be given to explore_replay(). */
void explore_print(void);
void explore_replay(const char *text);

/* Note that something is wrong; the first is kept. */
void explore_fail(const char *what);

/* Who is running: a coroutine's number, or -1. */
int explore_self(void);

/* For the checker: moments, counted over all coroutines. */
unsigned long explore_moment(void);

#endif
