/* SPDX-License-Identifier: ISC */
#ifndef SQI_TRANSITION_H
#define SQI_TRANSITION_H

/*
 * Every transition of a cell's word, one function for each arrow in word.h. No other code changes a
 * cell's word. docs/MEMORY_MODEL.md names the files that call each; any number of participants may
 * be in any of them at once.
 *
 * The caller has read the word `w` and decided by it. A function returns true if the cell's word
 * was still w and is now what the arrow leads to. It returns false if the word has changed since.
 * No word occurs twice (word.h), so true also means that nothing happened in between.
 *
 * Each assertion is about w, a copy in the caller's hand, or about the caller. A failed one is a
 * fault of this library, whatever another process has written to the shared memory.
 *
 * The labels are those of docs/MEMORY_MODEL.md. Every transition is sequentially consistent.
 * Acquire and release would be enough to decide ownership. But after a transition the caller looks
 * whether a participant sleeps, and that look must not come before the transition (E1).
 */

#include <assert.h>
#include <stdbool.h>

#include "ring/word.h"
#include "segment/layout.h"

/*
 * W1. FREE -> WRITING, by `owner`, for a group of `span` cells from this one on, or for this one
 * (1). On success *ret_word is the new word. Acquires F1, V2 and D1: the former user of the cell is
 * done with it.
 */
static inline bool sqi_cell_claim(
	struct sqi_cell *c, uint64_t w, unsigned owner, unsigned span, uint64_t *ret_word)
{
	uint64_t claimed;

	assert(sqi_word_state(w) == SQI_FREE);
	claimed = sqi_word(SQI_WRITING, owner, span > 1 ? span : 0, sqi_word_turn(w));
	if (!sqi_cas(&c->word, w, claimed))
		return false;
	*ret_word = claimed;
	return true;
}

/*
 * W2. WRITING -> FULL, by the participant that claimed the cell. Releases the message; R1 and R2
 * acquire it. Returns false if the claim was revoked (V1).
 */
static inline bool sqi_cell_commit(struct sqi_cell *c, uint64_t w)
{
	assert(sqi_word_state(w) == SQI_WRITING);
	return sqi_cas(&c->word, w, sqi_word(SQI_FULL, 0, 0, sqi_word_turn(w)));
}

/*
 * V1. WRITING -> VOID, by any participant that needs to pass the writer. The turn goes up, because
 * the position is passed. The writer notices when its commit fails. Until then it may still write
 * to the cell, so only the writer, or recovery after its death, may free it.
 */
static inline bool sqi_cell_revoke(struct sqi_cell *c, uint64_t w)
{
	assert(sqi_word_state(w) == SQI_WRITING);
	return sqi_cas(&c->word, w, sqi_word_to(w, SQI_VOID, sqi_word_owner(w)) + SQI_TURN_ONE);
}

/*
 * V2, F1, D1. VOID, RELEASING or REMOVING -> FREE: by the owner (V2 from VOID, F1 from the others),
 * or by any participant if the owner is dead (D1). Releases the late writer's stores, or what was
 * read of the cell; W1 acquires them. Of a group's head: the others of its cells come first (K2).
 */
static inline bool sqi_cell_free(struct sqi_cell *c, uint64_t w)
{
	assert(sqi_word_state(w) == SQI_VOID || sqi_word_state(w) == SQI_RELEASING ||
		sqi_word_state(w) == SQI_REMOVING);
	return sqi_cas(&c->word, w, sqi_word_free(w, 0));
}

/*
 * D1. WRITING -> FREE, by any participant, after the owner has died. The put did not happen. The
 * lock query that found the owner dead acquired its last stores; W1 acquires them from here.
 */
static inline bool sqi_cell_abandon(struct sqi_cell *c, uint64_t w)
{
	assert(sqi_word_state(w) == SQI_WRITING);
	return sqi_cas(&c->word, w, sqi_word_free(w, 1));
}

/*
 * S1. TAKEN, BACK, VOID, RELEASING or REMOVING: the turn goes up by one, so the cell, or the group
 * of which it is the head, cannot be claimed in this lap. By a producer that passes the cell, or by a
 * consumer that looks for a cell to seal. Releases nothing.
 */
static inline bool sqi_cell_skip(struct sqi_cell *c, uint64_t w)
{
	assert(sqi_word_state(w) == SQI_TAKEN || sqi_word_state(w) == SQI_BACK ||
		sqi_word_state(w) == SQI_VOID || sqi_word_state(w) == SQI_RELEASING ||
		sqi_word_state(w) == SQI_REMOVING);
	return sqi_cas(&c->word, w, w + SQI_TURN_ONE);
}

/*
 * S2. FREE -> SEALED, by any participant: the queue is closed, and no message can follow. Releases
 * nothing.
 */
static inline bool sqi_cell_seal(struct sqi_cell *c, uint64_t w)
{
	assert(sqi_word_state(w) == SQI_FREE);
	return sqi_cas(&c->word, w, sqi_word_to(w, SQI_SEALED, 0));
}

/*
 * R2. FULL or BACK -> TAKEN, by `owner`, as the message's lease of this number. On success
 * *ret_word is the new word. Acquires W2, or B1.
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

/*
 * B1. TAKEN -> BACK, by the owner, or by a participant that ends the owner's lease. Releases what
 * the owner has read, if the owner does it, and the number of the return; R1 and R2 acquire them.
 */
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
 * L1. TAKEN -> RELEASING, by `owner`, which then frees the message's block and after that the cell.
 * Releases nothing. It tells recovery that the message is gone and that these two steps remain.
 */
static inline bool sqi_cell_begin_release(struct sqi_cell *c, uint64_t w, unsigned owner)
{
	assert(sqi_word_state(w) == SQI_TAKEN);
	return sqi_cas(&c->word, w, sqi_word_to(w, SQI_RELEASING, owner));
}

/*
 * K1. FULL -> REMOVING, by `owner`, of a group of `span` messages from this one on, all FULL, small
 * and copied. On success *ret_word is the new word. Then the owner frees the others' cells (K2),
 * and after that this one (F1). Releases nothing.
 *
 * K3. The same, with a span of 0, of another message of such a group, by any participant, for the
 * owner of the group: so that nobody can lease it by its id any more.
 */
static inline bool sqi_cell_begin_removal(
	struct sqi_cell *c, uint64_t w, unsigned owner, unsigned span, uint64_t *ret_word)
{
	uint64_t removing;

	assert(sqi_word_state(w) == SQI_FULL && span != 1 && span <= SQI_GROUP_MAX);
	removing = sqi_word(SQI_REMOVING, owner, span, sqi_word_turn(w) + 1);
	if (!sqi_cas(&c->word, w, removing))
		return false;
	*ret_word = removing;
	return true;
}

#endif
