/* SPDX-License-Identifier: ISC */
#ifndef TESTS_MODEL_EXPLORE_H
#define TESTS_MODEL_EXPLORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Every order in which the participants' steps can happen, with a kill or a stop of any of them at
 * any moment.
 *
 * A step is one access to a shared word (what atomic.h does, and the one bit operation of returned.c)
 * or one system call, with everything private that follows it up to the next. Steps are atomic and
 * sequentially consistent; between any two of them anybody else may go on. Counts that are for
 * people only (gots, leases, acks, nacks, redelivered, the totals in the head, pid) have no step of
 * their own: nobody but sq_stat() and the checker ever reads them.
 *
 * A state is all that decides what can happen from here on:
 *
 *	the segments; the participants' handles and leases; their stacks and registers;
 *	the kernel: locks, beds in futexes, the clock;
 *	struct run: who is asleep, stopped, dead; what is left of the budgets of kills, stops,
 *	early ticks and preemptions; own steps in the call under way;
 *	what the history allows: the specification's automaton (spec.h).
 *
 * The search is depth first. At each state its 64-bit hash is looked up among those visited, and
 * nothing is done twice. It is sound because everything listed above is in the hash (state.c);
 * bytes that do not matter, as dead ones in a stack, only make states differ that could be one.
 * Two different states of the same hash would hide one of them: for n states that is likely by
 * n^2 / 2^65, one in a million for six million states.
 *
 * There are no cycles: own steps in a call, the time and the budgets only go up. So a livelock is a
 * call that takes more steps than its scenario says it may (E2), and the most that any call took,
 * over all schedules, is exact, and is printed.
 */

#define CO_MAX  4
#define AUDITOR CO_MAX /* looks after it all, outside any schedule */
#define ACTORS  (CO_MAX + 1)

#define ALL (-1)

enum person_state {
	PERSON_READY,
	PERSON_ASLEEP,
	PERSON_KILLED,
	PERSON_STARVED, /* slept till nothing could come any more */
	PERSON_DONE,
};

struct person {
	uint8_t state;
	uint8_t stopped;   /* others go on without it */
	uint8_t timed_out; /* its last sleep ended by its time, when nobody else could end it */
	uint8_t woken;     /* somebody ended its sleep */
	uint16_t ticks;    /* slept in vain, in this call */
	uint16_t steps;    /* own, in this call, since it last slept */
	uint64_t fresh;    /* in a call that has made no step yet */
	const void *bed;   /* the word it sleeps on */
	int64_t until_ns;
	const void *next; /* its next step: what, and how; for people */
	const char *how;
};

struct lock {
	int32_t fd, file;
	int64_t byte;
};

#define LOCKS_MAX 16

struct bounds {
	int preemptions; /* or ALL */
	int kills, stops;
	int ticks; /* sleeps that end early, while others could go on */
};

/* What there is of a run beside the segments, the handles and the stacks. No padding. */
struct run {
	struct person person[CO_MAX];
	struct lock lock[LOCKS_MAX];
	int64_t now_ns;
	uint32_t spec; /* a state of the specification's automaton */
	uint8_t kills, stops, ticks, preemptions;
	int8_t last;    /* who ran */
	uint8_t flowed; /* stopped ones were waited for, and went on */
	uint8_t asking; /* one of so many sleepers is to be chosen, by ... */
	uint8_t asker;
	uint8_t answer;
	uint8_t unused[3];
	uint32_t unused2;
};

extern struct run run;

/* What a scenario sets. */
struct explorer {
	unsigned count;
	struct bounds bounds;
	void (*body)(unsigned who);
	void (*killed)(unsigned who);      /* called at once */
	void (*starved)(unsigned who);     /* it will sleep for ever */
	bool (*matters)(unsigned who);     /* it is done; does it hold anything? */
	bool (*idle)(const void *address); /* an access that needs no step of its own */
	void (*flow)(void);  /* with some stopped, and none able to go on: are the others free? */
	void (*check)(void); /* at the end of each run */
	unsigned call_steps; /* of its own, that no call may take more of */
	unsigned long states_max; /* then it is not complete; 0: as many as there are */
	size_t memory;            /* for the states visited, bytes */
	bool trace, single;       /* told step by step; no quiet accesses */

	/* What a search leaves. */
	unsigned long states, steps, ends;
	unsigned longest;  /* steps of its own that a call took */
	unsigned searches; /* till all shared words were known */
	bool complete;
	const char *failure; /* the first thing found wrong, or NULL */
};

extern struct explorer explorer;

/*
 * From the state as it is, which is the first. False: something is wrong. Otherwise `complete`
 * tells whether memory sufficed.
 */
bool explore_all(void);
bool explore_random(uint64_t seed, unsigned long schedules);
bool explore_replay(const char *schedule);

/* Print the schedule of the last run, to be given to explore_replay(). Returns its steps. */
size_t explore_print(void);

/* Note that something is wrong; the first is kept. */
void explore_fail(const char *what);

/* In a coroutine: a new call begins with the next step. */
void explore_pause(void);

/* In a coroutine: one of n, as the schedule says. Or 0, outside. */
unsigned explore_choose(unsigned n);

/* In a coroutine: sleep until woken or until then. True: woken. */
bool explore_sleep(const void *bed, int64_t until_ns);

#endif
