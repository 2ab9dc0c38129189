/* SPDX-License-Identifier: ISC */
#include "ring/revoke.h"

#include "base/event.h"
#include "ring/transition.h"

/*
 * Revokes the claims of late writers: those that have claimed a cell and not committed when another
 * participant needs to pass. Called by front.c and claim.c, by any number of participants at once.
 *
 * Invariant: a claim is revoked only from the very word that the caller saw, so a claim made later
 * is never revoked by mistake.
 */

#ifndef PATIENCE_PAUSES    /* the explorer sets fewer: each look is a step */
#define PATIENCE_PAUSES 64 /* about 1 us, before the look behind a writer */
#endif

/*
 * Returns true if a message, or the seal, lies behind the writer of these positions. Stops at the
 * first cell that is not claimed, because no message lies behind it.
 */
static bool message_follows(const struct sqi_ring *ring, uint64_t pos, unsigned span)
{
	for (struct sqi_scan s = sqi_scan_from(pos + span, ring->mask + 1 - span);
		sqi_scan_next(ring, &s);) {
		if (s.ahead > 0)
			continue;
		if (s.ahead < 0)
			return false;
		switch (sqi_word_state(s.word)) {
		case SQI_WRITING:
			break;
		case SQI_FULL:
		case SQI_SEALED:
			return true;
		default:
			return false;
		}
	}
	return false;
}

/* Returns true if the word changes within the time that a small write takes. */
static bool is_done_soon(const struct sqi_cell *c, uint64_t w)
{
	for (int i = 0; i < PATIENCE_PAUSES; i++) {
		sqi_pause();
		if (sqi_load_seq(&c->word) != w)
			return true;
	}
	return false;
}

/* V1. The count is a statistic. */
static void revoke_late(struct sqi_ring *ring, struct sqi_cell *c, uint64_t w)
{
	if (sqi_cell_revoke(c, w))
		(void)sqi_add(&ring->head->revoked, 1);
}

/*
 * A writer stands at pos; w is the cell's word. Returns true if the caller should look at pos
 * again. Returns false if the ring has no committed message: for consumers it is empty.
 *
 * Revoke only if a committed message follows: each revocation then implies a delivery. Otherwise a
 * writer and a consumer could pass each other round an empty ring for ever. In a closed queue the
 * writer's next attempt fails, so no message need follow.
 */
bool sqi_revoke_for_message(struct sqi_ring *ring, uint64_t pos, uint64_t w)
{
	struct sqi_cell *c = sqi_cell(ring, pos);

	if (is_done_soon(c, w))
		return true;
	if (!message_follows(ring, pos, sqi_span(ring, w)) && !sqi_load_seq(&ring->head->closed))
		return sqi_load_seq(&c->word) != w;
	revoke_late(ring, c, w);
	return true;
}

/*
 * A writer at pos keeps producers from going on; w is the cell's word. The writer gets the same
 * time to finish; then its claim is revoked. Afterwards the cell's word is no longer w, whoever
 * changed it. Wakes a producer that waits for room.
 */
void sqi_revoke_for_room(struct sqi_ring *ring, uint64_t pos, uint64_t w)
{
	struct sqi_cell *c = sqi_cell(ring, pos);

	if (is_done_soon(c, w))
		return;
	revoke_late(ring, c, w);
	sqi_event_wake(&ring->head->room_event);
}
