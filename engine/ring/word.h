/* SPDX-License-Identifier: ISC */
#ifndef SQI_WORD_H
#define SQI_WORD_H

/*
 * The word of a cell: who has the message in it. Every step of a message's life is one
 * compare-and-swap of this word, so there is no instruction at which ownership is unknown. This
 * file only packs and unpacks words, which are plain numbers here; transition.h changes them in
 * memory.
 *
 *	 63                        24 23      16 15          4 3     0
 *	+----------------------------+----------+-------------+-------+
 *	|            turn            |  number  |    owner    | state |
 *	+----------------------------+----------+-------------+-------+
 *
 * owner is a participant's slot number plus one, 0 for none. number is that of the message's last
 * lease: it counts all leases, also those that are no attempts (attempts.c). In WRITING, VOID and
 * REMOVING it is the span of a group of which the cell is the head, or 0 (group.h). Position p lies in
 * cell p mod N, its turn is p / N, modulo 2^40.
 *
 * Each arrow is the function sqi_cell_<name>() in transition.h, with the label it has there and in
 * docs/MEMORY_MODEL.md. t is the turn at which the cell was claimed, x is t + 1 or, after skips,
 * higher; o is the owner. D1 is what recovery does when o is dead.
 *
 *	FREE@t --claim W1--> WRITING@t(o) --commit W2--> FULL@t --remove F1---------> FREE@t+1
 *	   |                    |   |                      |
 *	   |          revoke V1 |   | abandon D1           | take R2
 *	   | seal S2            |   |                      v
 *	   | (closed, and no    |   `-----> FREE@t+1   TAKEN@t+1(o) --remove F1------> FREE@x
 *	   |  message follows)  v                          |   ^ |
 *	   v                 VOID@t+1(o)                   |   | `--begin_release L1--> RELEASING@x(o)
 *	SEALED@t                |                          |   |                           |
 *	(nothing will           | free V2, D1 give_back B1 |   | take R2     (its block is | free F1, D1
 *	 ever come behind)      |                          |   | (number + 1)       freed) |
 *	                        v                          v   |                           v
 *	                     FREE@x                      BACK@x --remove F1----------> FREE@x
 *
 *	FULL@t --begin_removal K1--> REMOVING@t+1(o) --free F1, D1--> FREE@x
 *	TAKEN, BACK, VOID, RELEASING, REMOVING --skip S1--> the same, the turn one higher
 *
 * The cells of a group but its head, whose word then speaks for all of them, go from FREE@t to FULL@t
 * before the head is committed, and from either to FREE@x before the head is freed (K2). Of a group
 * that is removed a FULL one may become REMOVING@t+1(o) before that (K3).
 *
 * In FULL, WRITING and SEALED the turn is that of the message. In all other states it is the turn
 * at which the cell can next be claimed. If a cell is busy when a producer's position reaches it,
 * and a free one follows, the producer skips it: it raises the cell's turn by one and goes on.
 *
 * No value of a word occurs twice, so the ABA problem does not arise. A word's turn never goes
 * down: it rises when a message leaves FULL, when WRITING becomes VOID or FREE, and at each skip.
 * Within one turn a cell is VOID, or REMOVING, or it is TAKEN and BACK in alternation, the lease's
 * number rising by one each time, and then perhaps RELEASING; then it is FREE; then SEALED, or
 * WRITING and FULL. It never goes backwards. So if a word compares equal, nothing has happened to
 * the cell in between. A redelivery does not raise the turn, because the cell cannot be claimed in a
 * lap below its turn.
 *
 * There is one exception. Numbers of leases above 127 are used again (128 follows 255), and with
 * them the words TAKEN and BACK. A BACK that is used again means the same message, waiting: a
 * transition from it does what was meant. A TAKEN that another participant may be about to change
 * is not used again: see next_number() in ops/take.c.
 */

#include <stdbool.h>
#include <stdint.h>

enum sqi_state {
	SQI_FREE = 0,  /* no message; zeroed memory is a ring of free cells */
	SQI_WRITING,   /* claimed; the owner is writing a message */
	SQI_FULL,      /* a message that was never leased */
	SQI_TAKEN,     /* a message leased by the owner */
	SQI_BACK,      /* a message that waits for redelivery */
	SQI_VOID,      /* the owner's claim was revoked; it may still be writing */
	SQI_RELEASING, /* the owner is freeing the message's block, and then the cell */
	SQI_SEALED,    /* the end of a queue that was shut down */
	SQI_REMOVING,  /* the owner has removed the messages of a group, and is freeing its cells */
};

#define SQI_OWNER_SHIFT  4
#define SQI_NUMBER_SHIFT 16
#define SQI_TURN_SHIFT   24
#define SQI_TURN_BITS    40
#define SQI_TURN_ONE     ((uint64_t)1 << SQI_TURN_SHIFT)
#define SQI_TURN_MASK    (~(uint64_t)0 << SQI_TURN_SHIFT)

static inline uint64_t sqi_word(
	enum sqi_state state, unsigned owner, unsigned attempts, uint64_t turn)
{
	return (uint64_t)state | (uint64_t)owner << SQI_OWNER_SHIFT |
	       (uint64_t)attempts << SQI_NUMBER_SHIFT | turn << SQI_TURN_SHIFT;
}

static inline enum sqi_state sqi_word_state(uint64_t w)
{
	return (enum sqi_state)(w & 15);
}

static inline unsigned sqi_word_owner(uint64_t w)
{
	return w >> SQI_OWNER_SHIFT & 0xfff;
}

static inline unsigned sqi_word_number(uint64_t w)
{
	return w >> SQI_NUMBER_SHIFT & 0xff;
}

static inline uint64_t sqi_word_turn(uint64_t w)
{
	return w >> SQI_TURN_SHIFT;
}

/*
 * How far the word's turn is above `turn`, which may have more than 40 bits. Negative if it is
 * below.
 */
static inline int64_t sqi_word_ahead(uint64_t w, uint64_t turn)
{
	return (int64_t)((w & SQI_TURN_MASK) - (turn << SQI_TURN_SHIFT)) >> SQI_TURN_SHIFT;
}

/* The same word in another state and with another owner. */
static inline uint64_t sqi_word_to(uint64_t w, enum sqi_state state, unsigned owner)
{
	return (w & ~(uint64_t)0xffff) | sqi_word(state, owner, 0, 0);
}

/* The word of a cell that is free and can be claimed `more` turns above the turn of w. */
static inline uint64_t sqi_word_free(uint64_t w, unsigned more)
{
	return (w & SQI_TURN_MASK) + more * SQI_TURN_ONE;
}

/*
 * The word that follows w, FULL or BACK, when `owner` leases the message as its lease of this
 * number.
 */
static inline uint64_t sqi_word_taken(uint64_t w, unsigned owner, unsigned number)
{
	return sqi_word(
		SQI_TAKEN, owner, number, sqi_word_turn(w) + (sqi_word_state(w) == SQI_FULL));
}

/* The word that follows w, TAKEN, when the lease ends without an ack. */
static inline uint64_t sqi_word_back(uint64_t w)
{
	return sqi_word_to(w, SQI_BACK, 0);
}

#define SQI_GROUP_MAX 32 /* cells; an even number, see ring/group.h */

/*
 * How many cells, from its own on, the word of a group's head speaks for; 1 if it is no such word.
 * Of a damaged word more than there can be is not believed.
 */
static inline unsigned sqi_word_span(uint64_t w)
{
	unsigned span = sqi_word_number(w);

	if (sqi_word_state(w) != SQI_WRITING && sqi_word_state(w) != SQI_VOID &&
		sqi_word_state(w) != SQI_REMOVING)
		return 1;
	return span > 1 && span <= SQI_GROUP_MAX ? span : 1;
}

#define SQI_NUMBER_ONCE 127 /* numbers up to this one are used once for a message */
#define SQI_NUMBER_LAST 255

/* The number of the next lease. Two successive leases of a message have different numbers. */
static inline unsigned sqi_number_next(unsigned attempts)
{
	return attempts < SQI_NUMBER_LAST ? attempts + 1 : SQI_NUMBER_ONCE + 1;
}

/*
 * Returns true if two words of one cell mean the same lease. Their turns may differ: a skip raises
 * the turn of a live lease.
 */
static inline bool sqi_same_lease(uint64_t a, uint64_t b)
{
	return ((a ^ b) & ~SQI_TURN_MASK) == 0;
}

/* Returns true if the word says that the cell holds a message that was leased once. */
static inline bool sqi_word_is_leased(uint64_t w)
{
	return sqi_word_state(w) == SQI_TAKEN || sqi_word_state(w) == SQI_BACK;
}

/* Returns true if the word says that the cell holds a committed message. */
static inline bool sqi_word_is_message(uint64_t w)
{
	return sqi_word_state(w) == SQI_FULL || sqi_word_is_leased(w);
}

#endif
