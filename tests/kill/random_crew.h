/* SPDX-License-Identifier: ISC */
#ifndef RANDOM_CREW_H
#define RANDOM_CREW_H

/*
 * The workers of kill_random, and what they show of themselves in shared memory, so that after a
 * death of theirs it is known what may have been in their hands.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "crew.h"

#define RANDOM_QUEUE       "random"
#define RANDOM_PRODUCERS   3
#define RANDOM_GETTERS     2
#define RANDOM_LEASERS     3
#define RANDOM_WORKERS     (RANDOM_PRODUCERS + RANDOM_GETTERS + RANDOM_LEASERS)
#define RANDOM_HANDS       2
#define RANDOM_BATCH       8
#define RANDOM_SIZE_MAX    4096
#define RANDOM_VALUES_MAX  ((uint64_t)4 << 20) /* of each producer; it stops there */
#define RANDOM_NUMBER_BITS 40

enum random_role { RANDOM_PRODUCER, RANDOM_GETTER, RANDOM_LEASER };

/* What became of a value. */
struct random_value {
	_Atomic uint8_t done;         /* times that somebody worked on it */
	_Atomic uint8_t settled;      /* sq_get() returned it, or sq_ack() 0 */
	_Atomic uint8_t first;        /* leases that said attempts 1 */
	_Atomic uint8_t late;         /* leases that said more */
	_Atomic uint8_t given_back;   /* sq_nack() was about to be called, or the holder closed */
	_Atomic uint8_t stale;        /* sq_ack() said -ESTALE */
	_Atomic uint8_t died_in_hand; /* times that one was killed who showed it in its hand */
};

struct random_worker {
	_Alignas(64) _Atomic uint64_t put; /* a producer's: puts that have returned */
	_Atomic uint64_t in_flight;        /* and how many are in the call */
	_Atomic uint64_t calling; /* a consumer's: a message may be in our hand that is not shown */
	_Atomic uint64_t hand[RANDOM_HANDS]; /* value plus one */
};

struct random_shared {
	uint64_t seed;
	_Atomic bool enough; /* no more puts */
	_Atomic bool over;   /* drained */
	struct random_worker worker[RANDOM_WORKERS];
	_Atomic uint64_t lives; /* workers started, to give each other chances */
	struct random_value value[RANDOM_PRODUCERS][RANDOM_VALUES_MAX + 1];
};

static inline enum random_role random_role(unsigned i)
{
	if (i < RANDOM_PRODUCERS)
		return RANDOM_PRODUCER;
	return i < RANDOM_PRODUCERS + RANDOM_GETTERS ? RANDOM_GETTER : RANDOM_LEASER;
}

struct random_shared *random_share(uint64_t seed);
void random_unshare(struct random_shared *s);

/* random_value(): what became of it. Dies if there is no such value. */
struct random_value *random_value(struct random_shared *s, uint64_t value);

/* random_work(): be worker i, until its time is over. */
void random_work(struct random_shared *s, unsigned i);

#endif
