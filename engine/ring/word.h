/* SPDX-License-Identifier: ISC */
#ifndef SQI_WORD_H
#define SQI_WORD_H

/*
 * The word of a cell: who has the message in it. Every step of a message's life is one
 * compare-and-swap of this word, so there is no instruction at which ownership is unknown.
 *
 *	 63                        24 23      16 15          4 3     0
 *	+----------------------------+----------+-------------+-------+
 *	|            turn            | attempts |    owner    | state |
 *	+----------------------------+----------+-------------+-------+
 *
 * owner is a participant's slot number plus one, 0 for none. attempts counts the leases of the
 * message, also those that do not count as attempts (attempts.c). Position p lies in cell p mod N,
 * its turn is p / N, modulo 2^40.
 *
 * Each arrow is the function sqi_cell_<name>() in transition.h, with the label it has there and in
 * docs/MEMORY_MODEL.md. o is the owner.
 *
 *	FREE@t --claim W1--> WRITING@t(o) --commit W2--> FULL@t --remove F1---------> FREE@t+1
 *	   |                    |   |                      |
 *	   |          revoke V1 |   | abandon D1           | take R2
 *	   | seal S2            |   | (o is dead)          v
 *	   | (closed and        |   `-----> FREE@t+1   TAKEN@t+1(o) --remove F1------> FREE@x
 *	   |  empty)            v                          |   ^ |
 *	   v                 VOID@t+1(o)                   |   | `--begin_release L1--> RELEASING@x(o)
 *	SEALED@t                |                          |   |                           |
 *	(nothing will           | free V2     give_back B1 |   | take R2     (its block is | free F1
 *	 ever come behind)      | (o has                   |   | (attempts + 1)     freed) |
 *	                        v  noticed,                v   |                           v
 *	                     FREE@t+1  or is dead)       BACK@x --remove F1----------> FREE@x
 *
 *	TAKEN, BACK, VOID, RELEASING --skip S1--> the same, the turn one higher
 *
 * The turn of FULL, WRITING and SEALED is the message's own; of all others, the one at which the
 * cell can next be claimed. A cell that is not free when a producer's position reaches it is
 * skipped, if a free one follows: the producer raises its turn by one and goes on, so the ring flows
 * round it.
 *
 * A word does not come back (the ABA problem does not arise). A word's turn never goes down. Within
 * one turn a cell is TAKEN and BACK in alternation, attempts rising by one each time, then
 * RELEASING, FREE, WRITING, and at last FULL, VOID or SEALED; never backwards. So a word that
 * compares equal is the same word, and nothing happened in between. Redeliveries do not raise the
 * turn, because a turn above the ring's is a lap in which the cell cannot be claimed.
 *
 * There is one exception: attempts above 127 come again (255 is followed by 128), and with them the
 * words TAKEN and BACK. A BACK that came again is the same message, waiting: a transition from it
 * does what was meant. For TAKEN see next_number() in ops/lease.c: a number that somebody may still
 * have in hand is not used.
 */

#include <stdbool.h>
#include <stdint.h>

enum sqi_state {
	SQI_FREE = 0, /* fresh memory is a ring of free cells */
	SQI_WRITING,
	SQI_FULL,
	SQI_TAKEN,
	SQI_BACK,
	SQI_VOID,
	SQI_RELEASING,
	SQI_SEALED,
};

#define SQI_OWNER_SHIFT    4
#define SQI_ATTEMPTS_SHIFT 16
#define SQI_TURN_SHIFT     24
#define SQI_TURN_BITS      40
#define SQI_TURN_ONE       ((uint64_t)1 << SQI_TURN_SHIFT)
#define SQI_TURN_MASK      (~(uint64_t)0 << SQI_TURN_SHIFT)

static inline uint64_t sqi_word(
	enum sqi_state state, unsigned owner, unsigned attempts, uint64_t turn)
{
	return (uint64_t)state | (uint64_t)owner << SQI_OWNER_SHIFT |
	       (uint64_t)attempts << SQI_ATTEMPTS_SHIFT | turn << SQI_TURN_SHIFT;
}

static inline enum sqi_state sqi_word_state(uint64_t w)
{
	return (enum sqi_state)(w & 15);
}

static inline unsigned sqi_word_owner(uint64_t w)
{
	return w >> SQI_OWNER_SHIFT & 0xfff;
}

static inline unsigned sqi_word_attempts(uint64_t w)
{
	return w >> SQI_ATTEMPTS_SHIFT & 0xff;
}

static inline uint64_t sqi_word_turn(uint64_t w)
{
	return w >> SQI_TURN_SHIFT;
}

/* How far the word's turn is above `turn`, which may be given with more than 40 bits. */
static inline int64_t sqi_word_ahead(uint64_t w, uint64_t turn)
{
	return (int64_t)((w & SQI_TURN_MASK) - (turn << SQI_TURN_SHIFT)) >> SQI_TURN_SHIFT;
}

/* The same word in another state and with another owner. */
static inline uint64_t sqi_word_to(uint64_t w, enum sqi_state state, unsigned owner)
{
	return (w & ~(uint64_t)0xffff) | sqi_word(state, owner, 0, 0);
}

/* A free cell, claimable at the word's turn plus `more`. */
static inline uint64_t sqi_word_free(uint64_t w, unsigned more)
{
	return (w & SQI_TURN_MASK) + more * SQI_TURN_ONE;
}

/* FULL or BACK leased, as the lease of this number. */
static inline uint64_t sqi_word_taken(uint64_t w, unsigned owner, unsigned number)
{
	return sqi_word(
		SQI_TAKEN, owner, number, sqi_word_turn(w) + (sqi_word_state(w) == SQI_FULL));
}

/* TAKEN given back. */
static inline uint64_t sqi_word_back(uint64_t w)
{
	return sqi_word_to(w, SQI_BACK, 0);
}

#define SQI_ATTEMPTS_ONCE 127 /* up to this number each is used once for a message */
#define SQI_ATTEMPTS_LAST 255

/* One more attempt. Two leases in a row never count the same. */
static inline unsigned sqi_attempts_next(unsigned attempts)
{
	return attempts < SQI_ATTEMPTS_LAST ? attempts + 1 : SQI_ATTEMPTS_ONCE + 1;
}

/* Do these words, of one cell, speak of the same lease? Skips raise the turn of a live one. */
static inline bool sqi_same_lease(uint64_t a, uint64_t b)
{
	return ((a ^ b) & ~SQI_TURN_MASK) == 0;
}

#endif
