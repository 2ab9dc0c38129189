/* SPDX-License-Identifier: ISC */
#ifndef SQI_TRANSITION_H
#define SQI_TRANSITION_H

/*
 * The arrows of word.h: each is one compare-and-swap of a cell's word, and there are no others. Who
 * calls one has read the word `w` and decided by it; the call returns true if the cell's word was
 * still w and is now what the arrow leads to, and false if anything has happened to the cell since.
 * Words do not come back (word.h), so true means that nothing happened in between.
 *
 * The preconditions are about w, a copy in the caller's hand, and about the caller: one that does
 * not hold is a fault of this library, whatever somebody has written to the shared memory.
 *
 * The labels are those of docs/MEMORY_MODEL.md. Every transition is sequentially consistent: acquire
 * and release would do for who owns what, but whoever makes a transition then looks whether somebody
 * sleeps, and that look must not come before it (E1).
 */

#include <assert.h>
#include <stdbool.h>

#include "ring/word.h"
#include "segment/layout.h"

/*
 * W1. FREE -> WRITING, by `owner`. *ret_word: the word that says so. Acquires F1, V2 and D1: who
 * freed the cell has done with it.
 */
static inline bool sqi_cell_claim(
	struct sqi_cell *c, uint64_t w, unsigned owner, uint64_t *ret_word)
{
	uint64_t claimed;

	assert(sqi_word_state(w) == SQI_FREE);
	claimed = sqi_word(SQI_WRITING, owner, 0, sqi_word_turn(w));
	if (!sqi_cas(&c->word, w, claimed))
		return false;
	*ret_word = claimed;
	return true;
}

/*
 * W2. WRITING -> FULL, by who claimed it. Releases the message; R1 and R2 acquire it. False: the
 * claim was revoked (V1).
 */
static inline bool sqi_cell_commit(struct sqi_cell *c, uint64_t w)
{
	assert(sqi_word_state(w) == SQI_WRITING);
	return sqi_cas(&c->word, w, sqi_word(SQI_FULL, 0, 0, sqi_word_turn(w)));
}

/*
 * V1. WRITING -> VOID, by anybody, for a message behind the cell or for room. The turn goes up: the
 * position is passed. The writer learns of it when it commits; until then the cell is still its to
 * write to.
 */
static inline bool sqi_cell_revoke(struct sqi_cell *c, uint64_t w)
{
	assert(sqi_word_state(w) == SQI_WRITING);
	return sqi_cas(&c->word, w, sqi_word_to(w, SQI_VOID, sqi_word_owner(w)) + SQI_TURN_ONE);
}

/*
 * V2, F1, D1. VOID or RELEASING -> FREE, by its owner, or by anybody if its owner is dead. Releases
 * the late writer's stores, or what was read of the cell; W1 acquires it.
 */
static inline bool sqi_cell_free(struct sqi_cell *c, uint64_t w)
{
	assert(sqi_word_state(w) == SQI_VOID || sqi_word_state(w) == SQI_RELEASING);
	return sqi_cas(&c->word, w, sqi_word_free(w, 0));
}

/* D1. WRITING -> FREE, by anybody: its owner is dead, and the put has not happened. */
static inline bool sqi_cell_abandon(struct sqi_cell *c, uint64_t w)
{
	assert(sqi_word_state(w) == SQI_WRITING);
	return sqi_cas(&c->word, w, sqi_word_free(w, 1));
}

/*
 * S1. TAKEN, BACK, VOID or RELEASING: the turn goes up by one, by a producer that goes round the
 * cell, or by who sets the seal. The cell cannot be claimed in this lap.
 */
static inline bool sqi_cell_skip(struct sqi_cell *c, uint64_t w)
{
	assert(sqi_word_state(w) == SQI_TAKEN || sqi_word_state(w) == SQI_BACK ||
		sqi_word_state(w) == SQI_VOID || sqi_word_state(w) == SQI_RELEASING);
	return sqi_cas(&c->word, w, w + SQI_TURN_ONE);
}

/* S2. FREE -> SEALED, by anybody: the queue is closed, and this is its end. */
static inline bool sqi_cell_seal(struct sqi_cell *c, uint64_t w)
{
	assert(sqi_word_state(w) == SQI_FREE);
	return sqi_cas(&c->word, w, sqi_word_to(w, SQI_SEALED, 0));
}

static inline bool sqi_word_is_message(uint64_t w)
{
	return sqi_word_state(w) == SQI_FULL || sqi_word_state(w) == SQI_TAKEN ||
	       sqi_word_state(w) == SQI_BACK;
}

/*
 * R2. FULL or BACK -> TAKEN, by `owner`, as the lease of that number (sqi_word_attempts()). Acquires
 * W2, or B1. *ret_word: the word that says so.
 */
static inline bool sqi_cell_take(
	struct sqi_cell *c, uint64_t w, unsigned owner, unsigned number, uint64_t *ret_word)
{
	uint64_t taken = sqi_word_taken(w, owner, number);

	assert(sqi_word_state(w) == SQI_FULL || sqi_word_state(w) == SQI_BACK);
	if (!sqi_cas(&c->word, w, taken))
		return false;
	*ret_word = taken;
	return true;
}

/* B1. TAKEN -> BACK, by its owner, or by who ends the lease. Releases what its owner has read. */
static inline bool sqi_cell_give_back(struct sqi_cell *c, uint64_t w)
{
	assert(sqi_word_state(w) == SQI_TAKEN);
	return sqi_cas(&c->word, w, sqi_word_back(w));
}

/*
 * F1. FULL, TAKEN or BACK -> FREE: the message was small and has been read, or it is damaged and
 * dropped. Releases what was read of the cell; W1 acquires it.
 */
static inline bool sqi_cell_remove(struct sqi_cell *c, uint64_t w)
{
	assert(sqi_word_is_message(w));
	return sqi_cas(&c->word, w, sqi_word_free(w, sqi_word_state(w) == SQI_FULL));
}

/*
 * L1. TAKEN -> RELEASING, by `owner`, whose duty it is now to free the message's block and then the
 * cell, in this order: while the cell says RELEASING, recovery knows what is left to be done.
 */
static inline bool sqi_cell_begin_release(struct sqi_cell *c, uint64_t w, unsigned owner)
{
	assert(sqi_word_state(w) == SQI_TAKEN);
	return sqi_cas(&c->word, w, sqi_word_to(w, SQI_RELEASING, owner));
}

#endif
