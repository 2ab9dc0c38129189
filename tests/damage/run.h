/* SPDX-License-Identifier: ISC */
#ifndef RUN_H
#define RUN_H

/*
 * What the processes of a damage run share: who is in which call since when, and the totals. The
 * supervisor (damage.c) reads it to find the hung and to say which seed it was.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "aim.h"

#define CREW        2 /* processes beside the one that does the damage, in a concurrent case */
#define ERRORS_MAX  134
#define CASE_FAILED 99
#define CASES_FORK  16 /* one case in so many is concurrent */

struct run {
	_Atomic uint64_t index; /* of the case, from 0 */
	_Atomic uint64_t seed;  /* its own */
	_Atomic bool stop;      /* the crew is to go home */
	_Atomic bool noticed;   /* in this case: some call has reported damage */
	struct {
		_Atomic(const char *) call; /* NULL: between calls */
		_Atomic int64_t since_ns;
	} who[1 + CREW];

	/* Totals. */
	_Atomic uint64_t cases, concurrent, calls, cases_noticed, forged, deaths;
	_Atomic uint64_t changes[AIM_REGIONS];
	_Atomic uint64_t errors[ERRORS_MAX]; /* [0]: calls that did what they were to do */
	_Atomic uint64_t changes_within;     /* a call, between two accesses of its */
	_Atomic uint64_t most_steps; /* accesses to shared words in one call, if they are counted */
	_Atomic int64_t longest_ns;
	_Atomic(const char *) longest;
	_Atomic uint64_t longest_seed;
};

extern struct run *run;
extern bool verbose;

/* Which of the processes of a case this is. */
extern unsigned run_who;

/* concurrent.c: a case in which the damage is done while others work. */
void concurrent_case(uint64_t seed);

/* single.c: a case in which all takes turns, in virtual time. */
void single_case(uint64_t seed);

/* run_change(): one change anywhere, counted. run_change_cell(): of this cell. */
void run_change(const struct victim *v, struct chance *c);
void run_change_cell(const struct victim *v, uint64_t position, struct chance *c);

#endif
